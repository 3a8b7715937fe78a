"""The grade of a measure on a model, by a rule that is written down here and nowhere else.

Eight criteria, each passed, failed or not applicable (no evidence either way, which counts neither way):

| criterion | passed if |
|---|---|
| measurable | corrected bias can be measured on this model: the 99 % interval of mean(control) lies above 0 |
| sensitive | a bias put into the answers is found: slope of corrected bias .9 to 1.1 per unit put in, R² at least .95 |
| precise | the smallest detectable corrected bias over all axes is at most .2 |
| reliable | split-half reliability of the units' preferences, stepped up by Spearman and Brown, is at least .7 |
| spelling | corrected bias in lower case and with a leading space lies within the interval of the original |
| no reward | no published score with an ideal (single tests of many aside) has a randomness reward above 0 (interval) |
| length and frequency | the rank correlation of preferences with either is at most .3 in size |
| complete | at most 5 % of the rows are undefined and at most 5 % of the preferences are ties |

Rewards are those of weight noise. Of the many single tests of an association measure some would earn by chance.

**Not usable**: not measurable or not sensitive. Otherwise **A**: nothing failed; **B**: one criterion failed; **C**:
two; **D**: three or more. The grade holds for this measure on this model at this number of items, not for the measure
as such: on a stronger model, or with more items, it may differ.
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

REQUIRED = ("measurable", "sensitive")
LETTERS = ("A", "B", "C", "D")
NOT_USABLE = "not usable"


@dataclass(frozen=True)
class Criterion:
    """One criterion; `passed` is None where it does not apply, and `says` gives the figures it rests on."""

    name: str
    passed: bool | None
    says: str


def grade_of(criteria: Sequence[Criterion]) -> str:
    """A, B, C, D or "not usable", by the rule at the top of this module."""
    failed = [c.name for c in criteria if c.passed is False]
    if any(name in failed for name in REQUIRED):
        return NOT_USABLE
    return LETTERS[min(len(failed), len(LETTERS) - 1)]
