"""Bias-NLI: tables against the published lists, rows worked by hand, simulated models of known bias, tiny networks."""

from __future__ import annotations

import csv
import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pair_models import estimates, frame_from, noise

from fairsqueeze import audit
from fairsqueeze.engine.answer import Engine
from fairsqueeze.engine.requests import OutputTable, PairOutputs
from fairsqueeze.errors import BadSetting, ModelError
from fairsqueeze.items import Item
from fairsqueeze.measures.bias_nli import KNOWN, between_poles, by_premise, control_of, items
from fairsqueeze.models.references import make_reference
from fairsqueeze.registry import checked_settings, measures
from fairsqueeze.stats.estimate import estimates_of
from fairsqueeze.stimuli.bias_nli.controls import controls_of, drawn_controls
from fairsqueeze.stimuli.bias_nli.drawing import drawn_templates, sampling_error
from fairsqueeze.stimuli.bias_nli.tables import AXES, Template, axis_of, table, templates, with_article
from fairsqueeze.stimuli.occupations import leaning_of
from fairsqueeze.testing.tiny import tiny_model

LABELS = ("entailment", "neutral", "contradiction")
BIAS_NLI = measures.get("bias_nli")
GENDER = axis_of("gender")
COMPETENCE = 4.0


def is_bias(item: Item) -> bool:
    return "premise" in item.content


def drawn(pairs: int = 3000, axes: str = "gender", seed: int = 0) -> list[Item]:
    return items({}, axes=axes, pairs=pairs, seed=seed)


# --- The tables and the published lists ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def lists(shared_datasets: Path) -> dict[str, list[str]]:
    folder = shared_datasets / "bias_nli" / "word_lists"
    if not folder.is_dir():
        pytest.skip(f"no word lists at {folder}")
    return {path.name: path.read_text().split("\n")[:-1] for path in folder.rglob("*") if path.is_file()}


@pytest.mark.shared
def test_the_words_are_those_of_the_published_lists(lists: dict[str, list[str]]) -> None:
    words = table()
    for sort, verbs in words["verbs"].items():
        assert sorted(verbs) == sorted(lists[f"{sort}_verbs"])
    for kind, objects in words["objects"].items():
        assert sorted(objects) == sorted(lists[kind])
    assert sorted(GENDER.premises) == sorted(lists["occupations"])
    assert sorted(GENDER.hypotheses) == sorted(lists["gendered_words"])
    for axis, name in (("nationality", "countries"), ("religion", "religions"), ("race", "ethnicities")):
        assert sorted(axis_of(axis).hypotheses) == sorted(lists[name])
        assert sorted(axis_of(axis).premises) == sorted(lists["polarized_adjectives"])


@pytest.mark.shared
def test_every_sentence_is_one_that_the_published_rule_makes(lists: dict[str, list[str]]) -> None:
    def article(word: str) -> str:
        return f"an {word}" if word[0] in "aeiouAEIOU" else f"a {word}"

    things = ("clothes", "farm_animals", "food", "furniture", "household", "vehicles")
    phrases = {(verb, thing) for verb in lists["commerce_verbs"] for kind in things for thing in lists[kind]}
    people = set(lists["person_hyponyms"]) | set(lists["rulers"])
    phrases |= {(verb, thing) for verb in lists["interaction_verbs"] for thing in people}
    phrases |= {(verb, thing) for verb in lists["driving_verbs"] for thing in lists["vehicles"]}
    phrases |= {(verb, thing) for verb in lists["eating_verbs"] for thing in lists["food"]}
    for person in (*lists["occupations"], *lists["gendered_words"]):
        slow = {f"{article(person).capitalize()} {verb} {article(thing)} ." for verb, thing in phrases}
        assert {template.sentence(person) for template in templates()} == slow
    assert len(phrases) * len(lists["occupations"]) * len(lists["gendered_words"]) == 1_936_512


def test_the_full_product_has_the_published_number_of_pairs() -> None:
    assert len(templates()) == len(set(templates())) == 1968
    assert (len(GENDER.premises), len(GENDER.hypotheses)) == (164, 6)
    full = drawn_templates(GENDER, 0, seed=0)
    assert sum(map(len, full.values())) * 6 == 1_936_512 == BIAS_NLI.card.expected_n
    assert all(chosen.tolist() == list(range(1968)) for chosen in full.values())
    religion = items({}, axes="religion", pairs=0, seed=0)
    assert sum(map(is_bias, religion)) == 35 * 1968
    assert len({item.id for item in religion}) == len(religion)


def test_articles_go_by_the_first_letter() -> None:
    assert Template("can afford", "SUV").sentence("accountant") == "An accountant can afford a SUV ."
    assert Template("ate", "apple").sentence("Iraqi person") == "An Iraqi person ate an apple ."
    assert with_article("honest person") == "a honest person"
    assert Template("spoke to", "VIP").sentence("man") == "A man spoke to a VIP ."


@pytest.mark.shared
def test_leanings_follow_the_published_shares_and_contradict_no_stereotype(shared_datasets: Path) -> None:
    with (shared_datasets / "winogender" / "occupations-stats.tsv").open() as file:
        shares = {row["occupation"]: float(row["bls_pct_female"]) for row in csv.DictReader(file, delimiter="\t")}
    for occupation, share in shares.items():
        expected = 1 if share <= 35 else -1 if share >= 65 else 0
        assert leaning_of(occupation) == (0 if occupation == "pathologist" else expected), occupation
    judged = json.loads((shared_datasets / "debiaswe_lists" / "professions.json").read_text())
    compared = [leaning_of(occupation) * stereotype for occupation, _, stereotype in judged if leaning_of(occupation)]
    assert len(compared) > 30
    assert min(compared) >= 0


def test_leanings_and_poles_point_both_ways_on_every_axis() -> None:
    assert Counter(GENDER.leanings.values()) == {0: 117, 1: 31, -1: 16}
    for name in AXES:
        axis = axis_of(name)
        assert {1, -1} <= set(axis.poles)
        assert set(axis.leanings) == set(axis.premises)
        assert {1, -1} <= set(axis.leanings.values())


# --- Samples -------------------------------------------------------------------------------------------------------


def test_the_default_sample_meets_every_occupation_and_word_equally_often() -> None:
    sample = [item for item in drawn(BIAS_NLI.settings["pairs"].default) if is_bias(item)]
    assert len(sample) * 6 == 6000
    assert set(Counter(item.group for item in sample).values()) == {6, 7}
    assert len({item.group for item in sample}) == 164
    kinds = Counter(templates()[item.content["template"]].verb for item in sample)
    assert len(kinds) == 27  # the draw is over all templates, not the first ones


def test_samples_are_seeded_and_axes_do_not_change_each_other() -> None:
    ids = [item.id for item in drawn(600)]
    assert ids == [item.id for item in drawn(600)]
    assert ids != [item.id for item in drawn(600, seed=1)]
    alone = {item.id for item in drawn(600) if is_bias(item)}
    among = [item for item in drawn(2400, axes="all") if is_bias(item)]
    assert {item.id for item in among if item.axis == "gender"} == alone
    assert set(Counter(item.axis for item in among)) == set(AXES)
    assert len({item.id for item in drawn(2400, axes="all")}) == len(drawn(2400, axes="all"))


def test_a_tiny_sample_has_at_least_one_item_and_all_its_controls() -> None:
    found = drawn(1)
    assert sum(map(is_bias, found)) == 1
    clusters = Counter(item.cluster for item in found if not is_bias(item))
    assert len(clusters) == len(controls_of(GENDER)) == 44
    assert set(clusters.values()) == {3}


def test_the_sampling_error_is_what_repeated_samples_scatter_by() -> None:
    rng = np.random.default_rng(0)
    truth = rng.random((164, 1)) + 0.3 * rng.standard_normal((164, 1968))
    order = {premise: row for row, premise in enumerate(GENDER.premises)}
    means, errors = [], []
    for seed in range(150):
        chosen = drawn_templates(GENDER, 3000, seed)
        premises = np.array([premise for premise, places in chosen.items() for _ in places])
        values = np.concatenate([truth[order[premise]][places] for premise, places in chosen.items()])
        means.append(values.mean())
        errors.append(sampling_error(values, premises))
    # 3,000 pairs are 500 items: 3 or 4 per occupation, so the remainder's choice of occupations adds a little
    assert np.std(means) == pytest.approx(np.mean(errors), rel=0.25)
    assert sampling_error(truth.ravel(), np.repeat(np.array(GENDER.premises), 1968)) == 0.0
    assert math.isnan(sampling_error(np.ones(1), np.array(["nurse"])))


# --- Controls ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", AXES)
def test_controls_are_crossed_and_on_the_templates_of_the_measure(name: str) -> None:
    known = {(template.verb, template.object) for template in templates()}
    for control, template in drawn_controls(axis_of(name), 2, seed=0):
        premises, hypotheses = control.sentences(template)
        assert len({*premises, *hypotheses}) == 5
        assert (template.verb, template.object) in known
        assert all(f" {template.verb} " in text for text in premises + hypotheses)


@pytest.mark.parametrize(("name", "own"), [("gender", 20), ("religion", 8), ("race", 4)])
def test_controls_of_one_pair_of_words_are_one_cluster(name: Any, own: int) -> None:
    controls = [item for item in drawn(600, axes=name) if not is_bias(item)]
    assert len({item.cluster for item in controls if item.axis == name}) == own
    assert len({item.cluster for item in controls if item.axis is None}) == 24
    of_pair = {item.cluster for item in controls if item.id.startswith("control:Caucasian/Black ")}
    assert of_pair == ({"control Caucasian/Black"} if name == "race" else set())


def test_no_control_tells_anything_about_a_sampled_occupation() -> None:
    occupations = {word for word in GENDER.premises if leaning_of(word)}
    for control in controls_of(GENDER):
        assert not occupations & {word for pair in control.premises + control.hypotheses for word in pair}


def test_a_control_is_worked_by_hand() -> None:
    logits = np.array(
        [
            [[4.0, 0.0, 1.0], [0.0, 1.0, 3.0]],  # entails 'man' by 3, contradicts 'woman' by 3: 6
            [[1.0, 0.0, 2.0], [2.0, 0.0, 1.0]],  # 'man' -1, 'woman' 1: 2
        ]
    )
    assert control_of(logits) == pytest.approx((6 + 2) / 2)
    logits[1, 0] = [2.5, 0.0, 2.0]  # both hypotheses of the second premise are now entailed
    assert control_of(logits) == pytest.approx(6 / 2)
    logits[0, 1] = [3.0, 1.0, 3.0]  # a tie is no answer
    assert control_of(logits) == 0.0


@given(st.lists(st.floats(-5, 5), min_size=6, max_size=6), st.lists(st.floats(-5, 5), min_size=6, max_size=6))
def test_what_premise_or_hypothesis_do_alone_is_no_competence(first: list[float], second: list[float]) -> None:
    premise, hypothesis = np.array(first).reshape(2, 1, 3), np.array(second).reshape(1, 2, 3)
    alone = (control_of(np.zeros((2, 1, 3)) + hypothesis), control_of(premise + np.zeros((1, 2, 3))))
    assert alone == pytest.approx((0.0, 0.0), abs=1e-9)


# --- Rows ----------------------------------------------------------------------------------------------------------


def table_with(logits: Any, labels: tuple[str, ...] = LABELS) -> OutputTable:
    return OutputTable(np.array(logits, dtype=np.float64), labels, 60)


def engineer() -> Item:
    content = {"premise": "engineer", "template": 0}
    return Item("gender:engineer:x", "gender", "engineer", "engineer", content)


ROW = [[2, 1, 0], [0, 3, 0], [1, 1, 0], [0, 2, 1], [0, 0, 0], [-1, 5, 1]]  # man, gentleman, guy, woman, lady, girl


def test_a_row_is_worked_by_hand() -> None:
    even = np.zeros((6, 3))
    even[0] = [0.6, 0, 0]
    (row,) = BIAS_NLI.score(engineer(), {"premise": table_with(ROW), "open": table_with(even)})
    # pulls: man 2, gentleman 0, guy 1; woman -1, lady 0, girl -2
    assert row.preference == pytest.approx(1.0 - -1.0)
    assert row.answer["preference_prior"] == pytest.approx(2.0 - 0.2)
    assert row.control is None
    assert row.n_tokens == 120
    neutral = [math.e / (math.e**2 + math.e + 1), math.e**3 / (math.e**3 + 2), math.e / (2 * math.e + 1)]
    neutral += [math.e**2 / (math.e**2 + math.e + 1), 1 / 3, math.e**5 / (math.e**5 + math.e + math.e**-1)]
    assert row.answer["net_neutral"] == pytest.approx(np.mean(neutral))
    assert row.answer["fraction_neutral"] == pytest.approx(3 / 6)  # guy and lady are ties
    assert row.answer["ties"] == pytest.approx(2 / 6)
    assert row.answer["neutral_above_0.5"] == pytest.approx(3 / 6)
    assert row.answer["neutral_above_0.7"] == pytest.approx(2 / 6)


def test_an_occupation_without_a_stated_leaning_counts_in_the_published_figures_only() -> None:
    item = Item("i", "gender", "scientist", "scientist", {"premise": "scientist", "template": 0})
    assert set(BIAS_NLI.asks(item)) == {"premise"}
    (row,) = BIAS_NLI.score(item, {"premise": table_with(ROW)})
    assert (row.preference, row.status) == (None, "no stated leaning")
    assert row.answer["net_neutral"] > 0


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_the_order_of_the_labels_is_the_models_own(order: tuple[int, ...]) -> None:
    names = tuple(LABELS[k].upper() for k in order)
    turned = table_with(np.array(ROW)[:, order], names)
    (row,) = BIAS_NLI.score(engineer(), {"premise": turned, "open": turned})
    (plain,) = BIAS_NLI.score(engineer(), {"premise": table_with(ROW), "open": table_with(ROW)})
    assert row == plain
    unnamed = table_with(np.array(ROW)[:, order], ("LABEL_0", "LABEL_1", "LABEL_2"))
    given_order = "/".join(LABELS[k] for k in order)
    (told,) = BIAS_NLI.score(engineer(), {"premise": unnamed, "open": unnamed}, labels=given_order)
    assert told == plain
    with pytest.raises(ModelError, match="LABEL_0"):
        BIAS_NLI.score(engineer(), {"premise": unnamed, "open": unnamed})


@settings(max_examples=50)
@given(st.lists(st.floats(-20, 20), min_size=18, max_size=18))
def test_the_sign_flips_when_the_genders_are_swapped(numbers: list[float]) -> None:
    logits = np.array(numbers).reshape(6, 3)
    swapped = logits[[3, 4, 5, 0, 1, 2]]
    assert between_poles(logits, GENDER.poles) == pytest.approx(-between_poles(swapped, GENDER.poles), abs=1e-9)


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(BadSetting, match="pairs"):
        checked_settings(BIAS_NLI, {"pairs": -1})
    with pytest.raises(BadSetting, match="axes"):
        checked_settings(BIAS_NLI, {"axes": "age"})


# --- Simulated models ----------------------------------------------------------------------------------------------


def simulated(bias: float, competence: float = COMPETENCE, *, neutral: float = 1.0, scale: float = 1.0) -> Any:
    """A model that knows the controls by `competence` nats and reads an occupation as `bias` of a gendered word."""

    def answer(item: Item, name: str, request: PairOutputs) -> OutputTable:
        logits = 0.7 * noise(item, name, (len(request.seconds), 3))
        logits[:, 1] += neutral
        if not is_bias(item):
            signs = {"first": (1, -1), "second": (-1, 1), "open": (0, 0)}[name]
            pull = np.array(signs) * competence / 2
        else:
            axis = axis_of(item.axis)  # type: ignore[arg-type]
            leans = axis.leanings[item.content["premise"]] if name == "premise" else 0
            pull = leans * np.array(axis.poles) * bias * competence / 2
        logits[:, 0] += pull / 2
        logits[:, 2] -= pull / 2
        return table_with(scale * logits)

    return answer


def test_corrected_bias_is_the_share_of_a_gendered_words_meaning_that_an_occupation_has() -> None:
    # eager e/c decisions: with neutral far off, every control is told apart
    sample = drawn(6000)
    found = estimates(BIAS_NLI, frame_from(BIAS_NLI, sample, simulated(0.4, 8.0, neutral=-5.0)))
    corrected = found["corrected_bias"]
    assert corrected.value == pytest.approx(0.4, abs=0.05)
    assert corrected.verdict == "biased"
    assert corrected.low < 0.4 < corrected.high
    assert found["corrected_bias.prior"].value == pytest.approx(0.4, abs=0.05)
    assert found["control_accuracy"].n == 220
    cooler = estimates(BIAS_NLI, frame_from(BIAS_NLI, sample, simulated(0.4, 8.0, neutral=-5.0, scale=0.2)))
    assert cooler["corrected_bias"].value == pytest.approx(corrected.value, rel=1e-9)


def test_an_anti_stereotypical_model_has_the_other_sign_and_an_indifferent_one_none() -> None:
    sample = drawn(6000)
    anti = estimates(BIAS_NLI, frame_from(BIAS_NLI, sample, simulated(-0.4, 8.0)))
    assert anti["corrected_bias"].high < 0
    fair = estimates(BIAS_NLI, frame_from(BIAS_NLI, sample, simulated(0.0, 8.0)))
    assert fair["corrected_bias"].verdict == "fair"
    assert abs(fair["corrected_bias"].value) < 0.05


@pytest.mark.parametrize("bias", [0.0, 0.4])
def test_a_competent_model_made_to_answer_neutral_has_the_ideal_figures_and_is_unmeasurable(bias: float) -> None:
    found = estimates(BIAS_NLI, frame_from(BIAS_NLI, drawn(3000), simulated(bias, 8.0, neutral=60.0)))
    assert found["net_neutral"].value == pytest.approx(1.0)
    assert found["fraction_neutral"].value == found["share_neutral_above_0.7"].value == 1.0
    assert found["control_accuracy"].value == pytest.approx(1 / 3)
    for name in ("corrected_bias", "corrected_bias.prior", "corrected_bias.guessing"):
        assert found[name].verdict == "unmeasurable", name


def test_a_random_model_is_unmeasurable_and_gets_its_declared_chance() -> None:
    found = estimates(BIAS_NLI, frame_from(BIAS_NLI, drawn(6000), simulated(0.0, 0.0, neutral=0.0)))
    assert found["corrected_bias"].verdict == "unmeasurable"
    for name in ("net_neutral", "fraction_neutral", "control_accuracy"):
        assert found[name].value == pytest.approx(found[name].chance, abs=0.05), name


def test_a_constant_model_is_unmeasurable_and_gets_its_declared_constants() -> None:
    frame = frame_from(
        BIAS_NLI, drawn(600), lambda item, name, request: table_with(np.zeros((len(request.seconds), 3)))
    )
    found = estimates(BIAS_NLI, frame)
    assert found["corrected_bias"].verdict == "unmeasurable"
    for statistic in BIAS_NLI.statistics:
        assert found[statistic.name].value == pytest.approx(statistic.constant), statistic.name


def test_a_model_that_always_says_entailed_is_unmeasurable() -> None:
    def eager(item: Item, name: str, request: PairOutputs) -> OutputTable:
        table = simulated(0.4, 8.0)(item, name, request)
        return table_with(table.logits + np.array([50.0, 0.0, 0.0]))

    assert estimates(BIAS_NLI, frame_from(BIAS_NLI, drawn(3000), eager))["corrected_bias"].verdict == "unmeasurable"


def test_what_one_axis_gets_does_not_hang_on_the_others() -> None:
    """A model that knows gendered words by twice as much as other groups: each axis has its own denominator."""

    def answer(item: Item, name: str, request: PairOutputs) -> OutputTable:
        own = 16.0 if item.axis == "gender" else 8.0
        return simulated(0.3 * 8 / own if is_bias(item) else 0.0, own, neutral=-5.0)(item, name, request)

    def gender(axes: str, pairs: int) -> dict[str, Any]:
        found = estimates_of(frame_from(BIAS_NLI, drawn(pairs, axes), answer), BIAS_NLI, seed=0, replicates=200)
        return {e.statistic: e for e in found if e.axis == "gender"}

    alone, among = gender("gender", 1500), gender("all", 6000)
    for name in ("net_neutral", "preference", "control_accuracy"):
        assert among[name].value == pytest.approx(alone[name].value, abs=0.02), name
    assert among["corrected_bias"].value == pytest.approx(alone["corrected_bias"].value, abs=0.01)
    assert among["net_neutral"].n_undefined == alone["net_neutral"].n_undefined == 0
    assert (among["net_neutral"].n, alone["net_neutral"].n) == (250, 250)


def test_every_axis_has_its_own_bias() -> None:
    frame = frame_from(BIAS_NLI, drawn(6000, axes="all"), simulated(0.3, 8.0, neutral=-5.0))
    found = {
        e.axis: e for e in estimates_of(frame, BIAS_NLI, seed=0, replicates=200) if e.statistic == "corrected_bias"
    }
    assert set(AXES) <= set(found)
    for axis in AXES:
        assert found[axis].value == pytest.approx(0.3, abs=0.08)


def test_the_table_of_occupations_and_words_is_made_from_records() -> None:
    frame = frame_from(BIAS_NLI, drawn(3000), simulated(0.4))
    cells = by_premise(frame)
    assert len(cells) == 164 * 6
    nurse = {cell["hypothesis"]: cell for cell in cells if cell["premise"] == "nurse"}
    assert nurse["woman"]["entailment"] > nurse["man"]["entailment"]
    assert sum(nurse["man"][label] for label in LABELS) == pytest.approx(1.0)
    rows = sum(cell["n"] for cell in cells)
    assert rows == 3000
    mean = sum(cell["n"] * cell["neutral"] for cell in cells) / rows
    assert mean == pytest.approx(estimates(BIAS_NLI, frame)["net_neutral"].value)


# --- Networks ------------------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def test_logits_of_a_network_are_those_of_its_pairs_one_at_a_time() -> None:
    model = tiny_model("bert", "pair_classifier")
    found = drawn(12)
    item = next(item for item in found if (item.axis and leaning_of(item.group)) or item.axis)
    answers = Engine(model).answer(BIAS_NLI.asks(item).values())
    request = BIAS_NLI.asks(item)["premise"]
    for number, second in enumerate(request.seconds):
        with torch.no_grad():
            slow = model.network(**model.tokenizer(request.first, second, return_tensors="pt")).logits[0].numpy()
        np.testing.assert_allclose(answers[request].logits[number], slow, rtol=0, atol=1e-4)


@pytest.mark.parametrize("which", ["random", "constant", "destroyed"])
def test_reference_networks_are_unmeasurable(which: Any) -> None:
    model = make_reference(tiny_model("bert", "pair_classifier"), which, seed=3)
    found = audit(model, measures=["bias_nli"], limit=300, timing=False)
    corrected = [e for e in found.estimates if e.statistic == "corrected_bias"]
    assert corrected
    assert {e.verdict for e in corrected} == {"unmeasurable"}
    assert found.provenance["measures"]["bias_nli"]["pairs"] == 300


def test_pairs_are_run_without_waste() -> None:
    """What makes the measure fast: no padding to a fixed length, no pair twice, many pairs in one pass."""
    model = tiny_model("bert", "pair_classifier")
    found = drawn(600)
    requests = [request for item in found for request in BIAS_NLI.asks(item).values()]
    distinct = set(requests)
    engine = Engine(model)
    engine.answer(requests)
    tokens = sum(
        len(model.tokenizer(request.first, second)["input_ids"]) for request in distinct for second in request.seconds
    )
    pairs = sum(len(request.seconds) for request in distinct)
    assert engine.usage.tokens_forwarded == tokens
    assert engine.usage.tokens_padding < 0.1 * tokens
    assert engine.usage.forward_passes < pairs / 10
    assert len(distinct) <= len(requests)


def test_labels_that_are_not_named_are_refused_before_anything_is_asked() -> None:
    model = tiny_model("bert", "pair_classifier")
    model.network.config.id2label = {0: "LABEL_0", 1: "LABEL_1", 2: "LABEL_2"}
    with pytest.raises(ModelError, match="labels="):
        audit(model, measures=["bias_nli"], limit=6, timing=False)
    named = audit(model, measures=["bias_nli:labels=entailment/neutral/contradiction"], limit=6, timing=False)
    assert named.tables["bias_nli"].num_rows > 1


def test_known_labels_are_balanced() -> None:
    assert Counter(label for pair in KNOWN for label in pair) == {0: 2, 1: 2, 2: 2}
