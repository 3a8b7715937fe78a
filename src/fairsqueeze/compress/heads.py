"""Pruning of attention heads, physically: what its methods save and what they ask of a model."""

from __future__ import annotations

from typing import Annotated

from fairsqueeze.registry import Range

Share = Annotated[float, Range(0, 1, high_open=True)]

SAVES = (
    "the weights of the heads, their memory and their time, on any hardware; less while other layers dominate. Load it "
    "with fairsqueeze.load(folder): plain transformers loads Llama, Qwen2, Gemma, Phi and Phi-3 types with as many "
    "heads in each block, and stops at the shapes of all others"
)
REQUIRES = (
    "heads that don't depend on one another: OLMo2 (one norm over all), BLOOM (a position bias by the number of the "
    "head) and MPNet (position biases shared by all blocks) are refused"
)
"""What the removal of heads asks of a model."""
