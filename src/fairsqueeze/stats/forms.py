"""Which corrected forms the records of a measure allow, and the columns of sums that each is computed from.

**Length-weighted.** Where the two options of an item have different numbers of tokens, their scores differ by what the
extra tokens cost, which says nothing about groups and is most of the noise: the spread of an item's preference grows
about in proportion to 1 + the difference. So this form weighs each item by 1 / (1 + difference)², in both means: an
item with options of equal length counts in full, one token of difference counts a quarter. The weights come from the
tokeniser and never from a model's answers, so the form is invariant under the same damage as the plain ratio, as long
as the tokeniser stays: one that cuts words differently (another family's, or after trimming of the vocabulary) weighs
the items anew, which is a change of the question and no damage. `paired` compares no two models in this form whose
items weigh differently. It answers a slightly different question, about items with options of like length, which is
the question that was meant.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fairsqueeze.registry import Frame, Measure
from fairsqueeze.stats.corrected import Form, mean_columns


@dataclass(frozen=True)
class CorrectedForm:
    """One corrected form: its statistic, its competence statistic, and how the columns come from the frame.

    `signs`: use the sign of each score (ties 0) in place of the score. `by_length`: weigh items by `length_weights`.
    """

    statistic: str
    competence: str | None
    columns: tuple[str, str]
    form: Form = "ratio"
    signs: bool = False
    by_length: bool = False


FORMS = (
    CorrectedForm("corrected_bias", "competence", ("preference", "control")),
    CorrectedForm("corrected_bias.prior", "competence.prior", ("preference_prior", "control_prior")),
    CorrectedForm("corrected_bias.length_weighted", None, ("preference", "control"), by_length=True),
    CorrectedForm("corrected_bias.guessing", None, ("preference", "control"), signs=True),
    CorrectedForm("corrected_bias.signal_detection", None, ("preference", "control"), "signal_detection", signs=True),
)
"""Raw means, prior-corrected means, length-weighted means, correction for guessing, signal detection."""

TOKEN_COUNTS = (("n_s", "n_a"), ("n_more", "n_less"), ("n_biased", "n_other"))
"""Columns of the records with the numbers of tokens of an item's two options, by the names that measures give them."""


def forms_of(declared: Measure, *frames: Frame) -> list[CorrectedForm]:
    """The forms that a measure's records allow: both columns hold a number somewhere in each of `frames`.

    A measure that declares a control but whose rows show none still gets the forms of `preference` and `control`:
    they come out unmeasurable, which is the answer. A task has none.
    """
    if declared.role == "task":
        return []
    return [f for f in FORMS if all(_has(frame, f, declared) for frame in frames)]


def _has(frame: Frame, form: CorrectedForm, declared: Measure) -> bool:
    if not all(c in frame for c in form.columns) or (form.by_length and length_weights(frame) is None):
        return False
    declares = bool(declared.card.control) and form.columns == ("preference", "control")
    return declares or all(not np.all(np.isnan(frame[c])) for c in form.columns)


def form_columns(frame: Frame, forms: list[CorrectedForm], shared: np.ndarray) -> np.ndarray:
    """Columns of all `forms` side by side, shape (n, 4 * len(forms)), for `Clusters.sums`.

    Args:
        shared: True for rows that count in denominators only.
    """
    parts = []
    for form in forms:
        preference, control = (_scores(frame[c], form.signs) for c in form.columns)
        weights = length_weights(frame) if form.by_length else None
        parts.append(mean_columns(preference, control, shared=shared, weights=weights))
    return np.concatenate(parts, axis=1) if parts else np.zeros((len(shared), 0))


def length_weights(frame: Frame) -> np.ndarray | None:
    """1 / (1 + |difference in tokens of the two options|)² of each row, shape (n,); None without token counts.

    A row whose counts are unknown weighs nothing. None also where all rows weigh the same: that is the plain form.
    """
    names = next((pair for pair in TOKEN_COUNTS if all(name in frame for name in pair)), None)
    if names is None:
        return None
    weights = weight_of(np.asarray(frame[names[0]], np.float64) - np.asarray(frame[names[1]], np.float64))
    return None if len(weights) == 0 or np.ptp(weights) == 0 else weights


def weight_of(difference: np.ndarray) -> np.ndarray:
    """1 / (1 + |difference|)², 0 for NaN."""
    return np.where(np.isnan(difference), 0.0, 1.0 / (1.0 + np.abs(difference)) ** 2)


def _scores(column: np.ndarray, signs: bool) -> np.ndarray:
    return np.sign(column) if signs else np.asarray(column, dtype=np.float64)
