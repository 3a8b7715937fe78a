"""The commands of `fairsqueeze study`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from fairsqueeze.cli.options import DONE, FAILED, WRONG_USE, AsJson, Quiet
from fairsqueeze.cli.showing import show_result, stdout_for_result, tell, terminal, working

study_app = typer.Typer(
    help="Many models, many compressions, one table: check, plan, run and follow a study file.", no_args_is_help=True
)

Offline = Annotated[bool, typer.Option("--offline", help="The study's offline form: see `offline:` in the file.")]
StudyFile = Annotated[Path, typer.Argument(metavar="FILE.yaml")]
StudyOut = Annotated[str | None, typer.Option("--out", help="Folder or URL of the study; default runs/NAME.")]


@study_app.command("check")
def study_check(
    file: StudyFile,
    offline: Offline = False,
    out: StudyOut = None,
    as_json: AsJson = False,
) -> None:
    """Check a study file whole: what it says, and whether what it needs is here. Nothing is loaded.

    Exit code 2 where it can't run. What the file wants and does not exist yet is told, not skipped.

    Example: fairsqueeze study check studies/first-light.yaml
    """
    from fairsqueeze.report.check_text import check_text
    from fairsqueeze.study.check import check

    with stdout_for_result():
        found = check(file, offline=offline, out=out)
    if found.ok or as_json:
        show_result(found.to_json(), as_json, check_text)
    else:
        print(f"fairsqueeze: {check_text(found.to_json())}", file=sys.stderr)
    raise typer.Exit(DONE if found.ok else WRONG_USE)


@study_app.command("plan")
def study_plan(file: StudyFile, offline: Offline = False, out: StudyOut = None, as_json: AsJson = False) -> None:
    """What a study will do, what of it is there, and what the rest is expected to take. Nothing is loaded.

    Times, disk and memory are those of steps measured on this computer before; what was not is said. --json also tells
    every step: its id, and the ids of those that it needs.

    Example: fairsqueeze study plan studies/first-light.yaml
    """
    from fairsqueeze.report.plan_text import plan_text
    from fairsqueeze.study.outlook import outlook
    from fairsqueeze.study.plan import plan
    from fairsqueeze.study.study import Study

    study = Study.from_file(file, offline=offline)
    with stdout_for_result():
        found = outlook(plan(study), out or Path("runs") / study.name, tell, with_steps=as_json)
    show_result(found, as_json, plan_text)


@study_app.command("run")
def study_run(
    file: StudyFile,
    out: StudyOut = None,
    offline: Offline = False,
    executor: Annotated[str, typer.Option("--executor", help="local, or ray for a cluster.")] = "local",
    workers: Annotated[int, typer.Option("--workers", min=1, help="Processes of the local executor.")] = 1,
    address: Annotated[
        str | None,
        typer.Option("--address", metavar="A", help="Ray's address; default RAY_ADDRESS, else a new one here."),
    ] = None,
    mlflow: Annotated[
        str | None, typer.Option("--mlflow", metavar="URI", help="Also log to MLflow, e.g. a folder.")
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Run a study, or go on with it where it stopped. Finished variants are never computed again.

    Exit code 1 if a variant failed: the others are there, and the same command tries again what failed.

    Example: fairsqueeze study run studies/first-light.yaml --out runs/first-light
    """
    from fairsqueeze.report.load import load_results
    from fairsqueeze.report.page import report as write_report
    from fairsqueeze.study.check import check
    from fairsqueeze.study.plan import plan
    from fairsqueeze.study.run import run
    from fairsqueeze.study.store import Store
    from fairsqueeze.study.study import Study

    with working(quiet) as progress:
        study = Study.from_file(file, offline=offline)
        folder = out or str(Path("runs") / study.name)
        checked = check(file, offline=offline, out=folder)
        checked.require()
        for one in checked.of("missing"):
            progress.say(f"missing: {one.text}")
        outcome = run(
            plan(study), folder, executor=executor, workers=workers, address=address, mlflow=mlflow, progress=progress
        )
        results = load_results(folder)
        root = Store(folder).root
        page = write_report(
            results, out=(root if isinstance(root, Path) else Path("runs") / study.name) / "report.html"
        )
    document = {"study": study.name, "out": str(folder), "report": str(page), **vars(outcome)}
    show_result(document, as_json, lambda v: terminal().study_text(results, v))
    raise typer.Exit(FAILED if outcome.failed else DONE)


@study_app.command("status")
def study_status(
    target: Annotated[str, typer.Argument(metavar="DIR", help="The study's --out folder or URL.")],
    verify: Annotated[
        bool, typer.Option("--verify", help="Read every file again; damaged ones are set aside.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Which variants of a study are finished, and why others failed: those of the file that was run there last.

    Finished: the variant's document and the records of all its steps are there, of the size that they should have.
    --verify reads all of them besides.

    Example: fairsqueeze study status runs/first-light
    """
    from fairsqueeze.study.status import status
    from fairsqueeze.study.store import Store

    store = Store(target, warn=tell)
    if verify:
        store.verify()
    show_result(status(store), as_json, terminal().status_text)
