"""Removal against masking: the smaller network answers as the whole one with zeroed weights, to 1e-5."""

from __future__ import annotations

import copy

import pytest
import torch
from tests.compress.structured import answer, zero_heads_, zero_neurons_
from torch import nn

from fairsqueeze.compress import neurons_removal, surgery
from fairsqueeze.compress.blocks_removal import remove_blocks
from fairsqueeze.compress.heads_removal import query_heads, remove_heads, units
from fairsqueeze.compress.neurons_removal import remove_neurons, without_neurons
from fairsqueeze.errors import BadSetting, ModelError
from fairsqueeze.models.anatomy import anatomy
from fairsqueeze.models.slimmed import KEY, note_of
from fairsqueeze.testing.tiny import tiny_model

IDS = torch.arange(5, 17)[None]
PLAIN_HEADS = {"llama", "qwen2", "gemma", "phi", "phi3"}


def difference(one, other):
    return float((answer(one, IDS) - answer(other, IDS)).abs().max())


@torch.inference_mode()
def padded_answer(network):
    """Last hidden states of two sequences, the second with five tokens of padding: of the tokens alone."""
    ids = torch.stack([IDS[0], IDS[0].flip(0)])
    mask = torch.ones_like(ids)
    mask[1, 7:] = 0
    return network.base_model(input_ids=ids, attention_mask=mask)[0][mask.bool()]


def test_in_a_padded_batch_as_well(model):
    removed, _ = patterns(model.network)
    masked = copy.deepcopy(model.network)
    zero_heads_(masked, heads_of(masked, removed))
    zero_neurons_(masked, [[0, 7]] * len(removed))
    result = remove_neurons(remove_heads(copy.deepcopy(model.network), removed), [[0, 7]] * len(removed))
    assert (padded_answer(result) - padded_answer(masked)).abs().max() <= 1e-5


@pytest.mark.parametrize(
    ("architecture", "settings", "refused"),
    [
        ("falcon", {"multi_query": True, "new_decoder_architecture": False, "alibi": False}, False),
        ("falcon", {"multi_query": False, "new_decoder_architecture": False, "alibi": False}, False),
        ("olmo2", {}, True),
        ("bloom", {"n_layer": 2, "n_head": 4}, True),
        ("mpnet", {}, True),
    ],
)
def test_other_families_lose_heads_or_are_refused(architecture, settings, refused):
    from transformers import AutoConfig, AutoModel

    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    config = AutoConfig.for_model(architecture, **{**sizes, **settings}, vocab_size=99, pad_token_id=0)
    config.initializer_range = 0.3
    torch.manual_seed(0)
    network = AutoModel.from_config(config, dtype=torch.float32).eval()
    if refused:
        with pytest.raises(ModelError, match="can't be built") as told:
            remove_heads(network, [[1], [2]])
        assert told.value.remedy
        return
    masked = copy.deepcopy(network)
    zero_heads_(masked, [[1], [2]])
    assert difference(remove_heads(network, [[1], [2]]), masked) <= 1e-5


def heads_of(network, removed):
    blocks = anatomy(network).blocks
    return [[h for u in gone for h in query_heads(b.attention, u)] for b, gone in zip(blocks, removed, strict=True)]


def patterns(network):
    """The last unit of every block, and the first unit of the first block alone."""
    blocks = anatomy(network).blocks
    return [[units(b.attention) - 1] for b in blocks], [[0], *([] for _ in blocks[1:])]


@pytest.mark.parametrize("which", [0, 1], ids=["every-block", "one-block"])
def test_removed_heads_equal_zeroed_heads(model, which):
    removed = patterns(model.network)[which]
    masked = copy.deepcopy(model.network)
    zero_heads_(masked, heads_of(masked, removed))
    result = remove_heads(copy.deepcopy(model.network), removed)
    assert difference(result, masked) <= 1e-5
    assert difference(masked, model.network) > 1e-3, "these heads mattered"
    for before, after, gone in zip(anatomy(model.network).blocks, anatomy(result).blocks, removed, strict=True):
        lost = before.attention.n_heads // units(before.attention) * len(gone)
        assert after.attention.n_heads == before.attention.n_heads - lost
        if before.attention.n_kv_heads > 1:
            assert after.attention.n_kv_heads == before.attention.n_kv_heads - len(gone)
        assert after.attention.head_dim == before.attention.head_dim


def test_plain_configs_say_equal_numbers_of_heads_where_they_can(model):
    every, one = patterns(model.network)
    architecture = model.reference.split(":")[1]
    uniform = remove_heads(copy.deepcopy(model.network), every).config
    assert (getattr(uniform, KEY, None) is None) == (architecture in PLAIN_HEADS)
    if architecture != "albert":
        assert note_of(remove_heads(copy.deepcopy(model.network), one).config) is not None


@pytest.mark.parametrize("removed", [[[0, 7, 63], [1, 2, 3]], [[5], []]], ids=["equal", "unequal"])
def test_removed_neurons_equal_zeroed_neurons(model, removed):
    removed = removed[: len(anatomy(model.network).blocks)]
    masked = copy.deepcopy(model.network)
    width = anatomy(masked).blocks[0].feed_forward.width
    zero_neurons_(masked, removed)
    result = remove_neurons(copy.deepcopy(model.network), removed)
    assert difference(result, masked) <= 1e-5
    assert difference(masked, model.network) > 1e-4, "these neurons mattered"
    assert [b.feed_forward.width for b in anatomy(result).blocks] == [width - len(gone) for gone in removed]
    uneven = len({len(gone) for gone in removed}) > 1
    assert (getattr(result.config, KEY, None) is not None) == uneven


class Through(nn.Module):
    """Stands in a removed block's place and hands on what it gets, as the block would."""

    def __init__(self, block):
        super().__init__()
        self.tuple = block
        for name in ("attention_type", "layer_type"):
            if hasattr(block, name):
                setattr(self, name, getattr(block, name))

    def forward(self, hidden_states, *arguments, **named):
        output = self.tuple(hidden_states, *arguments, **named)
        return (hidden_states, *output[1:]) if isinstance(output, tuple) else hidden_states


@pytest.mark.parametrize("gone", [0, 1])
def test_a_removed_block_equals_one_that_hands_on_its_input(model, gone):
    if anatomy(model.network).shared:
        with pytest.raises(ModelError, match="share"):
            remove_blocks(copy.deepcopy(model.network), [gone])
        return
    masked = copy.deepcopy(model.network)
    name = anatomy(masked).blocks[gone].name
    parent, _, key = name.rpartition(".")
    masked.get_submodule(parent)[int(key)] = Through(masked.get_submodule(name))
    result = remove_blocks(copy.deepcopy(model.network), [gone])
    assert difference(result, masked) <= 1e-5
    assert result.config.num_hidden_layers == 1
    assert difference(result, model.network) > 1e-3


def test_generation_goes_on_after_blocks_and_heads_are_gone():
    network = tiny_model("qwen2").network
    small = remove_blocks(remove_heads(network, [[0], [1]]), [0])
    out = small.generate(IDS, max_new_tokens=4, do_sample=False, pad_token_id=0)
    greedy = IDS
    for _ in range(4):
        greedy = torch.cat([greedy, answer(small, greedy)[:, -1:].argmax(-1)], dim=1)
    assert out[0, : greedy.shape[1]].tolist() == greedy[0].tolist()


def test_removals_follow_one_another():
    """Unequal heads, then neurons, then a block: each step finds its way in what the one before left."""
    network = copy.deepcopy(tiny_model("gpt2").network)
    masked = copy.deepcopy(network)
    zero_heads_(masked, [[], [2]])
    zero_neurons_(masked, [[0, 1], [5, 9]])
    result = remove_neurons(remove_heads(network, [[], [2]]), [[0, 1], [5, 9]])
    assert difference(result, masked) <= 1e-5
    parent = masked.transformer.h
    parent[0] = Through(parent[0])
    assert difference(remove_blocks(result, [0]), masked) <= 1e-5


@pytest.mark.parametrize("removed", [[[0]], [[4], []], [[0, 1, 2, 3], []], [[-1], []]])
def test_heads_that_do_not_fit_are_refused(removed):
    with pytest.raises(BadSetting):
        remove_heads(tiny_model("bert").network, removed)


@pytest.mark.parametrize("removed", [[[0]], [[64], []], [list(range(64)), []]])
def test_neurons_that_do_not_fit_are_refused(removed):
    with pytest.raises(BadSetting):
        remove_neurons(tiny_model("bert").network, removed)


@pytest.mark.parametrize("removed", [[2], [-1], [0, 1]])
def test_blocks_that_do_not_fit_are_refused(removed):
    with pytest.raises(BadSetting):
        remove_blocks(tiny_model("bert").network, removed)


def test_blocks_that_hang_on_their_place_are_not_moved():
    """GPT-2 can scale attention by 1 / (layer + 1): a block one place further up computes something else."""
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=50, n_embd=32, n_layer=2, n_head=4, n_positions=32, scale_attn_by_inverse_layer_idx=True,
        initializer_range=0.5,
    )  # fmt: skip
    network = GPT2LMHeadModel(config).eval()
    with pytest.raises(ModelError, match="differ"):
        remove_blocks(network, [0])
    assert remove_blocks(network, [1]).config.num_hidden_layers == 1


@pytest.mark.parametrize(
    "note",
    [
        3,
        {"linears": {}},
        {"linears": {"a": [1]}, "numbers": {}},
        {"linears": {}, "numbers": {"x": {"forward": 3}}},
        {"linears": {}, "numbers": {"x": {"num_heads": 0}}},
    ],
)
def test_a_damaged_note_is_refused(note):
    config = tiny_model("bert").network.config
    setattr(config, KEY, note)
    with pytest.raises(ModelError, match="damaged"):
        note_of(config)


@pytest.mark.parametrize("real", [False, True])
def test_what_may_be_rounding_is_decided_in_float64_and_the_weights_stay_as_they_were(monkeypatch, real):
    network = copy.deepcopy(tiny_model("bert").network)
    before = copy.deepcopy(network.state_dict())

    def noisy(other):
        off = other is not network and (real or other.dtype == torch.float32)
        return surgery.trunk_answer(other) + (1e-3 if off else 0.0)

    monkeypatch.setattr(neurons_removal, "trunk_answer", noisy)
    removed = [[0, 7, 63], [1, 2, 40]]
    if real:
        with pytest.raises(ModelError, match=r"differ by 0\.001"):
            without_neurons(network, removed)
    else:
        result = without_neurons(network, removed)
        assert result.max_difference == pytest.approx(1e-3, rel=0.01)
        assert result.in_float64 < 1e-6
        assert {p.dtype for p in result.network.parameters()} == {torch.float32}
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
