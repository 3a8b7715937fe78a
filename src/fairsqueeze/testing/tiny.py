"""Tiny random models of every architecture family that fairsqueeze is tested on, built in memory without a network.

Hidden width 32, two blocks, four heads, 128 positions, 130 to 350 tokens. Each has a small real tokeniser that behaves
as its family's does: BOS or none, lower case or not, masks, unknown tokens. Weights are larger than a trainer would
make them, and biases and norms are not at 0 and 1, so that nothing is right by accident.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from fairsqueeze.errors import BadSetting, unknown_name
from fairsqueeze.models.model import Model
from fairsqueeze.registry import Kind
from fairsqueeze.testing.tokenizers import TOKENIZERS

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

_BIDIRECTIONAL: tuple[Kind, ...] = ("masked", "encoder", "pair_classifier", "pair_regressor")
_CAUSAL: tuple[Kind, ...] = ("causal", "encoder", "pair_classifier", "pair_regressor")

ARCHITECTURES: dict[str, tuple[Kind, ...]] = {
    "bert": _BIDIRECTIONAL,
    "roberta": _BIDIRECTIONAL,
    "distilbert": _BIDIRECTIONAL,
    "albert": _BIDIRECTIONAL,
    "gpt2": _CAUSAL,
    "gpt_neox": _CAUSAL,
    "opt": _CAUSAL,
    "llama": _CAUSAL,
    "qwen2": _CAUSAL,
    "gemma": _CAUSAL,
    "phi": _CAUSAL,
    "phi3": _CAUSAL,
}
"""The kinds that each architecture can be built as; the first is its own."""

LABELS = {0: "entailment", 1: "neutral", 2: "contradiction"}

_ENCODER = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 128,
}
_DECODER = {**_ENCODER, "rms_norm_eps": 1e-6}
_SIZES: dict[str, dict[str, Any]] = {
    "bert": _ENCODER,
    "roberta": {**_ENCODER, "max_position_embeddings": 130, "type_vocab_size": 1},
    "distilbert": {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 64, "max_position_embeddings": 128},
    "albert": {**_ENCODER, "embedding_size": 16, "num_hidden_groups": 1, "inner_group_num": 1},
    "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 128},
    "gpt_neox": {**_ENCODER, "rotary_pct": 0.5},
    "opt": {
        "hidden_size": 32,
        "word_embed_proj_dim": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "ffn_dim": 64,
        "max_position_embeddings": 128,
    },
    "llama": {**_DECODER, "num_key_value_heads": 2, "tie_word_embeddings": False},
    "qwen2": {**_DECODER, "num_key_value_heads": 2, "tie_word_embeddings": True},
    "gemma": {**_DECODER, "num_key_value_heads": 1, "head_dim": 8},
    "phi": {**_ENCODER, "partial_rotary_factor": 0.5},
    "phi3": {**_DECODER, "num_key_value_heads": 2},
}


def tiny_model(architecture: str, kind: str | None = None, *, seed: int = 0) -> Model:
    """A tiny random model of this architecture, in eval mode on the CPU in float32; equal seeds give equal weights.

    Args:
        architecture: a key of `ARCHITECTURES`.
        kind: one of the kinds it lists; None is the first.
        seed: of all weights.

    Raises UnknownName for another architecture, BadSetting for a kind that the architecture does not have.

    >>> tiny_model("bert").kind
    'masked'
    """
    if architecture not in ARCHITECTURES:
        raise unknown_name("tiny architecture", architecture, ARCHITECTURES)
    kinds = ARCHITECTURES[architecture]
    chosen = kinds[0] if kind is None else next((k for k in get_args(Kind) if k == kind), None)
    if chosen not in kinds:
        raise BadSetting(f"A tiny {architecture} can't be {kind!r}.", f"It can be {', '.join(kinds)}.")
    tokenizer = TOKENIZERS[architecture]()
    if chosen.startswith("pair") and tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    network = _network(_config(architecture, chosen, tokenizer), chosen, seed)
    provenance = {"source": "fairsqueeze.testing.tiny", "architecture": architecture, "seed": seed, "steps": []}
    return Model(network, tokenizer, chosen, f"tiny:{architecture}:{chosen}", provenance)


def save_tiny(model: Model, folder: str | Path) -> Path:
    """Write a model as transformers writes it (safetensors, config, tokeniser), without anything of our own."""
    folder = Path(folder)
    model.network.save_pretrained(folder)
    model.tokenizer.save_pretrained(folder)
    return folder


def _config(architecture: str, kind: Kind, tokenizer: PreTrainedTokenizerBase) -> PreTrainedConfig:
    from transformers import AutoConfig

    ids = {name: getattr(tokenizer, name) for name in ("pad_token_id", "bos_token_id", "eos_token_id")}
    labels: dict[str, Any] = {}
    if kind == "pair_classifier":
        labels = {"id2label": LABELS, "label2id": {v: k for k, v in LABELS.items()}}
    elif kind == "pair_regressor":
        labels = {"num_labels": 1, "problem_type": "regression"}
    return AutoConfig.for_model(
        architecture, **_SIZES[architecture], **ids, **labels, vocab_size=len(tokenizer), initializer_range=0.2
    )


def _network(config: PreTrainedConfig, kind: Kind, seed: int) -> PreTrainedModel:
    import torch
    import transformers

    automatic: dict[str, Callable[..., Any]] = {
        "causal": transformers.AutoModelForCausalLM.from_config,
        "masked": transformers.AutoModelForMaskedLM.from_config,
        "encoder": transformers.AutoModel.from_config,
        "pair_classifier": transformers.AutoModelForSequenceClassification.from_config,
        "pair_regressor": transformers.AutoModelForSequenceClassification.from_config,
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = automatic[kind](config, dtype=torch.float32)
        with torch.no_grad():
            for parameter in network.parameters():
                if parameter.ndim == 1:
                    parameter += 0.1 * torch.randn_like(parameter)
    return network.eval()
