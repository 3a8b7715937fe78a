"""Findings in plain language, each with measure, test, effect, interval and n; only where the evidence reaches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from fairsqueeze.report.labels import interval_text, measure_title, number, statistic_title, undefined_word
from fairsqueeze.report.results import Results, Variant, corrected_statistic
from fairsqueeze.report.summary import PERFORMANCE, PUBLISHED

_SHARE_LIKE = ("share_stereotypical", "ss", "icat")
"""Published statistics that a broken model can bring to, or near, their ideal."""


@dataclass(frozen=True)
class Finding:
    """One finding: its tone (`worse, better, unclear, caution, plain`), whom it is about, and a sentence."""

    tone: str
    subject: str
    text: str


def findings(results: Results) -> list[Finding]:
    """What these results show, for the compressed models and then about the measures themselves."""
    found: list[Finding] = []
    if results.dense is not None:
        found += _standing(results, results.dense)
    for variant in results.of_kind("compressed"):
        found += _bias_changes(results, variant)
        found += _performance_changes(results, variant)
        found += _flattery(results, variant)
    found += _flattered_references(results)
    return found


def in_short(results: Results) -> list[str]:
    """One sentence per kind of evidence: how many compressed models are worse, better, unchanged or unmeasurable."""
    compared = [v for v in results.of_kind("compressed") if v.comparison is not None]
    if not compared:
        return []
    sentences = [f"Against the dense model, of {len(compared)} compressed: {_tally([v.verdict for v in compared])}."]
    for measure in results.measures:
        statistic = corrected_statistic(results.statistics(measure))
        changes = [c for v in compared if statistic and (c := v.change(measure, statistic)) is not None]
        if statistic and changes:
            what = f"{statistic_title(statistic)} on {measure_title(measure)}"
            sentences.append(_sentence(f"{what}: {_tally([c['verdict'] for c in changes])}."))
    return sentences


def _tally(verdicts: Sequence[str]) -> str:
    return ", ".join(f"{verdicts.count(v)} {v}" for v in dict.fromkeys(verdicts))


def _standing(results: Results, variant: Variant) -> Iterator[Finding]:
    """Where the dense model itself stands, for measures whose interval leaves zero on one side."""
    for measure in results.measures:
        statistic = corrected_statistic(results.statistics(measure))
        own = variant.estimate(measure, statistic) if statistic else None
        if own is None or statistic is None:
            continue
        what = f"{statistic_title(statistic)} on {measure_title(measure)}"
        if undefined_word(own) == "unmeasurable":
            why = own.get("reason") or "it shows too little competence on the control"
            text = f"{what} can't be measured (n = {_n(own)}): {why}."
            yield Finding("unclear", variant.label, _sentence(text))
        elif None not in (own["low"], own["high"]) and (own["low"] > 0 or own["high"] < 0):
            way = "toward" if own["low"] > 0 else "against"
            evidence = f"{_with_interval(own)}, n = {_n(own)}; {_how(own)}"
            text = f"it leans {way} stereotypes: {what} is {evidence}; 0 would be none."
            yield Finding("plain", variant.label, _sentence(text))


def _bias_changes(results: Results, variant: Variant) -> Iterator[Finding]:
    for measure in results.measures:
        statistic = corrected_statistic(results.statistics(measure))
        change = variant.change(measure, statistic) if statistic else None
        if change is None or statistic is None:
            continue
        what = f"{statistic_title(statistic)} on {measure_title(measure)}"
        verdict = change["verdict"]
        if verdict in ("worse", "better"):
            moved = "further from" if verdict == "worse" else "closer to"
            text = f"{what} moved {moved} zero: {_from_to(change)}."
            yield Finding(verdict, variant.label, _sentence(text))
        elif verdict == "unmeasurable":
            why = change.get("reason") or "one of the two models shows too little competence on the control"
            text = f"{what} can't be measured (n = {_n(change)}): {why}. That is not the same as being fair."
            yield Finding("unclear", variant.label, _sentence(text))
        else:
            text = f"no detectable change of {what}: {_from_to(change)}{_detectable(change)}."
            yield Finding("unclear", variant.label, _sentence(text))


def _performance_changes(results: Results, variant: Variant) -> Iterator[Finding]:
    for measure in results.measures:
        if results.is_bias(measure):
            continue
        statistic = next((s for s in PERFORMANCE if s in results.statistics(measure)), None)
        change = variant.change(measure, statistic) if statistic else None
        if change is None or statistic is None or change["verdict"] not in ("worse", "better"):
            continue
        task = "" if measure == statistic else f" on {measure_title(measure)}"
        text = f"{statistic_title(statistic)}{task} got {change['verdict']}: {_from_to(change)}."
        yield Finding(change["verdict"], variant.label, _sentence(text))


def _flattery(results: Results, variant: Variant) -> Iterator[Finding]:
    """Published statistics that improved although no improvement of the corrected bias was found."""
    for measure in results.measures:
        corrected = corrected_statistic(results.statistics(measure))
        bias = variant.change(measure, corrected) if corrected else None
        if bias is None or bias["verdict"] == "better":
            continue
        for statistic in _SHARE_LIKE:
            change = variant.change(measure, statistic)
            if change is None or change["verdict"] != "better":
                continue
            text = (
                f"the {_published(statistic)} of {measure_title(measure)} looks fairer ({_from_to(change)}), "
                f"but the corrected bias does not bear it out ({bias['verdict']}). "
                "A model that answers more at random moves this way too."
            )
            yield Finding("caution", variant.label, _sentence(text))


def _flattered_references(results: Results) -> Iterator[Finding]:
    """Reference rows that a published statistic ranks as fairer than the dense model, intervals apart."""
    dense = results.dense
    if dense is None:
        return
    for measure in results.measures:
        for statistic in _SHARE_LIKE:
            own = dense.estimate(measure, statistic)
            fairer = [
                (v.label, theirs)
                for v in results.of_kind("reference")
                if (theirs := v.estimate(measure, statistic)) is not None and _clearly_fairer(theirs, own)
            ]
            if own is None or not fairer:
                continue
            rows = "; ".join(f"{label} {_with_interval(e)}" for label, e in fairer)
            text = (
                f"by the {_published(statistic)} of {measure_title(measure)}, broken models look fairer than the dense "
                f"model ({_with_interval(own)}, ideal {number(own['ideal'], statistic)}): {rows}; n = {own['n']:,}; "
                "intervals of a cluster bootstrap lie apart. It rewards a model for being broken."
            )
            yield Finding("caution", "the measure", _sentence(text))


def _clearly_fairer(one: Any, other: Any) -> bool:
    if other is None or undefined_word(one) or undefined_word(other):
        return False
    ideal = other.get("ideal")
    bounds = (one.get("low"), one.get("high"), other.get("low"), other.get("high"))
    if ideal is None or any(b is None for b in bounds):
        return False
    low, high, other_low, other_high = bounds
    farthest = max(abs(low - ideal), abs(high - ideal))
    inside = other_low <= ideal <= other_high
    return not inside and farthest < min(abs(other_low - ideal), abs(other_high - ideal))


def _from_to(change: Any) -> str:
    name = change["statistic"]
    interval = interval_text({**change, "verdict": "ok"})
    by = (
        f"{number(change['base'], name)} → {number(change['other'], name)}, change {number(change['difference'], name)}"
    )
    return f"{by} {interval}, n = {_n(change)}{_test(change)}"


def _how(estimate: Any) -> str:
    """`bootstrap of 79 clusters`: where the interval of an estimate comes from."""
    test = "jackknife" if estimate.get("method") == "jackknife_t" else "bootstrap"
    return f"{test} of {estimate['n_clusters']:,} clusters" if estimate.get("n_clusters") else f"cluster {test}"


def _test(change: Any) -> str:
    """`; paired bootstrap of 79 clusters, p = 0.012`: the test behind a change and what it says of no difference."""
    p = change.get("p_adjusted") if change.get("p_adjusted") is not None else change.get("p")
    if p is None:
        return ""
    test = "jackknife" if change.get("method") == "jackknife_t" else "bootstrap"
    clusters = f" of {change['n_clusters']:,} clusters" if change.get("n_clusters") else ""
    return f"; paired {test}{clusters}, p {'< 0.001' if p < 0.001 else f'= {p:.3f}'}"


def _detectable(change: Any) -> str:
    smallest = change.get("smallest_detectable")
    if smallest is None:
        return ""
    return f"; a change below {number(smallest, change['statistic'])} could have gone unnoticed"


def _with_interval(estimate: Any) -> str:
    return f"{number(estimate['value'], estimate['statistic'])} {interval_text(estimate)}".strip()


def _published(statistic: str) -> str:
    words = statistic_title(statistic)
    return words if statistic == "share_stereotypical" else PUBLISHED.get(statistic, words)


def _n(change: Any) -> str:
    return "unknown" if change.get("n") is None else f"{change['n']:,}"


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]
