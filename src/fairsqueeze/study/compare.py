"""compare: is the compressed model less fair than the original, and does the evidence reach?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fairsqueeze.errors import StoreError, StudyError
from fairsqueeze.records import frame_of, metadata_of
from fairsqueeze.registry import Measure
from fairsqueeze.stats.paired import Comparison, compare_frames
from fairsqueeze.study.audit import Audit, AuditOptions, audit
from fairsqueeze.study.evaluation import declared_of
from fairsqueeze.study.progress import Progress
from fairsqueeze.study.store import Store

if TYPE_CHECKING:
    import pyarrow as pa

    from fairsqueeze.models.model import Model

SCHEMA = "fairsqueeze.compare/1"


@dataclass
class Paired:
    """The comparison of two models on the same items."""

    base: dict[str, Any]
    other: dict[str, Any]
    comparisons: list[Comparison]
    warnings: list[str]

    @property
    def verdict(self) -> str:
        """Of the headline statistics: worse if any is; else unmeasurable if a bias can't be judged; else the rest.

        "changed" is a detectable difference of which neither worse nor better can be said.
        """
        found = [c.verdict for c in headline(self.comparisons)]
        for verdict in ("worse", "unmeasurable", "changed", "better"):
            if verdict in found:
                return verdict
        return "no detectable change"

    def to_json(self) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "base": self.base,
            "other": self.other,
            "verdict": self.verdict,
            "comparisons": [c.to_json() for c in self.comparisons],
            "warnings": self.warnings,
        }


def headline(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """The comparisons that decide: overall corrected bias (prior-corrected where it exists), tasks' figures."""
    from fairsqueeze.registry import tasks

    prior = {c.measure for c in comparisons if c.statistic == "corrected_bias.prior"}
    wanted = []
    for c in comparisons:
        if c.axis is not None:
            continue
        bias = c.statistic == ("corrected_bias.prior" if c.measure in prior else "corrected_bias")
        if bias or (c.measure in tasks and c.statistic == tasks.get(c.measure).statistics[0].name):
            wanted.append(c)
    return wanted


def compare(
    base: str | Path | Model,
    other: str | Path | Model,
    options: AuditOptions | None = None,
    *,
    out: Path | str | None = None,
    progress: Progress | None = None,
    **named: Any,
) -> Paired:
    """Compare `other` with `base`, item by item: paired cluster bootstrap over the same items.

    Args:
        base, other: model references, Models in memory, or folders of audits (whose records are reused).
        options: as in `audit`; where both are folders of audits, their measures are compared and these are ignored.
        out: folder that gets `base/`, `other/` (audits of those that are models) and `compare.json`.

    Raises StudyError if two audits share no measure or were made on different items.
    """
    options = options or AuditOptions(**named)
    sides: list[Side] = []
    for name, model in (("base", base), ("other", other)):
        folder = None if out is None else Path(out) / name
        sides.append(_side(model, options, folder, progress, like=sides[0] if sides else None))
        if folder is not None and _is_audit(model):
            Store(folder).write_document("audit", Store(str(model)).read_document("audit") or {})
    result = compare_sides(sides[0], sides[1], seed=options.seed)
    if out is not None:
        Store(out).write_document("compare", result.to_json())
    return result


@dataclass
class Side:
    """One of two models that are compared: what an audit found out about it, and how it was asked."""

    model: dict[str, Any]
    tables: dict[str, pa.Table]
    warnings: list[str]
    limit: int | None
    seed: int
    dtype: str


def side_of(result: Audit) -> Side:
    """An audit as one side of a comparison."""
    return Side(result.model, result.tables, result.warnings, *_how(result.provenance))


def _how(provenance: dict[str, Any]) -> tuple[int | None, int, str]:
    return provenance["limit"], provenance["seed"], provenance["dtype"]


def compare_sides(base: Side, other: Side, *, seed: int) -> Paired:
    """Pair two audits measure by measure."""
    shared = [name for name in base.tables if name in other.tables]
    if not shared:
        raise StudyError(
            f"The two audits share no measure ({', '.join(base.tables)}; {', '.join(other.tables)}).",
            "Audit both with the same -m and -t.",
        )
    comparisons = []
    warnings = [f"{w}" for w in other.warnings if "sample" in w]
    for name in shared:
        warnings += _precisions(name, base.tables[name], other.tables[name])
        _check_items(name, base.tables[name], other.tables[name])
        declared = _declared(name)
        comparisons += compare_frames(frame_of(base.tables[name]), frame_of(other.tables[name]), declared, seed=seed)
    left_out = sorted(set(base.tables) ^ set(other.tables))
    warnings += [f"{name}: only one of the two audits has it; left out." for name in left_out]
    return Paired(base.model, other.model, comparisons, warnings)


def _declared(name: str) -> Measure:
    from fairsqueeze.spec import Spec

    return declared_of(Spec(name))


def _check_items(name: str, base: pa.Table, other: pa.Table) -> None:
    """Raises StudyError unless both sides answered the same: same settings, version, stimuli and rows."""
    sides = [metadata_of(table) for table in (base, other)]
    for key, what in (("measure", "with other settings"), ("measure_version", "by another version of it")):
        if sides[0].get(key) != sides[1].get(key):
            told = " and ".join(str(side[key].get("parameters") if key == "measure" else side[key]) for side in sides)
            raise StudyError(f"{name}: the two audits asked it {what} ({told}).", "Audit both in the same way.")
    if (
        sides[0].get("items") != sides[1].get("items")
        or base.column("item").to_pylist() != other.column("item").to_pylist()
    ):
        raise StudyError(
            f"{name}: the two audits used different items.", "Audit both with the same --limit, --seed and settings."
        )


def _precisions(name: str, base: pa.Table, other: pa.Table) -> list[str]:
    """A warning where the two sides were scored in different precisions: a part of the difference may be that."""
    first, second = (metadata_of(table).get("context", {}).get("dtype") for table in (base, other))
    return [] if first == second else [f"{name}: base was scored in {first}, other in {second}."]


def _side(
    model: str | Path | Model, options: AuditOptions, folder: Path | None, progress: Progress | None, like: Side | None
) -> Side:
    if _is_audit(model):
        return _from_folder(Path(str(model)))
    if like is not None and options.measures is None and options.tasks is None:
        options = _options_like(options, like)
    return side_of(audit(model, options, out=folder, progress=progress))


def _is_audit(model: str | Path | Model) -> bool:
    return isinstance(model, (str, Path)) and (Path(model) / "audit.json").is_file()


def _options_like(options: AuditOptions, like: Side) -> AuditOptions:
    """The same measures, settings, sample and precision as the side that is already there."""
    from dataclasses import replace

    from fairsqueeze.registry import measures

    names: dict[str, Any] = {"measures": [], "tasks": []}
    for name, table in like.tables.items():
        spec = metadata_of(table)["measure"]
        names["measures" if name in measures else "tasks"].append({name: spec["parameters"]})
    return replace(options, limit=like.limit, seed=like.seed, dtype=like.dtype, **names)


def _from_folder(folder: Path) -> Side:
    store = Store(folder)
    document = store.read_document("audit")
    if document is None:
        raise StoreError(f"{folder}/audit.json is damaged.", "Run the audit again with the same --out.")
    if not {"model", "warnings", "provenance"} <= set(document):
        raise StoreError(f"{folder}/audit.json is no audit of fairsqueeze.", "Run the audit again with another --out.")
    side = side_of_document(store, document)
    if side is None:
        raise StoreError(f"{folder}: records are missing or damaged.", "Run the audit again with the same --out.")
    return side


def side_of_document(store: Store, document: dict[str, Any]) -> Side | None:
    """The JSON of an audit and its records as one side of a comparison; None where records are missing or damaged."""
    tables = {}
    for name, step in document["provenance"]["steps"].items():
        table = store.read(step)
        if table is None:
            return None
        tables[name] = table
    return Side(document["model"], tables, document["warnings"], *_how(document["provenance"]))
