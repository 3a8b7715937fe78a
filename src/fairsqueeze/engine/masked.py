"""Masked requests: pseudo-log-likelihood, filling a blank word by word piece, and candidates at a mask."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher

import numpy as np

from fairsqueeze.engine.passages import Passage
from fairsqueeze.engine.plan import Plan
from fairsqueeze.engine.reading import Reader, Tokens, beginning
from fairsqueeze.engine.requests import BLANK, BlankFill, CandidateScores, MaskCandidates, PseudoLogProb, TokenScores
from fairsqueeze.errors import DataError


def plan_pseudo(reader: Reader, request: PseudoLogProb) -> Plan:
    """One copy of the text per scored token, this token alone masked.

    Shared and changed tokens as in metric.py of CrowS-Pairs (Nangia et al. 2020) and crows.py of Bias Bench:
    opcodes of difflib.SequenceMatcher over the two token sequences, special tokens included; these are not scored.
    """
    tokens = reader.read(request.text, special=True)
    reader.check_fits(len(tokens.ids), request.text)
    scored = _chosen(reader, request, tokens)
    mask = reader.mask
    passages = tuple(Passage((*tokens.ids[:at], mask, *tokens.ids[at + 1 :]), ((at, tokens.ids[at]),)) for at in scored)
    n_bytes, n_context = tokens.bytes_of(scored), len(tokens.ids)
    unknown = reader.unknown([tokens.ids[at] for at in scored])

    def answer(found: Sequence[np.ndarray]) -> TokenScores:
        return TokenScores(np.concatenate([np.empty(0), *found]), n_bytes, n_context, unknown)

    return Plan(passages, answer, n_context * len(passages))


def plan_blank(reader: Reader, request: BlankFill) -> Plan:
    """One masked context per token of the word, as StereoSet's dataloader makes them (Nadeem et al. 2021).

    The word is tokenised alone; where the tokeniser marks the blank before a word (RoBERTa's), with a blank before
    it, as Bias Bench does. Token k is scored at a mask that stands right after the decoded tokens before it: text,
    tokenised anew, so that the pieces before the mask may be others than those of the word, and, as in Bias Bench,
    RoBERTa sees two blanks before a word that has begun. BLANK is filled wherever it stands; the first mask counts.
    """
    word = reader.tokenizer.encode(_in_place(reader, request.word), add_special_tokens=False)
    mask = reader.mask
    passages = []
    for k, token in enumerate(word):
        begun = reader.tokenizer.decode(word[:k]) if k else ""
        text = _filled(request.context, begun + reader.tokenizer.mask_token)
        ids = reader.read(text, special=True).ids
        reader.check_fits(len(ids), text)
        passages.append(Passage(ids, ((_first(ids, mask, request.context), token),)))
    n_context = len(passages[0].ids) if passages else 0
    n_bytes, unknown = len(request.word.encode()), reader.unknown(word)

    def answer(found: Sequence[np.ndarray]) -> TokenScores:
        return TokenScores(np.concatenate([np.empty(0), *found]), n_bytes, n_context, unknown)

    return Plan(tuple(passages), answer, sum(len(passage.ids) for passage in passages))


def plan_candidates(reader: Reader, request: MaskCandidates) -> Plan:
    """One masked context for all candidates.

    A candidate is a single token in its place if the context with the candidate has the same tokens as the context
    with the mask, but for the mask: so the tokeniser itself decides about blanks, case and word beginnings. The
    unknown token stands for any word, so it counts as none.
    """
    mask = reader.mask
    text = _filled(request.context, reader.tokenizer.mask_token)
    ids = reader.read(text, special=True).ids
    reader.check_fits(len(ids), text)
    at = _first(ids, mask, request.context)
    tokens = [_candidate(reader, request.context, candidate, ids, mask) for candidate in request.candidates]
    wants = tuple((at, token) for token in tokens if token is not None)
    passages = (Passage(ids, wants),) if wants else ()

    def answer(found: Sequence[np.ndarray]) -> CandidateScores:
        scores = iter(float(score) for scores in found for score in scores)
        return CandidateScores(tuple(None if token is None else next(scores) for token in tokens))

    return Plan(passages, answer, len(ids) if wants else 0)


def _chosen(reader: Reader, request: PseudoLogProb, tokens: Tokens) -> list[int]:
    if request.tokens == "all":
        return tokens.own
    if request.other is None:
        raise DataError(
            f"{request.tokens!r} tokens of {beginning(request.text)!r} were asked for without another text.",
            "Give `other`, or ask for all tokens.",
        )
    other = reader.read(request.other, special=True)
    pair = (tokens.ids, other.ids) if request.first else (other.ids, tokens.ids)
    shared: set[int] = set()
    for tag, begin, end, other_begin, other_end in SequenceMatcher(None, *pair).get_opcodes():
        if tag == "equal":
            shared.update(range(begin, end) if request.first else range(other_begin, other_end))
    return [at for at in tokens.own if (at in shared) == (request.tokens == "shared")]


def _in_place(reader: Reader, word: str) -> str:
    """`word` as it has to be given to the tokeniser to get the tokens it has in the middle of a sentence."""
    if not word:
        return word
    after_blank = reader.tokenizer.encode(f" {word}", add_special_tokens=False)
    within = reader.tokenizer.encode(f"a {word}", add_special_tokens=False)
    tells = after_blank != reader.tokenizer.encode(word, add_special_tokens=False)
    return f" {word}" if tells and within[-len(after_blank) :] == after_blank else word


def _candidate(reader: Reader, context: str, candidate: str, masked: tuple[int, ...], mask: int) -> int | None:
    ids = reader.read(_filled(context, candidate), special=True).ids
    if len(ids) != len(masked):
        return None
    pairs = set(zip(masked, ids, strict=True))
    at_mask = {token for before, token in pairs if before == mask}
    elsewhere_equal = all(before == token for before, token in pairs if before != mask)
    if not elsewhere_equal or len(at_mask) != 1 or at_mask & {mask, reader.tokenizer.unk_token_id}:
        return None
    return at_mask.pop()


def _filled(context: str, text: str) -> str:
    if BLANK not in context:
        raise DataError(f"The context {beginning(context)!r} has no {BLANK}.", f"Write {BLANK} in the open place.")
    return context.replace(BLANK, text)


def _first(ids: tuple[int, ...], mask: int, context: str) -> int:
    if mask not in ids:
        raise DataError(
            f"The mask is no token of its own in the context {beginning(context)!r}.", "Put a blank around BLANK."
        )
    return ids.index(mask)
