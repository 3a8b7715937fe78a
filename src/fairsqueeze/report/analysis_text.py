"""An analysis for the terminal: findings first, then the tables they come from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from fairsqueeze.report.table import listing_table

ROWS = 20
"""Rows shown of a long table; --json holds all."""


def analysis_text(document: Mapping[str, Any]) -> Group:
    """The document of schema `fairsqueeze.analysis/1` as findings and tables."""
    parts: list[Any] = [Text(line) for line in _head(document)]
    for title, rows in _tables(document):
        if rows:
            parts += [Text(""), Text(title), _table(rows)]
    parts += [Text(""), Text("Not shown")]
    parts += [Text(f"- {s['what']}: {s['why']}") for s in document["not_shown"]]
    return Group(*parts)


def _head(document: Mapping[str, Any]) -> Iterator[str]:
    cluster = document["cluster"]
    groups = f", {document['n_clusters']} clusters by {cluster}" if cluster else ""
    yield f"{document['source']}: {document['n']} checkpoints{groups}"
    yield from (f"- {choice}" for choice in document["choices"])
    settings = document["settings"]
    yield (
        f"- Intervals: 95 %, {settings['replicates']} replicates, seed {settings['seed']}; p-values corrected by "
        f"{settings['correction'].capitalize()} over all pairs of a kind."
    )
    yield ""
    yield "Findings" if document["findings"] else "Findings: none; the evidence does not reach."
    yield from (f"- {f['text']}" for f in document["findings"])


def _tables(document: Mapping[str, Any]) -> Iterator[tuple[str, list[dict[str, str]]]]:
    yield "Does it only measure how good the model is? Correlation with performance", _capability(document)
    yield "Do the measures agree? Strongest pairs", _pairs(document["sets"][0])
    yield "All rankings together", _ranking(document)
    yield "Multitrait–multimethod", _validity(document["sets"][0])
    yield "Randomness reward: 1 is paid in full for losing competence, 0 not at all", _rewards(document["sets"][0])
    collapsed = document["collapsed"]
    title = f"Collapsed checkpoints ({collapsed['rule']})"
    yield title, [{"checkpoint": c} for c in collapsed["checkpoints"] or ()][:ROWS]
    yield "Influential checkpoints: Spearman with performance, with and without", _influential(document)
    yield "Pareto fronts", _fronts(document)


def _capability(document: Mapping[str, Any]) -> list[dict[str, str]]:
    rows = []
    for entry in document["sets"][0]["capability"]:
        if entry["kind"] not in ("spearman", "pearson"):
            continue
        row = {"measure": entry["measure"], "read as": entry["reading"], "kind": entry["kind"], **_numbers(entry)}
        for other in document["sets"][1:]:
            same = [
                e
                for e in other["capability"]
                if (e["measure"], e["reading"], e["kind"]) == (entry["measure"], entry["reading"], entry["kind"])
            ]
            row[f"{other['set']} ({other['n']})"] = _interval(same[0]) if same else "–"
        rows.append(row)
    return rows[: 2 * ROWS]


def _pairs(whole: Mapping[str, Any]) -> list[dict[str, str]]:
    by_pair: dict[tuple[str, str], dict[str, Any]] = {}
    for entry in whole["agreement"]:
        by_pair.setdefault((entry["x"], entry["y"]), {})[entry["kind"]] = entry
    ranked = sorted(by_pair.items(), key=lambda item: -abs((item[1].get("spearman") or {}).get("value") or 0.0))
    rows = []
    for (x, y), kinds in ranked[:ROWS]:
        spearman = kinds.get("spearman")
        if spearman is None:
            continue
        rows.append(
            {
                "pair": f"{x} / {y}",
                "Spearman": _interval(spearman),
                "p": _p(spearman),
                "n": str(spearman["n"]),
                "given performance": _interval(kinds.get("partial_spearman")),
                "Kendall": _interval(kinds.get("kendall")),
                "direction": _interval(kinds.get("direction")),
            }
        )
    return rows


def _ranking(document: Mapping[str, Any]) -> list[dict[str, str]]:
    found = [(s, s["ranking"]) for s in document["sets"] if s["ranking"] is not None]
    return [{"set": s["set"], "Krippendorff's α": _interval(a), "n": str(a["n"])} for s, a in found]


def _validity(whole: Mapping[str, Any]) -> list[dict[str, str]]:
    validity = whole["validity"]
    if validity is None:
        return []
    return [
        {"figure": f["name"].replace("_", " "), "mean ρ": _interval(f), "pairs": str(f["n_pairs"]), "n": str(f["n"])}
        for f in validity["figures"]
    ]


def _rewards(whole: Mapping[str, Any]) -> list[dict[str, str]]:
    return [
        {
            "measure": r["measure"],
            "reward": _interval(r),
            "interval over all measures": _interval(_corrected(r)),
            "n": str(r["n"]),
            "note": r["reason"],
        }
        for r in whole["randomness_reward"]
    ]


def _corrected(entry: Mapping[str, Any]) -> dict[str, Any]:
    """The same figure with the interval that holds for all measures together."""
    return {**entry, "low": entry["low_corrected"], "high": entry["high_corrected"]}


def _influential(document: Mapping[str, Any]) -> list[dict[str, str]]:
    return [
        {
            "checkpoint": i["checkpoint"],
            "measure": i["measure"],
            "Cook's distance": "–" if i["cooks_distance"] is None else f"{i['cooks_distance']:.2f}",
            "with": _signed(i["with_it"]),
            "without": _signed(i["without_it"]),
        }
        for i in document["influential"]["rows"][:ROWS]
    ]


def _fronts(document: Mapping[str, Any]) -> list[dict[str, str]]:
    rows = []
    for front in document["fronts"]:
        objectives = ", ".join(o["name"] for o in front["objectives"])
        for point in front["points"]:
            known = point["probability"]
            rows.append(
                {
                    "objectives": objectives,
                    "checkpoint": point["checkpoint"],
                    "on the front": "yes" if point["on_front"] else "no",
                    "probability": "no intervals" if known is None else f"{known:.2f}",
                }
            )
    return rows[:ROWS]


def _numbers(entry: Mapping[str, Any]) -> dict[str, str]:
    n = f"{entry['n']}" if entry["n"] == entry["n_clusters"] else f"{entry['n']} in {entry['n_clusters']}"
    return {"value [95 %]": _interval(entry), "p": _p(entry), "n": n}


def _interval(entry: Mapping[str, Any] | None) -> str:
    if entry is None or entry["value"] is None:
        return "–"
    if entry["low"] is None:
        return f"{_signed(entry['value'])} [no interval]"
    return f"{_signed(entry['value'])} [{_signed(entry['low'])}, {_signed(entry['high'])}]"


def _p(entry: Mapping[str, Any]) -> str:
    p = entry["p_adjusted"]
    if p is None:
        return "–"
    return "< .001" if p < 0.001 else f"{p:.3f}"


def _signed(value: float | None) -> str:
    return "–" if value is None else f"{value:+.2f}".replace("-", "−")


def _table(rows: Sequence[Mapping[str, str]]) -> Table:
    return listing_table(rows, list(rows[0]))
