"""fairsqueeze.open: the four views, and what a query can't do."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import fields
from pathlib import Path

import pyarrow as pa
import pytest

import fairsqueeze
from fairsqueeze.compress.latency import Latency
from fairsqueeze.errors import FairsqueezeError, StoreError
from fairsqueeze.items import Row
from fairsqueeze.records import table_of
from fairsqueeze.stats.estimate import Estimate
from fairsqueeze.study.sql import ESTIMATES, FOOTPRINTS, VIEWS, Database
from fairsqueeze.study.store import Store

OLD = Path(__file__).parent / "old_stores" / "layout-1"


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Three variants of a tiny Llama (dense, random, half pruned), one measure and one task, six items each."""
    shutil.copytree(OLD / "study", tmp_path / "study")
    Store(tmp_path / "study").prepare()
    return tmp_path / "study"


def answer(folder: Path | str, query: str, *parameters: object) -> list[dict]:
    with fairsqueeze.open(folder) as results:
        return results.sql(query, list(parameters) or None).to_pylist()


def test_records_are_the_rows_that_were_stored(study: Path) -> None:
    store = Store(study)
    found = answer(study, "SELECT * FROM records ORDER BY step, item")
    stored = [row for step in store.steps() for row in store.read(step).sort_by("item").to_pylist()]
    assert [{**row, "answer": json.loads(row["answer"])} for row in found] == stored
    assert len(found) == 36


def test_estimates_are_those_of_the_report(study: Path) -> None:
    found = answer(study, "SELECT * FROM estimates WHERE axis IS NULL AND statistic = 'logprob' ORDER BY label")
    documents = {d["label"]: d for d in Store(study).documents("variants")}
    assert [row["label"] for row in found] == ["dense", "magnitude.linear 50 %", "reference: random"]
    for row in found:
        audit = documents[row["label"]]["audit"]
        (one,) = [e for e in audit["estimates"] if e["statistic"] == "logprob" and e["axis"] is None]
        assert {key: row[key] for key in one} == one
        assert row["step"] == audit["provenance"]["steps"]["fluency"]
        assert row["checkpoint"] == audit["model"]["id"]


def test_a_published_statistic_comes_out_of_the_records(study: Path) -> None:
    query = """
        SELECT estimates.label, any_value(estimates.value) AS told, avg((answer->>'logprob')::DOUBLE) AS mean
        FROM records JOIN estimates USING (step)
        WHERE estimates.statistic = 'logprob' AND estimates.axis IS NULL GROUP BY ALL
    """
    found = answer(study, query)
    assert len(found) == 3
    assert all(row["mean"] == pytest.approx(row["told"]) for row in found)


def test_footprints_are_measured_ones(study: Path) -> None:
    found = {row["label"]: row for row in answer(study, "FROM footprints")}
    assert found["dense"]["linear_sparsity"] == 0.0
    assert found["magnitude.linear 50 %"]["linear_sparsity"] == pytest.approx(0.5, abs=0.01)
    assert found["magnitude.linear 50 %"]["bytes_sparse"] < found["dense"]["bytes_sparse"] == 163968


def test_steps_say_what_was_asked_of_what(study: Path) -> None:
    found = answer(study, "SELECT * FROM steps")
    assert {row["measure"] for row in found} == {"fluency", "pairs.sum"}
    assert all(row["rows"] == 6 and row["undefined"] == 0 and row["measure_version"] == 1 for row in found)
    assert all((study / "records" / f"{row['step']}.parquet").stat().st_size == row["bytes"] for row in found)


def test_what_an_edited_study_no_longer_asks_is_in_records_only(study: Path) -> None:
    document = Store(study).read_document("study")
    document["variants"] = document["variants"][:1]
    Store(study).write_document("study", document)
    assert answer(study, "SELECT DISTINCT label FROM estimates") == [{"label": "dense"}]
    assert answer(study, "SELECT count(*) AS n FROM records") == [{"n": 36}]
    assert answer(study, "SELECT count(*) AS n FROM records SEMI JOIN estimates USING (step)") == [{"n": 12}]


def test_an_audit_a_comparison_and_an_old_store_are_opened(tmp_path: Path) -> None:
    for side in ("base", "other"):
        shutil.copytree(OLD / "audit", tmp_path / "compared" / side)
    (tmp_path / "compared/compare.json").write_text('{"schema": "fairsqueeze.compare/1"}')
    audit = answer(OLD / "audit", "SELECT label, kind, value FROM estimates WHERE statistic = 'logprob'")
    assert [(row["label"], row["kind"]) for row in audit] == [("llama", "dense")]
    assert answer(tmp_path / "compared", "SELECT count(*) AS n FROM records") == [{"n": 24}]
    assert answer(OLD / "study", "SELECT count(*) AS n FROM records") == [{"n": 36}]
    assert not (OLD / "study" / "manifest").exists()


def test_records_whose_answers_differ_are_one_view(tmp_path: Path) -> None:
    answers = ({"a": 1.0}, {"b": [1.0, None], "c": True}, {"a": None})
    for k, one in enumerate(answers):
        rows = [Row("i", None, None, "c", None, None, "ok", one, 2)]
        made = table_of(rows, step=f"s{k}", checkpoint="c", measure="m", metadata={"step": f"s{k}"})
        Store(tmp_path).write(f"s{k}", made)
    found = answer(tmp_path, 'SELECT answer, "group" FROM records ORDER BY step')
    assert [json.loads(row["answer"]) for row in found] == list(answers)
    assert [row["group"] for row in found] == [None] * 3


def test_a_query_takes_parameters(study: Path) -> None:
    query = "SELECT count(*) AS n FROM records WHERE measure = ? AND item = ?"
    assert answer(study, query, "fluency", "one-0") == [{"n": 3}]


def test_a_query_opens_only_the_files_that_it_needs(study: Path) -> None:
    steps = {row["measure"]: row["step"] for row in answer(study, "SELECT step, measure FROM steps")}
    with fairsqueeze.open(study) as results:
        results.sql("FROM records LIMIT 0")
        for path in (study / "records").glob("*.parquet"):
            if path.stem != steps["fluency"]:
                path.unlink()
        query = "SELECT count(*) AS n FROM records WHERE step = $1 AND measure = 'fluency'"
        assert results.sql(query, [steps["fluency"]]).to_pylist() == [{"n": 6}]


def test_damaged_records_are_never_left_out_in_silence(study: Path) -> None:
    short, flipped = sorted((study / "records").glob("*.parquet"))[:2]
    short.write_bytes(short.read_bytes()[:-9])
    with fairsqueeze.open(study) as results:
        with pytest.raises(StoreError, match=short.stem):
            results.sql("SELECT count(*) FROM records")
        assert results.sql("SELECT count(*) AS n FROM records").to_pylist() == [{"n": 30}]
    table = Store(study).read(flipped.stem)
    Store(study).write(flipped.stem, table)  # with checksums on its pages
    content = bytearray(flipped.read_bytes())
    content[content.index(b"one-") if b"one-" in content else 300] ^= 1
    flipped.write_bytes(bytes(content))
    with fairsqueeze.open(study) as results, pytest.raises(StoreError, match=flipped.stem):
        results.sql("SELECT * FROM records")


secret = pa.table({"password": ["x"]})


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM read_csv_auto('/etc/passwd')",
        "SELECT * FROM read_parquet('{study}/records/*.parquet')",
        "SELECT * FROM glob('/*')",
        "SELECT * FROM 'https://example.org/a.parquet'",
        "SELECT * FROM secret",
        "SELECT * FROM enable_logging(storage='file', storage_path='{study}/log')",
        "COPY (SELECT 1) TO '{study}/out.csv'",
        "COPY records TO '{study}/out.parquet'",
        "ATTACH '{study}/new.db' AS new",
        "CREATE TABLE t (a INT)",
        "DROP VIEW records",
        "SET enable_external_access = true",
        "RESET enable_external_access",
        "INSTALL httpfs",
        "LOAD httpfs",
        "PRAGMA database_list",
        "EXPLAIN ANALYZE COPY (SELECT 1) TO '{study}/out.csv'",
        "SELECT 1; DROP VIEW records",
        "SELECT * FROM query('DROP VIEW records')",
        "",
    ],
)
def test_a_query_of_a_stranger_reaches_nothing_else(study: Path, query: str) -> None:
    before = sorted(study.rglob("*"))
    with fairsqueeze.open(study) as results:
        results.sql("SELECT count(*) FROM records")
        with pytest.raises(FairsqueezeError):
            results.sql(query.format(study=study))
        assert results.sql("SELECT count(*) AS n FROM records").to_pylist() == [{"n": 36}]
    assert sorted(study.rglob("*")) == before


def test_a_wrong_query_says_what_is_wrong(study: Path) -> None:
    with fairsqueeze.open(study) as results, pytest.raises(FairsqueezeError, match=r"(?s)labl.*Views: records"):
        results.sql("SELECT labl FROM estimates")


@pytest.mark.parametrize("make", [lambda p: None, lambda p: p.mkdir(), lambda p: p.write_text("")])
def test_a_folder_that_holds_nothing_is_refused(tmp_path: Path, make: object) -> None:
    make(tmp_path / "here")  # type: ignore[operator]
    with pytest.raises(StoreError, match="no audit, comparison or study"):
        fairsqueeze.open(tmp_path / "here")


def test_the_public_name_leaves_pythons_open_alone() -> None:
    names: dict[str, object] = {}
    exec("from fairsqueeze import *", names)
    assert "open" not in names
    assert fairsqueeze.open.__annotations__["return"] == Database.__name__
    assert "open" in dir(fairsqueeze)


PAGE = (Path(__file__).parents[2] / "docs" / "store.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("query", re.findall(r"```sql\n(.*?)```", PAGE, flags=re.DOTALL))
def test_the_queries_on_the_page_have_answers(study: Path, query: str) -> None:
    assert answer(study, query)


def test_the_page_names_every_column(study: Path) -> None:
    for view in VIEWS:
        (line,) = [line for line in PAGE.splitlines() if line.startswith(f"| `{view}` |")]
        with fairsqueeze.open(study) as results:
            columns = results.sql(f"FROM {view}").column_names
        named = re.findall(r"`([^`]+)`", line)
        assert {c for c in columns if c.removeprefix("linear_") not in named} == set()


def test_the_views_hold_every_field_of_what_they_show() -> None:
    assert {field.name for field in fields(Estimate)} <= set(ESTIMATES.names)
    speed = {f"latency_{field.name}" for field in fields(Latency)}
    how = {"quartile", "level", "batch", "length", "rounds", "threads", "device", "energy"}
    assert {name for name in speed if not how & set(name.split("_"))} <= set(FOOTPRINTS.names)
