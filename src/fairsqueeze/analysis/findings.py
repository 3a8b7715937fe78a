"""Findings in plain language, from the statistics alone.

A finding needs a p-value of .05 or less after correction *and* an interval that excludes 0. Each names its test,
effect, interval and n. What does not reach that is counted by `not_shown`, and nothing is said of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fairsqueeze.analysis.fronts import DRAWS, Front
from fairsqueeze.analysis.relations import Capability, Relations, Reward
from fairsqueeze.stats.agreement import Agreement
from fairsqueeze.stats.few_rows import share_bounds

ALPHA = 0.05
SHOWN = 10
"""Findings per kind; the strongest first. The tables hold all."""
SURE = 0.95
NAMES = {
    "spearman": "Spearman's ρ",
    "partial_spearman": "partial Spearman's ρ",
    "pearson": "Pearson's r",
    "kendall": "Kendall's τ-b",
    "direction": "Cohen's κ of the signs of change",
    "krippendorff_alpha": "Krippendorff's α over rankings",
}


@dataclass(frozen=True)
class Finding:
    """One sentence and the numbers behind it; `low`, `high` at the level after correction where `test` names one.

    Of a probability of being on the front they only say how well the random draws determine it (Clopper & Pearson).
    """

    subject: str
    test: str
    effect: float
    low: float
    high: float
    p_adjusted: float | None
    n: int
    n_clusters: int
    text: str


def reaches(a: Agreement) -> bool:
    """Whether this coefficient differs from 0: corrected p and interval agree on it."""
    p = a.p if a.p_adjusted is None else a.p_adjusted
    return p is not None and p <= ALPHA and a.low is not None and a.high is not None and (a.low > 0 or a.high < 0)


def findings_of(sets: Sequence[Relations], fronts: Sequence[Front]) -> list[Finding]:
    """What all sets together show; `sets[0]` holds all checkpoints, the others lack some."""
    whole = sets[0]
    return [
        *_capability(sets),
        *_pairs(sets),
        *_directions(whole),
        *_ranking(whole),
        *_validity(whole),
        *_rewards(whole),
        *_fronts(fronts),
    ]


def _capability(sets: Sequence[Relations]) -> list[Finding]:
    told = [c for c in sets[0].capability if c.agreement.kind == "spearman" and reaches(c.agreement)]
    told.sort(key=lambda c: -abs(c.agreement.value or 0))
    found, sizes = [], set()
    for c in told[: 2 * SHOWN]:
        a = c.agreement
        size = (c.measure, round(abs(a.value or 0), 9))
        if size in sizes:  # all values lie on one side of the ideal: both readings say the same
            continue
        sizes.add(size)
        up = "rises" if (a.value or 0) > 0 else "falls"
        what = "The published" if c.reading == "as published" else "The distance from its ideal of"
        text = f"{what} {c.measure} {up} with performance: {_numbers(a)}{_elsewhere(sets[1:], c)}."
        found.append(_finding(c.measure, a, text))
    return found


def _elsewhere(sets: Sequence[Relations], wanted: Capability | Agreement) -> str:
    """`; without collapsed (2) +.10 [−.50, +.62]` for every other set."""
    parts = []
    for other in sets:
        if isinstance(wanted, Capability):
            same = [
                c.agreement
                for c in other.capability
                if (c.measure, c.reading, c.agreement.kind) == (wanted.measure, wanted.reading, wanted.agreement.kind)
            ]
        else:
            same = [a for a in other.agreement if (a.kind, a.x, a.y) == (wanted.kind, wanted.x, wanted.y)]
        if not same or same[0].value is None or same[0].low is None:
            parts.append(f"{other.name} ({len(other.left_out)}) undefined")
            continue
        includes = "" if same[0].low > 0 or (same[0].high or 0) < 0 else ", which includes 0"
        parts.append(f"{other.name} ({len(other.left_out)}) {_interval(same[0])}{includes}")
    return "".join(f"; {p}" for p in parts)


def _pairs(sets: Sequence[Relations]) -> list[Finding]:
    whole = sets[0]
    partial = {(a.x, a.y): a for a in whole.agreement if a.kind == "partial_spearman"}
    told = [a for a in whole.agreement if a.kind == "spearman" and reaches(a)]
    told.sort(key=lambda a: -abs(a.value or 0))
    found = []
    for a in told[:SHOWN]:
        word = "agree" if (a.value or 0) > 0 else "contradict each other"
        text = f"{a.x} and {a.y} {word} on which checkpoints are biased: {_numbers(a)}"
        given = partial.get((a.x, a.y))
        if given is not None and given.low is not None:
            includes = "" if given.low > 0 or (given.high or 0) < 0 else ", which includes 0"
            text += f"; with {given.given} held constant {_interval(given)}{includes}"
        found.append(_finding(f"{a.x}, {a.y}", a, f"{text}{_elsewhere(sets[1:], a)}."))
    return found


def _directions(whole: Relations) -> list[Finding]:
    told = [a for a in whole.agreement if a.kind == "direction" and reaches(a)]
    told.sort(key=lambda a: -abs(a.value or 0))
    found = []
    for a in told[:SHOWN]:
        word = "the same way" if (a.value or 0) > 0 else "opposite ways"
        text = f"{a.x} and {a.y} move {word} against the dense parent: {_numbers(a)}."
        found.append(_finding(f"{a.x}, {a.y}", a, text))
    return found


def _ranking(whole: Relations) -> list[Finding]:
    a = whole.ranking
    if a is None or not reaches(a):
        return []
    how = "alike more than by chance" if (a.value or 0) > 0 else "against each other"
    usable = " (below .667, Krippendorff's bar for tentative conclusions)" if 0 < (a.value or 0) < 2 / 3 else ""
    return [_finding("all measures", a, f"All measures together rank the checkpoints {how}: {_numbers(a)}{usable}.")]


_VALIDITY = {
    "convergent": ("different measures of one axis correlate", "different measures of one axis contradict each other"),
    "discriminant": (
        "different measures of one axis agree more than different measures of different axes",
        "different measures of one axis agree less than different measures of different axes",
    ),
    "beyond_method": (
        "different measures of one axis agree more than one measure on different axes",
        "one measure on different axes agrees more than different measures of one axis: scores follow the measure",
    ),
}


def _validity(whole: Relations) -> list[Finding]:
    found = []
    for f in whole.validity.figures if whole.validity else ():
        if f.name not in _VALIDITY or f.value is None or f.low is None or f.high is None or (f.p_adjusted or 0) > ALPHA:
            continue
        text = _VALIDITY[f.name][0 if f.value > 0 else 1]
        size = f"n = {f.n} in {f.n_clusters} clusters{_p(f.p_adjusted)} after Holm"
        numbers = f"{signed(f.value)} [{signed(f.low)}, {signed(f.high)}], {size}"
        test = f"multitrait–multimethod: mean Spearman's ρ, {f.name.replace('_', ' ')}"
        text = f"{text[0].upper()}{text[1:]}: {test} = {numbers}."
        found.append(Finding("validity", test, f.value, f.low, f.high, f.p_adjusted, f.n, f.n_clusters, text))
    return found


def _rewards(whole: Relations) -> list[Finding]:
    found = []
    for one in whole.rewards:
        measure, r = one.measure, one.reward
        low, high = one.low_corrected, one.high_corrected
        if r.value is None or low is None or high is None or not reward_reaches(one):
            continue
        way = "toward" if r.value > 0 else "away from"
        word = "it rewards damage" if r.value > 0 else "damage looks like bias"
        level = f"{100 * (1 - ALPHA / len(whole.rewards)):.3g} % interval over parents"
        numbers = f"{signed(r.value)} [{signed(low)}, {signed(high)}], n = {r.n} from {r.n_clusters} parents"
        numbers += f", {level} (95 % after Bonferroni over {len(whole.rewards)} measures)"
        text = (
            f"{measure} moves {way} its ideal as competence is lost ({word}): randomness reward = {numbers}; "
            "1 would be: all of its distance gone when all competence is."
        )
        test = "randomness reward, interval over parents, Bonferroni over measures"
        found.append(Finding(measure, test, r.value, low, high, None, r.n, r.n_clusters, text))
    return found


def reward_reaches(one: Reward) -> bool:
    """Whether the reward differs from 0 also at the level that Bonferroni asks over all measures."""
    return one.low_corrected is not None and (one.low_corrected > 0 or (one.high_corrected or 0.0) < 0)


def _fronts(fronts: Sequence[Front]) -> list[Finding]:
    test = f"probability of being on the front, {DRAWS}"
    found = []
    for front in fronts:
        sure = [p for p in front.points if p.probability is not None and p.probability >= SURE]
        if not sure or len(sure) > SHOWN or len(front.points) == front.n - front.n_undefined:
            continue
        names = ", ".join(name for name, _ in front.objectives)
        who = "; ".join(f"{p.checkpoint} ({p.probability:.2f})" for p in sure)
        n = front.n - front.n_undefined
        least = min(p.probability or 0.0 for p in sure)
        low, high = share_bounds(round(least * front.replicates), front.replicates)
        counted = f"from {front.replicates} draws the least of these is known to [{low:.3f}, {high:.3f}]"
        text = f"On the front of {names}: {who}; {test}; {counted}, n = {n}."
        found.append(Finding(front.measure, test, least, low, high, None, n, n, text))
    return found[:SHOWN]


def _finding(subject: str, a: Agreement, text: str) -> Finding:
    assert a.value is not None
    assert a.low is not None
    assert a.high is not None
    return Finding(subject, NAMES[a.kind], a.value, a.low, a.high, a.p_adjusted, a.n, a.n_clusters, text)


def _numbers(a: Agreement) -> str:
    shown = _p(a.p if a.p_adjusted is None else a.p_adjusted)
    holm = " after Holm" if a.p_adjusted is not None else ""
    clusters = f" in {a.n_clusters} clusters" if a.n_clusters != a.n else ""
    return f"{NAMES[a.kind]} = {_interval(a)}, n = {a.n}{clusters}{shown}{holm}"


def _p(p: float | None) -> str:
    """`, p = .012` or `, p < .001`; empty if None."""
    return "" if p is None else f", p {'< .001' if p < 0.001 else f'= {p:.3f}'.replace('0.', '.', 1)}"


def _interval(a: Agreement) -> str:
    return f"{signed(a.value)} [{signed(a.low)}, {signed(a.high)}]"


def signed(value: float | None) -> str:
    """`+0.86`, `−0.07`; `–` if None."""
    return "–" if value is None else f"{value:+.2f}".replace("-", "−")
