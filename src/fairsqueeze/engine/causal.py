"""Causal requests: the log-probability of a text, and of a long text in windows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fairsqueeze.engine.passages import Passage
from fairsqueeze.engine.plan import Plan
from fairsqueeze.engine.reading import Reader, Tokens
from fairsqueeze.engine.requests import StreamLogProb, StreamScores, TextLogProb, TokenScores
from fairsqueeze.errors import BadSetting, ModelError


def plan_text(reader: Reader, request: TextLogProb) -> Plan:
    """The passages of a `TextLogProb`: one, or two where the first token alone follows the start token.

    The last token of a passage is never forwarded, since nothing is scored after it.
    """
    tokens = reader.read(request.prefix + request.text, special=False)
    scored = _after(reader, tokens, len(request.prefix))
    if request.bos == "none":
        scored = [position for position in scored if position > 0]
    passages: list[Passage] = []
    if request.bos == "first":
        if scored[:1] == [0]:
            passages.append(Passage((reader.start,), ((0, tokens.ids[0]),)))
        passages += _passage(tokens.ids, [position for position in scored if position > 0])
    elif request.bos == "prepend":
        passages += _passage((reader.start, *tokens.ids), [position + 1 for position in scored]) if scored else []
    else:
        passages += _passage(tokens.ids, scored)
    reader.check_fits(max((len(passage.ids) for passage in passages), default=0), request.prefix + request.text)
    n_context = len(tokens.ids) + (request.bos == "prepend")
    n_bytes = tokens.bytes_of(scored)
    unknown = reader.unknown([tokens.ids[position] for position in scored])

    def answer(found: Sequence[np.ndarray]) -> TokenScores:
        logprobs = np.concatenate([np.empty(0), *found])
        return TokenScores(logprobs, n_bytes=n_bytes, n_context=n_context, unknown=unknown)

    return Plan(tuple(passages), answer, n_context + (request.bos == "first" and scored[:1] == [0]))


def plan_stream(reader: Reader, request: StreamLogProb) -> Plan:
    """One passage per window of a `StreamLogProb`.

    The stream is the start token followed by the tokens of the text; window i scores the tokens of the text from
    i·stride on, given the `context` tokens of the stream before them. `windows` are drawn without replacement.
    """
    if request.stride < 1 or request.context < 1 or (request.windows is not None and request.windows < 1):
        raise BadSetting(
            f"stride {request.stride}, context {request.context}, windows {request.windows}: each must be at least 1.",
            "Every token that is scored needs one before it.",
        )
    tokens = reader.read(request.text, special=False)
    stream = (reader.start, *tokens.ids)
    total = -(-len(tokens.ids) // request.stride)
    index = _sampled(total, request.windows, request.seed)
    passages, n_bytes = [], []
    for window in index:
        begin = 1 + int(window) * request.stride
        end = min(begin + request.stride, len(stream))
        first = max(0, begin - request.context)
        passages += _passage(stream[first:end], list(range(begin - first, end - first)))
        n_bytes.append(tokens.bytes_of(range(begin - 1, end - 1)))
    longest = max((len(passage.ids) for passage in passages), default=0)
    if reader.limit is not None and longest > reader.limit:
        raise ModelError(
            f"{reader.reference} takes {reader.limit} tokens at most; "
            f"windows of {request.context} + {request.stride} tokens need {longest}.",
            f"Choose context and stride that add up to {reader.limit} at most.",
        )

    def answer(found: Sequence[np.ndarray]) -> StreamScores:
        sums = np.array([scores.sum() for scores in found], dtype=np.float64)
        sizes = np.array([len(scores) for scores in found], dtype=np.int64)
        return StreamScores(sums, sizes, np.array(n_bytes, dtype=np.int64), index, total)

    return Plan(tuple(passages), answer, sum(len(passage.ids) for passage in passages))


def _after(reader: Reader, tokens: Tokens, border: int) -> list[int]:
    """Positions of the tokens that begin at or after character `border`, or cross it."""
    if border == 0:
        return list(range(len(tokens.ids)))
    if not tokens.spans:
        raise ModelError(
            f"The tokeniser of {reader.reference} doesn't tell where its tokens stand in the text.",
            "Conditional scores need a fast tokeniser (tokenizer.json).",
        )
    return [position for position, (start, end) in enumerate(tokens.spans) if start >= border or end > border]


def _passage(sequence: tuple[int, ...], scored: Sequence[int]) -> list[Passage]:
    """The passage that scores the tokens at these positions (all > 0), or none if there are none."""
    if not scored:
        return []
    return [Passage(sequence[: scored[-1]], tuple((position - 1, sequence[position]) for position in scored))]


def _sampled(total: int, windows: int | None, seed: int) -> np.ndarray:
    if windows is None or windows >= total:
        return np.arange(total, dtype=np.int64)
    return np.sort(np.random.default_rng(seed).choice(total, size=windows, replace=False)).astype(np.int64)
