"""Trimming of the vocabulary: tokens that a corpus does not use go, with their rows in every matrix."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from fairsqueeze.compress.calibration_text import calibration_text
from fairsqueeze.compress.surgery import token_rows
from fairsqueeze.compress.vocabulary_removal import with_tokens
from fairsqueeze.compress.vocabulary_tokenizer import kept_tokens, same_pieces, trimmed_tokenizer, used_tokens
from fairsqueeze.errors import BadSetting, ModelError
from fairsqueeze.models.anatomy import WeightRef
from fairsqueeze.models.model import Model
from fairsqueeze.registry import model_rule


def check_corpus(_: Sequence[WeightRef], *, model: Model, text: str) -> None:
    """BadSetting without a text, DataError or AssetError for one that can't be read, before anything is copied."""
    if not text:
        raise BadSetting("vocabulary.trim: text is ''.", "Give the path of a text file that holds all that is needed.")
    calibration_text(text)


@model_rule(
    "vocabulary.trim",
    selects="all",
    removes="tokens",
    requires="a text; a BPE, WordPiece, WordLevel or Unigram tokeniser of the tokenizers library",
    fits=check_corpus,
    family="vocabulary",
    source="Abdaoui et al. 2020, Load What You Need: Smaller Versions of Multilingual BERT, arXiv:2010.05609",
    saves="the rows of the embedding and of the output head; the time of the output head only",
)
def vocabulary_trim(model: Model, *, text: str) -> dict[str, Any]:
    """Remove all tokens that a text does not use, from the tokeniser and from the network.

    The text itself, as a whole and line by line, is encoded in the same pieces as before, which is checked. Special
    and added tokens, bytes and single characters stay, so that any other text can still be written, but in more pieces:
    scores on texts with words outside the corpus change. Probabilities of kept tokens rise a little, since they are
    shared by fewer.

    Args:
        model: changed in place, its tokeniser as well. BPE, WordPiece, WordLevel and Unigram tokenisers.
        text: everything that the model will have to read and write: the path of a UTF-8 text file, or "package",
            "wikitext2", "c4", "wiki".

    Returns:
        `max_difference` of the logits of the kept tokens from what they were; `calibration`: name and hash of the text.

    Source:
        The paper keeps tokens by frequency in a Wikipedia; here those that occur in the text. Merges of a BPE that
        need a removed token go as well.
    """
    written = calibration_text(text)
    rows = token_rows(model.network)
    kept = kept_tokens(model.tokenizer, used_tokens(model.tokenizer, written))
    if kept[-1] >= rows:
        raise ModelError(
            f"The tokeniser has token {kept[-1]}, the network only {rows}.", "They do not belong together."
        )
    smaller = trimmed_tokenizer(model.tokenizer, kept)
    if not same_pieces(model.tokenizer, smaller, written):
        raise ModelError(
            f"Without the tokens that it does not use, {text} would be encoded otherwise.",
            "This tokeniser can't be trimmed.",
        )
    result = with_tokens(model.network, kept)
    model.network, model.tokenizer = result.network, smaller
    sha256 = hashlib.sha256(written.encode()).hexdigest()
    return {**result.to_json(), "calibration": {"text": text, "sha256": sha256}}
