"""How fast Bias-NLI runs, against pairs one at a time padded to 512 tokens, as the study's code asks them.

    python recipes/bias_nli_speed.py [--model MODEL] [--pairs 6000] [--single 40]

Without --model: the all-MiniLM-L6-v2 encoder with a random head of three labels (speed does not depend on the head).
Both sides run without gradients, on the same device and number of threads; the study's code keeps gradients, which is
slower still. Reading (tokenising) counts on both sides, loading on neither. Answers are compared on the way.
"""

from __future__ import annotations

import argparse
import resource
import time

import numpy as np
import torch

from fairsqueeze import load
from fairsqueeze.engine.answer import Engine
from fairsqueeze.engine.requests import PairOutputs
from fairsqueeze.measures.bias_nli import asks, items
from fairsqueeze.models.model import Model

PADDED = 512
FULL = 1_936_512
LABELS = ("entailment", "neutral", "contradiction")


def minilm_classifier(seed: int = 0) -> Model:
    """The MiniLM encoder with a random pooler and head."""
    from transformers import BertForSequenceClassification

    encoder = load("builtin:minilm")
    config = encoder.network.config
    config.id2label, config.label2id = dict(enumerate(LABELS)), {label: k for k, label in enumerate(LABELS)}
    torch.manual_seed(seed)
    network = BertForSequenceClassification(config)
    weights = {k.removeprefix("bert."): v for k, v in encoder.network.state_dict().items()}
    network.bert.load_state_dict(weights, strict=False)
    return Model(network.eval(), encoder.tokenizer, "pair_classifier", "minilm with a random head", {"steps": []})


def bundled(model: Model, requests: list[PairOutputs]) -> tuple[dict[PairOutputs, np.ndarray], float, Engine]:
    """Logits of every request as the measure gets them, seconds, the engine."""
    engine = Engine(model)
    begun = time.perf_counter()
    answers = engine.answer(requests)
    return {request: table.logits for request, table in answers.items()}, time.perf_counter() - begun, engine


def one_at_a_time(model: Model, pairs: list[tuple[str, str]]) -> tuple[np.ndarray, float]:
    """Logits of each pair padded to 512 tokens at batch 1, shape (n, n_outputs), and seconds."""
    found = []
    begun = time.perf_counter()
    with torch.inference_mode():
        for first, second in pairs:
            coded = model.tokenizer(
                first, second, padding="max_length", truncation=True, max_length=PADDED, return_tensors="pt"
            )
            found.append(model.network(**coded.to(model.device)).logits[0].double().cpu().numpy())
    return np.stack(found), time.perf_counter() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="a sentence-pair classifier; default: MiniLM with a random head")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--pairs", type=int, default=6000, help="pairs of Bias-NLI; 0 for all 1,936,512")
    parser.add_argument("--single", type=int, default=40, help="pairs asked one at a time")
    given = parser.parse_args()
    model = load(given.model, device=given.device) if given.model else minilm_classifier()
    model.network.to(given.device)
    drawn = items({}, axes="gender", pairs=given.pairs, seed=0)
    requests = list(dict.fromkeys(request for item in drawn for request in asks(item).values()))
    n = sum(len(request.seconds) for request in requests)
    chosen = np.random.default_rng(0).choice(len(requests), size=min(given.single, len(requests)), replace=False)
    singles = [(requests[k].first, requests[k].seconds[0]) for k in chosen]
    one_at_a_time(model, singles[:2])  # neither side pays for the first call
    slow, slow_s = one_at_a_time(model, singles)
    fast, fast_s, engine = bundled(model, requests)
    usage = engine.usage
    apart = max(float(np.abs(fast[requests[k]][0] - slow[j]).max()) for j, k in enumerate(chosen))
    per_slow, per_fast = slow_s / len(singles), fast_s / n
    print(f"threads {torch.get_num_threads()}, device {given.device}, {model.reference}")
    print(f"one at a time, padded to {PADDED}: {1000 * per_slow:.2f} ms a pair ({len(singles)} pairs)")
    print(f"Bias-NLI: {1000 * per_fast:.3f} ms a pair ({n} pairs with controls, {fast_s:.1f} s)")
    print(f"{usage.forward_passes} passes, {usage.tokens_forwarded / n:.1f} tokens a pair, ", end="")
    print(f"{usage.tokens_padding / usage.tokens_forwarded:.1%} padding on top")
    print(f"{per_slow / per_fast:.0f} times as fast; largest difference of a logit {apart:.1e}")
    print(
        f"all 1,936,512 pairs: {1_936_512 * per_fast / 60:.0f} minutes, {1_936_512 * per_slow / 3600:.0f} hours singly"
    )
    print(f"largest memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB")


if __name__ == "__main__":
    main()
