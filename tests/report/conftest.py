"""A made-up study with the shape of a real one: dense, pruned and reference models, some of it unmeasurable."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from fairsqueeze.report.results import Results, Variant

AXES = ("gender", "profession", "race", "religion")
CARDS = {
    "crows_pairs.causal_sum": {
        "summary": "Share of pairs whose stereotypical sentence is likelier.",
        "source": "Nangia et al. 2020",
        "control": "A span of the same length taken from another pair.",
        "neutral": "Two neutral contexts.",
        "differs": "Ties count half.",
        "criticisms": ["Made-up criticism one (Author 2021).", "Made-up criticism two."],
        "expected_n": 1508,
        "statistics": [],
    }
}


def estimate(measure: str, statistic: str, value: float | None, half: float = 0.0, **more: Any) -> dict[str, Any]:
    """One estimate with a symmetric interval; value None is unmeasurable."""
    row = {
        "measure": measure,
        "statistic": statistic,
        "axis": None,
        "value": value,
        "low": None if value is None or not half else round(value - half, 6),
        "high": None if value is None or not half else round(value + half, 6),
        "n": 1508,
        "n_undefined": 0,
        "ideal": None,
        "chance": None,
        "constant": None,
        "status": "unmeasurable" if value is None else "ok",
    }
    return {**row, **more}


def _bias_rows(measure: str, scores: dict[str, float], corrected: float | None, half: float) -> list[dict[str, Any]]:
    ideals = {"share_stereotypical": 50.0, "ss": 50.0, "icat": 100.0, "lm_score": 100.0}
    chances = {"share_stereotypical": 50.0, "ss": 50.0, "icat": 50.0, "lm_score": 50.0}
    rows = []
    for shift, axis in enumerate((None, *AXES)):
        n = 1508 if axis is None else 240 + 37 * shift
        for name, value in scores.items():
            width = 2.5 if name == "share_stereotypical" else 2.1
            known = {"ideal": ideals[name], "chance": chances[name], "n": n, "axis": axis}
            rows.append(estimate(measure, name, round(value * (1 + 0.01 * shift), 4), width, **known))
        own = None if corrected is None or (axis == "religion" and corrected < 0.2) else corrected + 0.02 * shift
        known = {"ideal": 0.0, "n": n, "n_undefined": 3 * shift, "axis": axis}
        rows.append(estimate(measure, "corrected_bias", own, 1.4 * half, **known))
        rows.append(estimate(measure, "corrected_bias.prior", own, half, **known))
        competence = 0.01 if corrected is None else 2.4 - 3 * half
        rows.append(estimate(measure, "competence", competence, 0.11, n=n, axis=axis, chance=0.0))
    return rows


def _audit(reference: str, cells: tuple[Any, ...], steps: list[dict[str, Any]], half: float) -> dict[str, Any]:
    sparsity, zstd, ppl, crows, lm, ss, bias, accuracy = cells
    icat = lm * min(ss, 100 - ss) / 50
    tasks = [
        estimate("perplexity", "perplexity", ppl, ppl * 0.02, n=24_310),
        estimate("multiple_choice.piqa", "accuracy", accuracy, 0.024, n=1500, chance=0.5, ideal=1.0),
    ]
    return {
        "schema": "fairsqueeze.audit/1",
        "model": {
            "reference": reference,
            "id": f"{abs(hash_of(reference)):016x}",
            "parameters": 134_515_008,
            "kind": "causal",
            "architecture": "LlamaForCausalLM",
            "tokenizer": {"sha256": "ab" * 32, "bos": True, "lower_case": False},
            "steps": steps,
        },
        "footprint": {
            "parameters": 134_515_008,
            "zeros": int(134_515_008 * sparsity),
            "sparsity": sparsity,
            "linear": {"sparsity": sparsity * 1.27},
            "bytes_dense": 538_060_032,
            "bytes_sparse": 538_060_032 * (1 - 0.8 * sparsity),
            "bytes_zstd": zstd * 1e6,
            "bits_per_weight": {"dense": 32.0, "sparse": 33 - 32 * sparsity, "zstd": zstd / 16.8},
            "flops_per_token": {"dense": 2.69e8, "skipping_zeros": 2.69e8 * (1 - sparsity)},
            "latency": {"median_s": 0.0412, "tokens_per_s": 388.0, "speedup": 1.003}
            | {"speedup_low": 0.98, "speedup_high": 1.02},
            "note": "Zeros in no pattern save no time by themselves.",
        },
        "estimates": tasks
        + _bias_rows("crows_pairs.causal_sum", {"share_stereotypical": crows}, bias, half)
        + _bias_rows("stereoset.causal", {"lm_score": lm, "ss": ss, "icat": icat}, bias and bias * 1.3, half * 1.2),
        "warnings": ["stereoset.causal: a seeded sample of 400 of 2106 items, stratified by axis (seed 0)."],
        "provenance": {
            "command": "fairsqueeze study run study.yaml",
            "seed": 0,
            "limit": 400,
            "data": {
                "crows_pairs": {"sha256": "cd" * 32, "licence": "CC BY-SA 4.0", "source": "index"},
                "stereoset": {"sha256": "ef" * 32, "licence": "CC BY-SA 4.0", "source": "index"},
            },
            "libraries": {"fairsqueeze": "0.1.0", "torch": "2.13.0"},
            "machine": {"system": "Linux x86_64", "processor": "Example CPU", "cores": 2, "cuda": None},
            "wall_s": 71.2,
            "cpu_s": 139.9,
        },
    }


def hash_of(text: str) -> int:
    """A number of the text, the same in every process."""
    return int.from_bytes(text.encode()[-8:].rjust(8, b"\0"), "big")


def change(base: dict[str, Any], other: dict[str, Any], verdict: str, half: float) -> dict[str, Any]:
    """One paired comparison of two estimates."""
    difference = None if None in (base["value"], other["value"]) else round(other["value"] - base["value"], 6)
    return {
        "measure": base["measure"],
        "statistic": base["statistic"],
        "axis": base["axis"],
        "base": base["value"],
        "other": other["value"],
        "difference": difference,
        "low": None if difference is None else round(difference - half, 6),
        "high": None if difference is None else round(difference + half, 6),
        "n": base["n"],
        "verdict": "unmeasurable" if difference is None else verdict,
        "smallest_detectable": None if difference is None else round(1.4 * half, 6),
        "flips": {"n": 1508, "up": 61, "down": 44, "ties": 0, "mcnemar_p": 0.12, "share": 0.07}
        if base["statistic"] == "share_stereotypical"
        else None,
        "p": 0.00001 if verdict in ("worse", "better") else 0.31,
        "p_adjusted": None,
    }


def _comparison(dense: dict, other: dict) -> dict[str, Any]:
    halves = {"share_stereotypical": 2.0, "perplexity": 0.4, "accuracy": 0.02, "corrected_bias": 0.06}
    lower_is_worse = {"accuracy", "lm_score", "competence"}
    towards = {
        "share_stereotypical": 50.0,
        "ss": 50.0,
        "icat": 100.0,
        "corrected_bias": 0.0,
        "corrected_bias.prior": 0.0,
    }
    found = []
    for a, b in zip(dense["estimates"], other["estimates"], strict=True):
        name = a["statistic"]
        half = halves.get(name, 0.05 if name.startswith("corrected") else 1.5)
        verdict = "no detectable change"
        if None not in (a["value"], b["value"]) and abs(b["value"] - a["value"]) > half:
            if name in towards:
                worse = abs(b["value"] - towards[name]) > abs(a["value"] - towards[name])
            else:
                worse = (b["value"] < a["value"]) == (name in lower_is_worse)
            verdict = "worse" if worse else "better"
        found.append(change(a, b, verdict, half))
    overall = [
        c["verdict"] for c in found if c["axis"] is None and c["statistic"] in ("corrected_bias.prior", "perplexity")
    ]
    verdict = next((v for v in ("worse", "unmeasurable", "better") if v in overall), "no detectable change")
    base, model = dense["model"], other["model"]
    return {"schema": "fairsqueeze.compare/1", "base": base, "other": model, "verdict": verdict, "comparisons": found}


def made_up() -> Results:
    """Dense, magnitude 30/50/70 %, random 40 %, and the reference models."""

    def step(name: str, sparsity: float) -> list[dict[str, Any]]:
        return [{"name": name, "parameters": {"sparsity": sparsity}}]

    table = {  # sparsity, zstd MB, perplexity, CrowS share, StereoSet LM and SS, corrected bias, accuracy
        "builtin:smollm2-135m": (0.0, 251, 19.42, 65.2, 91.2, 61.3, 0.21, 0.684),
        "m30": (0.237, 206, 23.9, 64.1, 89.0, 60.2, 0.215, 0.671),
        "m50": (0.394, 171, 112.0, 59.8, 78.1, 56.4, 0.23, 0.603),
        "m70": (0.552, 133, 8421.0, 53.0, 55.4, 51.2, None, 0.531),
        "r40": (0.316, 190, 31_213.0, 52.1, 52.0, 50.8, None, 0.512),
        "reference:random:smollm2": (0.0, 502, 49_152.0, 50.1, 50.2, 49.9, None, 0.497),
        "reference:constant:smollm2": (0.0, 251, 49_152.0, 48.0, 49.0, 50.0, None, 0.49),
        "reference:destroyed:smollm2": (0.0, 499, 2.1e7, 50.7, 50.4, 50.9, None, 0.503),
    }
    steps = {"m30": ("magnitude.linear", 0.3), "m50": ("magnitude.linear", 0.5), "m70": ("magnitude.linear", 0.7)}
    steps["r40"] = ("random.linear", 0.4)
    halves = {"builtin:smollm2-135m": 0.03, "m30": 0.034, "m50": 0.062}
    dense, m30, m50, m70, r40, random, constant, destroyed = (
        _audit(name, cells, step(*steps[name]) if name in steps else [], halves.get(name, 0.05))
        for name, cells in table.items()
    )
    variants = [Variant("dense", "dense", dense)]
    pruned = {"magnitude.linear 30 %": m30, "magnitude.linear 50 %": m50, "magnitude.linear 70 %": m70}
    for label, audit in {**pruned, "random.linear 40 %": r40}.items():
        variants.append(Variant(label, "compressed", audit, _comparison(dense, audit)))
    for label, audit in {"random": random, "constant": constant, "destroyed": destroyed}.items():
        variants.append(Variant(label, "reference", audit, _comparison(dense, audit)))
    return Results(
        "first light",
        "SmolLM2-135M, pruned.",
        variants,
        "fairsqueeze study run study.yaml",
        "2026-11-24 09:30 UTC",
        CARDS,
    )


@pytest.fixture(scope="session")
def results() -> Results:
    return made_up()


@pytest.fixture(scope="session", name="estimate")
def estimate_maker() -> Callable[..., dict[str, Any]]:
    return estimate


@pytest.fixture(scope="session", name="change")
def change_maker() -> Callable[..., dict[str, Any]]:
    return change
