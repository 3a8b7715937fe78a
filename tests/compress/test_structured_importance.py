"""Which parts go: importance against slow, obvious references."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.compress.structured import answer, zero_heads_

from fairsqueeze.compress.apply import compress
from fairsqueeze.compress.blocks_cosine import block_influence
from fairsqueeze.compress.heads_fairness import fasp_heads, prune_heads_fairly
from fairsqueeze.compress.heads_importance import head_importance, language_losses, pair_losses
from fairsqueeze.compress.heads_removal import query_heads, units
from fairsqueeze.compress.heads_threshold import heads_until, prune_heads_until
from fairsqueeze.compress.neurons_activation import mean_squares
from fairsqueeze.compress.surgery_calibration import LabelledPair, labelled_pairs, token_sequences
from fairsqueeze.compress.surgery_choice import least_important, removal_counts
from fairsqueeze.errors import BadSetting, DataError, ModelError, NonFinite
from fairsqueeze.models.anatomy import anatomy
from fairsqueeze.testing.tiny import tiny_model

SEQUENCES = [torch.arange(5, 25)[None], torch.arange(40, 60)[None]]


def scaled_loss(model, loss, block, unit, factor):
    """The loss after the output projection's weights of one unit are multiplied: a mask, without any hook."""
    network = copy.deepcopy(model.network).double()
    attention = anatomy(network).blocks[block].attention
    columns = [h * attention.head_dim + i for h in query_heads(attention, unit) for i in range(attention.head_dim)]
    layer = network.get_submodule(attention.output.module)
    with torch.no_grad():
        weight = layer.weight.T if type(layer).__name__ == "Conv1D" else layer.weight
        weight[:, columns] *= factor
        return loss(network).item()


@pytest.mark.parametrize("architecture", ["bert", "gpt2", "llama", "gemma", "phi3", "albert"])
def test_importance_is_the_slope_of_the_loss(architecture):
    model = tiny_model(architecture)
    losses = language_losses(model, SEQUENCES, seed=1)
    got = head_importance(model.network, losses)
    step = 5e-3
    for number, block in enumerate(anatomy(model.network).blocks):
        slopes = []
        for unit in range(units(block.attention)):
            sides = [[scaled_loss(model, loss, number, unit, 1 + s) for loss in losses] for s in (step, -step)]
            slopes.append(sum(abs(up - down) / (2 * step) for up, down in zip(*sides, strict=True)))
        expected = np.array(slopes) / np.linalg.norm(slopes)
        np.testing.assert_allclose(got[number].numpy(), expected, atol=2e-3)


def test_importance_leaves_the_model_as_it_was():
    model = tiny_model("bert")
    before = model.id
    head_importance(model.network, language_losses(model, SEQUENCES))
    assert model.id == before
    assert all(p.grad is None for p in model.network.parameters())
    assert not any(m._forward_pre_hooks for m in model.network.modules())


@pytest.mark.parametrize("architecture", ["bert", "gpt2"])
def test_language_loss_is_the_mean_negative_log_likelihood(architecture):
    model = tiny_model(architecture)
    ids = torch.tensor([[1, 20, 30, 40, 50, 2]])
    (loss,) = language_losses(model, [ids], seed=0)
    if model.kind == "causal":
        logs = answer(model.network, ids)[0].log_softmax(-1)
        expected = -sum(logs[i, ids[0, i + 1]] for i in range(5)) / 5
        assert loss(model.network).item() == pytest.approx(float(expected), abs=1e-5)
        return
    # One of the tokens that are not special is masked (15 % of them, at least one): which, any of them may be.
    options = []
    special = set(model.tokenizer.all_special_ids)
    for place, token in enumerate(ids[0].tolist()):
        hidden = ids.clone()
        hidden[0, place] = model.tokenizer.mask_token_id
        if token not in special:
            options.append(-float(answer(model.network, hidden)[0, place].log_softmax(-1)[token]))
    assert min(abs(loss(model.network).item() - option) for option in options) < 1e-5


@pytest.mark.parametrize("kind", ["pair_classifier", "pair_regressor"])
def test_pairs_are_judged_by_their_labels(kind):
    model = tiny_model("roberta", kind)
    (loss,) = pair_losses(model, [LabelledPair("The nurse was tired.", "She slept.", 2)])
    with torch.inference_mode():
        logits = model.network(**model.tokenizer("The nurse was tired.", "She slept.", return_tensors="pt")).logits[0]
    expected = -logits.log_softmax(-1)[2] if kind == "pair_classifier" else (logits[0] - 2) ** 2
    assert loss(model.network).item() == pytest.approx(float(expected), abs=1e-6)
    if kind == "pair_classifier":
        with pytest.raises(BadSetting, match="no class"):
            pair_losses(model, [LabelledPair("a", "b", 3)])


def test_a_classifier_without_labels_and_an_encoder_are_told_what_is_missing():
    with pytest.raises(BadSetting, match="labelled"):
        compress(tiny_model("bert", "pair_classifier"), "heads.gradient", share=0.5)
    with pytest.raises(ModelError, match="no loss"):
        compress(tiny_model("bert", "encoder"), "heads.gradient", share=0.5)


def test_the_head_that_does_nothing_goes_first():
    """A head whose output is zeroed has no gradient and no weights there; every informed method must find it."""
    model = tiny_model("bert")
    zero_heads_(model.network, [[2], [1]])
    for method in ("heads.gradient", "heads.magnitude"):
        settings = {"sequences": 2, "length": 16} if method == "heads.gradient" else {}
        small = compress(model, method, share=0.25, **settings)
        ids = torch.arange(5, 17)[None]
        assert (answer(small.network, ids) - answer(model.network, ids)).abs().max() < 1e-5, method


def test_neuron_activations_are_those_of_the_down_projection():
    model = tiny_model("llama")
    got = mean_squares(model.network, anatomy(model.network), SEQUENCES)
    with torch.inference_mode():
        for number, layer in enumerate(model.network.model.layers):
            seen = []
            for ids in SEQUENCES:
                hidden = model.network.model(ids, output_hidden_states=True).hidden_states[number]
                cos = model.network.model.rotary_emb(hidden, torch.arange(20)[None])
                attended = hidden + layer.self_attn(layer.input_layernorm(hidden), cos, None, is_causal=True)[0]
                x = layer.post_attention_layernorm(attended)
                seen.append(layer.mlp.act_fn(layer.mlp.gate_proj(x)) * layer.mlp.up_proj(x))
            expected = torch.cat(seen, 1)[0].double().square().mean(0)
            torch.testing.assert_close(got[number], expected, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("architecture", ["bert", "gpt2", "llama"])
def test_block_influence_is_one_minus_the_mean_cosine_of_hidden_states(architecture):
    model = tiny_model(architecture)
    got = block_influence(model, SEQUENCES)
    states = [model.network.base_model(ids, output_hidden_states=True).hidden_states for ids in SEQUENCES]
    first = np.concatenate([s[0][0].detach().numpy() for s in states])
    second = np.concatenate([s[1][0].detach().numpy() for s in states])  # the last one is behind a norm in some
    cosines = (first * second).sum(1) / np.linalg.norm(first, axis=1) / np.linalg.norm(second, axis=1)
    assert float(got[0]) == pytest.approx(1 - cosines.mean(), abs=1e-5)


def test_every_kth_block_goes_counted_from_one():
    from transformers import AutoConfig, AutoModelForCausalLM

    model = tiny_model("gpt2")
    config = AutoConfig.for_model("gpt2", n_embd=16, n_layer=5, n_head=2, n_positions=64, vocab_size=300)
    torch.manual_seed(0)
    model.network = AutoModelForCausalLM.from_config(config).eval()
    marks = [block.ln_1.weight.data.fill_(float(i)) for i, block in enumerate(model.network.transformer.h, start=1)]
    assert len(marks) == 5
    for k, left in ((2, [1, 3, 5]), (3, [1, 2, 4, 5]), (5, [1, 2, 3, 4])):
        small = compress(model, "blocks.every", k=k)
        assert [b.ln_1.weight[0].item() for b in small.network.transformer.h] == left
    with pytest.raises(BadSetting, match="k is 6"):
        compress(model, "blocks.every", k=6)


# choice


def test_counts_are_to_the_nearest_and_leave_one():
    assert removal_counts(0.29, [100, 10], True) == [29, 3]
    assert removal_counts(0.9, [4, 4], True) == [3, 3]
    assert removal_counts(0.9, [4, 4], False) == [6]


@given(
    st.lists(st.lists(st.integers(0, 5), min_size=1, max_size=6), min_size=1, max_size=5),
    st.floats(0, 0.999),
    st.booleans(),
)
def test_the_least_important_go_and_every_layer_keeps_its_best(values, share, per_layer):
    scores = [torch.tensor(row, dtype=torch.float64) for row in values]
    gone = least_important(scores, share, per_layer)
    counts = removal_counts(share, [len(row) for row in values], per_layer)
    assert ([len(g) for g in gone] if per_layer else [sum(map(len, gone))]) == counts
    for row, removed in zip(values, gone, strict=True):
        assert len(removed) < len(row)
        assert max(row) in [v for i, v in enumerate(row) if i not in removed]
    kept = [[v for i, v in enumerate(r) if i not in g] for r, g in zip(values, gone, strict=True)]
    lost = [[r[i] for i in g] for r, g in zip(values, gone, strict=True)]
    if per_layer:
        assert all(max(lo, default=-1) <= min(k) for lo, k in zip(lost, kept, strict=True))
    elif any(lost):
        # Nothing that stays is less important than something that goes, but for the best of each layer.
        spare = [sorted(k)[:-1] for k in kept]
        assert max(max(lo, default=-1) for lo in lost) <= min((v for s in spare for v in s), default=9)


def test_an_importance_that_is_nan_is_loud():
    with pytest.raises(NonFinite):
        least_important([torch.tensor([1.0, math.nan])], 0.5, True)


# threshold


class Ledger:
    """A score that falls by what each masked head is worth, and remembers the masks it was asked about."""

    def __init__(self, network, worth):
        self.worth = worth
        self.asked = []
        self.network = network

    def __call__(self, network):
        gone = []
        for number, block in enumerate(anatomy_once(network)):
            layer = network.get_submodule(block.attention.output.module)
            x = torch.ones(1, 1, block.attention.n_heads * block.attention.head_dim)
            for hook in layer._forward_pre_hooks.values():
                (x,) = hook(layer, (x,))
            gone += [(number, h) for h in range(4) if float(x[0, 0, h * 8]) == 0]
        self.asked.append(gone)
        return 1.0 - sum(self.worth[head] for head in gone)


_BLOCKS = {}


def anatomy_once(network):
    if id(network) not in _BLOCKS:
        _BLOCKS[id(network)] = (network, anatomy(network).blocks)
    return _BLOCKS[id(network)][1]


def test_rounds_then_one_by_one_and_the_last_mask_that_passes():
    """Eight heads, a quarter (2) a round, each worth 0.1: 0.65 lets three go – one round, then one alone."""
    model = tiny_model("bert")
    losses = language_losses(model, SEQUENCES)
    worth = {(b, h): 0.1 for b in range(2) for h in range(4)}
    score = Ledger(model.network, worth)
    gone = heads_until(model.network, score, losses, threshold=0.65, step=0.25)
    assert [len(asked) for asked in score.asked] == [0, 2, 4, 3, 4]
    assert sorted((b, u) for b, us in enumerate(gone) for u in us) == score.asked[3]


def test_importance_is_computed_anew_in_each_round():
    model = tiny_model("bert")
    losses = language_losses(model, SEQUENCES)
    score = Ledger(model.network, {(b, h): 0.0 for b in range(2) for h in range(4)})
    gone = heads_until(model.network, score, losses, threshold=0.5, step=0.125)
    masked = [[], []]
    for asked in score.asked[1:]:
        importance = head_importance(model.network, losses, masked)
        left = []
        for b in range(2):
            rest = sorted((float(importance[b][u]), b, u) for u in range(4) if u not in masked[b])
            left += rest[:-1]
        _, b, u = min(left)
        masked[b].append(u)
        assert asked == sorted((b, u) for b in range(2) for u in masked[b])
    assert [len(g) for g in gone] == [3, 3], "one head of each block always stays"


def test_pruning_until_removes_what_it_masked():
    model = tiny_model("bert")
    losses = language_losses(model, SEQUENCES)
    masked = copy.deepcopy(model.network)
    removed = prune_heads_until(
        model, Ledger(None, dict.fromkeys([(b, h) for b in range(2) for h in range(4)], 0.1)), losses, 0.65
    )
    assert sum(map(len, removed)) == 3
    zero_heads_(masked, removed)
    ids = torch.arange(5, 17)[None]
    assert (answer(masked, ids) - answer(model.network, ids)).abs().max() <= 1e-5


def test_a_threshold_of_one_keeps_what_helps_and_zero_leaves_one_head_a_block():
    model = tiny_model("gpt2")
    least = compress(model, "heads.threshold", threshold=0, sequences=2, length=16)
    assert least.provenance["steps"][-1]["measured"]["heads_by_block"] == [1, 1]
    strict = compress(model, "heads.threshold", threshold=1, sequences=2, length=16)
    assert strict.parameters > least.parameters


@pytest.mark.parametrize(("value", "error"), [(math.nan, NonFinite), (0.0, BadSetting), (-1.0, BadSetting)])
def test_a_score_that_can_not_be_shared_is_refused(value, error):
    model = tiny_model("bert")
    with pytest.raises(error):
        heads_until(model.network, lambda _: value, language_losses(model, SEQUENCES), 0.9)


# FASP


def test_fasp_by_hand():
    performance = np.array([[9.0, 1.0, 2.0], [8.0, 3.0, 0.5]])
    bias = np.array([[-5.0, 0.3, -0.1], [-4.0, 0.2, 0.9]])
    # A third is protected: 9 and 8, though their removal would take most bias away; of the rest the lowest two go.
    removed = fasp_heads(performance, bias, gamma=1 / 3, alpha=1 / 3)
    assert removed.tolist() == [[False, False, True], [False, True, False]]


@given(st.data())
def test_fasp_never_removes_a_protected_head(data):
    n = data.draw(st.integers(1, 24))
    values = st.lists(st.floats(-9, 9), min_size=n, max_size=n)
    performance, bias = np.array(data.draw(values)), np.array(data.draw(values))
    gamma = data.draw(st.floats(0, 0.7))
    alpha = data.draw(st.floats(0, 0.2))
    removed = fasp_heads(performance, bias, gamma, alpha) if round(gamma * n) + round(alpha * n) <= n else None
    if removed is None:
        return
    assert removed.sum() == round(alpha * n)
    if removed.any():
        assert (performance > performance[removed].max()).sum() + (performance == performance[removed].max()).sum() - (
            removed & (performance == performance[removed].max())
        ).sum() >= round(gamma * n)
        free = performance < np.sort(performance)[n - round(gamma * n)] if round(gamma * n) else np.ones(n, bool)
        assert bias[removed].max() <= min(bias[free & ~removed], default=np.inf)


@pytest.mark.parametrize(("gamma", "alpha"), [(0.9, 0.2), (-0.1, 0.1), (0.1, 1.0)])
def test_fasp_shares_that_do_not_fit_are_refused(gamma, alpha):
    with pytest.raises(BadSetting):
        fasp_heads(np.arange(10.0), np.arange(10.0), gamma, alpha)


def test_fasp_impacts_must_be_numbers_of_one_shape():
    with pytest.raises(BadSetting):
        fasp_heads(np.zeros(3), np.zeros(4), 0.1, 0.1)
    with pytest.raises(NonFinite):
        fasp_heads(np.array([1, math.nan]), np.zeros(2), 0.1, 0.1)


def test_fasp_on_a_model_removes_the_heads_that_carry_bias():
    """Loss and bias are read off which head is silent: (0, 1) carries most bias but is needed, (1, 2) comes next."""
    model = tiny_model("bert")
    masked = copy.deepcopy(model.network)
    all_heads = [(b, h) for b in range(2) for h in range(4)]
    anatomy_once(model.network)  # before a head is silenced
    loss = Ledger(None, {head: -9.0 if head == (0, 1) else 0.0 for head in all_heads})
    bias = Ledger(None, {head: {(0, 1): 0.9, (1, 2): 0.5}.get(head, 0.1) for head in all_heads})
    assert prune_heads_fairly(model, loss, bias, gamma=0.125, alpha=0.125) == [[], [2]]
    zero_heads_(masked, [[], [2]])
    ids = torch.arange(5, 17)[None]
    assert (answer(masked, ids) - answer(model.network, ids)).abs().max() <= 1e-5


# calibration


@pytest.mark.parametrize("architecture", ["bert", "roberta", "gpt2", "llama", "opt"])
def test_sequences_are_pieces_of_the_text_with_the_usual_ends(architecture, tmp_path):
    model = tiny_model(architecture)
    path = tmp_path / "text.txt"
    path.write_text("The nurse said that she was tired, and the doctor said that he was not. " * 20)
    sequences = token_sequences(model, 5, 24, seed=7, text=str(path))
    again = token_sequences(model, 5, 24, seed=7, text=str(path))
    assert [s.tolist() for s in sequences] == [s.tolist() for s in again]
    assert {tuple(s.shape) for s in sequences} == {(1, 24)}
    assert len({tuple(s[0].tolist()) for s in sequences}) > 1
    whole = model.tokenizer(path.read_text(), verbose=False).input_ids
    usual = model.tokenizer("The nurse").input_ids
    plain = model.tokenizer("The nurse", add_special_tokens=False).input_ids
    for s in sequences:
        ids = s[0].tolist()
        front = 1 if usual[0] != plain[0] else 0
        back = 1 if usual[-1] != plain[-1] else 0
        assert ids[:front] == usual[:front]
        assert ids[len(ids) - back :] == usual[len(usual) - back :]
        inner = ids[front : len(ids) - back]
        assert any(whole[i : i + len(inner)] == inner for i in range(len(whole)))


def test_texts_and_pairs_that_can_not_be_used_are_named(tmp_path):
    model = tiny_model("bert")
    short = tmp_path / "short.txt"
    short.write_text("Too short.")
    with pytest.raises(DataError, match="fewer than one sequence"):
        token_sequences(model, 2, 64, 0, str(short))
    with pytest.raises(DataError, match="can't be read"):
        token_sequences(model, 2, 64, 0, str(tmp_path / "none.txt"))
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"first": "a", "label": 1}\n{"first": "b"}\n')
    with pytest.raises(DataError, match="line 2"):
        labelled_pairs(str(bad))
    bad.write_text("\n")
    with pytest.raises(DataError, match="no labelled pairs"):
        labelled_pairs(str(bad))


def test_a_pair_may_hold_any_character_that_json_does(tmp_path):
    path = tmp_path / "pairs.jsonl"
    path.write_text(
        '{"first": "One line.\u2028Another.", "label": 1}\r\n{"first": "b", "label": 0}\n', encoding="utf-8"
    )
    assert [pair.first for pair in labelled_pairs(str(path))] == ["One line.\u2028Another.", "b"]


# magnitude


@pytest.mark.parametrize("per_layer", [True, False])
def test_magnitude_removes_the_heads_and_neurons_of_the_smallest_norm(per_layer):
    """Norms written out from Llama's own layers: two groups of two query heads, and a gated feed-forward part."""
    model = tiny_model("llama")
    groups, neurons = [], []
    for layer in model.network.model.layers:
        a, f = layer.self_attn, layer.mlp
        parts = [[a.q_proj.weight[16 * g : 16 * g + 16], a.o_proj.weight[:, 16 * g : 16 * g + 16]] for g in range(2)]
        kv = [[a.k_proj.weight[8 * g : 8 * g + 8], a.v_proj.weight[8 * g : 8 * g + 8]] for g in range(2)]
        groups.append([sum(w.square().sum().item() for w in p + k) for p, k in zip(parts, kv, strict=True)])
        squares = f.up_proj.weight.square().sum(1) + f.gate_proj.weight.square().sum(1)
        neurons.append((squares + f.down_proj.weight.square().sum(0)).tolist())
    fewer = compress(model, "heads.magnitude", share=0.25, per_layer=False)
    least = min((value, number, group) for number, row in enumerate(groups) for group, value in enumerate(row))
    kept = fewer.network.model.layers[least[1]].self_attn.k_proj.weight
    other = 8 * (1 - least[2])
    assert torch.equal(kept, model.network.model.layers[least[1]].self_attn.k_proj.weight[other : other + 8])
    thinner = compress(model, "neurons.magnitude", share=0.25, per_layer=per_layer)
    limits = [sorted(row)[15] for row in neurons] if per_layer else [sorted(v for row in neurons for v in row)[31]] * 2
    for number, (before, after) in enumerate(
        zip(model.network.model.layers, thinner.network.model.layers, strict=True)
    ):
        stay = [i for i, value in enumerate(neurons[number]) if value > limits[number]]
        assert torch.equal(after.mlp.up_proj.weight, before.mlp.up_proj.weight[stay])
        assert torch.equal(after.mlp.gate_proj.weight, before.mlp.gate_proj.weight[stay])
        assert torch.equal(after.mlp.down_proj.weight, before.mlp.down_proj.weight[:, stay])
