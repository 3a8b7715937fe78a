"""The page: self-contained, escaped, the same every time, and honest about what is missing."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import pytest

from fairsqueeze.errors import StoreError, UnknownName
from fairsqueeze.report.findings import findings, in_short
from fairsqueeze.report.page import render, report
from fairsqueeze.report.results import Results, Variant

VOID = {"meta", "link", "br", "hr", "img", "input"}

Make = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def page(results: Results) -> str:
    return render(results)


class Reader(HTMLParser):
    """Collects tags with attributes, the text outside scripts and styles, and checks that tags are closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert [tag] == self.open[-1:], f"</{tag}> closes {self.open[-3:]}"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] not in ("script", "style"):
            self.texts.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.texts))


def test_the_page_is_well_formed_and_loads_nothing(page: str) -> None:
    reader = Reader(page)
    assert reader.open == []
    for tag, attributes in reader.tags:
        for name in ("src", "href", "xlink:href", "data", "action", "poster"):
            value = attributes.get(name)
            assert value is None or value.startswith(("#", "data:,")), (tag, name, value)
        assert not any(name.startswith("on") for name in attributes)
    assert "@import" not in page
    assert not re.search(r"url\((?!#)", page)


def test_ids_are_unique_and_every_reference_within_the_page_is_met(page: str) -> None:
    reader = Reader(page)
    ids = [a["id"] for _, a in reader.tags if "id" in a]
    assert len(ids) == len(set(ids))
    wanted = {a["href"][1:] for _, a in reader.tags if (a.get("href") or "").startswith("#")}
    wanted |= set(re.findall(r"url\(#([^)]+)\)", page))
    assert wanted <= set(ids)


def test_every_chart_says_in_words_what_it_shows_and_every_table_has_a_caption(page: str) -> None:
    reader = Reader(page)
    drawings = [a for _, a in reader.tags if a.get("role") == "img"]
    assert len(drawings) == page.count("<svg")
    assert all(a["aria-label"] for a in drawings)
    assert any("magnitude.linear 70 % (55.2 % zeros): unmeasurable" in (a["aria-label"] or "") for a in drawings)
    assert page.count("<table") == page.count("<caption>")


def test_data_is_escaped_wherever_it_comes_from(results: Results, estimate: Make, change: Make) -> None:
    evil = '<script>alert("x")</script>&'
    dense = results.variants[0]
    audit = {
        **dense.audit,
        "model": {**dense.audit["model"], "reference": evil, "steps": [{"name": evil, "parameters": {evil: evil}}]},
        "warnings": [evil],
        "estimates": [*dense.audit["estimates"], estimate(evil, evil, 1.0, 0.1, axis=evil)],
        "provenance": {"command": evil, "data": {evil: {"sha256": evil}}, "machine": {evil: evil}},
    }
    pruned = dataclasses.replace(results.variants[1], label=evil, audit=audit)
    comparison = {
        "verdict": evil,
        "comparisons": [change(estimate(evil, "x", 1.0), estimate(evil, "x", 2.0), evil, 0.1)],
    }
    named = Variant(evil, "reference", audit, comparison)
    card = {"criticisms": [evil], "summary": evil, "source": evil, "control": evil, "neutral": evil, "differs": evil}
    cards = {evil: {**card, "expected_n": 3}}
    page = render(Results(evil, evil, [dense, pruned, named], evil, evil, cards))
    assert page.count("<script>") == page.count("</script>") == 1  # ours
    reader = Reader(page)
    assert reader.open == []
    assert reader.text.count('alert("x")') > 20


def test_what_is_null_is_said_in_a_word_and_never_as_a_number(results: Results, page: str, estimate: Make) -> None:
    text = Reader(page).text
    assert not re.search(r"\b(nan|None|null|inf)\b", text)
    lost = results.variants[3]  # magnitude 70 %
    alone = render(Results("x", "", [lost], cards=results.cards))
    rows = re.findall(r"<tr><th scope=\"row\">corrected bias \(prior.*?</tr>", alone, re.DOTALL)
    assert len(rows) == 2
    for row in rows:
        assert re.findall(r"<td>([^<]*)", row)[-1].strip() == "unmeasurable"
    undefined = estimate("m.a", "corrected_bias", None, status="undefined")
    shown = render(Results("x", "", [Variant("a", "dense", {"estimates": [undefined]})]))
    assert "undefined" in Reader(shown).text


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_number_that_is_not_finite_is_refused_loudly(bad: float, estimate: Make) -> None:
    with pytest.raises(StoreError, match="low of m share is"):
        Results("x", "", [Variant("a", "dense", {"estimates": [estimate("m", "share", 1.0, low=bad)]})])


def test_nothing_to_report_is_an_error_that_says_so() -> None:
    with pytest.raises(StoreError, match="nothing to report"):
        Results("x", "", [])


def test_the_same_results_give_the_same_page(results: Results, page: str) -> None:
    assert render(results) == page


def test_the_page_leads_back_to_weights_data_and_command(results: Results, page: str) -> None:
    text = Reader(page).text
    for variant in results.variants:
        assert variant.audit["model"]["id"] in text
    for wanted in ("cd" * 32, "fairsqueeze study run study.yaml", "torch 2.13.0", "Example CPU", "CC BY-SA 4.0"):
        assert wanted in text
    assert "a seeded sample of 400 of 2106 items" in text
    assert "Made-up criticism one (Author 2021)." in text


def test_an_audit_alone_gives_a_page_too(results: Results) -> None:
    dense = results.variants[0]
    text = Reader(render(Results("audit", "", [dense], cards=results.cards))).text
    assert "It leans toward stereotypes" in text
    assert "Changes against the dense model" not in text


def test_findings_name_measure_effect_interval_and_n(results: Results) -> None:
    for finding in findings(results):
        assert re.search(r"n = [\d,]+", finding.text), finding.text
        assert re.search(r"bootstrap|jackknife|can't be measured", finding.text), finding.text
        if "can't be measured" not in finding.text:
            assert re.search(r"\[.+, .+\]", finding.text), finding.text


def test_a_published_score_that_improves_while_the_model_breaks_is_flagged(results: Results) -> None:
    flagged = {(f.subject, f.tone) for f in findings(results) if "looks fairer" in f.text}
    assert flagged == {
        (label, "caution") for label in ("magnitude.linear 50 %", "magnitude.linear 70 %", "random.linear 40 %")
    }
    about = [f.text for f in findings(results) if f.subject == "the measure"]
    assert len(about) == 2  # the share and SS; ICAT ranks broken models below the dense one
    assert "random 50.1 [47.6, 52.6]" in about[0]


def test_no_detectable_change_says_what_could_have_gone_unnoticed(results: Results) -> None:
    (text,) = [f.text for f in findings(results) if f.subject == "magnitude.linear 30 %" and "CrowS" in f.text]
    assert "No detectable change" in text
    assert "0.210 → 0.215, change 0.005 [−0.045, 0.055], n = 1,508; paired bootstrap, p = 0.310" in text
    assert "a change below 0.070 could have gone unnoticed" in text


def test_the_opening_counts_verdicts(results: Results) -> None:
    first, crows, _ = in_short(results)
    assert first == "Against the dense model, of 4 compressed: 4 worse."
    assert crows.endswith("CrowS-Pairs (causal_sum): 2 no detectable change, 2 unmeasurable.")


def test_a_reference_row_whose_interval_overlaps_is_not_called_fairer(results: Results, estimate: Make) -> None:
    def with_share(value: float, half: float, kind: Any) -> Variant:
        rows = [estimate("m.a", "ss", value, half, ideal=50.0), estimate("m.a", "corrected_bias", 0.1, 0.2)]
        return Variant(kind, kind, {"estimates": rows})

    apart = Results("x", "", [with_share(60, 2, "dense"), with_share(51, 2, "reference")])
    overlapping = Results("x", "", [with_share(54, 2, "dense"), with_share(51, 2, "reference")])
    assert [f.subject for f in findings(apart)] == ["the measure"]
    assert findings(overlapping) == []


def test_an_unknown_format_names_the_known_ones(results: Results, tmp_path: Any) -> None:
    with pytest.raises(UnknownName, match="'html'"):
        report(results, format="htlm", out=tmp_path / "x")


def test_a_path_that_cannot_be_written_is_refused_with_a_remedy(results: Results, tmp_path: Any) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="can't be written"):
        report(results, format="csv", out=tmp_path / "file" / "e.csv")
