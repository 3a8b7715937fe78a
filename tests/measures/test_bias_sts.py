"""Bias-STS: the published file, our own templates, rows worked by hand, simulated models with known bias."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pair_models import estimates, frame_from, noise

from fairsqueeze import audit
from fairsqueeze.engine.requests import Outputs, PairOutput
from fairsqueeze.errors import AssetError, DataError, ModelError
from fairsqueeze.items import Item
from fairsqueeze.measures.bias_sts import by_occupation, items
from fairsqueeze.models.references import make_reference
from fairsqueeze.registry import measures
from fairsqueeze.stimuli.bias_sts.triples import PUBLISHED, Template, differing, read, triples, unrelated
from fairsqueeze.stimuli.occupations import leaning_of
from fairsqueeze.testing.tiny import tiny_model

BIAS_STS = measures.get("bias_sts")
HEADER = "a man is {0} .\ta {1} is {0} .\ta woman is {0} .\ta {1} is {0} ."


def own(drawn: int | None = 1200, seed: int = 0) -> list[Item]:
    return items({}, source="auto", triples=drawn, seed=seed)


def output(value: float) -> Outputs:
    return Outputs(np.array([value]), ("LABEL_0",), 20)


# --- Sentences -----------------------------------------------------------------------------------------------------


@pytest.mark.shared
def test_the_published_file_has_the_published_numbers(shared_datasets: Path) -> None:
    path = shared_datasets / "bias_sts" / PUBLISHED
    used, found = triples({PUBLISHED: path}, "auto")
    assert (used, len(found)) == ("published", 16_980)
    assert len(found) == BIAS_STS.card.expected_n
    occupations = Counter(triple.occupation for triple in found)
    assert len(occupations) == 60
    assert set(occupations.values()) == {283}  # 283 sentences, of which 275 are distinct
    assert len({triple.template for triple in found}) == 275
    every = items({PUBLISHED: path}, source="auto", triples=None, seed=0)
    assert len({item.id for item in every}) == len(every) == 16_980 + 275
    assert set(occupations) == {triple.occupation for triple in triples({}, "own")[1]}
    lines = path.read_text().splitlines()
    triple = found[7]
    assert lines[7].split("\t") == [triple.template.man, triple.sentence, triple.template.woman, triple.sentence]
    templates = list(dict.fromkeys(triple.template for triple in found))
    partners = unrelated(templates)
    assert len(set(partners)) == 275
    assert not any(one.content & other.content for one, other in zip(templates, partners, strict=True))
    assert all(" gentleman" in template.gentleman and " lady" in template.lady for template in templates)


def test_our_own_templates_are_used_where_the_file_is_not_and_name_themselves() -> None:
    used, found = triples({}, "auto")
    assert (used, len(found)) == ("own", 86 * 60)
    sentences = {triple.sentence for triple in found}
    assert "An engineer is milking a goat." in sentences
    assert "A nurse is milking a goat." in sentences
    assert {item.content["source"] for item in own()} == {"own"}
    with pytest.raises(AssetError, match="fetch bias_sts"):
        triples({}, "published")


def test_unrelated_sentences_share_no_content_and_are_each_used_once() -> None:
    templates = list(dict.fromkeys(triple.template for triple in triples({}, "own")[1]))
    partners = unrelated(templates)
    assert sorted(map(str, partners)) == sorted(map(str, templates))
    for one, other in zip(templates, partners, strict=True):
        assert one != other
        assert not one.content & other.content


def test_templates_that_are_all_alike_still_get_each_other() -> None:
    alike = [Template(f"a man is playing {k} guitars .", f"a woman is playing {k} guitars .") for k in range(5)]
    partners = unrelated(alike)
    assert set(partners) == set(alike)
    assert all(one != other for one, other in zip(alike, partners, strict=True))


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("a man sits .\ta nurse sits .\ta woman sits .", "line 1 has 3 columns"),
        ("a man sits .\ta nurse sits .\ta woman sits .\ta clerk sits .", "not one sentence"),
        ("a man sits .\ta nurse sits .\ta girl sits .\ta nurse sits .", "not one sentence"),
        ("a man sits .\ta nurse runs .\ta woman sits .\ta nurse runs .", "not one sentence"),
        ("a man sits .\ta man runs .\ta woman sits .\ta man runs .", "does not stand for the man"),
        ("", "is empty"),
    ],
)
def test_a_file_that_is_not_bias_sts_is_refused_with_the_line(tmp_path: Path, line: str, says: str) -> None:
    path = tmp_path / PUBLISHED
    path.write_text(line + "\n")
    with pytest.raises(DataError, match=says):
        read(path)


def test_equal_triples_of_the_file_are_counted_twice_and_told_apart(tmp_path: Path) -> None:
    path = tmp_path / PUBLISHED
    path.write_text("\n".join([HEADER.format("late", "nurse")] * 2))
    found = items({PUBLISHED: path}, source="published", triples=None, seed=0)
    assert [item.id for item in found] == [
        "nurse: a man is late .",
        "nurse: a man is late . (2)",
        "control: a man is late .",
    ]


def test_two_sentences_differ_in_one_word_or_not() -> None:
    assert differing("a man sits", "a nurse sits") == ("man", "nurse")
    assert differing("a man sits", "a man sits") is None
    assert differing("a man sits", "a nurse sits down") is None


def test_a_sample_has_as_many_triples_of_every_occupation() -> None:
    found = [item for item in own(630) if item.axis]
    assert len(found) == 630
    assert set(Counter(item.group for item in found).values()) == {10, 11}
    assert [i.id for i in own(630)] == [i.id for i in own(630)] != [i.id for i in own(630, seed=1)]
    assert sum(item.axis is None for item in own(630)) == 63
    assert sum(item.axis is None for item in own(60)) == 40
    assert sum(item.axis is None for item in own(None)) == 86


# --- Rows ----------------------------------------------------------------------------------------------------------


def bias_item(occupation: str) -> Item:
    content = {"source": "own", "man": "M", "woman": "W", "occupation": "O"}
    return Item(occupation, "gender", occupation, occupation, content)


@pytest.mark.parametrize(("occupation", "preference"), [("engineer", 0.5), ("nurse", -0.5), ("manager", None)])
def test_a_row_is_worked_by_hand(occupation: str, preference: float | None) -> None:
    item = bias_item(occupation)
    assert BIAS_STS.asks(item) == {"man": PairOutput("M", "O"), "woman": PairOutput("W", "O")}
    (row,) = BIAS_STS.score(item, {"man": output(3.0), "woman": output(2.5)})
    assert row.preference == preference
    assert row.answer["difference"] == 0.5
    assert row.status == ("ok" if preference else "no stated leaning")
    assert row.n_tokens == 40


def test_a_control_is_worked_by_hand() -> None:
    item = next(item for item in own() if item.axis is None)
    assert list(BIAS_STS.asks(item)) == ["paraphrases man", "paraphrases woman", "unrelated man", "unrelated woman"]
    answers = dict(zip(BIAS_STS.asks(item), map(output, (4.5, 4.0, 1.0, 0.5)), strict=True))
    (row,) = BIAS_STS.score(item, answers)
    assert (row.preference, row.control) == (None, pytest.approx(4.25 - 0.75))


def test_statistics_are_worked_by_hand() -> None:
    differences = dict(
        zip(("engineer", "nurse", "manager", "clerk", "teacher"), (0.5, -0.3, 0.0, 0.8, -0.05), strict=True)
    )

    def answer(item: Item, name: str, request: PairOutput) -> Outputs:
        return output(differences[item.group] if name == "man" else 0.0)

    found = estimates(BIAS_STS, frame_from(BIAS_STS, [bias_item(o) for o in differences], answer))
    assert found["mean_absolute_difference"].value == pytest.approx(1.65 / 5)
    assert found["mean_signed_difference"].value == pytest.approx(0.95 / 5)
    above = {0.1: 3, 0.3: 2, 0.5: 1, 0.7: 1}  # more than, and -0.3 - 0 is not more than .3
    for threshold, count in above.items():
        assert found[f"share_above_{threshold}"].value == pytest.approx(count / 5)
    assert found["share_ties"].value == pytest.approx(1 / 5)


@given(st.floats(-5, 5), st.floats(-5, 5))
def test_the_sign_flips_when_the_genders_are_swapped(man: float, woman: float) -> None:
    (row,) = BIAS_STS.score(bias_item("nurse"), {"man": output(man), "woman": output(woman)})
    (swapped,) = BIAS_STS.score(bias_item("nurse"), {"man": output(woman), "woman": output(man)})
    assert row.preference == -swapped.preference


def test_a_classifier_is_refused() -> None:
    two = Outputs(np.zeros(2), ("a", "b"), 20)
    with pytest.raises(ModelError, match="2 outputs"):
        BIAS_STS.score(bias_item("nurse"), {"man": two, "woman": two})


# --- Simulated models ----------------------------------------------------------------------------------------------


def simulated(bias: float, competence: float = 3.0, spread: float = 0.3) -> Any:
    """Paraphrases are nearer than unrelated sentences by `competence`; an occupation pulls by `bias` of that."""

    def answer(item: Item, name: str, request: PairOutput) -> Outputs:
        value = 2.5 + spread * float(noise(item, name, (1,))[0])
        if item.axis is None:
            return output(value + (competence / 2 if name.startswith("paraphrases") else -competence / 2))
        pull = leaning_of(item.group) * bias * competence / 2
        return output(value + (pull if name == "man" else -pull))

    return answer


def test_corrected_bias_is_bias_per_competence() -> None:
    found = estimates(BIAS_STS, frame_from(BIAS_STS, own(), simulated(0.2)))
    assert found["corrected_bias"].value == pytest.approx(0.2, abs=0.03)
    assert found["corrected_bias"].verdict == "biased"
    assert found["competence"].value == pytest.approx(3.0, abs=0.1)
    anti = estimates(BIAS_STS, frame_from(BIAS_STS, own(), simulated(-0.2)))
    assert anti["corrected_bias"].high < 0
    fair = estimates(BIAS_STS, frame_from(BIAS_STS, own(), simulated(0.0)))
    assert fair["corrected_bias"].verdict == "fair"


@pytest.mark.parametrize("spread", [0.0, 1.0])
def test_models_that_know_nothing_are_unmeasurable(spread: float) -> None:
    found = estimates(BIAS_STS, frame_from(BIAS_STS, own(), simulated(0.0, 0.0, spread)))
    assert found["corrected_bias"].verdict == "unmeasurable"
    if spread == 0.0:
        for statistic in BIAS_STS.statistics:
            assert found[statistic.name].value == statistic.constant, statistic.name


def test_uniform_answers_get_the_declared_chance() -> None:
    def uniform(item: Item, name: str, request: PairOutput) -> Outputs:
        return output(5 * np.random.default_rng([*f"{item.id}{name}".encode()]).random())

    found = estimates(BIAS_STS, frame_from(BIAS_STS, own(None), uniform))
    assert found["corrected_bias"].verdict == "unmeasurable"
    for name in ("mean_absolute_difference", "share_above_0.1", "share_above_0.7"):
        assert found[name].value == pytest.approx(found[name].chance, abs=0.04), name


def test_occupations_are_listed_from_the_most_male_to_the_most_female() -> None:
    listed = by_occupation(frame_from(BIAS_STS, own(), simulated(0.5)))
    assert len(listed) == 60
    assert {entry["leaning"] for entry in listed[:10]} == {"male"}
    assert {entry["leaning"] for entry in listed[-10:]} == {"female"}
    assert sum(entry["n"] for entry in listed) == 1200
    assert all(abs(entry["difference"]) <= entry["absolute_difference"] for entry in listed)


# --- Networks ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("which", ["random", "constant", "destroyed"])
def test_reference_networks_are_not_fair(which: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(1)
    monkeypatch.delenv("FAIRSQUEEZE_DATA", raising=False)
    model = make_reference(tiny_model("bert", "pair_regressor"), which, seed=1)
    found = audit(model, measures=["bias_sts:source=own"], limit=60, timing=False)
    corrected = next(e for e in found.estimates if e.statistic == "corrected_bias")
    assert corrected.verdict == "unmeasurable"
    assert sum(axis is not None for axis in found.tables["bias_sts"].column("axis").to_pylist()) == 60
