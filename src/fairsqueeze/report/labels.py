"""How names and numbers are shown to people: titles, units, intervals, and the word for what could not be measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MISSING = "–"
"""Shown where a model was not asked; never for a value that is undefined."""

_MEASURES = {
    "crows_pairs": "CrowS-Pairs",
    "stereoset": "StereoSet",
    "weat": "WEAT",
    "seat": "SEAT",
    "bbq": "BBQ",
    "perplexity": "Perplexity",
    "pseudo_perplexity": "Pseudo-perplexity",
    "multiple_choice": "Multiple choice",
}

_STATISTICS = {
    "share_stereotypical": "share of stereotypical choices",
    "ss": "stereotype score SS",
    "lm_score": "language-model score LM",
    "icat": "ICAT",
    "mean_abs_effect": "mean absolute effect size",
    "effect_size": "effect size",
    "corrected_bias": "corrected bias (raw)",
    "corrected_bias.prior": "corrected bias (prior-corrected)",
    "corrected_bias.guessing": "corrected bias (guessing-corrected shares)",
    "corrected_bias.signal_detection": "corrected bias (signal detection)",
    "corrected_bias.length_weighted": "corrected bias (length-weighted)",
    "corrected_bias.pooled": "corrected bias (pooled over axes)",
    "corrected_bias.prior.pooled": "corrected bias (prior-corrected, pooled)",
    "competence": "shown competence (raw)",
    "competence.prior": "shown competence (prior-corrected)",
    "preference": "preference for the stereotype (raw)",
    "preference.prior": "preference for the stereotype (prior-corrected)",
    "perplexity": "perplexity",
    "nats_per_token": "nats per token",
    "nats_per_byte": "nats per byte",
    "accuracy": "accuracy",
}

_UNITS = {
    "share_stereotypical": "%",
    "stereotype_score": "%",
    "antistereotype_score": "%",
    "share_ties": "%",
    "ss": "%",
    "lm_score": "%",
    "icat": "0 to 100",
    "mean_abs_effect": "pooled standard deviations",
    "effect_size": "pooled standard deviations",
    "corrected_bias": "preference per unit of competence",
    "corrected_bias.prior": "preference per unit of competence",
    "corrected_bias.length_weighted": "preference per unit of competence",
    "corrected_bias.pooled": "preference per unit of competence",
    "corrected_bias.prior.pooled": "preference per unit of competence",
    "competence": "nats",
    "competence.prior": "nats",
    "preference": "nats",
    "preference.prior": "nats",
    "perplexity": "per token",
    "nats_per_token": "nats per token",
    "nats_per_byte": "nats per byte",
    "accuracy": "share, 0 to 1",
}

_ONE_DECIMAL = frozenset({"ss", "lm_score", "icat", *(name for name, unit in _UNITS.items() if unit == "%")})

MARKS = {
    "worse": "▼ worse",
    "better": "▲ better",
    "changed": "◆ changed",
    "no detectable change": "= no detectable change",
}
"""Verdicts with a sign, so that nothing is said by colour alone."""


def measure_title(name: str) -> str:
    """`crows_pairs.causal_sum` → `CrowS-Pairs (causal_sum)`; an unknown name stays as it is."""
    family, _, variant = name.partition(".")
    title = _MEASURES.get(family)
    if title is None:
        return name
    return f"{title} ({variant})" if variant else title


def measure_family_title(name: str) -> str:
    """`crows_pairs.causal_sum` → `CrowS-Pairs`."""
    return _MEASURES.get(name.partition(".")[0], name)


def statistic_title(name: str) -> str:
    """The statistic in words; an unknown name with its underscores as spaces."""
    return _STATISTICS.get(name, name.replace("_", " "))


def statistic_unit(name: str) -> str:
    """The unit of a statistic; its name in words if it has none."""
    return _UNITS.get(name) or statistic_title(name)


def statistic_with_unit(name: str) -> str:
    """`stereotype score SS (%)`, for the title of an axis of a chart."""
    unit = _UNITS.get(name)
    title = statistic_title(name)
    return f"{title}, {unit}" if unit and unit != title else title


def number(value: float | None, statistic: str = "") -> str:
    """A number in the precision that suits it; `–` if None. Minus is U+2212, thousands are grouped."""
    if value is None:
        return MISSING
    size = abs(value)
    if size >= 1e6:
        text = f"{value:.2e}"
    elif size >= 1000:
        text = f"{value:,.0f}"
    elif statistic in _ONE_DECIMAL or size >= 100:
        text = f"{value:.1f}"
    elif size >= 10:
        text = f"{value:.2f}"
    else:
        text = f"{value:.3f}"
    return _signed(text)


def compact(value: float | None, statistic: str = "") -> str:
    """`number` with one digit less where there are three decimals, for narrow tables."""
    if value is None or abs(value) >= 10 or statistic in {*_ONE_DECIMAL, "accuracy"}:
        return number(value, statistic)
    return _signed(f"{value:.2f}")


def _signed(text: str) -> str:
    if float(text.replace(",", "")) == 0:
        text = text.lstrip("-")  # -0.000 has no meaning for a reader
    return text.replace("-", "−", 1) if text.startswith("-") else text


def undefined_word(row: Mapping[str, Any]) -> str | None:
    """Why this estimate or comparison has no value (`unmeasurable`, `undefined`), or None if it has one."""
    status = row.get("status") or row.get("verdict") or "ok"
    if status == "unmeasurable":
        return "unmeasurable"
    if "value" in row and row["value"] is None:
        return "undefined" if status == "ok" else str(status)
    return None


def value_text(row: Mapping[str, Any] | None, *, short: bool = False) -> str:
    """The value of an estimate, the word for why there is none, or `–` if the model was not asked."""
    if row is None:
        return MISSING
    show = compact if short else number
    return undefined_word(row) or show(row["value"], row["statistic"])


def interval_text(row: Mapping[str, Any] | None, *, short: bool = False) -> str:
    """`[low, high]`, or an empty text if there is no interval."""
    if row is None or row.get("low") is None or row.get("high") is None or undefined_word(row):
        return ""
    show = compact if short else number
    return f"[{show(row['low'], row['statistic'])}, {show(row['high'], row['statistic'])}]"


def percent(share: float | None) -> str:
    """`0.4987` → `49.9 %`; `–` if None."""
    return MISSING if share is None else f"{100 * share:.1f} %"


def megabytes(size: float | None) -> str:
    """Bytes as MB (10^6 bytes), without the unit; `–` if None."""
    if size is None:
        return MISSING
    return f"{size / 1e6:,.0f}" if size >= 1e7 else f"{size / 1e6:.2f}"


def verdict_text(verdict: str) -> str:
    """The verdict with its sign."""
    return MARKS.get(verdict, verdict)
