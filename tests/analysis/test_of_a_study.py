"""analyse on the folder of a study and on its CSV export; the published tables give the published correlations."""

from __future__ import annotations

import json

import pytest

import fairsqueeze
from fairsqueeze.report.export import save_csv
from fairsqueeze.report.load import load_results
from fairsqueeze.study.store import Store

FAST = {"replicates": 200}


def estimate(measure, statistic, value, axis=None, ideal=None):
    half = None if value is None else 0.02 * abs(value) + 0.001
    low, high = (None, None) if value is None else (value - half, value + half)
    status = "unmeasurable" if value is None else "ok"
    known = {"n": 100, "n_undefined": 0, "ideal": ideal, "chance": None, "constant": None, "status": status}
    return {
        "measure": measure,
        "statistic": statistic,
        "axis": axis,
        "value": value,
        "low": low,
        "high": high,
        **known,
    }


def document(label, kind, order, model, guess):
    reference = {"dense": model, "compressed": f"{model} > {label}", "reference": f"reference:random:{model}"}[kind]
    bias = (0.2 + 0.01 * len(model)) if guess < 0.9 else None
    estimates = [
        estimate("perplexity", "perplexity", 20.0 * 1000.0**guess, ideal=1.0),
        estimate("stereoset.causal", "ss", 50 + 12 * (1 - guess) + 0.1 * order, ideal=50.0),
        estimate("stereoset.causal", "ss", 50 + 10 * (1 - guess), "gender", 50.0),
        estimate("stereoset.causal", "lm_score", 50 + 40 * (1 - guess), ideal=100.0),
        estimate("stereoset.causal", "corrected_bias", bias, ideal=0.0),
    ]
    latency = {"speedup": 1 + guess} if kind == "compressed" else None
    audit = {
        "schema": "fairsqueeze.audit/1",
        "model": {"reference": reference, "id": f"{order:016x}"},
        "footprint": {
            "bytes_zstd": 1000 - 500 * guess,
            "latency": latency,
        },
        "estimates": estimates,
        "warnings": [],
        "provenance": {"command": "x", "steps": {}},
    }
    return {"label": label, "kind": kind, "model": model, "audit": audit, "comparison": None, "order": order}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("study")
    store = Store(root)
    store.write_document("study", {"study": {"name": "made up"}, "command": "x"})
    order = 0
    for model in ("a", "bb"):
        for label, kind, guess in (
            ("dense", "dense", 0.0),
            ("reference: random", "reference", 1.0),
            ("pruned 30 %", "compressed", 0.2),
            ("pruned 60 %", "compressed", 0.5),
            ("pruned 90 %", "compressed", 0.95),
        ):
            order += 1
            store.write_document(f"variants/v{order}", document(label, kind, order, model, guess))
    return root


def test_a_study_is_read_with_its_parents_chance_and_costs(folder):
    found = fairsqueeze.analyse(folder, **FAST)
    points = found.points
    assert points.n == 8  # the two random models tell the level of chance
    assert points.performance.name == "perplexity.perplexity"
    assert (points.performance.better, points.performance.chance) == ("lower", pytest.approx(20_000.0))
    names = [m.name for m in points.measures]
    assert names == ["stereoset.causal.corrected_bias", "stereoset.causal.ss"]
    assert [m.name for m in points.by_axis] == ["stereoset.causal.ss@gender"]
    assert points.cluster_column == "model"
    assert len(points.children) == 6
    assert {c.name for c in points.costs} == {"bytes_zstd", "speedup"}
    assert found.collapsed == ("a: pruned 90 %", "bb: pruned 90 %")
    json.dumps(found.to_json(), allow_nan=False)


def test_an_unmeasurable_bias_is_not_on_the_front(folder):
    (front,) = fairsqueeze.analyse(folder, **FAST).fronts
    assert front.measure == "stereoset.causal.corrected_bias"
    assert front.n_undefined == 2
    assert not any("90 %" in p.checkpoint for p in front.points)


def test_the_csv_export_of_a_study_says_the_same(folder, tmp_path):
    exported = fairsqueeze.analyse(save_csv(load_results(folder), tmp_path / "study.csv"), cluster="none", **FAST)
    direct = fairsqueeze.analyse(folder, cluster="none", **FAST)
    values = [
        {(a.kind, a.x, a.y): a.value for a in found.sets[0].agreement if a.kind != "direction"}
        for found in (exported, direct)
    ]
    assert values[0] == pytest.approx(values[1])


def with_energy(source, target, drawn):
    """A copy of a study whose compressed models drew `drawn[label]` of the dense one's joules (None: no counter)."""
    target.mkdir()
    store = Store(target)
    store.write_document("study", json.loads((source / "study.json").read_text()))
    for path in (source / "variants").glob("*.json"):
        document = json.loads(path.read_text())
        if document["kind"] == "compressed":
            ratio = drawn[document["label"]]
            bounds = (None, None) if ratio is None else (ratio - 0.01, ratio + 0.01)
            energy = dict(zip(("against_dense_low", "against_dense_high"), bounds, strict=True))
            document["audit"]["footprint"]["latency"]["energy"] = {"against_dense": ratio, **energy}
        store.write_document(f"variants/{path.stem}", document)
    return target


def test_energy_is_a_cost_where_it_was_counted_and_undefined_where_not(folder, tmp_path):
    drawn = {"pruned 30 %": 0.9, "pruned 60 %": None, "pruned 90 %": 0.5}
    found = fairsqueeze.analyse(with_energy(folder, tmp_path / "counted", drawn), **FAST)
    (energy,) = [c for c in found.points.costs if c.name == "energy_against_dense"]
    assert energy.better == "lower"
    by_label = dict(zip(found.points.labels, energy.values.tolist(), strict=True))
    assert (by_label["a: dense"], by_label["bb: pruned 30 %"]) == (1.0, 0.9)
    assert sum(v != v for v in by_label.values()) == 2
    (front,) = found.fronts
    assert ("energy_against_dense", "lower") in front.objectives
    assert front.n_undefined == 4  # two unmeasurable biases, two models without a counter
    assert any("undefined in 2 rows, which are on no front" in c for c in found.points.choices)
    assert all(p.probability is not None for p in front.points)


def test_a_dense_model_alone_does_not_make_energy_a_cost(folder, tmp_path):
    nothing = dict.fromkeys(("pruned 30 %", "pruned 60 %", "pruned 90 %"))
    found = fairsqueeze.analyse(with_energy(folder, tmp_path / "none", nothing), **FAST)
    assert {c.name for c in found.points.costs} == {"bytes_zstd", "speedup"}
    assert found.fronts[0].n_undefined == 2


def test_the_csv_export_has_the_same_speed_and_energy(folder, tmp_path):
    counted = with_energy(folder, tmp_path / "counted", {"pruned 30 %": 0.9, "pruned 60 %": None, "pruned 90 %": 0.5})
    direct = fairsqueeze.analyse(counted, **FAST)
    exported = fairsqueeze.analyse(save_csv(load_results(counted), tmp_path / "study.csv"), **FAST)
    columns = [
        {c.name: dict(zip(f.points.labels, c.values.tolist(), strict=True)) for c in f.points.costs}
        for f in (direct, exported)
    ]
    for name in ("speedup", "energy_against_dense"):
        assert columns[0][name] == pytest.approx(columns[1][name], nan_ok=True)


@pytest.mark.shared
def test_the_students_of_hessenthaler_2022_give_the_published_correlations(shared_datasets):
    table = shared_datasets / "external_results/hessenthaler2022/mnli_kd_hl_results.csv"
    found = fairsqueeze.analyse(
        table, performance="best_score", measures=["weat_7_effect_size", "gender_net_neutral"], cluster="none", **FAST
    )
    published = [c for c in found.sets[0].capability if c.reading == "as published"]
    pearson = {c.measure: c.agreement for c in published if c.agreement.kind == "pearson"}
    assert pearson["weat_7_effect_size"].value == pytest.approx(0.86, abs=0.005)
    assert pearson["gender_net_neutral"].value == pytest.approx(0.07, abs=0.005)
    assert pearson["weat_7_effect_size"].low > 0
    assert pearson["gender_net_neutral"].low < 0 < pearson["gender_net_neutral"].high


@pytest.mark.shared
def test_nine_rows_show_nothing(shared_datasets):
    found = fairsqueeze.analyse(shared_datasets / "external_results/bhattarai_llm_pruning/midterm_results.csv", **FAST)
    assert found.points.n == 9
    assert found.findings == ()
    assert len(found.collapsed) == 3
    widths = [a.high - a.low for a in found.sets[0].agreement if a.kind == "spearman"]
    assert min(widths) > 1.0
