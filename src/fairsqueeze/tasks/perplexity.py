"""Perplexity: how surprised a model is by running text, per token and per byte; causal and masked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated

import numpy as np

from fairsqueeze.engine.requests import PseudoLogProb, StreamLogProb, StreamScores, TokenScores
from fairsqueeze.items import Item, Row
from fairsqueeze.registry import Card, Frame, Range, Statistic, task
from fairsqueeze.stimuli.passages import Text, running_text, sentences

LONGEST_SENTENCE = 400
"""Characters; longer sentences are left out of pseudo-perplexity, which costs one forward pass a token."""


def _ratio(
    denominator: str, transform: Callable[[np.ndarray], np.ndarray]
) -> Callable[[Frame, np.ndarray], np.ndarray]:
    def ratio(frame: Frame, weights: np.ndarray) -> np.ndarray:
        return transform(-(weights @ frame["logprob"]) / (weights @ frame[denominator]))

    return ratio


def _same(value: np.ndarray) -> np.ndarray:
    return value


STATISTICS = tuple(
    Statistic(name, _ratio(per, transform), low, None, None, (low, np.inf), better="lower", by_axis=False, unit=unit)
    for name, per, transform, low, unit in (
        ("nats_per_token", "n_scored", _same, 0.0, "nats"),
        ("nats_per_byte", "n_bytes", _same, 0.0, "nats"),
        ("perplexity", "n_scored", np.exp, 1.0, ""),
    )
)
NO_CONTROL = "none: a performance task"


def stream_items(files: Mapping[str, Path], *, text: Text) -> list[Item]:
    """One item: the whole text."""
    name, content = running_text(files, text)
    return [Item(name, name, "", name, {"text": content})]


def stream_asks(item: Item, *, context: int, stride: int, windows: int | None, seed: int) -> dict[str, StreamLogProb]:
    """The text as a stream of windows."""
    return {"stream": StreamLogProb(item.content["text"], context, stride, windows, seed)}


@task(
    "perplexity",
    version=1,
    kinds={"causal"},
    data=("wikitext2?",),
    source="Sliding window as in Hugging Face's perplexity guide; ratio of sums over windows",
    items=stream_items,
    asks=stream_asks,
    statistics=STATISTICS,
    card=Card(
        control=NO_CONTROL,
        differs="Windows are a seeded random sample unless windows=none; the row names the text that was used.",
        criticisms=(
            "Perplexity per token is not comparable between tokenisers; nats_per_byte is.",
            "Perplexity hides which skills compression costs (Dutta et al. 2024, arXiv:2407.09141).",
        ),
    ),
    default_for={"causal"},
    limit_setting="windows",
)
def perplexity(
    item: Item,
    answers: Mapping[str, StreamScores],
    *,
    text: Text = "wikitext2",
    context: Annotated[int, Range(1, 1_000_000)] = 256,
    stride: Annotated[int, Range(1, 1_000_000)] = 256,
    windows: Annotated[int, Range(1, 10_000_000)] | None = 64,
    seed: int = 0,
) -> list[Row]:
    """Perplexity of running text: exp of the mean negative log-probability per token, in windows of `stride` tokens.

    Each window's tokens see up to `context` tokens before it. WikiText-2's raw test split is used where it is located,
    else (or with text=package) a text that the package ships; rows name the one used. `windows` is how many windows are
    drawn, seeded, at random; none for all. One row per window: summed log-probability (nats), tokens, bytes.
    """
    scores = answers["stream"]
    rows = []
    for k, index in enumerate(scores.index):
        name = f"{item.id}:{index}"
        answer = {
            "logprob": float(scores.logprob[k]),
            "n_scored": int(scores.n_tokens[k]),
            "n_bytes": int(scores.n_bytes[k]),
            "n_windows_in_text": scores.n_windows_total,
        }
        rows.append(Row(name, item.axis, "", name, answer=answer, n_tokens=int(scores.n_tokens[k])))
    return rows


def sentence_items(files: Mapping[str, Path], *, text: Text) -> list[Item]:
    """One item per sentence of at most LONGEST_SENTENCE characters."""
    name, content = running_text(files, text)
    kept = [s for s in sentences(content) if len(s) <= LONGEST_SENTENCE]
    return [Item(f"{name}:{k}", name, "", f"{name}:{k}", {"text": s}) for k, s in enumerate(kept)]


def sentence_asks(item: Item) -> dict[str, PseudoLogProb]:
    """The sentence, each token masked in turn."""
    return {"sentence": PseudoLogProb(item.content["text"])}


@task(
    "pseudo_perplexity",
    version=1,
    kinds={"masked"},
    data=("wikitext2?",),
    source="Salazar et al. 2020, arXiv:1910.14659, eq. 3; tokens masked one at a time, sentence by sentence",
    items=sentence_items,
    asks=sentence_asks,
    statistics=STATISTICS,
    card=Card(control=NO_CONTROL, differs="Sentences of more than 400 characters are left out."),
    default_for={"masked"},
)
def pseudo_perplexity(item: Item, answers: Mapping[str, TokenScores], *, text: Text = "wikitext2") -> list[Row]:
    """Pseudo-perplexity: exp of the mean negative log-probability of each token with itself alone masked.

    Over sentences of WikiText-2's raw test split where it is located, else of the package's text; rows name the one
    used. The whole split is 7,000 sentences; give --limit for a seeded sample of them.
    """
    scores = answers["sentence"]
    answer = {"logprob": scores.total, "n_scored": scores.n_tokens, "n_bytes": scores.n_bytes}
    return [item.row(answer=answer, n_tokens=scores.n_tokens)]
