"""Tables for the terminal, and how numbers are shown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console
from rich.table import Table

from fairsqueeze.report.details import footprint_rows
from fairsqueeze.report.labels import compact, interval_text, megabytes, number, percent, value_text
from fairsqueeze.report.results import Results, Variant
from fairsqueeze.report.summary import summary_columns
from fairsqueeze.report.table import audit_table, compare_table, listing_table, summary_rows, summary_table

Make = Callable[..., dict[str, Any]]


def printed(table: Table, width: int = 120) -> str:
    console = Console(width=width, color_system=None)
    with console.capture() as captured:
        console.print(table)
    return captured.get()


def test_the_summary_has_every_column_of_the_first_light(results: Results) -> None:
    rows = summary_rows(results)
    keys = [c.key for c in summary_columns(results)]
    assert keys == [
        "variant",
        "sparsity",
        "size",
        "perplexity.perplexity",
        "multiple_choice.piqa.accuracy",
        "crows_pairs.causal_sum.share_stereotypical",
        "stereoset.causal.lm_score",
        "stereoset.causal.ss",
        "stereoset.causal.icat",
        "crows_pairs.causal_sum.corrected_bias.prior",
        "stereoset.causal.corrected_bias.prior",
        "verdict",
    ]
    assert [r["variant"] for r in rows] == [v.label for v in results.variants]
    assert rows[2]["perplexity.perplexity"]["value"] == 112.0
    assert rows[2]["verdict"] == "worse"
    assert rows[0]["verdict"] == "base"


@pytest.mark.parametrize("width", [100, 120])
def test_the_summary_can_be_read_in_a_terminal(results: Results, width: int) -> None:
    text = printed(summary_table(results), width)
    assert max(map(len, text.splitlines())) <= width
    for whole in ("8,421", "50.0 %", "538 / 171", "[0.17, 0.29]", "unmeasurable", "(reference)", "49,152", "▼ worse"):
        assert whole in text
    assert "…" not in text
    if width == 120:
        (line,) = [x for x in text.splitlines() if x.strip().startswith("magnitude.linear 50 %")]
        numbers = "50.0 % 538 / 171 112.0 59.8 78.1 56.4 68.1 0.23 0.30 ▼ worse"
        assert " ".join(line.split()) == f"magnitude.linear 50 % {numbers}"


def test_raw_bias_is_named_raw_where_there_is_no_prior_corrected_one(estimate: Make) -> None:
    rows = [estimate("seat.mean", "corrected_bias", 0.2, 0.1), estimate("seat.mean", "mean_abs_effect", 0.4, 0.1)]
    text = printed(summary_table(Results("x", "", [Variant("a", "dense", {"estimates": rows})])))
    assert "(raw)" in text
    assert "(prior)" not in text
    assert "0.40" in text


def test_a_model_that_was_not_asked_has_a_dash_not_a_zero(estimate: Make) -> None:
    asked = Variant("a", "dense", {"estimates": [estimate("m.x", "corrected_bias", 0.2, 0.1)]})
    rows = summary_rows(Results("x", "", [asked, Variant("b", "compressed", {"estimates": []})]))
    assert rows[1]["m.x.corrected_bias"] is None
    assert value_text(rows[1]["m.x.corrected_bias"]) == "–"


def test_markup_in_a_label_is_printed_as_it_is(estimate: Make) -> None:
    rows = [estimate("m.x", "corrected_bias", 0.2, 0.1)]
    text = printed(
        summary_table(Results("[bold]t[/bold]", "", [Variant("[red]a[/red]", "dense", {"estimates": rows})]))
    )
    assert "[red]a[/red]" in text
    assert "[bold]t[/bold]" in text


def test_the_audit_table_prints_overall_figures_and_axes_on_request(results: Results) -> None:
    audit = results.variants[3].audit
    text = printed(audit_table(audit))
    assert "gender" not in text
    assert text.count("unmeasurable") == 4
    by_axis = printed(audit_table(audit, axes=True), 140)
    assert "gender" in by_axis
    assert "nan" not in by_axis.lower()


def test_the_compare_table_says_base_other_difference_and_verdict(results: Results) -> None:
    text = printed(compare_table(results.variants[2].comparison or {}))
    (line,) = [x for x in text.splitlines() if "share_stereotypical" in x]
    assert line.split()[2:6] == ["65.2", "59.8", "−5.4", "1,508"]
    assert "[−7.4, −3.4]" in text
    assert "▲ better" in line
    lost = printed(compare_table(results.variants[3].comparison or {}))
    assert "unmeasurable" in lost


def test_a_listing_joins_lists_sorts_sets_and_dashes_nothing() -> None:
    text = printed(
        listing_table([{"name": "a", "kinds": frozenset({"y", "x"}), "left_out": None}], ["name", "kinds", "left_out"])
    )
    assert "x, y" in text
    assert "left out" in text
    assert "–" in text


@pytest.mark.parametrize(
    ("value", "statistic", "shown"),
    [
        (None, "", "–"),
        (0.0, "", "0.000"),
        (-0.0001, "", "0.000"),
        (-0.25, "", "−0.250"),
        (12.345, "", "12.35"),
        (112.04, "", "112.0"),
        (8421.4, "", "8,421"),
        (2.1e7, "", "2.10e+07"),
        (61.27, "ss", "61.3"),
        (0.27, "ss", "0.3"),
        (65.24, "share_stereotypical", "65.2"),
    ],
)
def test_numbers_have_the_precision_that_suits_them(value: float | None, statistic: str, shown: str) -> None:
    assert number(value, statistic) == shown


def test_small_texts(estimate: Make) -> None:
    assert compact(0.214) == "0.21"
    assert compact(0.684, "accuracy") == "0.684"
    assert percent(0.3942) == "39.4 %"
    assert percent(None) == "–"
    assert megabytes(538_060_032) == "538"
    assert megabytes(1_234_567) == "1.23"
    assert interval_text(estimate("m", "s", 0.2, 0.1)) == "[0.100, 0.300]"
    assert interval_text(estimate("m", "s", None, 0.1)) == ""
    assert interval_text(estimate("m", "s", 0.2)) == ""


def test_energy_is_shown_where_it_was_counted_and_undefined_where_it_was_tried(results: Results) -> None:
    def last(variant: Variant, energy: dict[str, Any] | None) -> list[str]:
        latency = {**variant.footprint["latency"], "energy": energy}
        audit = {**variant.audit, "footprint": {**variant.footprint, "latency": latency}}
        grid = footprint_rows(Results("x", "", [replace(variant, audit=audit)]))
        assert list(grid.heads[-2:]) == ["joules per token", "energy against dense"]
        return [str(cell) for cell in grid.rows[0][-2:]]

    ratio = {"against_dense": 0.8, "against_dense_low": 0.75, "against_dense_high": 0.85}
    counted = {"joules_per_token": 0.0123, **ratio, "basis": "RAPL"}
    assert last(results.variants[1], counted) == ["0.0123", "× 0.80 [0.750, 0.850]"]
    assert last(results.variants[0], counted) == ["0.0123", "–"]
    tried = {"joules_per_token": None, "against_dense": None, "basis": "none: no counter"}
    assert last(results.variants[1], tried) == ["undefined", "undefined"]
    assert last(results.variants[1], None) == ["–", "–"]
