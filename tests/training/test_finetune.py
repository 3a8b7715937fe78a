"""finetune against transformers' Trainer, and its promises: untouched input, exact resume, early stopping, zeros."""

from __future__ import annotations

import copy
import json
import multiprocessing
import os
import signal
from pathlib import Path

import pytest
import torch
from torch import nn
from transformers import DataCollatorWithPadding, Trainer, TrainingArguments

import fairsqueeze
from fairsqueeze.compress.apply import compress
from fairsqueeze.errors import BadSetting, ModelError, NonFinite
from fairsqueeze.models.load import load
from fairsqueeze.models.model import Model
from fairsqueeze.models.weights import stored_names
from fairsqueeze.testing.tiny import tiny_model
from fairsqueeze.training.batches import PairBatches, order_of_epoch, positions_of
from fairsqueeze.training.finetune import finetune
from fairsqueeze.training.head import with_head
from fairsqueeze.training.pairs import Pair
from fairsqueeze.training.settings import TrainingSettings
from fairsqueeze.training.validation import score

PAIRS = [
    Pair("The nurse was tired.", "She slept.", 1),
    Pair("He is a good cook; they are good friends.", "They played the piano in the park on Sunday.", 2),
    Pair("The old man grows apples.", "The man grows plums.", 2),
    Pair("People work hard.", "People work.", 0),
    Pair("A young woman and an old man played.", "A woman played.", 0),
    Pair("The farmer was angry.", "The lawyer was late.", 1),
    Pair("The children liked their new books.", "Books were liked.", 0),
]
SMALL = TrainingSettings(rate=1e-3, epochs=2, batch=3, warm_up=0.2, weight_decay=0.05, save_minutes=0)


@pytest.fixture
def classifier() -> Model:
    return tiny_model("bert", "pair_classifier")


def without_dropout(model: Model) -> Model:
    for module in model.network.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    for name in ("hidden_dropout_prob", "attention_probs_dropout_prob"):
        setattr(model.network.config, name, 0.0)
    for module in model.network.modules():
        if hasattr(module, "dropout_prob"):
            module.dropout_prob = 0.0
    return model


def precise(model: Model) -> Model:
    """In float64, where Adam does not blow the rounding of gradients that are zero up to whole steps."""
    model.network.to(torch.float64)
    return model


def largest_difference(one: Model, other: Model | nn.Module) -> float:
    theirs = dict((other.network if isinstance(other, Model) else other).named_parameters())
    return max(float((p - theirs[name]).detach().abs().max()) for name, p in one.network.named_parameters())


def by_trainer(model: Model, pairs: list[Pair], settings: TrainingSettings, folder: Path) -> nn.Module:
    """What transformers' Trainer makes of one batch that holds every example, epoch after epoch."""
    network = copy.deepcopy(model.network)
    regression = model.kind == "pair_regressor"
    rows = []
    for pair in pairs:
        row = dict(model.tokenizer(pair.first, pair.second, truncation=True))
        rows.append({**row, "labels": float(pair.label) if regression else int(pair.label)})
    arguments = TrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=len(pairs),
        num_train_epochs=settings.epochs,
        learning_rate=settings.rate,
        weight_decay=settings.weight_decay,
        warmup_steps=settings.warm_up_steps(settings.epochs),
        optim="adamw_torch",
        use_cpu=True,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        logging_strategy="no",
    )
    collator = DataCollatorWithPadding(model.tokenizer)
    Trainer(network, arguments, train_dataset=rows, data_collator=collator).train()
    return network


@pytest.mark.parametrize("kind", ["pair_classifier", "pair_regressor"])
def test_the_weights_are_those_of_transformers_trainer(kind: str, tmp_path: Path) -> None:
    model = precise(without_dropout(tiny_model("bert", kind)))
    settings = TrainingSettings(rate=1e-3, epochs=4, batch=len(PAIRS), warm_up=1, weight_decay=0.1)
    theirs = by_trainer(model, PAIRS, settings, tmp_path)
    ours = finetune(model, PAIRS, preset=settings)
    assert largest_difference(model, theirs) > 1e-3, "the training did something"
    assert largest_difference(ours, theirs) < 1e-8


@pytest.mark.parametrize(
    "changes",
    [
        {"micro_batch": 2},
        {"pad_to_max": True},
        {"gradient_checkpointing": True},
        {"micro_batch": 1, "pad_to_max": True},
    ],
    ids=str,
)
def test_how_it_is_computed_changes_nothing_but_rounding(changes: dict) -> None:
    model = precise(without_dropout(tiny_model("roberta", "pair_classifier")))
    plain = finetune(model, PAIRS, preset=SMALL)
    other = finetune(model, PAIRS, preset=SMALL, **changes)
    assert largest_difference(plain, other) < 1e-8
    assert largest_difference(plain, model) > 1e-3


def test_the_input_and_the_callers_randomness_are_untouched(classifier: Model) -> None:
    before, state = classifier.id, torch.get_rng_state()
    flags = [p.requires_grad for p in classifier.network.parameters()]
    trained = finetune(classifier, PAIRS, preset=SMALL)
    assert classifier.id == before != trained.id
    assert classifier.provenance["steps"] == []
    assert torch.equal(torch.get_rng_state(), state)
    assert not trained.network.training
    assert [p.requires_grad for p in trained.network.parameters()] == flags
    assert all(p.grad is None for p in trained.network.parameters())


def test_the_same_seed_gives_the_same_model_and_another_seed_another(classifier: Model) -> None:
    first, again, other = (finetune(classifier, PAIRS, preset=SMALL, seed=s).id for s in (3, 3, 4))
    assert first == again != other


def test_it_learns(classifier: Model) -> None:
    trained = finetune(classifier, PAIRS, preset=SMALL, epochs=25, rate=3e-3)
    assert score(trained, PairBatches(trained, PAIRS, 64)) == 1.0
    losses = trained.provenance["steps"][-1]["measured"]["epoch_losses"]
    assert losses[-1] < 0.2 < losses[0]


def test_the_provenance_tells_what_was_done(classifier: Model) -> None:
    trained = finetune(classifier, PAIRS, preset="offline.nli", epochs=1, batch=2, seed=5)
    step = trained.provenance["steps"][-1]
    assert (step["name"], step["seed"], step["parameters"]["preset"]) == ("finetune", 5, "offline.nli")
    assert step["parameters"]["batch"] == 2
    assert step["measured"]["steps"] == 4
    assert step["measured"]["examples"] == len(PAIRS)
    assert len(step["measured"]["data_sha256"]) == 64
    assert step["measured"]["wall_s"] >= 0
    json.dumps(step, allow_nan=False)
    assert fairsqueeze.finetune is finetune


class Killed(Exception):
    pass


class KillAt:
    """A progress that ends the training at a step."""

    def __init__(self, step: int) -> None:
        self.step = step
        self.seen: list[float] = []

    def say(self, message: str) -> None:
        pass

    def advance(self, task: str, done: float, total: float) -> None:
        self.seen.append(done)
        if done == self.step:
            raise Killed


@pytest.mark.parametrize("at", [1, 2, 3, 5])
def test_interrupted_at_any_step_it_goes_on_to_the_same_weights(classifier: Model, tmp_path: Path, at: int) -> None:
    whole = finetune(classifier, PAIRS, preset=SMALL, out=tmp_path / "whole")
    with pytest.raises(Killed):
        finetune(classifier, PAIRS, preset=SMALL, out=tmp_path / "parts", progress=KillAt(at))
    assert not (tmp_path / "parts").exists()
    rest = KillAt(-1)
    resumed = finetune(classifier, PAIRS, preset=SMALL, out=tmp_path / "parts", progress=rest)
    saved = at - 1 if at == 3 else at  # the last step of an epoch is saved with the epoch
    assert rest.seen == list(range(saved + 1, 7))
    assert resumed.id == whole.id
    one, other = (m.provenance["steps"][-1]["measured"] for m in (whole, resumed))
    assert one["epoch_losses"] == other["epoch_losses"]
    assert (one["resumed_at_step"], other["resumed_at_step"]) == (None, saved)
    assert not (tmp_path / "parts.unfinished").exists()
    assert load(str(tmp_path / "parts")).id == whole.id


def _train_and_die(folder: Path) -> None:
    torch.set_num_threads(1)

    class Dying(KillAt):
        def advance(self, task: str, done: float, total: float) -> None:
            if done == 4:
                os.kill(os.getpid(), signal.SIGKILL)

    finetune(tiny_model("bert", "pair_classifier"), PAIRS, preset=SMALL, out=folder, progress=Dying(4))


def test_a_killed_process_loses_nothing_that_was_saved(classifier: Model, tmp_path: Path) -> None:
    process = multiprocessing.get_context("fork").Process(target=_train_and_die, args=(tmp_path / "out",))
    process.start()
    process.join(120)
    assert process.exitcode == -signal.SIGKILL
    rest = KillAt(-1)
    resumed = finetune(classifier, PAIRS, preset=SMALL, out=tmp_path / "out", progress=rest)
    assert rest.seen == [5, 6]
    assert resumed.id == finetune(classifier, PAIRS, preset=SMALL).id


def test_what_is_finished_is_not_trained_again(classifier: Model, tmp_path: Path) -> None:
    first = finetune(classifier, PAIRS, preset=SMALL, out=tmp_path / "out")
    again = finetune(classifier, PAIRS, preset=SMALL, out=tmp_path / "out", progress=KillAt(1))
    assert again.id == first.id
    other = finetune(classifier, PAIRS, preset=SMALL, out=tmp_path / "out", seed=9)
    assert other.id != first.id


def test_the_state_of_another_training_is_refused(classifier: Model, tmp_path: Path) -> None:
    with pytest.raises(Killed):
        finetune(classifier, PAIRS, preset=SMALL, out=tmp_path / "out", progress=KillAt(2))
    with pytest.raises(ModelError, match="another model, other data"):
        finetune(classifier, PAIRS[:-1], preset=SMALL, out=tmp_path / "out")
    (tmp_path / "out.unfinished" / "state.safetensors").write_bytes(b"damaged")
    with pytest.raises(ModelError, match="Delete its folder"):
        finetune(classifier, PAIRS, preset=SMALL, out=tmp_path / "out")


def test_early_stopping_takes_the_best_epoch(classifier: Model, tmp_path: Path) -> None:
    settings = {"epochs": 12, "patience": 2, "rate": 3e-3}
    held = PAIRS[:4]
    trained = finetune(classifier, PAIRS[4:], preset=SMALL, validation=held, **settings)
    measured = trained.provenance["steps"][-1]["measured"]
    scores = measured["validation_scores"]
    best = scores.index(max(scores))
    assert len(scores) in (12, best + 1 + 2)
    assert score(trained, PairBatches(trained, held, 64)) == max(scores)
    shorter = finetune(classifier, PAIRS[4:], preset=SMALL, validation=held, **{**settings, "patience": None})
    assert shorter.provenance["steps"][-1]["measured"]["validation_scores"][: len(scores)] == scores
    with pytest.raises(Killed):
        finetune(
            classifier, PAIRS[4:], preset=SMALL, validation=held, out=tmp_path / "o", progress=KillAt(2), **settings
        )
    resumed = finetune(classifier, PAIRS[4:], preset=SMALL, validation=held, out=tmp_path / "o", **settings)
    assert resumed.id == trained.id


def test_a_regressors_validation_score_is_the_mean_correlation_and_none_for_a_constant() -> None:
    from scipy.stats import pearsonr, spearmanr

    model = tiny_model("bert", "pair_regressor")
    held = PairBatches(model, PAIRS, 64)
    with torch.no_grad():
        outputs = [float(model.network(**held.inputs([k], model.device)).logits) for k in range(len(PAIRS))]
        golds = [p.label for p in PAIRS]
        wanted = (pearsonr(outputs, golds)[0] + spearmanr(outputs, golds)[0]) / 2
        assert score(model, held) == pytest.approx(wanted, abs=1e-5)
        model.network.classifier.weight.zero_()
    assert score(model, held) is None


def test_zeros_stay_zero_where_they_shall(classifier: Model) -> None:
    pruned = compress(classifier, "magnitude.linear", sparsity=0.5)
    kept, lost = (finetune(pruned, PAIRS, preset=SMALL, keep_zeros=k) for k in (True, False))
    for name, was in pruned.network.named_parameters():
        if name.endswith("weight"):
            assert torch.equal(dict(kept.network.named_parameters())[name] == 0, was == 0), name
    assert any(
        bool((p != 0).logical_and(q == 0).any())
        for p, q in zip(lost.network.parameters(), pruned.network.parameters(), strict=True)
    )
    assert [s["name"] for s in kept.provenance["steps"]] == ["magnitude.linear", "finetune"]


def test_bfloat16_is_computed_in_and_not_stored(classifier: Model) -> None:
    trained = finetune(classifier, PAIRS, preset=SMALL, precision="bfloat16")
    assert {p.dtype for p in trained.network.parameters()} == {torch.float32}
    assert 0 < largest_difference(trained, finetune(classifier, PAIRS, preset=SMALL)) < 0.05


@pytest.mark.parametrize("architecture", ["bert", "roberta", "distilbert", "albert", "gpt2", "llama"])
def test_a_new_head_on_any_trunk(architecture: str) -> None:
    model = tiny_model(architecture)
    before = model.id
    headed = with_head(model, ("no", "yes"), seed=1)
    assert (headed.kind, headed.network.config.id2label) == ("pair_classifier", {0: "no", 1: "yes"})
    old, new = model.network.base_model.state_dict(), headed.network.base_model.state_dict()
    assert all(torch.equal(old[name], new[name]) for name in old if name in new and "pooler" not in name)
    assert headed.provenance["fresh"]
    assert with_head(model, ("no", "yes"), seed=1).id == headed.id != with_head(model, ("no", "yes"), seed=2).id
    trained = finetune(model, [Pair(p.first, p.second, p.label % 2) for p in PAIRS], preset=SMALL, head=("no", "yes"))
    assert trained.kind == "pair_classifier"
    assert finetune(model, PAIRS, preset=SMALL, head="regression", steps=1).kind == "pair_regressor"
    assert model.id == before


def test_a_fine_tuned_folder_is_a_plain_checkpoint(tmp_path: Path) -> None:
    trained = finetune(tiny_model("roberta"), PAIRS, preset=SMALL, head=("a", "b", "c"), out=tmp_path / "out")
    again = load(str(tmp_path / "out"))
    assert (again.id, again.kind) == (trained.id, "pair_classifier")
    assert stored_names(tmp_path / "out")


def test_a_file_is_trained_on(classifier: Model, tmp_path: Path) -> None:
    path = tmp_path / "pairs.tsv"
    names = ["entailment", "neutral", "contradiction"]
    rows = [f"{p.first}\t{p.second}\t{names[int(p.label)]}" for p in PAIRS]
    path.write_text("\n".join(["sentence1\tsentence2\tgold_label", *rows]))
    assert finetune(classifier, path, preset=SMALL).id == finetune(classifier, PAIRS, preset=SMALL).id


def test_what_can_not_be_is_refused_before_anything_is_spent(classifier: Model, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="Give head"):
        finetune(tiny_model("bert"), PAIRS, preset=SMALL)
    with pytest.raises(BadSetting, match="validation"):
        finetune(classifier, PAIRS, preset=SMALL, patience=2)
    with pytest.raises(BadSetting, match="two or more classes"):
        finetune(classifier, PAIRS, preset=SMALL, head=("one",))
    with pytest.raises(BadSetting, match="example 1"):
        finetune(classifier, [Pair("a", "b", 7)], preset=SMALL)
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(ModelError, match="is not empty"):
        finetune(classifier, PAIRS, preset=SMALL, out=tmp_path)
    half = tiny_model("bert", "pair_classifier")
    half.network.to(torch.bfloat16)
    with pytest.raises(BadSetting, match="precision=bfloat16"):
        finetune(half, PAIRS, preset=SMALL)


def test_a_training_that_breaks_says_so(classifier: Model) -> None:
    with pytest.raises(NonFinite, match="lower rate"):
        finetune(classifier, PAIRS, preset=SMALL, rate=1e30, clip=1e30, epochs=20)


def test_every_epoch_has_every_example_once_in_an_order_of_its_own() -> None:
    orders = [order_of_epoch(20, 0, epoch) for epoch in range(3)]
    assert all(sorted(order) == list(range(20)) for order in orders)
    assert orders[0] != orders[1] != orders[2]
    assert order_of_epoch(20, 0, 1) == orders[1]


def test_long_pairs_are_cut_to_what_the_positions_allow() -> None:
    for architecture in ("bert", "roberta"):
        model = tiny_model(architecture, "pair_classifier")
        assert positions_of(model) == 128
        batches = PairBatches(model, [Pair("word " * 400, "other " * 30, 0)], 512)
        assert batches.inputs([0], model.device)["input_ids"].shape == (1, 128)
        batches.loss([0])(model.network)


@pytest.mark.parametrize("kind", ["pair_classifier", "pair_regressor"])
def test_outputs_that_are_no_numbers_are_no_score(kind: str) -> None:
    model = tiny_model("bert", kind)
    with torch.no_grad():
        model.network.classifier.bias[0] = float("nan")
    with pytest.raises(NonFinite, match="validation"):
        score(model, PairBatches(model, PAIRS, 64))
