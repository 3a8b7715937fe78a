"""The summary: one row per model, the same for terminal, page and LaTeX."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fairsqueeze.report.labels import (
    compact,
    interval_text,
    measure_family_title,
    megabytes,
    percent,
    statistic_title,
    value_text,
    verdict_text,
)
from fairsqueeze.report.results import Results, Variant, corrected_statistic

PERFORMANCE = ("perplexity", "pseudo_perplexity", "accuracy")
"""Statistics of tasks that stand in the summary, each for the first task that has it."""

PUBLISHED = {
    "share_stereotypical": "share",
    "lm_score": "LM",
    "ss": "SS",
    "icat": "ICAT",
    "mean_abs_effect": "mean |d|",
}
"""Published statistics that stand in the summary, each with its short title."""


@dataclass(frozen=True)
class Column:
    """One column of the summary: a key of the rows, where it comes from, and its title in two lines.

    `title` is short enough for a terminal; `meaning` says it in full. `measure` and `statistic` are "" for columns
    that do not come from an estimate. `interval` columns show their interval too.
    """

    key: str
    title: str
    meaning: str
    measure: str = ""
    statistic: str = ""
    interval: bool = False


@dataclass(frozen=True)
class Cell:
    """What one cell shows: a text, and its interval ("" if there is none or it is not shown)."""

    text: str
    interval: str = ""

    def __str__(self) -> str:
        return f"{self.text} {self.interval}".strip()


def summary_columns(results: Results, families: int | None = None, performance: int | None = None) -> list[Column]:
    """The columns that these results fill.

    Of every family of bias measures (CrowS-Pairs, StereoSet, …) the first variant is shown. `families` and
    `performance` limit how many families and how many performance figures appear, in order; None shows all.
    """
    columns = [
        Column("variant", "model", "Model; reference rows are broken on purpose."),
        Column(
            "sparsity",
            "zeros",
            "Measured share of zeros among the linear weights of the model that answered; of all weights, see Cost.",
        ),
        Column("size", "MB dense\n/ zstd", "Size in MB (10^6 bytes): as stored densely, and compressed with zstd."),
    ]
    columns += _performance_columns(results)[:performance]
    shown = _first_of_families([m for m in results.measures if results.is_bias(m)])[:families]
    columns += [c for m in shown for c in _published_columns(results, m)]
    columns += [_corrected_column(results, m) for m in shown]
    columns.append(Column("verdict", "against\ndense", "Verdict of the paired comparison with the dense model."))
    return columns


def summary_rows(results: Results, columns: Sequence[Column] | None = None) -> list[dict[str, Any]]:
    """One plain row per model: values by column key. Estimates stay whole, so that nothing is lost by rounding.

    Keys: `variant, kind, sparsity, sparsity_linear, bytes_dense, bytes_zstd, verdict`, and per estimate column its key
    → the estimate (a mapping with value, low, high, n, ideal, chance, status) or None where the model was not asked.
    """
    columns = summary_columns(results) if columns is None else columns
    rows = []
    for variant in results.variants:
        row: dict[str, Any] = {
            "variant": variant.label,
            "kind": variant.kind,
            "sparsity": variant.footprint.get("sparsity"),
            "sparsity_linear": (variant.footprint.get("linear") or {}).get("sparsity"),
            "bytes_dense": variant.footprint.get("bytes_dense"),
            "bytes_zstd": variant.footprint.get("bytes_zstd"),
            "verdict": variant.verdict,
        }
        row.update({c.key: variant.estimate(c.measure, c.statistic) for c in columns if c.measure})
        rows.append(row)
    return rows


def summary_cells(row: dict[str, Any], columns: Sequence[Column]) -> list[Cell]:
    """A row of `summary_rows` as texts, in the order of `columns`."""
    fixed = {
        "variant": Cell(f"{row['variant']} (reference)" if row["kind"] == "reference" else row["variant"]),
        "sparsity": Cell(percent(row["sparsity"] if row["sparsity_linear"] is None else row["sparsity_linear"])),
        "size": Cell(f"{megabytes(row['bytes_dense'])} / {megabytes(row['bytes_zstd'])}"),
        "verdict": Cell(verdict_text(row["verdict"])),
    }
    return [fixed[c.key] if c.key in fixed else _estimate_cell(row[c.key], c) for c in columns]


def _estimate_cell(estimate: Any, column: Column) -> Cell:
    return Cell(
        value_text(estimate, short=True),
        interval_text(estimate, short=True) if column.interval else "",
    )


def _performance_columns(results: Results) -> list[Column]:
    found = []
    for statistic in PERFORMANCE:
        for measure in results.measures:
            if results.is_bias(measure) or statistic not in results.statistics(measure):
                continue
            short = {"perplexity": "perpl.", "pseudo_perplexity": "pseudo-\nperpl."}.get(statistic, statistic)
            lower = "higher is better" if statistic == "accuracy" else "lower is better"
            title = f"{short}\n{_variant_of(measure)}".strip()
            where = "" if statistic.endswith("perplexity") else f" on {measure}"
            meaning = f"{statistic_title(statistic)}{where} ({lower})."
            found.append(Column(f"{measure}.{statistic}", title, meaning, measure, statistic))
            break
    return found


def _published_columns(results: Results, measure: str) -> list[Column]:
    found = []
    for statistic in results.statistics(measure):
        if statistic not in PUBLISHED:
            continue
        ideal = _constant(results.variants, measure, statistic, "ideal")
        family = measure_family_title(measure)
        meaning = f"{family}: {statistic_title(statistic)}, as {measure} publishes it"
        meaning += f"; ideal {compact(ideal, statistic)}." if ideal is not None else "."
        short = PUBLISHED[statistic]
        title = short if short in ("LM", "SS", "ICAT") else f"{_short(family)}\n{short}"
        found.append(Column(f"{measure}.{statistic}", title, meaning, measure, statistic))
    return found


def _corrected_column(results: Results, measure: str) -> Column:
    statistic = corrected_statistic(results.statistics(measure)) or "corrected_bias"
    form = "prior-corrected" if statistic.endswith(".prior") else "raw"
    family = measure_family_title(measure)
    meaning = f"{family}: bias per unit of shown competence, {form}, with 95 % interval; 0 is none ({measure})."
    title = f"corrected\n{_short(family)}\n({form.removesuffix('-corrected')})"
    return Column(f"{measure}.{statistic}", title, meaning, measure, statistic, interval=True)


def _constant(variants: Sequence[Variant], measure: str, statistic: str, key: str) -> float | None:
    for variant in variants:
        estimate = variant.estimate(measure, statistic)
        if estimate is not None and estimate.get(key) is not None:
            return float(estimate[key])
    return None


def _first_of_families(measures: Sequence[str]) -> list[str]:
    first: dict[str, str] = {}
    for measure in measures:
        first.setdefault(measure.partition(".")[0], measure)
    return list(first.values())


def _variant_of(measure: str) -> str:
    return measure.partition(".")[2] or ("" if "perplexity" in measure else measure)


def _short(family: str) -> str:
    return {"CrowS-Pairs": "CrowS", "StereoSet": "Stereo"}.get(family, family)
