"""Iterative magnitude pruning: a share of the weights that are left goes, the rest is trained, and again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Any

import torch
from torch import Tensor, nn

from fairsqueeze.compress.calibration_pairs import calibration_pairs
from fairsqueeze.compress.cut import SAVES, Sparsity, drop_count, zero_smallest_of_all_
from fairsqueeze.compress.examples import PAIRED, REQUIRES, check_used, examples_for
from fairsqueeze.compress.surgery_calibration import Length, Sequences
from fairsqueeze.errors import BadSetting
from fairsqueeze.models.anatomy import WeightRef, weight_matrices
from fairsqueeze.models.model import Model
from fairsqueeze.registry import Range, model_rule
from fairsqueeze.training.batches import Loss, PairBatches, draw_seed, order_of_epoch
from fairsqueeze.training.descent import adamw, own_randomness, step_, training_mode
from fairsqueeze.training.pairs import pairs_for, pairs_sha256

Rounds = Annotated[int, Range(1, 1000)]
Count = Annotated[int, Range(1, 10_000_000)]
Rate = Annotated[float, Range(0, 1, low_open=True)]
Parts = list[tuple[float, Loss]]
PIECES = 64
DECAY = 0.01
CLIP = 1.0


def check_training(
    _: Sequence[WeightRef], *, model: Model, labelled: str, text: str, sequences: int, length: int, seed: int
) -> None:
    """BadSetting for a setting that this kind of model does not use, and the errors of data that can't be read."""
    if model.kind in PAIRED and sequences != PIECES:
        raise BadSetting(
            f"sequences is {sequences}, which {model.reference} does not use: it learns from all labelled pairs.",
            "Leave sequences out; steps_per_round and batch say how many pairs are seen.",
        )
    _examples(model, batch=1, labelled=labelled, text=text, sequences=sequences, length=length, seed=seed)


@model_rule(
    "magnitude.iterative",
    selects="block_linear",
    exact_over="selection",
    family="magnitude",
    updates=True,
    trains=True,
    source="Mannheim 2024, Can Pruning Language Models Reduce Their Bias?, imp; Frankle and Carbin 2019, 1803.03635",
    saves=SAVES,
    requires=REQUIRES,
    fits=check_training,
)
def magnitude_iterative(
    model: Model,
    *,
    sparsity: Sparsity,
    rounds: Rounds = 11,
    steps_per_round: Count = 8,
    batch: Annotated[int, Range(1, 100_000)] = 8,
    rate: Rate = 2e-5,
    warm_up: Annotated[int, Range(0, 10_000_000)] = 0,
    rewind: bool = False,
    labelled: str = "",
    text: str = "",
    sequences: Sequences = PIECES,
    length: Length = 128,
    seed: int,
) -> dict[str, Any]:
    """Zero the smallest weights of all blocks in rounds under one threshold, and train what is left between rounds.

    Each round takes the same share p = 1 − (1 − sparsity)^(1/rounds) of the weights that are left; it begins with
    pruning and ends with it, so that nothing is trained after the last. All of the model is trained, norms, embeddings
    and output included; weights that are zero stay zero.

    Args:
        model: changed in place. A classifier or regressor learns from `labelled`, a language model from `text`.
        sparsity: share of the weights of query, key, value, attention output and feed-forward layers together that are
            zero afterwards, in [0, 1), to the nearest whole weight. Weights that are already zero count.
        rounds: number of prunings; the study has 11. With 1 nothing is trained.
        steps_per_round: optimiser steps between two prunings; the study's three epochs of STS-B are about 2,200.
        batch: examples of a step; the study has 32 for MNLI, 8 for STS-B.
        rate: learning rate; constant after `warm_up`, as the study's nearly is (its schedule is as long as its examples
            are many, not as its steps).
        warm_up: steps of every round over which the rate rises from 0 to `rate`; the study has 500.
        rewind: after every pruning set all weights that are left back to the values that the model came with. False
            repeats what the study ran; True is what it meant, and gives an untrained ticket, to be fine-tuned with
            `finetune(…, keep_zeros=True)`.
        labelled: for classifiers and regressors: "mnli" or "stsb" (pairs that no task scores), or the path of a JSON
            Lines file of `first`, `second`, `label`.
        text: for language models: "package" or "", "wikitext2", "c4", "wiki", or the path of a UTF-8 text file.
        sequences: for language models: number of pieces of the text.
        length: most tokens of a piece or pair, special ones included; the study has 128.
        seed: of the pieces, the order of examples, and dropout.

    Source:
        "imp" of the study: `prune.global_unstructured` with `L1Unstructured` on Q, K, V, attention output and both
        feed-forward layers. AdamW, decay 0.01, new in each round. Its rewinding to roberta-base never happened: no key
        of the base model matches. As meant, it would also leave the classifier trained; here all goes back, to the
        model that was given. It pads pairs to 128; here to the longest of a batch.
    """
    refs = weight_matrices(model.network, "block_linear")
    weights = [ref.parameter for ref in refs]
    total = sum(weight.numel() for weight in weights)
    stream, source = _examples(
        model, batch=batch, labelled=labelled, text=text, sequences=sequences, length=length, seed=seed
    )
    if drop_count(sparsity, total) == 0:
        return {"training_losses": [], "calibration": source}
    origin = [(p, p.detach().clone()) for p in model.network.parameters()] if rewind else []
    losses: list[float] = []
    for number in range(1, rounds + 1):
        zero_smallest_of_all_(weights, _zeros_after(number, rounds, sparsity, total))
        keep = [(weight, weight.detach() != 0) for weight in weights]
        _rewind_(origin, keep)
        if number < rounds:
            rates = [rate * min(1.0, k / warm_up) if warm_up else rate for k in range(steps_per_round)]
            losses.append(_train_(model, stream, keep, rates, draw_seed(seed, "round", number)))
    return {"training_losses": losses, "calibration": source}


def _zeros_after(number: int, rounds: int, sparsity: float, total: int) -> int:
    """How many of all weights are zero after a round; after the last exactly what `sparsity` means."""
    if number == rounds:
        return drop_count(sparsity, total)
    return round(total * (1 - (1 - sparsity) ** (number / rounds)))


@torch.no_grad()
def _rewind_(origin: Sequence[tuple[nn.Parameter, Tensor]], keep: Sequence[tuple[nn.Parameter, Tensor]]) -> None:
    masks = {id(parameter): mask for parameter, mask in keep}
    for parameter, value in origin:
        parameter.copy_(value * masks[id(parameter)] if id(parameter) in masks else value)


def _train_(
    model: Model,
    stream: Iterator[Parts],
    keep: Sequence[tuple[nn.Parameter, Tensor]],
    rates: Sequence[float],
    seed: int,
) -> float:
    """One step for each rate, with a new optimiser; returns the mean loss."""
    losses = []
    with own_randomness(model.device), training_mode(model.network):
        optimizer = adamw(model.network, rates[0], DECAY, decay_all=True)
        for number, rate in enumerate(rates):
            drawn = draw_seed(seed, number)
            losses.append(step_(model.network, next(stream), optimizer, rate=rate, clip=CLIP, seed=drawn, keep=keep))
    return sum(losses) / len(losses)


def _examples(
    model: Model, *, batch: int, labelled: str, text: str, sequences: int, seed: int, length: int
) -> tuple[Iterator[Parts], dict[str, Any]]:
    """Batches without end, each example once in every pass over them; and where the examples come from."""
    check_used(model, text=text, labelled=labelled)
    if model.kind not in PAIRED:
        examples = examples_for(model, sequences=sequences, length=length, seed=seed, text=text)
        each = examples.losses
        stream = _endless(len(each), batch, seed, lambda chosen: [(1 / len(chosen), each[k]) for k in chosen])
        return stream, examples.source
    labels = pairs_for(model, calibration_pairs(model, labelled))
    pairs = PairBatches(model, labels, length)
    source = {"labelled": labelled, "sha256": pairs_sha256(labels), "sequences": len(pairs), "length": length}
    size = 1 if pairs.alone else batch

    def parts(chosen: Sequence[int]) -> Parts:
        cut = [chosen[k : k + size] for k in range(0, len(chosen), size)]
        return [(len(part) / len(chosen), pairs.loss(part)) for part in cut]

    return _endless(len(pairs), batch, seed, parts), source


def _endless(n: int, batch: int, seed: int, parts: Callable[[Sequence[int]], Parts]) -> Iterator[Parts]:
    epoch = 0
    while True:
        order = order_of_epoch(n, seed, epoch)
        for at in range(0, n, batch):
            yield parts(order[at : at + batch])
        epoch += 1
