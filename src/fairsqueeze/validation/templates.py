"""Templates: which wording each row of a measure uses, and whether its wordings agree on who is stereotyped."""

from __future__ import annotations

from typing import Any

import numpy as np

from fairsqueeze.items import Item, Row
from fairsqueeze.registry import Frame
from fairsqueeze.stats.estimate import finite
from fairsqueeze.stats.figures import text
from fairsqueeze.stats.reliability import cronbach_alpha
from fairsqueeze.validation.asked import Asked
from fairsqueeze.validation.association import is_association

PLACE = "…"
"""Stands in a template for the word that the sentence is about."""

MIN_UNITS = 3


def templates_of(asked: Asked) -> np.ndarray | None:
    """The template of every row, in the order of `asked.frame()`, "" where it has none; None where no row has one.

    A template is what the item names as one (Bias-NLI), the sentence that the pair is made of (Bias-STS), or the
    sentence of a row without the word that it is about (SEAT).
    """
    found = [template_of(asked.evaluation.items[k], row) for k in range(len(asked.answers)) for row in asked.rows(k)]
    return np.array(found, dtype=str) if any(found) else None


def template_of(item: Item, row: Row) -> str:
    """The template of one row; "" for a control that all axes share, a bare word, or an item made of no template."""
    if item.axis is None:
        return ""
    if "template" in item.content:
        return f"template {item.content['template']}"
    if "occupation" in item.content and "man" in item.content:
        return str(item.content["man"])
    if not is_association(item):
        return ""
    _, _, sentence = row.item.partition(":")
    word = str(row.cluster)
    return sentence.replace(word, PLACE) if word in sentence and sentence != word else ""


def across_templates(frame: Frame, templates: np.ndarray | None) -> dict[str, Any] | None:
    """Templates as parallel forms of the units (a word or occupation, within a test); None without templates.

    `alpha`: Cronbach's, over the templates that every unit has; None with fewer than two. `between_units`: of the mean
    of a unit over its own templates, whichever they are: 1 - (mean square within units) / (mean square between units),
    the intraclass correlation ICC(1, k) (Shrout & Fleiss 1979), which also holds where each unit has other templates.
    """
    if templates is None:
        return None
    use = ~np.isnan(frame["preference"]) & (templates != "")
    names = [text(frame[name])[use] for name in ("test", "axis", "group", "cluster") if name in frame]
    units, unit = np.unique(["/".join(parts) for parts in zip(*names, strict=True)], return_inverse=True)
    forms, form = np.unique(templates[use], return_inverse=True)
    if len(forms) < 2 or len(units) < MIN_UNITS:
        return None
    cell = unit.ravel() * len(forms) + form.ravel()
    n = np.bincount(cell, minlength=len(units) * len(forms))
    sums = np.bincount(cell, weights=frame["preference"][use], minlength=len(n))
    with np.errstate(invalid="ignore"):
        means = (sums / n).reshape(len(units), len(forms))
    complete = means[:, ~np.isnan(means).any(axis=0)]
    return {
        "n_templates": len(forms),
        "n_units": len(units),
        "n_complete": complete.shape[1],
        "alpha": cronbach_alpha(complete) if complete.shape[1] > 1 else None,
        "between_units": between_units(means),
    }


def between_units(means: np.ndarray) -> float | None:
    """ICC(1, k) of the rows' means, shape (units, templates) with NaN where a unit lacks one; None if undefined."""
    known = ~np.isnan(means)
    each = known.sum(axis=1)
    means, known, each = means[each > 0], known[each > 0], each[each > 0]
    filled = np.where(known, means, 0.0)
    own, total = filled.sum(axis=1) / each, filled.sum() / each.sum()
    free_between, free_within = len(own) - 1, int(each.sum()) - len(own)
    if free_between < MIN_UNITS - 1 or free_within < 1:
        return None
    between = float(each @ (own - total) ** 2) / free_between
    within = float(np.sum(np.where(known, means - own[:, None], 0.0) ** 2)) / free_within
    return finite(1 - within / between) if between > 0 else None
