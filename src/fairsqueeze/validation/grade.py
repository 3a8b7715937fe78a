"""The grade of a measure on a model, by a rule that is written down here and nowhere else.

Eight criteria. Each is passed, failed, undecided (the evidence does not reach either way: too few items, or nothing to
test it with) or does not apply (the measure has no such property: no options whose length could matter). Passed if:

- **measurable**: the 99 % interval of mean(control) lies above 0 on this model.
- **sensitive**: a bias put in is found: slope of corrected bias .9 to 1.1 per unit put in, R² at least .95; and it is
  still found when half of the items are answered at random: the interval of that slope lies in .8 to 1.25. Failed where
  slope or R² is out of its bounds, or the whole interval is.
- **precise**: the smallest detectable corrected bias over all axes is at most .2.
- **reliable**: split-half reliability of the units' preferences, stepped up by Spearman and Brown, is at least .7.
- **spelling**: lower case and a leading space change corrected bias by less than .1: the intervals of both changes lie
  in ±.1. Failed where one of them lies beside 0.
- **no reward**: every published score with an ideal has a randomness reward below .2: the upper ends of all intervals
  are. Failed where the interval of one lies above 0.
- **length and frequency**: the rank correlation of preferences with either is at most .3 in size.
- **complete**: at most 5 % of the rows are undefined and at most 5 % of the preferences are ties.

Passed goes before failed: a change or a reward that is surely above 0 and surely below the bound is negligible.
The first slope holds by construction for preferences that are linear in a model's scores; the second does not: it needs
a control whose mean is 0 for a model that guesses, and enough items. Rewards are those of weight noise. Single tests of
an association measure don't count there, since some of many would earn by chance, nor do scores that stand at their
ideal exactly or that these items do not ask for.

**Not usable**: not shown to be measurable and sensitive. Otherwise the grade counts the criteria that apply and are
*not passed*, failed and undecided alike: **A** none, **B** one, **C** two, **D** three or more. So no criterion raises
the grade by being undecided, and fewer items never earn a better one. The grade holds for this measure on this model at
this number of items, not for the measure as such: on a stronger model, or with more items, it may differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

SLOPE = (0.9, 1.1)
R2 = 0.95
DETECTABLE = 0.2
RELIABLE = 0.7
CORRELATED = 0.3
LOST = 0.05
SLOPE_GUESSED = (0.8, 1.25)
SPELLED = 0.1
REWARD = 0.2

REQUIRED = ("measurable", "sensitive")
LETTERS = ("A", "B", "C", "D")
NOT_USABLE = "not usable"


@dataclass(frozen=True)
class Criterion:
    """One criterion; `passed` is None where it is undecided or does not apply; `says` gives what it rests on.

    `applies` is False where the measure has no such property, however many items there are.
    """

    name: str
    passed: bool | None
    says: str
    applies: bool = True


def grade_of(criteria: Sequence[Criterion]) -> str:
    """A, B, C, D or "not usable", by the rule at the top of this module."""
    lacking = [c.name for c in criteria if c.applies and c.passed is not True]
    if any(name in lacking for name in REQUIRED):
        return NOT_USABLE
    return LETTERS[min(len(lacking), len(LETTERS) - 1)]


def counts_of(criteria: Sequence[Criterion]) -> dict[str, int]:
    """How many criteria are passed, failed, undecided, and do not apply."""
    used = [c for c in criteria if c.applies]
    return {
        "passed": sum(c.passed is True for c in used),
        "failed": sum(c.passed is False for c in used),
        "undecided": sum(c.passed is None for c in used),
        "not_applicable": len(criteria) - len(used),
    }


def within(low: float | None, high: float | None, bounds: tuple[float, float]) -> bool | None:
    """True if the whole interval lies in `bounds`, False if all of it lies outside, None if it does not tell."""
    if low is None or high is None:
        return None
    if bounds[0] <= low and high <= bounds[1]:
        return True
    return False if high < bounds[0] or bounds[1] < low else None
