"""Tables are read from every format, long or wide; columns are told by name; bad input gets one message."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import fairsqueeze
from fairsqueeze.analysis.known import axis_of, chance_of, ideal_of, without_axis, words
from fairsqueeze.analysis.long_form import is_long, widened
from fairsqueeze.analysis.roles import Asked, checkpoints_of
from fairsqueeze.analysis.table import read_table
from fairsqueeze.errors import FairsqueezeError

COLUMNS = {
    "variant": ["dense", "half", "most"],
    "seed": [1, 1, 2],
    "accuracy": [0.9, 0.7, 0.4],
    "crows_share": [60.0, None, 50.0],
    "weat_d": [0.5, 0.2, -0.1],
}


def written(folder, suffix):
    path = folder / f"results{suffix}"
    if suffix == ".parquet":
        pq.write_table(pa.table(COLUMNS), path)
    elif suffix == ".xlsx":
        openpyxl = pytest.importorskip("openpyxl")
        book = openpyxl.Workbook()
        for row in [list(COLUMNS), *zip(*COLUMNS.values(), strict=True)]:
            book.active.append(list(row))
        book.save(path)
    else:
        mark = "\t" if suffix == ".tsv" else ","
        rows = [list(COLUMNS), *zip(*COLUMNS.values(), strict=True)]
        text = "\n".join(mark.join("" if v is None else str(v) for v in row) for row in rows)
        path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet", ".xlsx"])
def test_every_format_gives_the_same_checkpoints(tmp_path, suffix):
    points = checkpoints_of(read_table(written(tmp_path, suffix)), Asked())
    assert points.labels == ("dense", "half", "most")
    assert points.performance.name == "accuracy"
    assert [m.name for m in points.measures] == ["crows_share", "weat_d"]
    assert points.measures[0].values == pytest.approx([60, np.nan, 50], nan_ok=True)
    assert points.cluster_column == "seed"
    assert points.parent.tolist() == [0, 0, -1]  # the dense row of seed 1; seed 2 has none


def test_tables_in_memory_too():
    import pandas

    tables = (COLUMNS, pa.table(COLUMNS), pandas.DataFrame(COLUMNS))
    found = [fairsqueeze.analyse(t, replicates=100).to_json() for t in tables]
    assert found[0] == found[1] == found[2]


def test_a_semicolon_and_a_byte_order_mark_are_no_trouble(tmp_path):
    path = tmp_path / "r.csv"
    path.write_text("model;accuracy;weat\na;0,5;1\nb;0,7;2\n".replace("0,", "0."), encoding="utf-8-sig")
    assert checkpoints_of(read_table(path), Asked()).labels == ("a", "b")


LONG = {
    "model": ["a"] * 4 + ["b"] * 4,
    "measure": ["bias_x", "bias_x", "bias_y", "accuracy"] * 2,
    "axis": ["gender", "race", None, None] * 2,
    "value": [1.0, 2.0, 3.0, 0.8, 4.0, 5.0, None, 0.6],
    "low": [0.5, None, None, 0.7, 3.5, None, None, 0.5],
    "high": [1.5, None, None, 0.9, 4.5, None, None, 0.7],
}


def test_a_long_table_becomes_wide():
    table = read_table(LONG)
    assert is_long(table)
    wide = widened(table)
    assert wide.columns["bias_x@gender"] == [1.0, 4.0]
    assert wide.columns["bias_y"] == [3.0, None]
    assert wide.about["bias_x@gender"].high.tolist() == [1.5, 4.5]
    points = checkpoints_of(wide, Asked())
    assert points.performance.low.tolist() == [0.7, 0.5]
    assert [(m.axis, m.method) for m in points.by_axis] == []
    assert [m.name for m in points.measures] == ["bias_y"]


def test_two_values_for_one_checkpoint_are_an_error():
    twice = {k: [*v, v[0]] for k, v in LONG.items()}
    with pytest.raises(FairsqueezeError, match=r"row 9: a second value of bias_x@gender for model a"):
        widened(read_table(twice))


def test_names_are_told_by_their_words():
    assert words("BiasNLI_NN") == ["bias", "nli", "nn"]
    assert (axis_of("racial_net_neutral"), without_axis("racial_net_neutral")) == ("race", "net neutral")
    shares, percents = np.array([0.4, 0.6]), np.array([40.0, 60.0])
    assert ideal_of("StereoSet_SS", shares)[0] == 0.5
    assert ideal_of("stereoset.causal.ss", percents)[0] == 50.0
    assert ideal_of("stereoset.causal.icat", percents)[0] == 100.0
    assert ideal_of("crows_pairs.causal_sum.corrected_bias.prior", shares)[0] == 0.0
    assert ideal_of("gender_net_neutral", shares)[0] == 1.0
    assert ideal_of("weat_7_effect_size", percents)[0] == 0.0
    assert ideal_of("gender_net_neutral", percents)[0] == 100.0
    assert ideal_of("stereoset.entailment.ss_inverted", percents)[0] == 50.0
    assert ideal_of("gender_net_neutral", shares, in_percent=True)[0] == 100.0
    assert ideal_of("gender_net_neutral", np.array([0.4, 1.2]))[0] is None  # neither shares nor percentages
    assert ideal_of("stereoset_ss", np.array([-5.0, 10.0]))[0] is None
    assert ideal_of("something", shares) is None
    assert chance_of("accuracy", ["mnli"], shares)[0] == pytest.approx(1 / 3)
    assert chance_of("piqa_accuracy", [], percents)[0] == pytest.approx(50.0)
    assert chance_of("perplexity", ["mnli"], percents) is None
    assert chance_of("mcc", ["rte"], shares)[0] == chance_of("pearson", ["stsb"], percents)[0] == 0.0


def test_a_table_in_percent_says_what_the_same_table_in_shares_says():
    rng = np.random.default_rng(0)
    neutral = rng.uniform(0.5, 0.9, 12)
    table = {"accuracy": rng.uniform(0.5, 0.9, 12), "bias_sts": 1 - neutral, "net_neutral": neutral}
    shares = fairsqueeze.analyse(table, replicates=100, chance=0.33)
    percent = fairsqueeze.analyse({k: 100 * v for k, v in table.items()}, replicates=100, chance=33)
    written = {k: [f"{100 * x:.10g} %" for x in v] for k, v in table.items()}
    texts = fairsqueeze.analyse(written, replicates=100, chance=33)
    for found in (shares, percent, texts):
        (rho,) = [a for a in found.sets[0].agreement if a.kind == "spearman"]
        assert rho.value == pytest.approx(1.0)
        assert found.sets[0].ranking.value == pytest.approx(1.0)
    ideals = [{m.name: m.ideal for m in found.points.measures}["net_neutral"] for found in (shares, percent, texts)]
    assert ideals == [1.0, 100.0, 100.0]
    assert any("values as percentages: net_neutral" in c for c in percent.points.choices)


def test_a_share_given_beside_percentages_is_pointed_out():
    table = {"accuracy": [0.9, 0.8, 0.7], "net_neutral": [90.0, 60, 50]}
    found = fairsqueeze.analyse(table, replicates=100, ideals={"net_neutral": 1.0})
    assert any(c.startswith("Ideal 1 as given, though the values look like percentages") for c in found.points.choices)


def test_columns_that_a_cell_keeps_from_being_read_are_named():
    table = {
        "accuracy": ["0.9", "0.8", "0.7", "about 0.6"],
        "loss": [1.0, 2.0, 3.0, 4.0],
        "weat": [0.1, 0.2, 0.3, 0.4],
        "crows": ["47.3%", "51", "52", "60"],
        "ss": [60.0, 55.0, "?", 51.0],
        "icat": [None] * 4,
        "bias_type": ["gender"] * 4,
        "latency_ms": [1, 2, 3, "4 ms"],
    }
    points = fairsqueeze.analyse(table, replicates=100).points
    assert ([m.name for m in points.measures], points.performance.name, points.costs) == (["weat"], "loss", ())
    text = " ".join(points.choices)
    assert "named like a measure: crows (row 1: '47.3%' has a % and other rows have none), ss (row 3: '?'" in text
    assert "named like a performance: accuracy (row 4: 'about 0.6' is no number)" in text
    assert "named like a cost: latency_ms (row 4: '4 ms' is no number)" in text
    assert "no row has a value: icat" in text
    assert "bias_type" not in text
    with pytest.raises(FairsqueezeError, match=r"no column is known for a bias measure. Not read.*ss \(row 3: '\?'"):
        fairsqueeze.analyse({k: table[k] for k in ("loss", "ss")}, replicates=100)


def test_costs_are_sizes_speeds_and_energies_but_no_effect_sizes_nor_settings():
    table = {
        "accuracy": [0.9, 0.8],
        "weat_6": [1, 2],
        "weat_7_effect_size": [0.1, 0.2],
        "batch_size": [16, 32],
        "hidden_size": [64, 128],
        "size_mb": [10, 20],
        "latency_ms": [3, 4],
        "energy_joules": [5, 6],
        "tokens_per_s": [7, 8],
    }
    points = checkpoints_of(read_table(table), Asked(measures=["weat_6"]))
    assert {c.name: c.better for c in points.costs} == {
        "size_mb": "lower",
        "latency_ms": "lower",
        "energy_joules": "lower",
        "tokens_per_s": "higher",
    }
    assert any("Costs, by their names: size_mb (lower is better)" in c for c in points.choices)


def test_what_was_detected_is_said():
    found = fairsqueeze.analyse(COLUMNS, replicates=100, chance=0.33)
    text = " ".join(found.points.choices)
    for part in ("Measures, by their names: crows_share, weat_d", "Performance, by its name: accuracy", "seed (2"):
        assert part in text


@pytest.mark.parametrize(
    ("columns", "options", "message"),
    [
        ({}, {}, "has no rows"),
        ({"a": []}, {}, "has no rows"),
        ({"a": [1, 2], "b": [1]}, {}, "different lengths"),
        ({"a": [1, 2]}, {}, r"no column is known for a bias measure.*--measure COLUMN. Columns: a"),
        ({"acc": [1, 2], "weat": [1, 2]}, {"measures": ["waet"]}, r"no column of table called 'waet'.*'weat'"),
        ({"acc": [1, 2], "weat": [1, 2]}, {"performance": "ac"}, r"called 'ac'.*'acc'"),
        ({"acc": ["high", 2], "weat": [1, 2]}, {"performance": "acc"}, r"column 'acc', row 1: 'high' is not a finite"),
        ({"acc": [1, 2], "weat": [1, float("inf")]}, {}, r"column 'weat', row 2: inf is not a finite number"),
        ({"acc": [None, None], "weat": [1, 2]}, {"performance": "acc"}, "column 'acc' has no value"),
        ({"acc": [1, 2], "weat": [None, None]}, {"measures": ["weat"]}, "no measure has a value in any row"),
        ({"acc": [1, 2], "weat": [1, 2]}, {"parent": "kind=dense"}, "called 'kind'"),
        ({"acc": [1, 2], "weat": [1, 2], "kind": ["a", "b"]}, {"parent": "kind=c"}, "no row has kind = c"),
        ({"acc": [1, 2], "weat": [1, 2], "kind": ["a", "a"]}, {"parent": "kind=a"}, "both dense"),
        ({"label": ["a", "b"], "weat": [1, 2], "of": ["a", "z"]}, {"parent": "of"}, r"row 2: no row is called 'z'"),
        ({"acc": [1, 2], "weat": [1, 2]}, {"replicates": 5}, "replicates is 5"),
        ({"acc": [1, 2], "weat": [1, 2]}, {"replicates": 200.5}, "replicates is 200.5"),
        ({"acc": [1, 2], "weat": [1, 2]}, {"seed": -1}, "seed is -1"),
        ({"acc": [1, 2], "weat": [1, 2]}, {"chance": float("nan")}, "chance is nan"),
        ({"acc": [1, 2], "weat": [1, 2]}, {"ideals": {"weat": float("nan")}}, "ideal weat is nan"),
        ({"acc": [1, 2], "weat": [1, 2]}, {"ideals": {"wet": 0}}, "called 'wet'"),
        ({"acc": [1, 2], "weat": [1, 2]}, {"ideals": {"acc": 0}}, "acc is not among the measures: weat"),
        ({"m.acc": [1, 2], "weat": [1, 2]}, {"performance": "acc", "measures": ["m.acc"]}, "both name m.acc"),
    ],
)
def test_bad_input_gets_one_message(columns, options, message):
    with pytest.raises(FairsqueezeError, match=message) as caught:
        fairsqueeze.analyse(columns, **options)
    assert caught.value.exit_code == 2
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", "x", "is not a known table"),
        ("a.csv", "", "is empty"),
        ("a.csv", "acc,weat\n", "has no rows"),
        ("a.csv", "acc,weat\n1\n", "row 1 has 1 cells, the header 2"),
        ("a.csv", "acc,acc\n1,2\n", "two columns are called 'acc'"),
        ("a.parquet", "not parquet", "can't be read as Parquet"),
        ("a.xlsx", "not xlsx", "can't be read as XLSX"),
    ],
)
def test_bad_files_get_one_message(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(FairsqueezeError, match=message):
        fairsqueeze.analyse(tmp_path / name)


def test_bytes_that_are_not_text_and_folders_that_are_no_study(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"acc,weat\n\xff\xfe,1\n")
    with pytest.raises(FairsqueezeError, match="can't be read as CSV"):
        fairsqueeze.analyse(tmp_path / "a.csv")
    with pytest.raises(FairsqueezeError, match="no audit, comparison or study"):
        fairsqueeze.analyse(tmp_path)
    with pytest.raises(FairsqueezeError, match="no file or folder"):
        fairsqueeze.analyse(tmp_path / "none.csv")
    with pytest.raises(FairsqueezeError, match="is not a table"):
        fairsqueeze.analyse(7)
