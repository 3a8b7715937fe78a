"""Which linear layer of a block does what: hypotheses from sizes and config, each put to the test by `probe.py`."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import permutations
from typing import TYPE_CHECKING

from fairsqueeze.errors import ModelError
from fairsqueeze.models.anatomy import Attention, FeedForward, Slice
from fairsqueeze.models.matrices import linear_layers, sizes
from fairsqueeze.models.probe import LAST, MIDDLE, Change, Probe

if TYPE_CHECKING:
    import torch
    from torch import nn
    from transformers import PreTrainedModel

ATTEMPTS = 4
_UNSURE = "Only methods that select all or linear weights apply to it."


@dataclass(frozen=True)
class _Edges:
    """Which layers feed which directly: by target, its sources, and those that attention carried across tokens. Layers
    that never see the tokens are missing."""

    sources: dict[str, list[str]]
    across: dict[str, list[str]]


def roles_in(network: PreTrainedModel, name: str, block: nn.Module) -> tuple[Attention, FeedForward]:
    """Attention and feed-forward part of one block, by full names. Raises ModelError if they can't be told for sure."""
    layers = {f"{name}.{inner}": module for inner, module in linear_layers(block).items()}
    widths = {full: sizes(module) for full, module in layers.items()}
    trouble = None
    for seed in range(ATTEMPTS):  # made-up numbers may hide a connection by chance
        probe = Probe(network, block, {full: (layers[full], widths[full][0]) for full in layers}, seed)
        try:
            edges = _edges(probe, list(layers))
            attention = _attention(network, probe, edges, widths, name)
            used = {attention.query.module, attention.key.module, attention.value.module, attention.output.module}
            rest = [full for full in edges.sources if full not in used]
            return attention, _feed_forward(probe, edges, widths, rest, name)
        except ModelError as problem:
            trouble = problem
    raise trouble if trouble is not None else ModelError(f"{name} can't be taken apart.", _UNSURE)


def _edges(probe: Probe, names: list[str]) -> _Edges:
    seen = probe.changed([Change(name) for name in names])
    sources: dict[str, list[str]] = {name: [] for name in seen[0]}
    across: dict[str, list[str]] = {name: [] for name in seen[0]}
    for source, differences in zip(names, seen, strict=True):
        for target, changed in differences.items():
            if changed.any():
                sources[target].append(source)
            if changed[LAST].any():
                across[target].append(source)
    return _Edges(sources, across)


def _attention(
    network: PreTrainedModel, probe: Probe, edges: _Edges, widths: dict[str, tuple[int, int]], block: str
) -> Attention:
    outputs = [target for target, sources in edges.across.items() if sources]
    if len(outputs) != 1:
        raise ModelError(f"{block} has {len(outputs)} places where attention comes together, not one.", _UNSURE)
    output = outputs[0]
    sources = edges.sources[output]
    hypotheses = list(_hypotheses(network, sources, {s: widths[s][0] for s in sources}, output, widths[output][1]))
    samples = _samples(hypotheses, {s: widths[s][0] for s in sources})
    seen = probe.changed([Change(module, (feature,)) for module, feature in samples])
    effects = {sample: changed[output] for sample, changed in zip(samples, seen, strict=True)}
    fitting = [h for h in hypotheses if _explains(h, effects)]
    if len(fitting) != 1:
        raise ModelError(
            f"{block}: {len(fitting)} of {len(hypotheses)} known layouts of query, key and value fit what "
            f"{', '.join(sources)} do.",
            _UNSURE,
        )
    return fitting[0]


def _hypotheses(
    network: PreTrainedModel, sources: list[str], widths: dict[str, int], output: str, width: int
) -> Iterator[Attention]:
    """Layouts of query, key and value that the sizes allow. `width`: inputs of the output projection."""
    head_dim = _head_dim(network)
    if head_dim is None or width % head_dim:
        return
    n_heads = width // head_dim
    out = Slice(output, tuple(range(width)), "in")
    if len(sources) == 3:
        for query, key, value in permutations(sources):
            n_kv = widths[key] // head_dim
            if (
                widths[query] == width
                and widths[key] == widths[value] == n_kv * head_dim
                and n_kv
                and n_heads % n_kv == 0
            ):
                whole = [Slice(m, tuple(range(widths[m]))) for m in (query, key, value)]
                yield Attention(whole[0], whole[1], whole[2], out, n_heads, n_kv, head_dim)
    if len(sources) == 1:
        (fused,) = sources
        n_kv, left = divmod(widths[fused] - width, 2 * head_dim)
        if left or n_kv < 1 or n_heads % n_kv:
            return
        layouts = {_one_after_another(n_heads, n_kv, head_dim), _group_by_group(n_heads, n_kv, head_dim)}
        for query_index, key_index, value_index in sorted(layouts):
            parts = [Slice(fused, index) for index in (query_index, key_index, value_index)]
            yield Attention(parts[0], parts[1], parts[2], out, n_heads, n_kv, head_dim)


_Layout = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]


def _one_after_another(n_heads: int, n_kv: int, head_dim: int) -> _Layout:
    """All queries, then all keys, then all values (GPT-2, Phi-3)."""
    q, kv = n_heads * head_dim, n_kv * head_dim
    return tuple(range(q)), tuple(range(q, q + kv)), tuple(range(q + kv, q + 2 * kv))


def _group_by_group(n_heads: int, n_kv: int, head_dim: int) -> _Layout:
    """For every key-value head its query heads, its key, its value (GPT-NeoX and BLOOM with one query head each)."""
    group = n_heads // n_kv
    query: list[int] = []
    key: list[int] = []
    value: list[int] = []
    for kv_head in range(n_kv):
        start = kv_head * (group + 2) * head_dim
        query += range(start, start + group * head_dim)
        key += range(start + group * head_dim, start + (group + 1) * head_dim)
        value += range(start + (group + 1) * head_dim, start + (group + 2) * head_dim)
    return tuple(query), tuple(key), tuple(value)


def _head_dim(network: PreTrainedModel) -> int | None:
    config = network.config.get_text_config()
    stated = getattr(config, "head_dim", None)
    if stated:
        return int(stated)
    width, heads = getattr(config, "hidden_size", None), getattr(config, "num_attention_heads", None)
    return width // heads if width and heads else None


def _samples(hypotheses: list[Attention], widths: dict[str, int], n: int = 8) -> list[tuple[str, int]]:
    """Output features to try: the ends of every part in every hypothesis, and a few others."""
    chosen: dict[tuple[str, int], None] = {}
    for hypothesis in hypotheses:
        for part in (hypothesis.query, hypothesis.key, hypothesis.value):
            for place in (0, -1, len(part.index) // 2):
                chosen[(part.module, part.index[place])] = None
    generator = random.Random(0)
    for module, width in widths.items():
        for _ in range(n):
            chosen[(module, generator.randrange(width))] = None
    return list(chosen)


def _explains(hypothesis: Attention, effects: dict[tuple[str, int], torch.Tensor]) -> bool:
    parts = (("query", hypothesis.query), ("key", hypothesis.key), ("value", hypothesis.value))
    roles = {(part.module, feature): (role, at) for role, part in parts for at, feature in enumerate(part.index)}
    return all(
        _fits(hypothesis, *roles[sample], changed) if sample in roles else False for sample, changed in effects.items()
    )


def _fits(hypothesis: Attention, role: str, at: int, changed: torch.Tensor) -> bool:
    """Whether a change at the middle token, in feature `at` of `role`, shows where it should in the output's inputs.

    A query acts on its own token and head only; a key on all later tokens, within the heads that read it; a value on
    the same, and in one feature of each head only. Queries and keys may touch more heads where all are normed together.
    """
    size = hypothesis.head_dim
    group = hypothesis.n_heads // hypothesis.n_kv_heads
    head, dim = divmod(at, size)
    if role == "query":
        return bool(changed[MIDDLE].any()) and not changed[LAST].any() and _within(hypothesis, changed[MIDDLE], [head])
    readers = [head * group + g for g in range(group)]
    if role == "value":
        expected = {reader * size + dim for reader in readers}
        return set(changed[LAST].nonzero().flatten().tolist()) == expected
    touched = int(changed[LAST].sum())
    return (touched > group or (size == 1 and touched > 0)) and _within(hypothesis, changed[LAST], readers)


def _within(hypothesis: Attention, changed: torch.Tensor, heads: list[int]) -> bool:
    """Whether only these heads changed; or most of all, which a norm over the whole projection does."""
    touched = {feature // hypothesis.head_dim for feature in changed.nonzero().flatten().tolist()}
    fused = hypothesis.query.module == hypothesis.key.module
    normed_together = not fused and len(touched) > max(len(heads), hypothesis.n_heads // 2)
    return touched <= set(heads) or normed_together


def _feed_forward(
    probe: Probe, edges: _Edges, widths: dict[str, tuple[int, int]], rest: list[str], block: str
) -> FeedForward:
    downs = [name for name in rest if any(source in rest for source in edges.sources[name])]
    if len(downs) != 1 or set(edges.sources[downs[0]]) != set(rest) - set(downs):
        raise ModelError(f"{block}: {', '.join(rest) or 'nothing'} is not one feed-forward part.", _UNSURE)
    down = downs[0]
    ups = edges.sources[down]
    width = widths[down][1]
    whole = tuple(range(width))
    inputs = Slice(down, whole, "in")
    candidates = {
        (1, width): [Slice(ups[0], whole)],
        (1, 2 * width): [Slice(ups[0], whole), Slice(ups[0], tuple(range(width, 2 * width)))],
        (2, 2 * width): [Slice(up, whole) for up in ups],
    }.get((len(ups), sum(widths[up][0] for up in ups)), [])
    if not candidates or not all(_neuron_by_neuron(probe, part, down) for part in candidates):
        raise ModelError(f"{block}: the neurons of {', '.join(ups)} and {down} do not match one by one.", _UNSURE)
    if len(candidates) == 1:
        return FeedForward(candidates[0], None, inputs)
    linear = [part for part in candidates if _is_linear(probe, part, down)]
    if len(linear) != 1:
        raise ModelError(f"{block}: which of {', '.join(ups)} is the gate can't be told.", _UNSURE)
    (gate,) = [part for part in candidates if part not in linear]
    return FeedForward(linear[0], gate, inputs)


def _neuron_by_neuron(probe: Probe, part: Slice, down: str, n: int = 6) -> bool:
    """Whether feature i of `part` shows in input i of `down` only, for the ends and a few between."""
    size = len(part.index)
    places = sorted({0, size - 1, *(size * i // n for i in range(n))})
    seen = probe.changed([Change(part.module, (part.index[place],)) for place in places])
    found = [changed[down][MIDDLE].nonzero().flatten().tolist() for changed in seen]
    # An activation may put out nothing for one and the same neuron; it must never put it out elsewhere.
    return all(f in ([], [place]) for f, place in zip(found, places, strict=True)) and any(found)


def _is_linear(probe: Probe, part: Slice, down: str) -> bool:
    """Whether the inputs of `down` are in proportion to `part`: the other factor of the product is the gate, which goes
    through an activation. Tried with the factors 2 and -1: a ReLU passes the first, an odd function the second."""
    import torch

    outputs = {name: base.repeat(3, 1, 1) for name, base in probe.base.items()}
    index = list(part.index)
    outputs[part.module][1, :, index] *= 2.0
    outputs[part.module][2, :, index] *= -1.0
    seen = probe.inputs(outputs)[down]
    scale = seen[0].abs().max()
    return bool(
        torch.allclose(seen[1], 2.0 * seen[0], rtol=0.02, atol=0.02 * float(scale))
        and torch.allclose(seen[2], -seen[0], rtol=0.02, atol=0.02 * float(scale))
    )
