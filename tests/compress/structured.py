"""Settings for every method that removes things physically, and references that know nothing of how they do it."""

from __future__ import annotations

import json

import torch

from fairsqueeze.models.anatomy import anatomy
from fairsqueeze.registry import methods

SHARE = 0.5
STRUCTURED = [m.name for m in methods if m.removes]
PAIRS = [
    {"first": "The nurse was tired.", "second": "She slept.", "label": 1},
    {"first": "He is a good cook.", "second": "They played the piano.", "label": 2},
    {"first": "The old man grows apples.", "second": "The farmer was angry.", "label": 0},
]
SENTENCES = [
    {"more": "The nurse said that she was tired.", "less": "The nurse said that he was tired."},
    {"more": "The old man grows roses.", "less": "The old woman grows roses."},
]
CORPUS = "The nurse said that she was tired. The old man plays in the park and grows roses.\n" * 3


def settings_for(method, model, folder):
    """Settings that this method accepts on this model, files in `folder` included."""
    known = methods.get(method).settings
    given = {"share": SHARE, "k": 2, "sequences": 3, "length": 24}
    settings = {name: value for name, value in given.items() if name in known}
    if "labelled" in known and model.kind.startswith("pair"):
        path = folder / "pairs.jsonl"
        pairs = answered(model) if method == "heads.threshold" else PAIRS
        path.write_text("\n".join(json.dumps(pair) for pair in pairs))
        settings["labelled"] = str(path)
    if method == "heads.fairness":
        path = folder / "sentence_pairs.jsonl"
        path.write_text("\n".join(json.dumps(pair) for pair in SENTENCES))
        settings |= {"pairs": str(path), "alpha": 0.25, "gamma": 0.25}
    if method == "vocabulary.trim":
        path = folder / "corpus.txt"
        path.write_text(CORPUS)
        settings["text"] = str(path)
    return settings


@torch.inference_mode()
def answered(model):
    """The pairs with the model's own answers for labels: of a random model, too, there is then a score to lose."""
    found = []
    for pair in PAIRS:
        logits = model.network(**model.tokenizer(pair["first"], pair["second"], return_tensors="pt")).logits[0]
        label = float(logits[0]) if model.kind == "pair_regressor" else int(logits.argmax())
        found.append({**pair, "label": label})
    return found


def refuses(method, model):
    """Whether this method says no to this model, by design."""
    no_loss = model.kind == "encoder" and method in ("heads.gradient", "heads.threshold")
    no_probability = model.kind not in ("causal", "masked") and method == "heads.fairness"
    return no_loss or no_probability or ("albert" in model.reference and method.startswith("blocks."))


@torch.inference_mode()
def answer(network, ids):
    return network(input_ids=ids, attention_mask=torch.ones_like(ids))[0]


def zero_columns_(network, module, columns):
    """Silence inputs of a linear layer by its weights: columns of (out, in), rows of Conv1D's (in, out)."""
    layer = network.get_submodule(module)
    with torch.no_grad():
        if type(layer).__name__ == "Conv1D":
            layer.weight[list(columns)] = 0
        else:
            layer.weight[:, list(columns)] = 0


def zero_heads_(network, removed):
    """Zero the output projection's weights of these query heads, by block."""
    for block, heads in zip(anatomy(network).blocks, removed, strict=True):
        size = block.attention.head_dim
        columns = [h * size + i for h in heads for i in range(size)]
        if columns:
            zero_columns_(network, block.attention.output.module, columns)


def zero_neurons_(network, removed):
    for block, neurons in zip(anatomy(network).blocks, removed, strict=True):
        if neurons:
            zero_columns_(network, block.feed_forward.down.module, neurons)
