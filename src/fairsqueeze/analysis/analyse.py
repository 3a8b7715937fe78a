"""analyse: do the measures agree, do they only measure how good the model is, and which of them reward damage?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from fairsqueeze.analysis import collapse, influential
from fairsqueeze.analysis.checkpoints import Checkpoints
from fairsqueeze.analysis.findings import Finding, findings_of
from fairsqueeze.analysis.from_store import table_of_folder
from fairsqueeze.analysis.fronts import DRAWS, Front, fronts_of
from fairsqueeze.analysis.influential import Influential, influential_rows
from fairsqueeze.analysis.long_form import is_long, widened
from fairsqueeze.analysis.not_shown import NotShown, not_shown_of
from fairsqueeze.analysis.relations import CORRECTION, Relations, relations_of
from fairsqueeze.analysis.roles import Asked, checkpoints_of
from fairsqueeze.analysis.table import ResultTable, read_table
from fairsqueeze.errors import BadSetting
from fairsqueeze.stats.agreement import MIN_ROWS

SCHEMA = "fairsqueeze.analysis/1"
MIN_REPLICATES = 100


@dataclass(frozen=True)
class Analysis:
    """What the results say about the measures. `sets[0]` holds all checkpoints; the others lack some."""

    points: Checkpoints
    sets: tuple[Relations, ...]
    collapsed: tuple[str, ...] | None
    influential: tuple[Influential, ...]
    fronts: tuple[Front, ...]
    findings: tuple[Finding, ...]
    not_shown: tuple[NotShown, ...]
    settings: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """The document of schema `fairsqueeze.analysis/1`; undefined numbers are null."""
        performance = self.points.performance
        return {
            "schema": SCHEMA,
            "source": self.points.source,
            "n": self.points.n,
            "n_clusters": len(np.unique(self.points.clusters)),
            "cluster": self.points.cluster_column,
            "n_with_parent": len(self.points.children),
            "performance": None
            if performance is None
            else {"name": performance.name, "better": performance.better, "chance": performance.chance},
            "measures": [_measure_json(m) for m in self.points.measures],
            "costs": [{"name": c.name, "better": c.better} for c in self.points.costs],
            "choices": list(self.points.choices),
            "settings": dict(self.settings),
            "findings": [asdict(f) for f in self.findings],
            "not_shown": [asdict(s) for s in self.not_shown],
            "collapsed": {
                "rule": collapse.RULE,
                "checkpoints": None if self.collapsed is None else list(self.collapsed),
            },
            "influential": {"rule": influential.RULE, "rows": [_influential_json(i) for i in self.influential]},
            "sets": [s.to_json() for s in self.sets],
            "fronts": [f.to_json() for f in self.fronts],
        }


def analyse(
    source: Any,
    *,
    performance: str | None = None,
    measures: Sequence[str] | None = None,
    cluster: str | None = None,
    parent: str | None = None,
    seed: int = 0,
    replicates: int = 2000,
    ideals: Mapping[str, float] | None = None,
    chance: float | None = None,
) -> Analysis:
    """What a study or any table of results says about its measures: agreement, capability, validity, rewards, fronts.

    Args:
        source: folder of a study, audit or comparison; a CSV, TSV, Parquet or XLSX file, one row per checkpoint or one
            per checkpoint × measure; or a mapping of columns, a pyarrow Table, a pandas data frame.
        performance: column of performance; detected by its name otherwise.
        measures: columns of bias measures; detected by their names otherwise.
        cluster: column whose equal values mark dependent rows (same model, seed, run family); "none" for independent
            rows; detected otherwise.
        parent: column that names each row's dense parent by its label, or COLUMN=VALUE, which marks the dense row of
            each cluster.
        seed: of the bootstrap.
        replicates: of the bootstrap, 100 or more. Large tables get intervals from influences instead, and fewer draws
            of the front: `method` and `replicates` beside each figure say so.
        ideals: by column, the value of an unbiased model, where neither the table nor the registry knows it.
        chance: performance of a model that answers at random, where nothing tells it.

    Cells may be percentages ("47.3%" is 47.3) where all of a column are. What was chosen or could not be read is said
    in `points.choices`, what is undefined or not shown in `not_shown`. Probabilities of being on a front are from draws
    that are independent between checkpoints, also where these answered the same items (`fronts.DRAWS`).

    Raises FairsqueezeError children for everything that a caller can mend, before anything is computed.

    Example:
        >>> fairsqueeze.analyse("results.csv", performance="accuracy").findings  # doctest: +SKIP
    """
    _check_whole("replicates", replicates, MIN_REPLICATES)
    _check_whole("seed", seed, 0)
    for name, figure in {**{f"ideal {k}": v for k, v in (ideals or {}).items()}, "chance": chance or 0.0}.items():
        _check_finite(name, figure)
    named = [measures] if isinstance(measures, str) else measures
    asked = Asked(performance, named, cluster, parent, dict(ideals or {}), chance)
    points = checkpoints_of(_wide(source), asked)
    collapsed = collapse.collapsed_rows(points)
    strong = influential_rows(points)
    sets = [relations_of(points, "all", (), seed=seed, replicates=replicates)]
    left_out = {"without collapsed": collapsed, "without influential": np.unique([i.row for i in strong])}
    for name, rows in left_out.items():
        if rows is not None and 0 < len(rows) <= points.n - MIN_ROWS:
            labels = [points.labels[int(i)] for i in rows]
            fewer = points.without([int(i) for i in rows])
            sets.append(relations_of(fewer, name, labels, seed=seed, replicates=replicates))
    fronts = fronts_of(points, seed=seed, replicates=replicates)
    found, not_shown = findings_of(sets, fronts), not_shown_of(points, sets, fronts, left_out)
    if any(f.draws for f in fronts):
        said = f"Probabilities of being on a front: {DRAWS}, also where these answered the same items."
        points = replace(points, choices=(*points.choices, said))
    settings = {"seed": int(seed), "replicates": int(replicates), "level": 0.95, "correction": CORRECTION}
    broken = None if collapsed is None else tuple(points.labels[i] for i in collapsed)
    return Analysis(points, tuple(sets), broken, tuple(strong), tuple(fronts), tuple(found), tuple(not_shown), settings)


def _check_whole(name: str, value: Any, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise BadSetting(f"{name} is {value!r}.", f"Give a whole number, {least} or more.")


def _check_finite(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float, np.number)) or not np.isfinite(value):
        raise BadSetting(f"{name} is {value!r}.", "Give a finite number.")


def _wide(source: Any) -> ResultTable:
    if isinstance(source, (str, Path)) and Path(source).is_dir():
        return table_of_folder(Path(source))
    table = read_table(source)
    return widened(table) if is_long(table) else table


def _measure_json(m: Any) -> dict[str, Any]:
    known = int(np.sum(~np.isnan(m.values)))
    own = {"name": m.name, "ideal": m.ideal, "read_as": m.read_as, "axis": m.axis, "method": m.method}
    return {**own, "n": known, "n_undefined": len(m.values) - known}


def _influential_json(found: Influential) -> dict[str, Any]:
    return {k: v for k, v in asdict(found).items() if k != "row"}
