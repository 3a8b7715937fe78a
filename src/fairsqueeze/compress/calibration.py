"""Calibration: the token sequences on which the inputs of linear layers are watched, from a named text."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from fairsqueeze.compress.calibration_text import PACKAGE, calibration_text
from fairsqueeze.compress.surgery_calibration import Length, Sequences, pieces_of
from fairsqueeze.models.model import Model

REQUIRES = "a text to calibrate on, and blocks that follow one another with nothing between them"
"""What methods that watch the inputs of layers ask for."""


@dataclass(frozen=True)
class Calibration:
    """Token sequences and where they come from.

    Args:
        sequences: token ids, (1, length) each, all of one length.
        text: name of the text.
        sha256: of the text.
        tokens: how many the whole text has; sequences of more together overlap.
    """

    sequences: list[Tensor]
    text: str
    sha256: str
    tokens: int

    def to_json(self) -> dict[str, Any]:
        """What provenance tells: text and its hash, number of sequences, length of each, `tokens_available` in the
        text, and a `warning` where the sequences together are longer than it."""
        n, length = len(self.sequences), self.sequences[0].shape[1]
        told = {"text": self.text, "sha256": self.sha256, "sequences": n, "length": length}
        told["tokens_available"] = self.tokens
        if n * length > self.tokens:
            told["warning"] = f"{n} x {length} tokens come from a text of {self.tokens:,}: sequences overlap"
        return told


def calibrate(
    model: Model, *, sequences: Sequences = 128, length: Length = 512, calibration: str = PACKAGE, seed: int
) -> Calibration:
    """Calibration: inputs are summed over token sequences, block by block; earlier blocks are compressed already.

    Linear layers outside the blocks (output head, pooler, classifier) are left as they are, as the reference codes of
    SparseGPT, Wanda and GPTQ do; what is measured covers the layers inside. Memory: one block and the hidden states.

    Args:
        sequences: how many pieces of the text, from places drawn with the seed.
        length: tokens of each, special ones included; cut to what the model's positions allow.
        calibration: the text: "package" (ships with fairsqueeze, 11 kB: enough to work, too little to be good),
            "wikitext2" (its validation split), "c4" or "wiki" (excerpts packed with exllamav2), or a text file's path.

    Raises:
        AssetError: a named text that is not on this machine.
        DataError: a file that can't be read, or holds less than one sequence.
    """
    written = calibration_text(calibration)
    pieces, tokens = pieces_of(model, written, sequences, length, seed, calibration)
    return Calibration(pieces, calibration or PACKAGE, hashlib.sha256(written.encode()).hexdigest(), tokens)
