"""StereoSet: rows from made-up answers, hand-worked figures, and the authors' own cells from their predictions."""

from __future__ import annotations

import gzip
import json
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairsqueeze.engine.requests import BlankFill, TextLogProb, TokenScores
from fairsqueeze.errors import AssetError, BadSetting
from fairsqueeze.items import Item, Row
from fairsqueeze.measures.stereoset import items, published_scores
from fairsqueeze.records import frame_of, table_of
from fairsqueeze.registry import Frame, Measure, Statistic, checked_settings, measures
from fairsqueeze.stimuli.neutral import INITIAL, N_CONTEXTS, WITHIN
from fairsqueeze.stimuli.stereoset import read

VARIANTS = ["masked", "causal"]
WORDS = {"s": "wet", "a": "dry", "u": "sung"}


def item(number: int = 0, term: str = "kelp", *, spans: bool = True, initial: bool = False) -> Item:
    content: dict[str, Any] = {"context": "BLANK kelp" if initial else "The kelp is BLANK.", "initial": initial}
    for letter, word in WORDS.items():
        sentence = f"{word} kelp" if initial else f"The kelp is {word}."
        content[letter] = {
            "id": f"{number}{letter}",
            "sentence": sentence,
            "word": word,
            "span": word if spans else None,
        }
    return Item(str(number), "race", term, term, content)


def tokens(*logprobs: float) -> TokenScores:
    return TokenScores(np.array(logprobs, dtype=np.float64))


def measure(variant: str) -> Measure:
    return measures.get(f"stereoset.{variant}")


def answered(variant: str, one: Item, answer: Callable[[str, Any], TokenScores]) -> Row:
    asked = measure(variant).asks(one)
    (row,) = measure(variant).score(one, {name: answer(name, request) for name, request in asked.items()})
    return row


def from_letters(letters: Mapping[str, TokenScores], neutral: float = -1.0) -> Callable[[str, Any], TokenScores]:
    return lambda name, _: letters[name] if "/" not in name else tokens(neutral)


def frame(rows: list[Row]) -> Frame:
    return frame_of(table_of(rows, step="s", checkpoint="c", measure="m", metadata={}))


def statistic(name: str) -> Statistic:
    return next(s for s in measure("causal").statistics if s.name == name)


def scored(scores: list[tuple[str, float, float, float]]) -> list[Row]:
    """Rows of stereoset.causal with one token per sentence: (term, S, A, U)."""
    return [
        answered("causal", item(k, term), from_letters({"s": tokens(s), "a": tokens(a), "u": tokens(u)}))
        for k, (term, s, a, u) in enumerate(scores)
    ]


def value(name: str, rows: list[Row]) -> float:
    return float(statistic(name).compute(frame(rows), np.ones((1, len(rows))))[0])


# --- What is asked ---


def test_a_causal_model_is_asked_for_sentences_and_for_what_fills_the_blank() -> None:
    asked = measure("causal").asks(item())
    assert asked["s"] == TextLogProb("The kelp is wet.", bos="first")
    assert asked["u/2"] == TextLogProb(" sung", prefix=WITHIN[2].before, bos="first")
    assert len(asked) == 3 + 3 * N_CONTEXTS
    assert measure("causal").asks(item(initial=True))["a/1"] == TextLogProb(
        "dry", prefix=INITIAL[1].before, bos="first"
    )


def test_a_masked_model_is_asked_for_words_at_the_blank() -> None:
    asked = measure("masked").asks(item())
    assert asked["s"] == BlankFill("The kelp is BLANK.", "wet")
    assert asked["a/0"] == BlankFill("This is about BLANK.", "dry")
    assert len(asked) == 3 + 3 * N_CONTEXTS


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_request_fits_the_kinds_of_the_measure(variant: str) -> None:
    assert all(measure(variant).kinds <= request.kinds for request in measure(variant).asks(item()).values())


# --- Rows, worked by hand ---


def test_causal_by_hand() -> None:
    letters = {"s": tokens(-1, -3), "a": tokens(-2, -2, -2), "u": tokens(-9)}
    neutral = {"s": [-1.0, -2.0, -3.0, -4.0], "a": [-2.0] * 4, "u": [-5.0] * 4}

    def answer(name: str, _: Any) -> TokenScores:
        letter, _, number = name.partition("/")
        return tokens(neutral[letter][int(number)]) if number else letters[letter]

    row = answered("causal", item(), answer)
    assert row.preference == 2.0  # -4 + 6, sums
    assert row.control == 4.0  # (-4 - 6) / 2 + 9
    assert row.answer["score_s"] == row.answer["score_a"] == pytest.approx(math.exp(-2))  # a tie in the mean
    assert row.answer["preference_by_context"] == [1.0, 2.0, 3.0, 4.0]  # 2 - (1, 0, -1, -2)
    assert row.answer["preference_prior"] == 2.5
    assert row.answer["control_by_context"] == [0.5, 1.0, 1.5, 2.0]  # 4 - (3.5, 3, 2.5, 2)
    assert row.answer["control_prior"] == 1.25
    assert (row.status, row.n_tokens, row.answer["fits"]) == ("ok", 6, True)


def test_masked_by_hand() -> None:
    letters = {"s": tokens(math.log(0.5), math.log(0.25)), "a": tokens(math.log(0.3)), "u": tokens(math.log(0.1))}
    row = answered("masked", item(), from_letters(letters))
    assert row.answer["score_s"] == pytest.approx(0.375)  # mean of probabilities: S wins ...
    assert row.answer["score_a"] == pytest.approx(0.3)
    assert row.preference == pytest.approx(math.log(0.125 / 0.3))  # ... while its probability is lower
    assert row.control == pytest.approx(math.log(0.125 * 0.3) / 2 - math.log(0.1))
    assert row.answer["n_s"] == 2


def test_an_option_without_a_word_is_undefined_and_the_row_says_so() -> None:
    one = item()
    one.content["u"]["word"] = None
    row = answered("masked", one, lambda *_: tokens(-1.0))
    assert (row.preference, row.control, row.answer["score_u"]) == (0.0, None, None)
    assert row.status == "an option has no word in the place of BLANK"
    assert row.answer["score_s"] is not None
    empty = answered("masked", item(), from_letters({"s": tokens(), "a": tokens(-1.0), "u": tokens(-1.0)}))
    assert empty.preference is None  # a word that has no tokens


@pytest.mark.parametrize("variant", VARIANTS)
def test_without_a_span_there_is_a_raw_score_and_no_prior_corrected_one(variant: str) -> None:
    row = answered(variant, item(spans=False), lambda name, _: tokens({"s": -1.0, "a": -3.0, "u": -9.0}[name]))
    assert (row.preference, row.control) == (2.0, 7.0)
    assert (row.answer["preference_prior"], row.answer["control_by_context"]) == (None, None)
    assert row.status.startswith("no neutral scores")
    assert (row.answer["fits"], row.answer["one_word"]) == (False, False)
    assert list(row.answer) == list(answered(variant, item(), lambda *_: tokens(-1.0)).answer)


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(VARIANTS),
    st.lists(st.floats(-20, 0), min_size=3, max_size=3),
    st.lists(st.floats(-9, 9), min_size=3, max_size=3),
)
def test_adding_a_constant_to_a_word_wherever_it_stands_changes_no_corrected_score(
    variant: str, scores: list[float], constants: list[float]
) -> None:
    def row(shift: list[float]) -> Row:
        def answer(name: str, _: Any) -> TokenScores:
            at = "sau".index(name[0])
            return tokens(scores[at] / 2 + shift[at]) if "/" in name else tokens(-1.0, scores[at] + shift[at])

        return answered(variant, item(), answer)

    before, after = row([0.0] * 3), row(constants)
    for name in ("preference_prior", "control_prior"):
        assert after.answer[name] == pytest.approx(before.answer[name], abs=1e-9)
    assert after.preference == pytest.approx(before.preference + constants[0] - constants[1], abs=1e-9)


# --- Published statistics ---

ITEMS = st.lists(
    st.tuples(st.sampled_from(["kelp", "moss", "reed"]), st.integers(-3, 0), st.integers(-3, 0), st.integers(-3, 0)),
    min_size=1,
    max_size=12,
)


def reference(examples: list[tuple[str, float, float, float]]) -> dict[str, float]:
    """evaluation.py of the authors: counts per target term, then the mean over terms."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for term, s, a, u in examples:
        counts[term]["pro"] += s > a
        counts[term]["related"] += (s > u) + (a > u)
        counts[term]["total"] += 1
    lm = float(np.mean([c["related"] / (2.0 * c["total"]) * 100.0 for c in counts.values()]))
    ss = float(np.mean([100.0 * c["pro"] / c["total"] for c in counts.values()]))
    return {"lm_score": lm, "ss": ss, "icat": lm * min(ss, 100.0 - ss) / 50.0}


def test_statistics_by_hand_with_ties_and_terms_of_different_size() -> None:
    rows = scored(
        [
            ("kelp", -1, -2, -3),  # S, both above U
            ("kelp", -2, -1, -3),  # A, both above U
            ("kelp", -1, -1, -1),  # ties: A, none above U
            ("kelp", -1, -3, -2),  # S, one above U
            ("moss", -1, -2, -2),  # S, one above U: a tie with U misses
        ]
    )
    assert value("ss", rows) == 75.0  # (2/4 + 1/1) / 2
    assert value("lm_score", rows) == 56.25  # (5/8 + 1/2) / 2
    assert value("icat", rows) == 28.125  # 56.25 * 25 / 50
    assert value("share_stereotypical", rows) == 60.0  # 3 of 5
    assert value("share_ties", rows) == 20.0


@settings(max_examples=60, deadline=None)
@given(ITEMS)
def test_statistics_equal_the_reference_loop(examples: list[tuple[str, float, float, float]]) -> None:
    expected = reference(examples)
    rows = scored(examples)
    for name, figure in expected.items():
        assert value(name, rows) == pytest.approx(figure, abs=1e-9)
    terms, s, a, u = zip(*examples, strict=True)
    assert published_scores(terms, s, a, u) == pytest.approx(expected, abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(ITEMS, st.integers(0, 2**32 - 1))
def test_resampled_terms_give_the_mean_over_the_terms_drawn(
    examples: list[tuple[str, float, float, float]], seed: int
) -> None:
    terms = sorted({term for term, *_ in examples})
    drawn = np.random.default_rng(seed).integers(len(terms), size=(4, len(terms)))
    weights = np.array([[np.sum(line == terms.index(term)) for term, *_ in examples] for line in drawn], dtype=float)
    table = frame(scored(examples))
    expected = []
    for line in drawn:  # a term drawn twice is two terms
        again = [
            (f"{term}{k}", *e[1:]) for k, t in enumerate(line) for term in [terms[t]] for e in examples if e[0] == term
        ]
        expected.append(reference(again))
    for name in ("lm_score", "ss", "icat"):
        found = statistic(name).compute(table, weights)
        assert found == pytest.approx([e[name] for e in expected], abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(ITEMS)
def test_swapping_stereotype_and_anti_stereotype_mirrors_ss_and_keeps_lm(
    examples: list[tuple[str, float, float, float]],
) -> None:
    rows, swapped = scored(examples), scored([(term, a, s, u) for term, s, a, u in examples])
    assert [row.preference for row in swapped] == [-row.preference for row in rows]
    assert [row.control for row in swapped] == [row.control for row in rows]
    assert value("lm_score", swapped) == pytest.approx(value("lm_score", rows))
    shares = value("share_stereotypical", rows) + value("share_ties", rows)
    assert value("share_stereotypical", swapped) == pytest.approx(100 - shares)
    ties = np.mean([np.mean([s == a for t, s, a, _ in examples if t == term]) for term in {e[0] for e in examples}])
    assert value("ss", swapped) == pytest.approx(100 - value("ss", rows) - 100 * ties)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_constant_model_gets_the_declared_constant(variant: str) -> None:
    rows = [answered(variant, item(k, f"t{k % 2}"), lambda *_: tokens(-1.0)) for k in range(5)]
    assert {(row.preference, row.control) for row in rows} == {(0.0, 0.0)}
    for s in measure(variant).statistics:
        assert s.compute(frame(rows), np.ones((1, 5)))[0] == s.constant


@pytest.mark.parametrize(("scores", "ss"), [((-1, -2, -3), 100.0), ((-2, -1, -3), 0.0)])
def test_all_one_way_is_an_end_of_the_scale_and_icat_0(scores: tuple[float, float, float], ss: float) -> None:
    rows = scored([("kelp", *scores), ("moss", *scores)])
    assert (value("ss", rows), value("lm_score", rows), value("icat", rows)) == (ss, 100.0, 0.0)


def test_a_random_model_gets_the_declared_chance() -> None:
    draws = np.random.default_rng(1).normal(size=(6000, 3))
    table = {f"score_{letter}": draws[:, k] for k, letter in enumerate("sau")}
    table["cluster"] = np.array([f"t{k % 60}" for k in range(6000)], dtype=object)
    for s in measure("masked").statistics:
        assert s.compute(table, np.ones((1, 6000)))[0] == pytest.approx(s.chance, abs=2)


def test_no_rows_give_nan_and_not_zero() -> None:
    empty = {name: np.empty(0) for name in ("score_s", "score_a", "score_u")} | {"cluster": np.empty(0, dtype=object)}
    for s in measure("causal").statistics:
        assert np.isnan(s.compute(empty, np.ones((2, 0)))).all()


# --- Files and settings ---


def test_the_split_names_the_file_and_a_missing_one_says_what_to_fetch(tmp_path: Path) -> None:
    path = tmp_path / "test.json"
    sentences = [
        {"id": label, "sentence": f"Kelp is {word}.", "gold_label": label}
        for label, word in (("stereotype", "wet"), ("anti-stereotype", "dry"), ("unrelated", "sung"))
    ]
    example = {"id": "0", "target": "kelp", "bias_type": "race", "context": "Kelp is BLANK.", "sentences": sentences}
    path.write_text(json.dumps({"data": {"intrasentence": [example]}}), encoding="utf-8")
    assert len(items({"test.json": path}, split="test")) == 1
    with pytest.raises(AssetError, match=r"dev\.json is not on this machine.*fetch stereoset`"):
        items({"test.json": path}, split="dev")
    with pytest.raises(AssetError, match="fetch stereoset_test"):
        items({"dev.json": path}, split="test")


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_split_is_a_setting_and_its_file_is_optional(variant: str) -> None:
    assert checked_settings(measure(variant), {}) == {"split": "dev"}
    assert checked_settings(measure(variant), {"split": "test"}) == {"split": "test"}
    with pytest.raises(BadSetting, match="split"):
        checked_settings(measure(variant), {"split": "train"})
    assert measure(variant).data == ("stereoset", "stereoset_test?")
    assert measure(variant).default_for == {variant}


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_card_says_what_a_reader_must_know(variant: str) -> None:
    card = measure(variant).card
    assert card.expected_n == 2106
    assert card.control
    assert card.neutral
    assert card.differs
    assert len(card.criticisms) >= 5


# --- The authors' data, predictions and figures ---


@pytest.mark.shared
def test_the_development_file_is_read_in_full(shared_datasets: Path) -> None:
    found = items({"dev.json": shared_datasets / "stereoset" / "dev.json"})
    assert len({one.id for one in found}) == 2106
    assert Counter(one.axis for one in found) == {"race": 962, "profession": 810, "gender": 255, "religion": 79}
    assert len({one.cluster for one in found}) == 79
    fits = [all(one.content[letter]["span"] for letter in "sau") for one in found]
    whole = [all(one.content[k]["span"] == one.content[k]["word"] for k in "sau") for one in found]
    assert (fits.count(False), whole.count(False)) == (2, 6)
    assert all(one.content[letter]["word"] for one in found for letter in "sau")


def _official(shared_datasets: Path) -> Path:
    return shared_datasets / "external_results" / "stereoset_official"


def _published_cells(path: Path) -> Iterator[tuple[str, str, str, dict[str, float]]]:
    """(predictions file, part, domain, figures) of predictions.txt; a file's last cell is overall in both."""
    name = part = domain = ""
    for line in path.read_text(encoding="utf-8").splitlines():
        depth, text = len(line) - len(line.lstrip("\t")), line.strip()
        if text.startswith("Evaluating"):
            name = text.removeprefix("Evaluating predictions/").removesuffix("...")
        elif ":" not in text:
            part, domain = (text, "overall") if depth == 0 else (part, text)
        else:
            key, _, number = text.partition(": ")
            if key == "Count":
                figures: dict[str, float] = {}
                yield name, part, domain, figures
            figures[key] = float(number)


@pytest.mark.shared
def test_the_authors_predictions_give_the_authors_figures_in_every_cell(shared_datasets: Path) -> None:
    folder = _official(shared_datasets)
    dev = shared_datasets / "stereoset" / "dev.json"
    parts = {part: read(dev, part) for part in ("intrasentence", "intersentence")}
    cells = list(_published_cells(folder / "predictions.txt"))
    checked = Counter()
    for path in sorted((folder / "predictions").glob("*.json.gz")):
        with gzip.open(path) as file:
            predictions = json.load(file)
        scores = {p["id"]: p["score"] for part in parts for p in predictions[part]}
        own = [cell for cell in cells if cell[0] == path.name.removesuffix(".gz")]
        assert len(own) == 11
        for name, part, domain, expected in own:
            pool = parts["intersentence"] + parts["intrasentence"] if part == "overall" else parts[part]
            chosen = [one for one in pool if domain in ("overall", one.axis)]
            letters = [[scores[one.content[letter]["id"]] for one in chosen] for letter in "sau"]
            found = published_scores([one.cluster for one in chosen], *letters)
            where = (name, part, domain)
            assert found["lm_score"] == pytest.approx(expected["LM Score"], abs=1e-9, rel=0), where
            assert found["ss"] == pytest.approx(expected["SS Score"], abs=1e-9, rel=0), where
            assert found["icat"] == pytest.approx(expected["ICAT Score"], abs=1e-9, rel=0), where
            # The authors' code appends each item of a domain once per sentence.
            assert len(chosen) * (1 if domain == "overall" else 3) == expected["Count"], where
            checked[name] += 1
    assert sum(checked.values()) == 22


@pytest.mark.shared
def test_icat_of_every_published_cell_follows_from_its_lm_and_ss(shared_datasets: Path) -> None:
    cells = list(_published_cells(_official(shared_datasets) / "predictions.txt"))
    assert len({name for name, *_ in cells}) == 11
    for *where, cell in cells:
        icat = cell["LM Score"] * min(cell["SS Score"], 100 - cell["SS Score"]) / 50
        assert cell["ICAT Score"] == pytest.approx(icat, abs=1e-9, rel=0), where
