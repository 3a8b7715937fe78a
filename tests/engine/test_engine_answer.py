"""The engine itself: pooling, remembering, memory running out, broken models, refusals and interruptions."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from engine_references import CAUSAL, MASKED, TEXTS, model_of

from fairsqueeze.engine.answer import Engine, answer_pool
from fairsqueeze.engine.limits import positions_limit
from fairsqueeze.engine.requests import (
    BlankFill,
    MaskCandidates,
    PairOutput,
    PseudoLogProb,
    SentenceVector,
    StaticVector,
    StreamLogProb,
    TextLogProb,
)
from fairsqueeze.errors import BadSetting, ModelError, NonFinite
from fairsqueeze.testing.tiny import tiny_model

OF_EACH_KIND = [
    ("gpt2", "causal", TextLogProb("The nurse said that she was tired.")),
    ("llama", "causal", TextLogProb("The nurse said", bos="first")),
    ("gpt2", "causal", StreamLogProb("The nurse said that she was tired.", context=4, stride=4)),
    ("bert", "masked", PseudoLogProb("she was tired")),
    ("roberta", "masked", PseudoLogProb("she was tired", "he was tired", "changed")),
    ("distilbert", "masked", BlankFill("My BLANK grows apples", "neighbour")),
    ("bert", "masked", MaskCandidates("She said BLANK", (".", "!"))),
    ("bert", "encoder", SentenceVector("she was tired")),
    ("gpt2", "causal", SentenceVector("she was tired", "last", 1)),
    ("bert", "encoder", StaticVector("she was tired")),
    ("bert", "pair_classifier", PairOutput("she was tired", "he was not")),
    ("gpt2", "pair_regressor", PairOutput("she was tired", "he was not")),
]


def numbers(answer: object) -> np.ndarray:
    for name in ("logprobs", "logprob", "values", "logits"):
        if hasattr(answer, name):
            return np.array([number for number in getattr(answer, name) if number is not None])
    raise AssertionError(answer)


def test_equal_requests_are_answered_once_and_remembered():
    engine = Engine(model_of("gpt2", "causal"))
    first = engine.answer([TextLogProb(TEXTS[0]), TextLogProb(TEXTS[1]), TextLogProb(TEXTS[0])])
    assert list(first) == [TextLogProb(TEXTS[0]), TextLogProb(TEXTS[1])]
    assert (engine.usage.requests_asked, engine.usage.requests_answered) == (3, 2)
    before = engine.usage.tokens_forwarded
    assert engine.cost([TextLogProb(TEXTS[0])]) == 0
    again = engine.answer([TextLogProb(TEXTS[0])])
    assert again[TextLogProb(TEXTS[0])] is first[TextLogProb(TEXTS[0])]
    assert engine.usage.tokens_forwarded == before
    assert engine.answer([]) == {}


def test_cost_is_what_is_forwarded_and_progress_ends_there():
    engine = Engine(model_of("llama", "causal"))
    requests = [TextLogProb(text) for text in TEXTS]
    cost = engine.cost(requests)
    seen: list[tuple[int, int]] = []
    engine.answer(iter(requests), lambda done, total: seen.append((done, total)))
    assert engine.usage.tokens_forwarded == cost
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})
    assert {total for _, total in seen} == {cost}
    assert seen[-1] == (cost, cost)
    assert engine.usage.seconds > 0


@pytest.mark.parametrize(("architecture", "kind"), [(a, "causal") for a in CAUSAL] + [(a, "masked") for a in MASKED])
def test_only_needed_positions_reach_the_vocabulary(architecture, kind):
    model = tiny_model(architecture, kind)
    if kind == "causal":
        requests = [TextLogProb(" angry", prefix="The old nurse said that she was"), TextLogProb("She is", bos="none")]
    else:
        requests = [PseudoLogProb("she was tired", "he was tired", "changed")]
    engine = Engine(model)
    engine.cost(requests)  # the probe, which projects a few positions, is over
    assert engine.usage.only_needed_projected is True
    rows: list[int] = []
    handle = model.network.get_output_embeddings().register_forward_hook(
        lambda module, inputs, output: rows.append(inputs[0].shape[:-1].numel())
    )
    answers = engine.answer(requests)
    handle.remove()
    scored = sum(answer.n_tokens for answer in answers.values())
    assert scored > 0
    assert sum(rows) == scored == engine.usage.positions_projected


def test_a_head_that_cannot_be_run_apart_falls_back_to_all_logits():
    model = tiny_model("gpt2", "causal")
    inner = model.network.forward

    def forward(input_ids, **kwargs):
        output = inner(input_ids=input_ids, **kwargs)
        output.logits = output.logits + input_ids[..., None] * torch.arange(output.logits.shape[-1]) * 1e-4
        return output

    model.network.forward = forward
    request = TextLogProb(TEXTS[0])
    engine = Engine(model)
    found = engine.answer([request, TextLogProb(TEXTS[1])])[request].logprobs
    assert engine.usage.only_needed_projected is False
    assert any("projected" in note for note in engine.usage.notes)
    ids = [model.tokenizer.bos_token_id, *model.tokenizer(request.text)["input_ids"]]
    with torch.no_grad():
        scores = model.network(torch.tensor([ids])).logits[0].log_softmax(-1).numpy()
    expected = [scores[at - 1, ids[at]] for at in range(1, len(ids))]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory"),
        MemoryError(),
    ],
)
@pytest.mark.parametrize(("architecture", "kind", "request_"), OF_EACH_KIND[::3])
def test_running_out_of_memory_halves_the_budget_and_goes_on(error, architecture, kind, request_):
    model = tiny_model(architecture, kind)
    others = [type(request_)(*_fields(request_, text)) for text in TEXTS[:6]]
    expected = Engine(model).answer(others)
    _limit(model, 40, error)
    engine = Engine(model)
    found = engine.answer(others)
    assert engine.usage.budget_halvings >= (0 if isinstance(request_, StaticVector) else 1)
    assert engine.usage.token_budget <= 40 or isinstance(request_, StaticVector)
    for one in others:
        np.testing.assert_allclose(numbers(found[one]), numbers(expected[one]), rtol=0, atol=1e-4)


def _fields(request_: object, text: str) -> tuple:
    if isinstance(request_, BlankFill):
        return (f"BLANK {text}", "neighbour")
    if isinstance(request_, MaskCandidates):
        return (f"BLANK {text}", (".", "!"))
    return (text, "he was not") if isinstance(request_, PairOutput) else (text,)


def _limit(model, tokens: int, error: BaseException) -> None:
    """From now on, more than `tokens` ids at once are too much for the embeddings."""

    def check(module, inputs):
        if inputs[0].numel() > tokens:
            raise error

    model.network.get_input_embeddings().register_forward_pre_hook(check)


def test_shared_rows_are_taken_apart_when_one_alone_is_too_much():
    model = tiny_model("llama", "causal")
    requests = [TextLogProb(text) for text in TEXTS[:4]]
    expected = Engine(model).answer(requests)
    longest = max(len(model.tokenizer(request.text)["input_ids"]) for request in requests)
    engine = Engine(model)
    assert engine.cost(requests) >= 2 * longest - 4
    _limit(model, longest, RuntimeError("not enough memory: you tried to allocate 9 bytes"))
    seen: list[tuple[int, int]] = []
    found = engine.answer(requests, lambda done, total: seen.append((done, total)))
    assert engine.usage.forward_passes > 1
    assert all(done <= total for done, total in seen)
    for request in requests:
        np.testing.assert_allclose(found[request].logprobs, expected[request].logprobs, rtol=0, atol=1e-4)


def test_one_sequence_that_does_not_fit_into_memory_is_an_error():
    model = tiny_model("bert", "masked")
    _limit(model, 8, MemoryError())
    with pytest.raises(ModelError, match=r"Memory ran out on one sequence of \d+ tokens in tiny:bert"):
        Engine(model).answer([PseudoLogProb(TEXTS[0])])


def test_other_errors_and_interruptions_pass_through():
    for error in (RuntimeError("shapes do not match"), KeyboardInterrupt()):
        model = tiny_model("gpt2", "causal")
        engine = Engine(model, token_budget=64)
        engine.answer([TextLogProb(TEXTS[0])])
        hook = _raising(model, error)
        with pytest.raises(type(error)):
            engine.answer([TextLogProb(TEXTS[0]), TextLogProb(TEXTS[1])])
        hook.remove()
        assert engine.usage.budget_halvings == 0
        assert "forward" not in model.network.base_model.__dict__
        found = engine.answer([TextLogProb(TEXTS[1])])[TextLogProb(TEXTS[1])]
        expected = Engine(model).answer([TextLogProb(TEXTS[1])])[TextLogProb(TEXTS[1])]
        np.testing.assert_allclose(found.logprobs, expected.logprobs, rtol=0, atol=1e-5)


def _raising(model, error: BaseException):
    def fail(module, inputs):
        raise error

    return model.network.get_output_embeddings().register_forward_pre_hook(fail)


@pytest.mark.parametrize(("architecture", "kind", "request_"), OF_EACH_KIND)
def test_a_broken_model_is_never_scored(architecture, kind, request_):
    model = tiny_model(architecture, kind)
    answered = numbers(Engine(model).answer([request_])[request_])
    assert len(answered)
    assert np.isfinite(answered).all()
    with torch.no_grad():
        model.network.get_input_embeddings().weight[:, 0] = float("nan")
    with pytest.raises(NonFinite, match=f"tiny:{architecture}:{kind} has weights that are NaN"):
        Engine(model).answer([request_])


@pytest.mark.parametrize(("architecture", "kind", "request_"), OF_EACH_KIND)
def test_nan_out_of_finite_weights_is_never_scored(architecture, kind, request_):
    model = tiny_model(architecture, kind)
    for norm in _last_norms(model, request_):
        norm.register_forward_hook(lambda module, inputs, output: output * float("nan"))
    with pytest.raises(NonFinite, match=rf"tiny:{architecture}:{kind} answered nan .* to {type(request_).__name__}\("):
        Engine(model).answer([request_])


def _last_norms(model, request_):
    """What every hidden state goes through, or the embeddings where nothing else is asked."""
    if isinstance(request_, StaticVector):
        return [model.network.get_input_embeddings()]
    return [module for module in model.network.modules() if "Norm" in type(module).__name__]


def test_infinity_is_as_loud_as_nan():
    model = tiny_model("bert", "pair_classifier")
    large = torch.tensor([0.0, float("inf"), 0.0])
    model.network.classifier.register_forward_hook(lambda module, inputs, output: output + large)
    with pytest.raises(NonFinite, match=r"answered inf \(number 2 of 3\)"):
        Engine(model).answer([PairOutput("she", "he")])


@pytest.mark.parametrize(
    ("architecture", "kind", "request_", "needed"),
    [
        ("bert", "masked", TextLogProb("A"), "causal"),
        ("gpt2", "causal", PseudoLogProb("A"), "masked"),
        ("bert", "encoder", PairOutput("A", "B"), "pair_classifier or pair_regressor"),
    ],
)
def test_a_request_for_another_kind_is_refused_before_anything_runs(architecture, kind, request_, needed):
    engine = Engine(model_of(architecture, kind))
    message = f"{type(request_).__name__} needs a model of kind {needed}; tiny:{architecture}:{kind} is {kind}"
    for ask in (engine.answer, engine.cost, lambda requests: answer_pool(engine, {"m": requests})):
        with pytest.raises(ModelError, match=message):
            ask([SentenceVector("A"), request_])
    assert engine.usage.forward_passes == 0


def test_a_pool_is_answered_measure_by_measure_and_shared_requests_once():
    model = model_of("gpt2", "causal")
    pool = {
        "sum": [TextLogProb(text) for text in TEXTS[:4]],
        "mean": [TextLogProb(text) for text in TEXTS[:4]],
        "more": [TextLogProb(TEXTS[4]), TextLogProb(TEXTS[0]), TextLogProb(TEXTS[4])],
    }
    engine = Engine(model)
    seen: list[tuple[int, int]] = []
    answers = answer_pool(engine, pool, lambda done, total: seen.append((done, total)))
    assert engine.usage.forward_passes == 0
    name, found = next(answers)
    assert (name, list(found)) == ("sum", pool["sum"])
    after_first = engine.usage.tokens_forwarded
    assert next(answers)[0] == "mean"
    assert engine.usage.tokens_forwarded == after_first
    name, found = next(answers)
    assert (name, set(found)) == ("more", set(pool["more"]))
    with pytest.raises(StopIteration):
        next(answers)
    assert engine.usage.requests_answered == 5
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1] == (engine.usage.tokens_forwarded, engine.usage.tokens_forwarded)
    assert len({total for _, total in seen}) == 1


def test_the_network_is_in_eval_mode_and_keeps_no_gradient():
    model = tiny_model("gpt2", "causal")
    model.network.train()
    request = TextLogProb(TEXTS[0])
    first, second = (Engine(model).answer([request])[request].logprobs for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert not model.network.training
    assert all(parameter.grad is None for parameter in model.network.parameters())


def test_a_token_budget_must_be_positive():
    with pytest.raises(BadSetting, match="budget of 0"):
        Engine(model_of("gpt2", "causal"), token_budget=0)


def test_usage_can_be_written_as_json():
    import json
    from dataclasses import asdict

    engine = Engine(model_of("gpt2", "causal"))
    engine.answer([TextLogProb(TEXTS[0])])
    usage = json.loads(json.dumps(asdict(engine.usage)))
    assert usage["prefix_sharing"] is True
    assert usage["forward_passes"] == 1


def test_a_composite_config_is_asked_for_its_language_model():
    model = tiny_model("llama", "causal")
    inner = model.network.config
    whole = type("Composite", (), {"get_text_config": lambda self: inner})()
    network = type("Network", (), {"config": whole, "named_modules": lambda self: iter(())})()
    assert positions_limit(network) == inner.max_position_embeddings


@pytest.mark.parametrize("request_of", [TextLogProb, SentenceVector, StaticVector])
def test_a_token_that_only_the_tokeniser_has_is_refused_by_its_number(request_of):
    model = tiny_model("llama", "causal")
    model = replace(model, tokenizer=copy.deepcopy(model.tokenizer))
    rows = model.network.get_input_embeddings().weight.shape[0]
    model.tokenizer.add_tokens([f"<new {k}>" for k in range(rows - len(model.tokenizer))])
    model.tokenizer.add_tokens(["zebra"])
    with pytest.raises(ModelError, match=rf"gives the token {rows} .*the network has {rows}"):
        Engine(model).answer([request_of("The zebra ran.")])


def test_a_padding_token_that_only_the_tokeniser_has_is_not_used():
    model = tiny_model("llama", "causal")
    model = replace(model, tokenizer=copy.deepcopy(model.tokenizer))
    expected = Engine(model).answer(requests := [SentenceVector("The cat."), SentenceVector("The cat sat on a mat.")])
    model.network.config.pad_token_id = None
    rows = model.network.get_input_embeddings().weight.shape[0]
    model.tokenizer.add_tokens([f"<new {k}>" for k in range(rows - len(model.tokenizer))])
    model.tokenizer.add_special_tokens({"pad_token": "<padding>"})
    assert model.tokenizer.pad_token_id >= rows
    found = Engine(model).answer(requests)
    for request in requests:
        assert np.allclose(found[request].values, expected[request].values, atol=1e-5)
