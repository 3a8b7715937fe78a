"""A known bias put into a model's answers: the scores of stereotyped options are raised until preference has moved.

Which numbers a preference depends on is found by moving each a little and scoring again, so that this holds for any
measure of log-probabilities or logits, through its whole scoring, published figures included. Association tests of
vectors have no scores to shift: there the targets are turned (`association`).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from fairsqueeze.engine.requests import TokenScores, Vector
from fairsqueeze.validation.asked import Answers, Asked, numbers_of, with_numbers
from fairsqueeze.validation.association import is_association, turned

STEP = 1e-3
"""By how much a number is moved to see what depends on it, in nats."""

MOST_NUMBERS = 400
"""Items whose answers hold more numbers than this are too costly to probe one by one."""

NEWTON = 4
"""Times that a step is corrected, for preferences that are not linear in the scores (probabilities)."""

Slopes = Mapping[str, np.ndarray]
"""For one row: how fast its preference rises with each number of each answer."""


def can_be_injected(asked: Asked) -> str:
    """'' if a bias can be put into these answers, else why not."""
    if _has_vectors(asked):
        tests = all(is_association(item) for item in asked.evaluation.items)
        return "" if tests else "the measure compares vectors in no association test: there is nothing to shift"
    if any(sum(len(numbers_of(answer)) for answer in one.values()) > MOST_NUMBERS for one in asked.answers):
        return f"an item has more than {MOST_NUMBERS} numbers"
    if all(row.preference is None for k in range(len(asked.answers)) for row in asked.rows(k)):
        return "no row has a preference"
    return ""


def all_slopes(asked: Asked) -> list[list[Slopes | None]]:
    """The slopes of every item (`slopes_of`); empty ones where vectors are turned, which needs none."""
    if _has_vectors(asked):
        return [[] for _ in asked.answers]
    return [slopes_of(asked, k) for k in range(len(asked.answers))]


def _has_vectors(asked: Asked) -> bool:
    return any(isinstance(answer, Vector) for one in asked.answers for answer in one.values())


def slopes_of(asked: Asked, index: int, answers: Answers | None = None) -> list[Slopes | None]:
    """For each row of the item `index`: the slopes of its preference; None where it has none.

    Answers that no preference depends on are left out.
    """
    answers = asked.answers[index] if answers is None else answers
    before = [row.preference for row in asked.rows(index, answers)]
    found: list[dict[str, np.ndarray] | None] = [None if p is None else {} for p in before]
    for name, answer in answers.items():
        numbers = numbers_of(answer)
        slopes = np.zeros((len(before), len(numbers)))
        for k in range(len(numbers)):
            moved = numbers.copy()
            moved[k] += STEP
            after = asked.rows(index, {**answers, name: with_numbers(answer, moved)})
            for r, row in enumerate(after):
                old = before[r]
                if row.preference is not None and old is not None:
                    slopes[r, k] = (row.preference - old) / STEP
        for r, own in enumerate(found):
            if own is not None and np.any(np.abs(slopes[r]) > 1e-9):
                own[name] = slopes[r]
    return [own or None for own in found]


def injected(asked: Asked, shift: float, slopes: list[list[Slopes | None]] | None = None) -> Asked:
    """Answers with the preference of every row moved by `shift` (in its own unit), as far as it can be.

    The step is the shortest that does it: for a difference of two log-probabilities, half is added to the one and half
    taken from the other, so that a control that is symmetric in them stays. Where preference is no linear function of
    the scores the step is corrected a few times.
    """
    if _has_vectors(asked):
        return asked.changed(lambda k, answers: turned(asked.evaluation.items[k], answers, shift))  # type: ignore[arg-type]
    slopes = slopes or all_slopes(asked)

    def change(index: int, answers: Answers) -> Answers:
        wanted = [None if row.preference is None else row.preference + shift for row in asked.rows(index)]
        for _ in range(NEWTON):
            rows = asked.rows(index, answers)
            missing = [
                0.0 if goal is None or row.preference is None else goal - row.preference
                for goal, row in zip(wanted, rows, strict=True)
            ]
            if max(map(abs, missing), default=0.0) < 1e-9:
                break
            for r, own in enumerate(slopes[index]):
                answers = _stepped(answers, own, missing[r])
        return answers

    return asked.changed(change)


def _stepped(answers: Answers, slopes: Slopes | None, rise: float) -> Answers:
    """Answers moved along `slopes` so far that a linear preference rises by `rise`."""
    if not slopes or rise == 0.0:
        return answers
    steepness = sum(float(s @ s) for s in slopes.values())
    moved = {
        name: with_numbers(answers[name], numbers_of(answers[name]) + rise / steepness * own)
        for name, own in slopes.items()
    }
    return {**answers, **moved}


def length_difference(asked: Asked, index: int, slopes: list[Slopes | None]) -> list[float | None]:
    """For each row: tokens of the options that raise its preference minus tokens of those that lower it."""
    found: list[float | None] = []
    for own in slopes:
        tokens = [
            (np.sign(float(s.sum())) * answer.n_tokens)
            for name, s in (own or {}).items()
            if isinstance(answer := asked.answers[index][name], TokenScores)
        ]
        found.append(float(sum(tokens)) if tokens else None)
    return found
