"""Degradations: known kinds of damage to a model's weights or to its answers, in steps, from nothing to noise.

To the model: `weight_noise` adds normal noise to every linear layer, in units of the standard deviation of its own
weights; `random_pruning` and `magnitude_pruning` zero a share of them; `temperature` divides the logits of every token.
To answers, which need no second run of the model: `guessing` answers a share of the items at random; `scaling` divides
log-probabilities and logits as they come. Guessing and scaling are the damage that corrected bias is invariant to by
its theory; the others are put to the test.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, overload

import numpy as np

from fairsqueeze.engine.requests import Answer, Outputs, OutputTable, TokenScores, Vector
from fairsqueeze.errors import BadSetting, unknown_name
from fairsqueeze.models.model import Model
from fairsqueeze.registry import Range
from fairsqueeze.spec import content_id
from fairsqueeze.validation import temperature
from fairsqueeze.validation.asked import Answers, Asked, numbers_of, of_one_token, spread_of, with_numbers

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Degradation:
    """A kind of damage.

    `to`: what it is done to; `level`: what its level means; `allowed`: the levels that make sense; `levels`: steps from
    mild to destroyed; `seeded`: whether it draws at random; `none`: the level that does nothing; `kinds`: the kinds of
    models that it can be done to (empty: all); `version` rises when it changes, so that no kept record is mistaken for
    a new one.
    """

    name: str
    to: Literal["weights", "answers"]
    level: str
    allowed: Range
    levels: tuple[float, ...]
    seeded: bool = True
    version: int = 1
    none: float = 0.0
    kinds: frozenset[str] = frozenset()

    def fits(self, kind: str) -> bool:
        """Whether it can be done to a model of this kind."""
        return not self.kinds or kind in self.kinds


_SHARE = Range(0, 1)
DEGRADATIONS = {
    d.name: d
    for d in (
        Degradation(
            "weight_noise", "weights", "standard deviation of the noise over that of the matrix", Range(0, 10),
            (0.05, 0.1, 0.2, 0.3, 0.4),
        ),
        Degradation(
            "magnitude_pruning", "weights", "share of the weights of each linear layer", Range(0, 1, high_open=True),
            (0.3, 0.5, 0.6, 0.7), seeded=False,
        ),
        Degradation(
            "random_pruning", "weights", "share of the weights of each linear layer", Range(0, 1, high_open=True),
            (0.05, 0.1, 0.2, 0.3),
        ),
        Degradation(
            "temperature", "weights", "divisor of the logits of every token", Range(0, 1e6, low_open=True),
            (2.0, 4.0), seeded=False, version=2, none=1.0, kinds=temperature.KINDS,
        ),
        Degradation(
            "guessing", "answers", "share of items answered at random", _SHARE, (0.25, 0.5, 0.75, 0.9), version=2,
        ),
        Degradation(
            "scaling", "answers", "divisor of log-probabilities and logits as they come", Range(0, 1e6, low_open=True),
            (4.0,), seeded=False, none=1.0,
        ),
    )
}  # fmt: skip
"""By name: what can be done to a model."""


@overload
def degrade(subject: Model, kind: str, level: float, seed: int = 0) -> Model: ...
@overload
def degrade(subject: Asked, kind: str, level: float, seed: int = 0) -> Asked: ...
def degrade(subject: Model | Asked, kind: str, level: float, seed: int = 0) -> Model | Asked:
    """A damaged copy of a model (damage to weights) or of its answers (damage to answers).

    Args:
        subject: a Model for the kinds that are done to weights, its answers (`asked.ask`) for the others. Not touched.
        kind: a name of `DEGRADATIONS`.
        level: how much, in the unit that its declaration says; 0 (temperature and scaling: 1) is none.
        seed: of the draw. The same seed damages the same items at every level, more of them as the level rises; for
            noise it draws the same directions.

    Raises UnknownName for another kind, BadSetting for a level outside its range or a subject of the other sort.
    """
    declared = checked(kind, level)
    if (declared.to == "weights") != isinstance(subject, Model):
        wanted = "a model" if declared.to == "weights" else "the answers of a model (validation.asked.ask)"
        raise BadSetting(f"{kind} is done to {declared.to}, not to a {type(subject).__name__}.", f"Give {wanted}.")
    if isinstance(subject, Model):
        return _weights_degraded(subject, kind, level, seed)
    return guessed(subject, level, seed) if kind == "guessing" else scaled(subject, level)


def checked(kind: str, level: float) -> Degradation:
    """The declaration of `kind`; UnknownName if there is none, BadSetting if it does not allow `level`."""
    if kind not in DEGRADATIONS:
        raise unknown_name("degradation", kind, DEGRADATIONS)
    declared = DEGRADATIONS[kind]
    if level not in declared.allowed:
        raise BadSetting(f"{kind}: the level is {level!r}.", f"It must be in {declared.allowed}: {declared.level}.")
    return declared


def _weights_degraded(model: Model, kind: str, level: float, seed: int) -> Model:
    if kind == "temperature":
        return temperature.with_temperature(model, level)
    if kind != "weight_noise":
        from fairsqueeze.compress.apply import compress

        method = "random.linear" if kind == "random_pruning" else "magnitude.linear"
        return compress(model, method, seed=seed, sparsity=level)
    return with_weight_noise(model, level, seed)


def with_weight_noise(model: Model, level: float, seed: int) -> Model:
    """A copy with normal noise on every linear layer, its standard deviation `level` times that of the layer's weights.

    Each layer draws from the seed and its own name, on the CPU, so that the noise is the same on every device.
    """
    import torch

    from fairsqueeze.models.matrices import weight_matrices

    step = {"name": "weight_noise", "parameters": {"level": level}, "seed": seed}
    noised = replace(
        model,
        network=copy.deepcopy(model.network),
        reference=f"{model.reference} → weight_noise(level={level:g}, seed={seed})",
        provenance={**model.provenance, "steps": [*model.provenance.get("steps", ()), step]},
    )
    with torch.no_grad():
        for ref in weight_matrices(noised.network, "linear"):
            ref.parameter.add_(_noise(ref.parameter, level, int(content_id([seed, ref.name], 16), 16) >> 1))
    return noised


def _noise(weight: Tensor, level: float, seed: int) -> Tensor:
    import torch

    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randn(weight.shape, generator=generator)
    return (level * float(weight.float().std()) * drawn).to(weight.device, weight.dtype)


def guessed(asked: Asked, share: float, seed: int = 0) -> Asked:
    """Answers in which a `share` of the items, drawn at random, are answered at random.

    All answers to such an item are draws from one distribution, whatever was asked: nothing is preferred, so that
    preference and control have mean zero. Totals of token scores are drawn around 0 (so that neither sums nor means
    over tokens favour a length), so far apart that preferences spread as the model's own do; their numbers of tokens
    stay, by which some measures tell which rows count. Logits are drawn around 0 (a regressor's around its mean) and
    vectors with the spread of the model's.
    """
    rng = np.random.default_rng([seed, 17])
    chance = rng.random(len(asked.answers))
    seeds = rng.integers(2**63, size=len(asked.answers))
    centre, spread = spread_of(asked.answers)
    if isinstance(next(iter(asked.answers[0].values())), TokenScores):
        alone = _with_guesses(asked, np.ones(len(seeds), dtype=bool), seeds, (centre, 1.0))
        spread = _spread_of_preference(asked) / (_spread_of_preference(alone) or 1.0) or 1.0
    return _with_guesses(asked, chance < share, seeds, (centre, spread))


def _with_guesses(asked: Asked, at_random: np.ndarray, seeds: np.ndarray, normal: tuple[float, float]) -> Asked:
    def change(index: int, answers: Answers) -> Answers:
        if not at_random[index]:
            return answers
        own = np.random.default_rng(seeds[index])
        return {name: _at_random(answer, *normal, own) for name, answer in answers.items()}

    return asked.changed(change)


def _spread_of_preference(asked: Asked) -> float:
    found = [row.preference for k in range(len(asked.answers)) for row in asked.rows(k) if row.preference is not None]
    return float(np.std(found)) if found else 0.0


def _at_random(answer: Answer, centre: float, spread: float, rng: np.random.Generator) -> Answer:
    size = len(numbers_of(answer))
    if isinstance(answer, Outputs):
        middle = 0.0 if size > 1 else centre
    elif isinstance(answer, OutputTable):
        middle = 0.0 if answer.logits.shape[1] > 1 else centre
    else:
        middle = 0.0 if isinstance(answer, (TokenScores, Vector)) else centre
    return with_numbers(answer, middle + spread * rng.standard_normal(size))


def scaled(asked: Asked, divisor: float) -> Asked:
    """Answers with every log-probability and logit divided by `divisor`; vectors are left as they are."""

    def divided(answer: Answer) -> Answer:
        if isinstance(answer, TokenScores):
            return replace(answer, logprobs=answer.logprobs / divisor)
        return answer if isinstance(answer, Vector) else with_numbers(answer, numbers_of(answer) / divisor)

    return asked.changed(lambda _, answers: {name: divided(answer) for name, answer in answers.items()})


def constant(asked: Asked) -> Asked:
    """Answers of a model that says the same to everything: each is the mean over all answers of its form."""
    totals = [a for one in asked.answers for a in one.values()]
    mean = {size: np.mean([n for n in map(numbers_of, totals) if len(n) == size], axis=0) for size in _sizes(totals)}

    def same(answer: Answer) -> Answer:
        numbers = mean[len(numbers_of(answer))]
        if isinstance(answer, TokenScores):
            return of_one_token(answer, float(numbers[0])) if len(numbers) else answer
        return with_numbers(answer, numbers)

    return asked.changed(lambda _, answers: {name: same(answer) for name, answer in answers.items()})


def _sizes(answers: list[Answer]) -> set[int]:
    return {len(numbers_of(a)) for a in answers}
