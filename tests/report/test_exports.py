"""CSV, LaTeX, figures and Every Eval Ever: what is written can be read back, and is the same every time."""

from __future__ import annotations

import csv
import json
import re
import struct
from pathlib import Path
from xml.etree import ElementTree

import pytest

from fairsqueeze.report.charts import by_performance, by_sparsity, estimate_rows, family_of, size_rows, sizes, svg
from fairsqueeze.report.eee import SCHEMA_VERSION, eee_document
from fairsqueeze.report.latex import escape, latex
from fairsqueeze.report.page import report
from fairsqueeze.report.results import Results, Variant

ALLOWED = {
    "schema_version",
    "evaluation_id",
    "evaluation_timestamp",
    "retrieved_timestamp",
    "source_metadata",
    "eval_library",
    "model_info",
    "evaluation_results",
    "detailed_evaluation_results",
}
"""Fields of an Every Eval Ever document; its schema allows no other."""


def test_the_csv_reads_back_to_the_same_numbers_and_nulls(results: Results, tmp_path: Path) -> None:
    path = report(results, format="csv", out=tmp_path / "e.csv")
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    estimates = [(v, e) for v in results.variants for e in v.estimates]
    assert len(rows) == len(estimates)
    for row, (variant, estimate) in zip(rows, estimates, strict=True):
        assert (row["variant"], row["measure"], row["statistic"]) == (
            variant.label,
            estimate["measure"],
            estimate["statistic"],
        )
        assert row["axis"] == (estimate["axis"] or "")
        for key in ("value", "low", "high"):
            assert (float(row[key]) if row[key] else None) == estimate[key]
    lost = [r for r in rows if r["status"] == "unmeasurable"]
    assert lost
    assert all(r["value"] == "" for r in lost)
    changed = [r for r in rows if r["statistic"] == "share_stereotypical" and r["variant"] == "magnitude.linear 50 %"]
    assert float(changed[0]["difference"]) == pytest.approx(-5.4)


def test_latex_has_balanced_rows_and_escapes_what_is_special(results: Results) -> None:
    text = latex(results)
    assert escape(r"50 % of a_b & {x} \ ~ ^ #") == (
        r"50 \% of a\_b \& \{x\} \textbackslash{} \textasciitilde{} \textasciicircum{} \#"
    )
    tables = text.split(r"\begin{table}")[1:]
    assert len(tables) == 2
    for table in tables:
        spec = re.search(r"\\begin\{tabular\}\{(\w+)\}", table)
        assert spec is not None
        lines = [line for line in table.splitlines() if line.endswith(r"\\")]
        assert {len(re.findall(r"(?<!\\)&", line)) + 1 for line in lines} == {len(spec[1])}
    assert "nan" not in text.lower()
    assert "None" not in text
    assert "unmeasurable" in text
    assert text.count(r"\midrule") == 3  # two heads, one before the reference rows
    assert all(ord(c) < 128 for c in text)


def test_figures_are_written_as_svg_and_png(results: Results, tmp_path: Path) -> None:
    few = Results("x", "", results.variants[:2], cards=results.cards)
    folder = report(few, format="figures", out=tmp_path / "figures")
    names = {p.stem for p in folder.iterdir()}
    assert {"crows_pairs.causal_sum.share_stereotypical", "stereoset.causal.against_performance", "size"} <= names
    for path in folder.glob("*.svg"):
        assert ElementTree.parse(path).getroot().tag.endswith("svg")
    for path in folder.glob("*.png"):
        header = path.read_bytes()[:24]
        assert header[:8] == b"\x89PNG\r\n\x1a\n"
        assert struct.unpack(">I", header[16:20])[0] > 400


def test_charts_show_every_model_and_leave_the_unmeasurable_without_a_value(results: Results) -> None:
    rows = estimate_rows(results, "stereoset.causal", "corrected_bias.prior", ("perplexity", "perplexity"))
    assert [r["variant"] for r in rows] == [v.label for v in results.variants]
    assert [r["value"] is None for r in rows] == [r["unmeasurable"] for r in rows]
    assert sum(r["unmeasurable"] for r in rows) == 5
    for chart in (by_sparsity(rows), by_performance(rows), sizes(size_rows(results))):
        text = svg(chart, "p")
        assert "NaN" not in text
        assert ElementTree.fromstring(text) is not None
    assert "hollow: unmeasurable" in svg(by_sparsity(rows), "p")


def test_charts_survive_rows_without_any_value_or_interval(results: Results) -> None:
    lost = [v for v in results.variants if v.estimate("stereoset.causal", "corrected_bias")["value"] is None]  # type: ignore[index]
    rows = estimate_rows(Results("x", "", lost), "stereoset.causal", "corrected_bias", ("perplexity", "perplexity"))
    assert "NaN" not in svg(by_sparsity(rows), "a") + svg(by_performance(rows), "b")


def test_script_in_a_label_is_escaped_in_a_chart(results: Results) -> None:
    dense = results.variants[0]
    evil = Variant("<script>x</script>", "reference", dense.audit)
    rows = estimate_rows(Results("x", "", [dense, evil]), "stereoset.causal", "ss")
    text = svg(by_sparsity(rows), "p")
    assert "<script" not in text
    assert "&lt;script" in text


def test_a_line_is_named_for_its_last_steps(results: Results) -> None:
    assert [family_of(v) for v in results.variants[:2]] == ["dense", "magnitude.linear"]
    steps = [{"name": "magnitude.linear", "parameters": {}}, {"rtn": {"bits": 8}}]
    assert family_of(Variant("a", "compressed", {"model": {"steps": steps}})) == "magnitude.linear + rtn"
    assert family_of(Variant("a", "compressed", {})) == "a"


def test_every_eval_ever_documents_have_what_the_schema_requires(results: Results, tmp_path: Path) -> None:
    folder = report(results, format="eee", out=tmp_path / "eee")
    paths = sorted(folder.rglob("*.json"))
    assert len(paths) == len(results.variants)
    for path in paths:
        assert len(path.relative_to(folder).parts) == 3
        assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", path.stem)
        document = json.loads(path.read_text(encoding="utf-8"))
        assert document["schema_version"] == SCHEMA_VERSION == "0.2.2"
        for key in ("evaluation_id", "retrieved_timestamp", "source_metadata", "model_info", "eval_library"):
            assert document[key]
        assert document["retrieved_timestamp"] == "1795512600"
        assert set(document) <= ALLOWED
        for result in document["evaluation_results"]:
            assert {"evaluation_name", "source_data", "metric_config", "score_details"} <= set(result)
            assert isinstance(result["score_details"]["score"], (int, float))
            assert isinstance(result["metric_config"]["lower_is_better"], bool)
            assert all(isinstance(v, str) for v in result["score_details"]["details"].values())
        ids = [r["evaluation_result_id"] for r in document["evaluation_results"]]
        assert len(ids) == len(set(ids))


def test_what_is_unmeasurable_has_no_score_but_is_named(results: Results) -> None:
    document = eee_document(results, results.variants[3])
    named = document["source_metadata"]["additional_details"]["unmeasurable"]
    assert "crows_pairs.causal_sum/corrected_bias.prior/gender" in named
    assert not [r for r in document["evaluation_results"] if "corrected_bias" in r["evaluation_name"]]


def test_data_hashes_travel_with_the_results(results: Results) -> None:
    document = eee_document(results, results.variants[0])
    found = {r["evaluation_name"]: r["source_data"] for r in document["evaluation_results"]}
    assert found["stereoset.causal/ss"]["source_id"] == "sha256:" + "ef" * 32


@pytest.mark.parametrize("format", ["csv", "latex", "eee"])
def test_the_same_results_give_the_same_files(results: Results, tmp_path: Path, format: str) -> None:
    one, two = (report(results, format=format, out=tmp_path / name) for name in ("one", "two"))

    def content(path: Path) -> dict[str, bytes]:
        files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
        return {str(p.relative_to(path)): p.read_bytes() for p in files}

    assert content(one) == content(two)
