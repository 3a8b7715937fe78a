"""Make builtin:minilm-nli (three labels) or builtin:minilm-sts (similarity 0-5) on all-MiniLM-L6-v2, low-rank.

    python recipes/train_minilm_pairs.py nli --encoder FOLDER --data ../shared/datasets --out runs/minilm-nli

A cross-encoder: both sentences in one sequence, classified from the pooler. The encoder is frozen but for low-rank
terms, biases and layer norms; pooler and head are trained in full.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path

import torch
from low_rank import attach_, learned
from pair_data import LABELS, nli, sts
from safetensors.torch import save_file
from scipy.stats import pearsonr, spearmanr
from transformers import AutoTokenizer, BertForSequenceClassification

from fairsqueeze.models.delta import merge_


def load(encoder: Path, task: str) -> BertForSequenceClassification:
    n = 3 if task == "nli" else 1
    network = BertForSequenceClassification.from_pretrained(encoder, num_labels=n)
    if task == "nli":
        network.config.id2label = dict(enumerate(LABELS))
        network.config.label2id = {label: k for k, label in enumerate(LABELS)}
    return network


def batches(pairs, size: int, generator: torch.Generator):
    """Shuffled batches of pairs of similar length."""
    order = torch.randperm(len(pairs), generator=generator).tolist()
    chunks = [order[k : k + size * 50] for k in range(0, len(order), size * 50)]
    made = []
    for chunk in chunks:
        chunk.sort(key=lambda k: len(pairs[k][0]) + len(pairs[k][1]))
        made += [chunk[k : k + size] for k in range(0, len(chunk), size)]
    for k in torch.randperm(len(made), generator=generator).tolist():
        yield [pairs[j] for j in made[k]]


def outputs(network, tokenizer, pairs) -> torch.Tensor:
    coded = tokenizer(
        [p[0] for p in pairs], [p[1] for p in pairs], padding=True, truncation=True, max_length=128, return_tensors="pt"
    )
    return network(**coded).logits


@torch.no_grad()
def evaluate(network, tokenizer, pairs, task: str) -> dict[str, float]:
    network.eval()
    order = sorted(range(len(pairs)), key=lambda k: len(pairs[k][0]) + len(pairs[k][1]))
    found = torch.cat(
        [outputs(network, tokenizer, [pairs[j] for j in order[k : k + 64]]) for k in range(0, len(order), 64)]
    )
    network.train()
    gold = torch.tensor([pairs[k][2] for k in order])
    if task == "nli":
        return {"accuracy": float((found.argmax(-1) == gold).float().mean()), "n": len(pairs)}
    score = found[:, 0].numpy()
    return {"pearson": float(pearsonr(score, gold)[0]), "spearman": float(spearmanr(score, gold)[0]), "n": len(pairs)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("task", choices=("nli", "sts"))
    parser.add_argument("--encoder", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rank", type=int, default=32)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rate", type=float, default=5e-4)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--bf16", action="store_true")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    args.out.mkdir(parents=True, exist_ok=True)
    tokenizer = AutoTokenizer.from_pretrained(args.encoder)
    network = load(args.encoder, args.task)
    for module in network.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.05
    pooler, network.bert.pooler = network.bert.pooler, None
    attach_(network.bert, args.rank)
    network.bert.pooler = pooler
    network.train()
    if args.task == "nli":
        train, test = nli(args.data)
        dev = test[:1000]
    else:
        train, dev, test = sts(args.data)
    trainable = [p for p in network.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trainable, lr=args.rate, weight_decay=0.01)
    generator = torch.Generator().manual_seed(args.seed)
    steps = args.epochs * math.ceil(len(train) / args.batch)
    print(f"{len(train)} training pairs, {steps} steps", flush=True)
    start = time.time()
    step = 0
    for epoch in range(args.epochs):
        for pairs in batches(train, args.batch, generator):
            scale = min((step + 1) / (0.06 * steps), max(0.0, (steps - step) / steps))
            for group in optimizer.param_groups:
                group["lr"] = args.rate * scale
            with torch.autocast(network.device.type, torch.bfloat16, enabled=args.bf16):
                logits = outputs(network, tokenizer, pairs).float()
            gold = torch.tensor([p[2] for p in pairs])
            loss = (
                torch.nn.functional.cross_entropy(logits, gold)
                if args.task == "nli"
                else (logits[:, 0] - gold).pow(2).mean()
            )
            loss.backward()
            torch.nn.utils.clip_grad_norm_(trainable, 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            step += 1
            if step % 100 == 0:
                print(
                    f"step {step}/{steps} loss {loss.item():.3f} {(time.time() - start) / step:.2f} s/step", flush=True
                )
        print(json.dumps({"epoch": epoch, "dev": evaluate(network, tokenizer, dev, args.task)}), flush=True)
    tensors = learned(network)
    save_file(tensors, args.out / "delta.safetensors")
    plain = load(args.encoder, args.task)
    merge_(plain, tensors)
    score = evaluate(plain.float(), tokenizer, test, args.task)
    card = {
        "steps": step,
        "minutes": (time.time() - start) / 60,
        "held_out": score,
        "arguments": {k: str(v) for k, v in vars(args).items()},
    }
    (args.out / "card.json").write_text(json.dumps(card, indent=1))
    print(json.dumps(card), flush=True)


if __name__ == "__main__":
    main()
