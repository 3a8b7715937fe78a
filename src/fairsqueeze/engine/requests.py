"""What a measure or task may ask of a model, and what it gets back. Plain values: no torch in here.

A request is hashable, so that two measures asking the same thing ask it once. Texts are given whole; tokens are the
engine's business. Every number that comes back is finite: a model that answers NaN raises `NonFinite`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

BLANK = "BLANK"
"""Marks the open place in the context of `BlankFill` and `MaskCandidates`."""


@dataclass(frozen=True)
class TextLogProb:
    """Causal: log-probability of each token of `text` after `prefix`. Answer: `TokenScores` of the tokens of `text`.

    `prefix` and `text` are tokenised as one string, and the tokens that begin at or after the end of `prefix` are
    scored (a token that crosses the border is scored with the text). `bos` says what precedes the first token:
    "prepend" – the model's start token (BOS, else EOS, else the tokeniser's CLS) stands before everything;
    "first" – only the first token is scored given the start token, the others without it in view, as the reference code
    of StereoSet and Bias Bench does; "none" – nothing precedes, and the first token is not scored.
    """

    text: str
    prefix: str = ""
    bos: Literal["prepend", "first", "none"] = "prepend"
    kinds: ClassVar[frozenset[str]] = frozenset({"causal"})


@dataclass(frozen=True)
class StreamLogProb:
    """Causal: a long text in windows of `stride` new tokens, each seeing up to `context` tokens before it.

    Answer: `StreamScores`, one entry per window scored. `windows` limits to a seeded random sample of windows.
    A window is the `context` tokens before it followed by its own; the very first token has only the start token.
    """

    text: str
    context: int = 512
    stride: int = 512
    windows: int | None = None
    seed: int = 0
    kinds: ClassVar[frozenset[str]] = frozenset({"causal"})


@dataclass(frozen=True)
class PseudoLogProb:
    """Masked: log-probability of tokens of `text`, each with itself alone masked. Answer: `TokenScores`.

    `tokens` chooses which: "all"; "shared" – those that `text` has in common with `other`; "changed" – those that it
    has not. Shared tokens are the 'equal' blocks of difflib.SequenceMatcher over the two token sequences, as in the
    reference code of CrowS-Pairs, which compares a pair once, in one order: `first` says whether `text` is the first of
    the two there. Special tokens are never scored.
    """

    text: str
    other: str | None = None
    tokens: Literal["all", "shared", "changed"] = "all"
    first: bool = True
    kinds: ClassVar[frozenset[str]] = frozenset({"masked"})


@dataclass(frozen=True)
class BlankFill:
    """Masked: log-probability of each token of `word` in the place of BLANK in `context`. Answer: `TokenScores`.

    Token k is scored at a single mask that follows the (decoded) first k tokens of the word, the rest of the context
    standing behind it: the left-to-right scheme of StereoSet's reference code.
    """

    context: str
    word: str
    kinds: ClassVar[frozenset[str]] = frozenset({"masked"})


@dataclass(frozen=True)
class MaskCandidates:
    """Masked: distribution over candidates at one mask in the place of BLANK in `context`. Answer: `CandidateScores`.

    Every candidate must be a single token in this place; one that is not is answered NaN-free as None.
    """

    context: str
    candidates: tuple[str, ...]
    kinds: ClassVar[frozenset[str]] = frozenset({"masked"})


@dataclass(frozen=True)
class SentenceVector:
    """Hidden state of `text` from `layer` (-1: last), pooled. Answer: `Vector`, not normalised.

    "cls": first position; "last": last non-padding position, special tokens included; "mean": over all positions,
    special tokens included (Bias Bench). Causal models get their start token in front where their tokeniser says so.
    """

    text: str
    pooling: Literal["cls", "mean", "last"] = "mean"
    layer: int = -1
    kinds: ClassVar[frozenset[str]] = frozenset({"causal", "masked", "encoder", "pair_classifier", "pair_regressor"})


@dataclass(frozen=True)
class StaticVector:
    """Mean of the input embeddings of the tokens of `text`, no special tokens, no position. Answer: `Vector`."""

    text: str
    kinds: ClassVar[frozenset[str]] = frozenset({"causal", "masked", "encoder", "pair_classifier", "pair_regressor"})


@dataclass(frozen=True)
class PairOutput:
    """Sequence-pair classifier or regressor: raw outputs for (`first`, `second`). Answer: `Outputs`.

    `second` None: `first` as a single sequence, which is not the same as with an empty second one.
    """

    first: str
    second: str | None
    kinds: ClassVar[frozenset[str]] = frozenset({"pair_classifier", "pair_regressor"})


@dataclass(frozen=True)
class PairOutputs:
    """As `PairOutput` for `first` with each of `seconds`. Answer: `OutputTable`.

    One request for many pairs that share a half: it is read once, and a million pairs take little memory.
    """

    first: str
    seconds: tuple[str, ...]
    kinds: ClassVar[frozenset[str]] = frozenset({"pair_classifier", "pair_regressor"})


Request = (
    TextLogProb
    | StreamLogProb
    | PseudoLogProb
    | BlankFill
    | MaskCandidates
    | SentenceVector
    | StaticVector
    | PairOutput
    | PairOutputs
)


@dataclass(frozen=True, eq=False)
class TokenScores:
    """Log-probabilities in nats, one per scored token, shape (n_tokens,), float64; may be empty.

    `n_bytes` is the UTF-8 length of the text that the scored tokens cover; `n_context` the number of all tokens in
    the sequence, scored or not; `unknown` how many scored tokens are the tokeniser's unknown token.
    """

    logprobs: np.ndarray
    n_bytes: int = 0
    n_context: int = 0
    unknown: int = 0

    @property
    def n_tokens(self) -> int:
        return len(self.logprobs)

    @property
    def total(self) -> float:
        """Sum of the log-probabilities; 0.0 for no tokens."""
        return float(self.logprobs.sum())

    @property
    def mean(self) -> float | None:
        """Mean log-probability per token; None for no tokens."""
        return float(self.logprobs.mean()) if len(self.logprobs) else None


@dataclass(frozen=True, eq=False)
class StreamScores:
    """Per window: summed log-probability (nats), tokens and bytes scored; all of shape (n_windows,).

    `index` is each window's place in the whole stream of `n_windows_total` windows.
    """

    logprob: np.ndarray
    n_tokens: np.ndarray
    n_bytes: np.ndarray
    index: np.ndarray
    n_windows_total: int


@dataclass(frozen=True, eq=False)
class CandidateScores:
    """One log-probability in nats per candidate, None where the candidate is not a single token."""

    logprobs: tuple[float | None, ...]


@dataclass(frozen=True, eq=False)
class Vector:
    """A vector, shape (width,), float32."""

    values: np.ndarray
    n_tokens: int = 0


@dataclass(frozen=True, eq=False)
class Outputs:
    """Logits (classifier: one per label; regressor: one number), shape (n_outputs,), float64; `labels` in order."""

    logits: np.ndarray
    labels: tuple[str, ...] = ()
    n_tokens: int = 0

    @property
    def probabilities(self) -> np.ndarray:
        """Softmax of the logits, shape (n_outputs,)."""
        shifted = np.exp(self.logits - self.logits.max())
        return shifted / shifted.sum()


@dataclass(frozen=True, eq=False)
class OutputTable:
    """Logits of several pairs, shape (n_pairs, n_outputs), float64; `labels` of the outputs in order."""

    logits: np.ndarray
    labels: tuple[str, ...] = ()
    n_tokens: int = 0

    @property
    def probabilities(self) -> np.ndarray:
        """Softmax of each row, shape (n_pairs, n_outputs)."""
        shifted = np.exp(self.logits - self.logits.max(axis=1, keepdims=True))
        return shifted / shifted.sum(axis=1, keepdims=True)


Answer = TokenScores | StreamScores | CandidateScores | Vector | Outputs | OutputTable
