"""Models and slow references for the engine: one text at a time, whole logits, nothing shared."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch

from fairsqueeze.models.model import Model
from fairsqueeze.testing.tiny import ARCHITECTURES, tiny_model

CAUSAL = tuple(name for name, kinds in ARCHITECTURES.items() if "causal" in kinds)
MASKED = tuple(name for name, kinds in ARCHITECTURES.items() if "masked" in kinds)
KINDS = tuple((name, kind) for name, kinds in ARCHITECTURES.items() for kind in kinds)

TEXTS = (
    "The nurse said that she was tired.",
    "The nurse said that he was tired.",
    "The nurse said that they were not tired at all!",
    "The doctor said that she was tired.",
    "People who work hard are often late",
    "People who work hard are often late, but happy",
    "A",
    "In 1984 there were 37 boats — naïve café, 日本 👩‍⚕️.",
)


@cache
def model_of(architecture: str, kind: str) -> Model:
    """A shared tiny model; tests that change a model build their own."""
    return tiny_model(architecture, kind)


@cache
def bert_by_hand(kind: str = "masked") -> Model:
    """A tiny BERT whose words are known: each of them is one token, and `neighbour` is two."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = [f"[{name}]" for name in ("PAD", "UNK", "CLS", "SEP", "MASK")]
    words += ["the", "nurse", "doctor", "she", "he", "they", "was", "is", "tired", "said", ".", "neigh", "##bour"]
    tokenizer = Tokenizer(models.WordPiece({word: number for number, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    names = {f"{name}_token": f"[{name.upper()}]" for name in ("pad", "unk", "cls", "sep", "mask")}
    wrapped = PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names)
    model = tiny_model("bert", kind)
    return Model(model.network, wrapped, model.kind, model.reference)


@torch.no_grad()
def slow_logprobs(model: Model, ids: list[int]) -> np.ndarray:
    """Log-probabilities at every position of one sequence, shape (length, vocabulary)."""
    return model.network(torch.tensor([ids])).logits[0].log_softmax(-1).double().numpy()


def start_of(model: Model) -> int:
    tokenizer = model.tokenizer
    return tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id


def slow_text(model: Model, text: str, prefix: str = "", bos: str = "prepend") -> np.ndarray:
    """Reference of TextLogProb, written from its docstring."""
    encoded = model.tokenizer(prefix + text, add_special_tokens=False, return_offsets_mapping=True)
    ids, start = encoded["input_ids"], start_of(model)
    if not ids:
        return np.empty(0)
    whole = slow_logprobs(model, [start, *ids] if bos == "prepend" else ids)
    first = slow_logprobs(model, [start])[0, ids[0]]
    scores = []
    for position, (begin, end) in enumerate(encoded["offset_mapping"]):
        if begin < len(prefix) and end <= len(prefix):
            continue
        if bos == "prepend":
            scores.append(whole[position, ids[position]])
        elif position > 0:
            scores.append(whole[position - 1, ids[position]])
        elif bos == "first":
            scores.append(first)
    return np.array(scores)
