"""Which corrected forms the records of a measure allow, and the columns of sums that each is computed from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fairsqueeze.registry import Frame, Measure
from fairsqueeze.stats.corrected import Form, mean_columns


@dataclass(frozen=True)
class CorrectedForm:
    """One corrected form: its statistic, its competence statistic, and how the columns come from the frame.

    `signs`: use the sign of each score (ties 0) in place of the score.
    """

    statistic: str
    competence: str | None
    columns: tuple[str, str]
    form: Form = "ratio"
    signs: bool = False


FORMS = (
    CorrectedForm("corrected_bias", "competence", ("preference", "control")),
    CorrectedForm("corrected_bias.prior", "competence.prior", ("preference_prior", "control_prior")),
    CorrectedForm("corrected_bias.guessing", None, ("preference", "control"), signs=True),
    CorrectedForm("corrected_bias.signal_detection", None, ("preference", "control"), "signal_detection", signs=True),
)
"""Raw means, prior-corrected means, correction for guessing, signal detection."""


def forms_of(declared: Measure, *frames: Frame) -> list[CorrectedForm]:
    """The forms that a measure's records allow: both columns hold a number somewhere in each of `frames`.

    A measure that declares a control but whose rows show none still gets the forms of `preference` and `control`:
    they come out unmeasurable, which is the answer. A task has none.
    """
    if declared.role == "task":
        return []
    return [f for f in FORMS if all(_has(frame, f, declared) for frame in frames)]


def _has(frame: Frame, form: CorrectedForm, declared: Measure) -> bool:
    if not all(c in frame for c in form.columns):
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
        parts.append(mean_columns(preference, control, shared=shared))
    return np.concatenate(parts, axis=1) if parts else np.zeros((len(shared), 0))


def _scores(column: np.ndarray, signs: bool) -> np.ndarray:
    return np.sign(column) if signs else np.asarray(column, dtype=np.float64)
