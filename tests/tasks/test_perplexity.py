from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from fairsqueeze.engine.answer import Engine
from fairsqueeze.engine.requests import PseudoLogProb, StreamLogProb, StreamScores, TokenScores
from fairsqueeze.errors import BadSetting, DataError
from fairsqueeze.items import Item
from fairsqueeze.records import frame_of, table_of
from fairsqueeze.registry import checked_settings, tasks
from fairsqueeze.stimuli.passages import running_text, sentences
from fairsqueeze.tasks.perplexity import perplexity, pseudo_perplexity, sentence_items, stream_asks, stream_items
from fairsqueeze.testing.tiny import tiny_model


def values(rows: list, name: str = "perplexity", weights: np.ndarray | None = None) -> dict[str, float]:
    frame = frame_of(table_of(rows, step="s", checkpoint="c", measure="m", metadata={}))
    weights = np.ones((1, len(rows))) if weights is None else weights
    return {s.name: float(s.compute(frame, weights)[0]) for s in tasks.get(name).statistics}


def test_perplexity_is_the_exponential_of_the_ratio_of_sums() -> None:
    scores = StreamScores(np.array([-6.0, -2.0]), np.array([3, 1]), np.array([10, 6]), np.array([4, 9]), 12)
    rows = perplexity(Item("t", "t", "", "t", {"text": ""}), {"stream": scores})
    assert [r.item for r in rows] == ["t:4", "t:9"]
    found = values(rows)
    assert found["nats_per_token"] == 2.0
    assert found["perplexity"] == pytest.approx(math.exp(2.0))
    assert found["nats_per_byte"] == 0.5
    assert values(rows, weights=np.array([[0.0, 2.0]]))["nats_per_byte"] == pytest.approx(2 / 6)


def test_the_text_used_is_named_and_the_package_text_is_the_fallback(tmp_path: Path) -> None:
    own = tmp_path / "test.txt"
    own.write_text("A text of wiki.")
    assert running_text({"test.txt": own}, "wikitext2") == ("wikitext2-test", "A text of wiki.")
    assert running_text({"test.txt": own}, "package")[0] == "package-text"
    name, text = running_text({}, "wikitext2")
    assert name == "package-text"
    assert len(text.split()) > 2000
    assert stream_items({}, text="wikitext2")[0].id == "package-text"
    own.write_bytes(b"\xff\xfe\xff")
    with pytest.raises(DataError, match="UTF-8"):
        running_text({"test.txt": own}, "wikitext2")


def test_sentences_leave_out_headings_fragments_and_repeats() -> None:
    text = " = Heading = \nOne two three four five. Too short. One two three four five.\n\nSix seven eight nine ten!"
    assert sentences(text) == ["One two three four five.", "Six seven eight nine ten!"]


def test_all_windows_together_score_every_token_once() -> None:
    model = tiny_model("llama", "causal")
    text = running_text({}, "package")[1][:1500]
    item = Item("p", "p", "", "p", {"text": text})
    n = len(model.tokenizer(text, add_special_tokens=False)["input_ids"])
    request = stream_asks(item, context=16, stride=8, windows=None, seed=0)["stream"]
    assert request == StreamLogProb(text, 16, 8, None, 0)
    rows = perplexity(item, {"stream": Engine(model).answer([request])[request]})
    assert sum(r.n_tokens for r in rows) == n
    assert sum(r.answer["n_bytes"] for r in rows) == len(text.encode())
    found = values(rows)["perplexity"]
    assert 0.3 * len(model.tokenizer) < found < 3 * len(model.tokenizer), "a random model is near uniform"


def test_a_sample_of_windows_is_seeded_and_not_the_first() -> None:
    model = tiny_model("llama", "causal")
    text = running_text({}, "package")[1][:1500]
    drawn = [Engine(model).answer([r := StreamLogProb(text, 8, 8, 5, seed)])[r] for seed in (0, 0, 1)]
    assert list(drawn[0].index) == list(drawn[1].index) != list(drawn[2].index)
    assert list(drawn[0].index) != [0, 1, 2, 3, 4]


def test_pseudo_perplexity_scores_sentences() -> None:
    items = sentence_items({}, text="package")
    assert len(items) > 100
    assert len({i.id for i in items}) == len(items)
    assert max(len(i.content["text"]) for i in items) <= 400
    answers = {"sentence": TokenScores(np.array([-1.0, -3.0]), n_bytes=8)}
    found = values(pseudo_perplexity(items[0], answers), "pseudo_perplexity")
    assert found == {"nats_per_token": 2.0, "nats_per_byte": 0.5, "perplexity": pytest.approx(math.exp(2))}
    asked = tasks.get("pseudo_perplexity").asks(items[0])
    assert asked == {"sentence": PseudoLogProb(items[0].content["text"])}


def test_a_window_without_context_is_refused_with_the_settings() -> None:
    with pytest.raises(BadSetting, match="context is 0"):
        checked_settings(tasks.get("perplexity"), {"context": 0})
