"""What an architecture can take in: how many positions, and up to which length all texts are treated alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def positions_limit(network: PreTrainedModel) -> int | None:
    """The longest sequence in tokens; None where the architecture sets no limit.

    RoBERTa and its kin number positions from the padding id on, so that two of their 514 can't be used.
    """
    limit = getattr(text_config(network), "max_position_embeddings", None)
    if limit is None:
        return None
    for name, module in network.named_modules():
        if name.endswith("position_embeddings") and getattr(module, "padding_idx", None) is not None:
            return int(module.num_embeddings) - int(module.padding_idx) - 1
    return int(limit)


def uniform_length(network: PreTrainedModel) -> int | None:
    """Up to how many tokens a sequence is computed the same way whatever stands beside it; None: always.

    Beyond a sliding or chunked attention window, a token no longer sees all of its ancestors; beyond the original
    length of a stretched rotary embedding, every position of the batch turns by another angle. Longer sequences are
    therefore kept out of shared rows and away from shorter ones.
    """
    config = text_config(network)
    lengths = []
    if getattr(config, "use_sliding_window", True):
        lengths.append(getattr(config, "sliding_window", None))
    lengths += [getattr(config, name, None) for name in ("attention_chunk_size", "local_attention", "window_size")]
    rotary = getattr(config, "rope_parameters", None) or {}
    layers = [r for r in rotary.values() if isinstance(r, dict)] or [rotary]
    for one in layers:
        if one.get("rope_type") in ("dynamic", "longrope"):
            original = one.get("original_max_position_embeddings")
            lengths.append(original or getattr(config, "original_max_position_embeddings", None))
            lengths.append(getattr(config, "max_position_embeddings", None))
    usable = [int(length) for length in lengths if isinstance(length, int) and length > 0]
    return min(usable, default=None)


def text_config(network: PreTrainedModel) -> Any:
    """The config of the language model, also where it is part of a larger one."""
    return network.config.get_text_config()
