"""Removal of vocabulary rows: a network that knows fewer tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from fairsqueeze.compress.surgery import (
    Numbers,
    Plan,
    Rebuilt,
    answer_of,
    base_config,
    empty_network,
    probe_ids,
    rebuild,
    token_rows,
)
from fairsqueeze.errors import BadSetting
from fairsqueeze.models.slimmed import note_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def remove_tokens(network: PreTrainedModel, kept: Sequence[int]) -> PreTrainedModel:
    """The network of `with_tokens`."""
    return with_tokens(network, kept).network


def with_tokens(network: PreTrainedModel, kept: Sequence[int]) -> Rebuilt:
    """`network` with token i where it had `kept[i]`, and no others: rows of the embedding, of the output head, and of
    its bias are gone.

    Logits of the kept tokens stay as they were; their softmax runs over fewer. The config's `vocab_size` and its ids
    of special tokens follow; an id that is not kept becomes null.

    Args:
        network: its other weights are shared with the result; drop it.
        kept: old ids, ascending, each once.

    Raises:
        BadSetting: ids that don't fit.
        ModelError: the smaller network does not compute the same (positions that hang on a token's number).
    """
    rows = token_rows(network)
    if list(kept) != sorted(set(kept)) or not kept or not 0 <= kept[0] <= kept[-1] < rows:
        raise BadSetting("The tokens to keep are not ascending ids.", f"They must be among 0 to {rows - 1}.")
    if len(kept) == rows:
        return Rebuilt(network)
    config = base_config(network)
    text = config.get_text_config()
    new_id = {old: new for new, old in enumerate(kept)}
    text.vocab_size = len(kept)
    for owner in {id(config): config, id(text): text}.values():
        _renumber_(owner, owner.to_dict(), new_id)
    old_ids = probe_ids(network, kept)
    new_ids = torch.tensor([[new_id[i] for i in old_ids[0].tolist()]])

    def reference() -> Tensor:
        answer = answer_of(network, old_ids)
        return answer[..., list(kept)] if answer.shape[-1] == rows and has_head else answer

    has_head = network.get_output_embeddings() is not None
    note = note_of(network.config)
    numbers: Numbers = note["numbers"] if note else {}
    plan = Plan(_rows_left(network, empty_network(network, config), kept), [config], [numbers])
    result = rebuild(network, plan, reference, lambda candidate: answer_of(candidate, new_ids))
    generation = getattr(result.network, "generation_config", None)
    if generation is not None:
        _renumber_(generation, generation.to_dict(), new_id)
    return result


def _rows_left(network: PreTrainedModel, smaller: PreTrainedModel, kept: Sequence[int]) -> dict[str, Tensor]:
    """All tensors, those cut that have a row for each token: whose first size follows the vocabulary's."""
    rows, index = token_rows(network), torch.tensor(kept)
    after = smaller.state_dict()
    cut: dict[int, Tensor] = {}
    tensors: dict[str, Tensor] = {}
    for name, tensor in network.state_dict(keep_vars=True).items():
        follows = tensor.ndim > 0 and tensor.shape[0] == rows and after[name].shape[0] == len(kept)
        if follows and id(tensor) not in cut:
            part = tensor.detach().index_select(0, index.to(tensor.device))
            cut[id(tensor)] = nn.Parameter(part) if isinstance(tensor, nn.Parameter) else part
        tensors[name] = cut[id(tensor)] if follows else tensor
    return tensors


def _renumber_(owner: Any, values: Mapping[str, Any], new_id: Mapping[int, int]) -> None:
    """Set every `…_token_id` of a config to its new number; null if the token is gone. Negative ones stay."""
    for name, value in values.items():
        if not name.endswith("_token_id") or isinstance(value, bool):
            continue
        if isinstance(value, int):
            setattr(owner, name, value if value < 0 else new_id.get(value))
        elif isinstance(value, list):
            setattr(owner, name, [new_id[i] for i in value if i in new_id])
