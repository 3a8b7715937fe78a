"""The page of compression: simulated rows claim no speed, and orders are strict."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

RECIPES = Path(__file__).parents[2] / "recipes"


@pytest.fixture
def page(monkeypatch):
    monkeypatch.syspath_prepend(str(RECIPES))
    for name in ("compression", "compression_page", "generated_part"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    import compression_page

    return compression_page


def row(method, value=10.0, speedup=1.0, settings=None, **measured):
    return {
        "row": f"{method}(…)",
        "method": method,
        "settings": settings or {},
        "dtype": "float32",
        "measured": measured,
        "footprint": {"linear": {"sparsity": 0.0}, "bytes_dense": 1e6},
        "latency": {"speedup": speedup, "speedup_low": speedup - 0.05, "speedup_high": speedup + 0.05},
        "spent": {"wall_s": 1.0, "cpu_s": 1.0, "peak_gib": 1.0},
        "score": {"value": value, "low": None, "high": None},
    }


def test_a_simulated_row_has_no_speed_and_says_what_it_would_take(page):
    low_rank = page.line(row("low_rank.svd", speedup=3.0, factor_share=0.75)).split(" | ")
    assert low_rank[3] == "24.00 (simulated)"
    assert low_rank[5] == "–"
    assert page.line(row("rtn", speedup=3.0, bits_per_weight=4.1)).split(" | ")[3:6:2] == ["4.10 (simulated)", "–"]
    packed = page.line(row("dynamic_int8", speedup=1.5, bits_per_weight=8.0)).split(" | ")
    assert packed[3:6:2] == ["8.00", "1.500 [1.450, 1.550]"]
    assert page.line(row("magnitude.linear")).split(" | ")[3] == "32"


def test_what_is_faster_is_structured_and_quantised_and_never_simulated(page):
    documents = [row("rtn", speedup=2.0), row("blocks.cosine", speedup=1.6), row("dynamic_int8", speedup=1.3)]
    told = page.checks(documents)
    assert "blocks.cosine(…), dynamic_int8(…)" in told[-2]
    assert "rtn" not in told[-2]
    assert "holds (1 structured, 1 quantised)" in told[-1]
    assert "does NOT hold" in page.checks(documents[:2])[-1]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ((20, 20, 30, 40), "holds"),
        ((20, 25, 25, 40), "does NOT hold"),
        ((21, 20, 30, 40), "does NOT hold"),
        ((20, None, 30, 40), "undecided"),
    ],
)
def test_the_order_is_strict_where_it_says_so(page, values, said):
    names = ("sparsegpt", "wanda", "magnitude.linear", "random.linear")
    more = {"calibration": "wikitext2", "sequences": 8, "length": 8}
    documents = [row(n, v, settings={"sparsity": 0.5, **more}) for n, v in zip(names, values, strict=True)]
    assert page.checks(documents)[0].split("50 %: ")[1].startswith(said)


def test_rows_are_found_by_method_and_settings_on_whatever_they_were_calibrated(page):
    documents = [
        row("gptq", 20.0, settings={"bits": 4, "sequences": 32, "length": 256}),
        row("gptq", 90.0, settings={"bits": 4, "sequences": 2, "length": 256}),
        row("gptq", 99.0, settings={"bits": 4, "group": 64, "sequences": 128, "length": 512}),
        row("rtn", 30.0, settings={"bits": 4}),
    ]
    assert "GPTQ < round to nearest at 4 bits: holds (20.0, 30.0)." in page.checks(documents)[0]
