"""The command line: parse, call one function per command, print. stdout is the result; stderr is progress and log."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from pathlib import Path
from typing import Annotated, Any

import typer

from fairsqueeze import __version__
from fairsqueeze.cli.options import (
    DONE,
    FAILED,
    INTERRUPTED,
    UNMEASURABLE,
    WRONG_USE,
    AsJson,
    Device,
    Dtype,
    Limit,
    Measures,
    ModelName,
    OutFolder,
    Quiet,
    Seed,
    Tasks,
)
from fairsqueeze.cli.showing import show_result, stdout_for_result, terminal, working
from fairsqueeze.cli.study import study_app
from fairsqueeze.errors import BadSetting, FairsqueezeError, unknown_name

app = typer.Typer(
    name="fairsqueeze",
    help="Squeeze a language model, and know whether it is still fair.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.add_typer(study_app, name="study")


@app.callback(invoke_without_command=True)
def _version(version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False) -> None:
    if version:
        print(__version__)
        raise typer.Exit(DONE)


@app.command()
def audit(
    model: ModelName,
    measure: Measures = None,
    task: Tasks = None,
    limit: Limit = None,
    seed: Seed = 0,
    device: Device = "cpu",
    dtype: Dtype = "float32",
    out: OutFolder = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """How good, how biased and how costly is this model, and how sure are we?

    Without -m and -t, the default set for the model's kind, named in the output.

    Example: fairsqueeze audit builtin:smollm2-135m -m stereoset.causal -t perplexity --limit 200 --out runs/dense
    """
    from fairsqueeze.study.audit import AuditOptions
    from fairsqueeze.study.audit import audit as run_audit

    with working(quiet) as progress:
        options = AuditOptions(measure or None, task or None, limit, seed, device, dtype)
        result = run_audit(model, options, out=out, progress=progress)
    show_result(result.to_json(), as_json, terminal().audit_text)
    raise typer.Exit(DONE if result.measurable else UNMEASURABLE)


@app.command()
def compress(
    model: ModelName,
    method: Annotated[str, typer.Option("--method", help="Compression method. See: list methods.")],
    out: Annotated[Path, typer.Option("--out", help="New folder for the compressed model.")],
    setting: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A setting of the method, repeatable.")
    ] = None,
    seed: Seed = 0,
    device: Device = "cpu",
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Compress a model and save it as safetensors, with what was measured about it.

    Example: fairsqueeze compress builtin:smollm2-135m --method magnitude.linear --set sparsity=0.5 --out models/half
    """
    from fairsqueeze.study.compress import compress_to

    with working(quiet) as progress:
        parameters = _key_values(setting or [])
        result = compress_to(model, method, parameters, out, seed=seed, device=device, progress=progress)
    show_result(result, as_json, terminal().compress_text)


@app.command()
def compare(
    base: Annotated[str, typer.Argument(metavar="BASE", help="The original: a model, or the folder of an audit.")],
    other: Annotated[str, typer.Argument(metavar="OTHER", help="The compressed one: a model, or an audit's folder.")],
    measure: Measures = None,
    task: Tasks = None,
    limit: Limit = None,
    seed: Seed = 0,
    device: Device = "cpu",
    dtype: Dtype = "float32",
    out: OutFolder = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Is OTHER less fair or less able than BASE, and does the evidence reach? Paired, on the same items.

    Exit code 1 if a worsening is detected, 3 if bias can't be measured on one of them.

    Example: fairsqueeze compare builtin:smollm2-135m models/half --limit 200
    """
    from fairsqueeze.study.audit import AuditOptions
    from fairsqueeze.study.compare import compare as run_compare

    with working(quiet) as progress:
        options = AuditOptions(measure or None, task or None, limit, seed, device, dtype)
        result = run_compare(base, other, options, out=out, progress=progress)
    show_result(result.to_json(), as_json, terminal().compare_text)
    raise typer.Exit({"worse": FAILED, "unmeasurable": UNMEASURABLE}.get(result.verdict, DONE))


@app.command()
def validate(
    measure: Annotated[str, typer.Argument(metavar="MEASURE", help="Bias measure; NAME or NAME:setting=value.")],
    model: ModelName,
    limit: Limit = None,
    seed: Seed = 0,
    device: Device = "cpu",
    out: OutFolder = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """The report card of a measure on a model: can its figure be trusted, and would a broken model look better?

    Costs up to ten audits with this measure. Exit code 3 if the grade is "not usable".

    Example: fairsqueeze validate stereoset.causal builtin:smollm2-135m --limit 300
    """
    from fairsqueeze.report.validation_text import validation_text
    from fairsqueeze.validation.card import validate as run_validation

    with working(quiet) as progress:
        card = run_validation(measure, model, limit=limit, seed=seed, out=out, device=device, progress=progress)
    show_result(card.to_json(), as_json, validation_text)
    raise typer.Exit(DONE if card.usable else UNMEASURABLE)


@app.command()
def analyse(
    source: Annotated[str, typer.Argument(metavar="DIR|TABLE", help="A study's folder, or CSV, TSV, Parquet, XLSX.")],
    performance: Annotated[
        str | None, typer.Option("--performance", metavar="COLUMN", help="What says how good a model is; else found.")
    ] = None,
    measure: Annotated[
        list[str] | None, typer.Option("--measure", metavar="COLUMN", help="A bias measure, repeatable; else found.")
    ] = None,
    ideal: Annotated[
        list[str] | None,
        typer.Option("--ideal", metavar="MEASURE=VALUE", help="A measure's value of no bias, repeatable; else known."),
    ] = None,
    chance: Annotated[
        float | None, typer.Option("--chance", help="Performance of a model that answers at random; else known.")
    ] = None,
    parent: Annotated[
        str | None,
        typer.Option(
            "--parent",
            metavar="COLUMN[=VALUE]",
            help="Names each row's dense parent by its label; with =VALUE, marks the dense row of each cluster.",
        ),
    ] = None,
    cluster: Annotated[
        str | None,
        typer.Option("--cluster", metavar="COLUMN", help="Equal values mark dependent rows; none: all independent."),
    ] = None,
    seed: Seed = 0,
    replicates: Annotated[int, typer.Option("--replicates", min=100, help="Of the bootstrap.")] = 2000,
    as_json: AsJson = False,
) -> None:
    """Do the measures agree, do they only measure how good the model is, and which reward damage?

    Example: fairsqueeze analyse results.csv --performance accuracy --measure weat --ideal weat=0 --parent kind=dense
    """
    from fairsqueeze.analysis.analyse import analyse as run_analysis
    from fairsqueeze.report.analysis_text import analysis_text

    with stdout_for_result():
        document = run_analysis(
            source,
            performance=performance,
            measures=measure or None,
            cluster=cluster,
            parent=parent,
            seed=seed,
            replicates=replicates,
            ideals=_ideals(ideal or []),
            chance=chance,
        ).to_json()
    show_result(document, as_json, analysis_text)


@app.command()
def report(
    folder: Annotated[
        str, typer.Argument(metavar="DIR", help="Folder or URL of an audit, a comparison, a study or a validation.")
    ],
    format: Annotated[str, typer.Option("--format", help="html, latex, csv, figures or eee.")] = "html",
    out: Annotated[Path | None, typer.Option("--out", help="Where to write; default inside DIR.")] = None,
) -> None:
    """Make a report from what is in DIR; no model is needed.

    Example: fairsqueeze report runs/first-light --format latex --out table.tex
    """
    from fairsqueeze.report.page import report_folder

    print(report_folder(folder, format=format, out=out))


@app.command("list")
def list_(
    what: Annotated[str, typer.Argument(metavar="methods|measures|tasks|models|data")], as_json: AsJson = False
) -> None:
    """List what can be named.

    Example: fairsqueeze list measures
    """
    from fairsqueeze.study.listing import COLUMNS, LISTINGS

    if what not in LISTINGS:
        raise unknown_name("listing", what, LISTINGS)
    show_result(
        LISTINGS[what](),
        as_json,
        lambda rows: terminal().listing([{c: row[c] for c in COLUMNS[what]} for row in rows]),
    )


@app.command()
def show(
    kind: Annotated[str, typer.Argument(metavar="KIND", help="method, measure, task, model or data.")],
    name: Annotated[str, typer.Argument(metavar="NAME")],
    as_json: AsJson = False,
) -> None:
    """All there is to know about one method, measure, task, model or data set.

    Example: fairsqueeze show measure crows_pairs.causal_sum
    """
    from fairsqueeze.study.listing import SHOWN

    if kind not in SHOWN:
        raise unknown_name("kind", kind, SHOWN)
    show_result(SHOWN[kind](name), as_json, terminal().details)


@app.command()
def fetch(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]…", help="Data sets or models of the catalogue.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Everything that can be fetched.")] = False,
    origin: Annotated[
        str | None, typer.Option("--from", help="hub, index, or a folder laid out as FAIRSQUEEZE_DATA.")
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Fetch data sets and models into the cache, checked by sha256. The only command that uses the network unasked.

    Example: fairsqueeze fetch smollm2-135m stereoset crows_pairs
    """
    from fairsqueeze.study.fetching import fetch_all

    with working(quiet) as progress:
        rows = fetch_all(names or [], everything=everything, origin=origin, progress=progress)
    show_result(rows, as_json, terminal().listing)


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """Check this installation: libraries, device, cache, data and models at hand.

    Example: fairsqueeze doctor
    """
    from fairsqueeze.study.doctor import examine

    with stdout_for_result():
        found = examine()
    show_result(found, as_json, terminal().details)
    raise typer.Exit(DONE if found["in order"] else FAILED)


def _key_values(pairs: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise BadSetting(f"--set {pair} is not KEY=VALUE.", "Write for example --set sparsity=0.5.")
        if key in found:
            raise BadSetting(f"--set gives {key} twice: {found[key]} and {value}.", "Give each setting once.")
        found[key] = value
    return found


def _ideals(pairs: list[str]) -> dict[str, float]:
    """`MEASURE=VALUE` of each; a column's own name may hold a =."""
    found: dict[str, float] = {}
    for pair in pairs:
        name, _, value = pair.rpartition("=")
        try:
            number = float(value)
        except ValueError:
            name = ""
        if not name:
            raise BadSetting(f"--ideal {pair} is not MEASURE=VALUE.", "Write for example --ideal weat=0.")
        if name in found:
            raise BadSetting(f"--ideal gives {name} twice: {found[name]:g} and {value}.", "Give each measure once.")
        found[name] = number
    return found


def _calm_libraries() -> None:
    """Libraries' own progress and advice would drown ours."""
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    for name in ("torchao", "torch.utils._pytree"):
        logging.getLogger(name).addFilter(lambda record: record.levelno >= logging.ERROR)
    warnings.filterwarnings("ignore", module=r"(torch|transformers|torchao|huggingface_hub)(\..*)?")


def main(arguments: list[str] | None = None) -> None:
    """Entry point. Exit codes: 0 done, 1 worsening or failed step, 2 wrong use, 3 unmeasurable, 130 interrupted."""
    _calm_libraries()
    try:
        code = app(arguments, standalone_mode=False)
        if code == INTERRUPTED:  # the parser turns Ctrl-C into this exit code itself
            raise KeyboardInterrupt
    except FairsqueezeError as error:
        print(f"fairsqueeze: {error.message}", file=sys.stderr)
        if error.remedy:
            print(f"  {error.remedy}", file=sys.stderr)
        raise SystemExit(error.exit_code) from None
    except (KeyboardInterrupt, typer.Abort):
        print("fairsqueeze: interrupted. The same command goes on where it stopped.", file=sys.stderr)
        raise SystemExit(INTERRUPTED) from None
    except Exception as error:  # of all others only the parser's own are told; the rest are faults and raised
        refused: Any = error if _is_usage_error(error) else None
        if refused is None:
            raise
        if getattr(refused, "ctx", None) is not None:
            print(refused.ctx.get_usage(), file=sys.stderr)
        print(f"fairsqueeze: {refused.format_message()}", file=sys.stderr)
        raise SystemExit(WRONG_USE) from None
    raise SystemExit(code if isinstance(code, int) else DONE)


def _is_usage_error(error: Exception) -> bool:
    """Whether the parser refused the words of the command line (typer may bring its own copy of click)."""
    return hasattr(error, "format_message") and hasattr(error, "exit_code")
