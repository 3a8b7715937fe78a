"""check: is a study file in order, can it run here, and what does it lack? Nothing is loaded."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fairsqueeze.errors import StudyError
from fairsqueeze.study.disk import Need, of_assets, of_hub, of_records, too_much
from fairsqueeze.study.findings import Finding, Findings, found
from fairsqueeze.study.plan import plan
from fairsqueeze.study.readiness import Readiness, look
from fairsqueeze.study.reading import Reading, read_study
from fairsqueeze.study.spec_file import StudyProblems
from fairsqueeze.study.study import Study
from fairsqueeze.study.wanted import look_for_wanted

SCHEMA = "fairsqueeze.check/1"


@dataclass(frozen=True)
class CheckReport:
    """What a check found, in plain values.

    Args:
        file: as it was given.
        study: its name; None where the file is too broken to have one.
        in_order: whether file and names are right, whatever this machine lacks.
        models: of each its `reference`, `kind` (None where it can't be told), number of `variants`, and `evaluations`.
        findings: problems first, then what is missing, then notices; each in the order of the file.
        fetch: names of data sets and built-in models to be fetched.
        disk: by place, bytes needed and free.
    """

    file: str
    study: str | None
    in_order: bool
    models: list[dict[str, Any]] = field(default_factory=list)
    findings: tuple[Finding, ...] = ()
    fetch: tuple[str, ...] = ()
    disk: list[dict[str, Any]] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether the study can run here and now."""
        return not any(one.level == "problem" for one in self.findings)

    @property
    def variants(self) -> int:
        return sum(model["variants"] for model in self.models)

    def of(self, level: str) -> list[Finding]:
        """The findings of one level: problem, missing or notice."""
        return [one for one in self.findings if one.level == level]

    def require(self) -> None:
        """Raises StudyError with all problems if there are any."""
        problems = self.of("problem")
        if len(problems) == 1:
            raise StudyError(problems[0].text, problems[0].remedy)
        if problems:
            lines = [f"  {one.text} {one.remedy}".rstrip() for one in problems]
            raise StudyError("\n".join([f"{self.file} can't run: {len(problems)} problems.", *lines]))

    def to_json(self) -> dict[str, Any]:
        """The contract of `study check --json`."""
        return {
            "schema": SCHEMA,
            "file": self.file,
            "study": self.study,
            "ok": self.ok,
            "in_order": self.in_order,
            "variants": self.variants,
            "evaluations": {model["reference"]: model["evaluations"] for model in self.models},
            "models": self.models,
            "findings": [one.to_json() for one in self.findings],
            "fetch": list(self.fetch),
            "disk": self.disk,
        }


def check(path: Path | str, *, offline: bool = False, out: Path | str | None = None) -> CheckReport:
    """Check a study file whole: what it says, and whether what it needs is on this machine.

    Names, settings, ranges and includes; kinds of models against what is asked of them (from configs; models of the hub
    only if they are here or the hub answers); data sets, calibration texts, device, disk. No weight is loaded.

    Args:
        path: the file.
        offline: check its offline form.
        out: where the study would go; default runs/NAME.

    Raises StudyError only for a file that can't be read at all.
    """
    try:
        reading = read_study(Path(path), offline=offline)
    except StudyProblems as error:
        return CheckReport(str(path), None, False, findings=tuple(found(one) for one in error.problems))
    if reading.problems or reading.study is None:
        name = reading.spec.value.get("name")
        findings = tuple(found(one) for one in reading.problems)
        return CheckReport(str(path), name if isinstance(name, str) else None, False, findings=findings)
    return _checked(str(path), reading, reading.study, out)


def _checked(path: str, reading: Reading, study: Study, out: Path | str | None) -> CheckReport:
    findings = Findings(reading.spec)
    ready = look(study, findings)
    made = plan(study)
    variants = {model: len(made.of(model)) for model in study.models}
    needs = _needs(study, ready, variants, out)
    for message in too_much(needs):
        findings.add((), f"disk: {message}", "Free some space, ask for less, or choose another --out.")
    look_for_wanted(study, findings)
    order = {"problem": 0, "missing": 1, "notice": 2}
    return CheckReport(
        file=path,
        study=study.name,
        in_order=True,
        models=[_model(study, model, ready, variants) for model in study.models],
        findings=tuple(sorted(findings, key=lambda one: order[one.level])),
        fetch=tuple(ready.to_fetch),
        disk=[need.to_json() for need in needs],
    )


def _needs(study: Study, ready: Readiness, variants: dict[str, int], out: Path | str | None) -> list[Need]:
    """What goes where; a store that is no folder of this machine is left out."""
    folder = str(out or Path("runs") / study.name)
    needs = [] if "://" in folder else [of_records(ready.items, variants, Path(folder))]
    if ready.to_fetch:
        needs.append(of_assets(ready.to_fetch))
    if ready.on_hub:
        needs.append(of_hub(ready.on_hub, ready.hub_answers))
    return needs


def _model(study: Study, model: str, ready: Readiness, variants: dict[str, int]) -> dict[str, Any]:
    return {
        "reference": model,
        "kind": ready.kinds[model],
        "variants": variants[model],
        "evaluations": [str(spec) for spec in study.evaluations(model)],
    }
