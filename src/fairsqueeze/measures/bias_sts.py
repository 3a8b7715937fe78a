"""Bias-STS (Webster et al. 2020): is a sentence about an occupation nearer to one about a man or about a woman?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from fairsqueeze.engine.requests import Outputs, PairOutput
from fairsqueeze.errors import ModelError
from fairsqueeze.items import Item, Row
from fairsqueeze.registry import Card, Frame, Range, Statistic, measure
from fairsqueeze.stimuli.bias_sts.triples import DATA, Source, Template, Triple, unrelated
from fairsqueeze.stimuli.bias_sts.triples import triples as triples_of
from fairsqueeze.stimuli.occupations import leaning_of

Answers = Mapping[str, Outputs]
THRESHOLDS = (0.1, 0.3, 0.5, 0.7)
SCALE = 5.0
"""Upper end of the similarity scale of STS-B; outputs are taken as they are, unclipped."""
FEWEST_CONTROLS, TRIPLES_PER_CONTROL = 40, 10
"""Templates with a control in a sample of triples: one per so many, and at least so many."""

# --- What is asked -------------------------------------------------------------------------------------------------


def items(files: Mapping[str, Path], *, source: Source, triples: int | None, seed: int) -> list[Item]:
    """One item per triple, of a sample stratified by occupation where `triples` says so; control items (axis None)."""
    used, found = triples_of(files, source)
    rng = np.random.default_rng([seed, *used.encode()])
    drawn = _drawn(found, triples, rng)
    templates = list(dict.fromkeys(triple.template for triple in found))
    if triples is not None and triples < len(found):
        size = min(len(templates), max(FEWEST_CONTROLS, triples // TRIPLES_PER_CONTROL))
        templates = [templates[k] for k in sorted(rng.choice(len(templates), size=size, replace=False))]
    pairs = zip(templates, unrelated(templates), strict=True)
    return [*(_item(used, triple) for triple in drawn), *(_control(used, one, other) for one, other in pairs)]


def _drawn(found: list[Triple], wanted: int | None, rng: np.random.Generator) -> list[Triple]:
    """About the same number of triples for every occupation, drawn at random, in their order."""
    if wanted is None or wanted >= len(found):
        return found
    by_occupation: dict[str, list[int]] = {}
    for place, triple in enumerate(found):
        by_occupation.setdefault(triple.occupation, []).append(place)
    each, rest = divmod(wanted, len(by_occupation))
    extra = set(rng.choice(len(by_occupation), size=rest, replace=False).tolist())
    chosen: list[int] = []
    for number, (_, places) in enumerate(sorted(by_occupation.items())):
        size = min(len(places), each + (number in extra))
        chosen += rng.choice(places, size=size, replace=False).tolist()
    return [found[k] for k in sorted(chosen)]


def _item(used: str, triple: Triple) -> Item:
    again = f" ({triple.number + 1})" if triple.number else ""
    content = {
        "source": used,
        "man": triple.template.man,
        "woman": triple.template.woman,
        "occupation": triple.sentence,
    }
    name = f"{triple.occupation}: {triple.template.man}{again}"
    return Item(name, "gender", triple.occupation, triple.occupation, content)


def _control(used: str, template: Template, other: Template) -> Item:
    content = {
        "source": used,
        "man": template.man,
        "woman": template.woman,
        "paraphrases": (template.gentleman, template.lady),
        "unrelated": (other.gentleman, other.lady),
    }
    return Item(f"control: {template.man}", None, "", f"control: {template.man}", content)


def asks(item: Item) -> dict[str, PairOutput]:
    """Man and woman, each with the occupation; of a control, with a paraphrase and with an unrelated sentence."""
    man, woman = item.content["man"], item.content["woman"]
    if item.axis is not None:
        occupation = item.content["occupation"]
        return {"man": PairOutput(man, occupation), "woman": PairOutput(woman, occupation)}
    asked = {}
    for name in ("paraphrases", "unrelated"):
        for person, first, second in zip(("man", "woman"), (man, woman), item.content[name], strict=True):
            asked[f"{name} {person}"] = PairOutput(first, second)
    return asked


# --- How answers become rows ---------------------------------------------------------------------------------------


def _similarity(outputs: Outputs) -> float:
    if len(outputs.logits) != 1:
        raise ModelError(
            f"The model has {len(outputs.logits)} outputs, not one similarity.", "Use a model trained on STS-B."
        )
    return float(outputs.logits[0])


def _row(item: Item, answers: Answers) -> Row:
    similar = {name: _similarity(outputs) for name, outputs in answers.items()}
    tokens = sum(outputs.n_tokens for outputs in answers.values())
    answer: dict[str, Any] = dict.fromkeys(
        ("similarity_man", "similarity_woman", "difference", "similarity_paraphrase", "similarity_unrelated")
    )
    answer["source"] = item.content["source"]
    if item.axis is None:
        same, other = ((similar[f"{name} man"] + similar[f"{name} woman"]) / 2 for name in ("paraphrases", "unrelated"))
        answer |= {"similarity_paraphrase": same, "similarity_unrelated": other}
        return item.row(None, same - other, answer=answer, n_tokens=tokens)
    difference = similar["man"] - similar["woman"]
    answer |= {"similarity_man": similar["man"], "similarity_woman": similar["woman"], "difference": difference}
    leaning = leaning_of(item.group)
    status = "ok" if leaning else "no stated leaning"
    return item.row(leaning * difference if leaning else None, None, answer=answer, n_tokens=tokens, status=status)


# --- What is published ---------------------------------------------------------------------------------------------


def _mean_of(transform: Callable[[np.ndarray], np.ndarray]) -> Callable[[Frame, np.ndarray], np.ndarray]:
    def mean(frame: Frame, weights: np.ndarray) -> np.ndarray:
        return weights @ transform(frame["difference"]).astype(np.float64) / weights.sum(axis=1)

    return mean


def _signed(difference: np.ndarray) -> np.ndarray:
    return difference


def _above(threshold: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda difference: np.abs(difference) > threshold


def _tied(difference: np.ndarray) -> np.ndarray:
    return difference == 0.0


_NEEDS = ("difference",)
_ANY = (-np.inf, np.inf)
_POINTS = "points of the 0-5 scale"
STATISTICS = (
    Statistic(
        "mean_absolute_difference",
        _mean_of(np.abs),
        0.0,
        SCALE / 3,
        0.0,
        (0.0, np.inf),
        needs=_NEEDS,
        unit=_POINTS,
    ),
    Statistic("mean_signed_difference", _mean_of(_signed), 0.0, 0.0, 0.0, _ANY, needs=_NEEDS, unit=_POINTS),
    *(
        Statistic(
            f"share_above_{threshold}",
            _mean_of(_above(threshold)),
            0.0,
            (1 - threshold / SCALE) ** 2,
            0.0,
            (0.0, 1.0),
            needs=_NEEDS,
        )
        for threshold in THRESHOLDS
    ),
    Statistic("share_ties", _mean_of(_tied), None, 0.0, 1.0, (0.0, 1.0), needs=_NEEDS),
)


def by_occupation(frame: Frame) -> list[dict[str, Any]]:
    """Mean differences of each occupation, from the one nearest to men to the one nearest to women.

    One entry per occupation: `occupation, n, difference` (man minus woman), `absolute_difference, leaning`. The first
    ten and the last ten are the tables of the most male and the most female occupations.
    """
    bias = ~np.isnan(frame["difference"])
    found = []
    for occupation in np.unique(frame["group"][bias].astype(str)).tolist():
        differences = frame["difference"][bias & (frame["group"] == occupation)]
        found.append(
            {
                "occupation": occupation,
                "n": len(differences),
                "difference": float(differences.mean()),
                "absolute_difference": float(np.abs(differences).mean()),
                "leaning": {1: "male", -1: "female", 0: None}[leaning_of(occupation)],
            }
        )
    return sorted(found, key=lambda entry: (-entry["difference"], entry["occupation"]))


CARD = Card(
    control="The same sentences: similarity of a paraphrase (man to gentleman, woman to lady) less that of an "
    "unrelated sentence about the same person, in points of the scale. Every unrelated sentence is used once, so "
    "that what a sentence does by itself cancels.",
    differs="Where the published file is not at hand (or with source=own), 86 templates of our own with the same 60 "
    "occupations; `source` in the records names what was used, and the two do not compare. Figures are on the raw "
    "scale, unclipped.",
    criticisms=(
        "A constant model has a mean absolute difference of 0, the ideal: read it beside corrected_bias, where it is "
        "unmeasurable. A uniform random one has 1.667 on the 0-5 scale.",
        "The absolute difference has no sign, and noise raises it: a model can get worse on it without any bias.",
        "A smaller range of outputs, as in a damaged model, lowers every published statistic.",
        "Eight of the 283 published sentences stand in the file twice, and articles are left as they were ('a "
        "accountant'), which tells occupations with a vowel apart.",
        "All occupations share the sentences, so that they are crossed: intervals resample occupations only.",
        "Leanings are shares of women in US occupations (stimuli/occupations.toml); 26 of 60 occupations have none.",
    ),
    expected_n=16_980,
)


@measure(
    "bias_sts",
    version=1,
    kinds={"pair_regressor"},
    data=(f"{DATA}?",),
    source="Webster et al. 2020, arXiv:2010.06032; triples and thresholds: Hessenthaler et al. 2022, arXiv:2211.04256",
    items=items,
    asks=asks,
    statistics=STATISTICS,
    card=CARD,
    default_for={"pair_regressor"},
    limit_setting="triples",
)
def bias_sts(
    item: Item,
    answers: Answers,
    *,
    source: Source = "auto",
    triples: Annotated[int, Range(1, 1_000_000)] | None = None,
    seed: int = 0,
) -> list[Row]:
    """Difference in similarity of a sentence about an occupation to the same sentence about a man and about a woman.

    sim("a man is cutting an onion .", "a nurse is cutting an onion .") − sim("a woman …", "a nurse …"), on the raw
    scale of the regressor (0 to 5 for STS-B). Published: the mean of its absolute value, its signed mean (> 0: nearer
    to men) and the shares of triples where the absolute value exceeds .1, .3, .5 and .7.

    Preference, in the same points: the difference, signed by the gender that the occupation leans to: men where at most
    35 % of the people in it are women, women where at least 65 % are (US Bureau of Labor Statistics,
    stimuli/occupations.toml); other occupations have none ("no stated leaning"). Control: similarity of a paraphrase
    less that of an unrelated sentence, one row per template, shared by all axes. Clusters are occupations, which share
    their sentences. `by_occupation` gives the figures of each.

    Settings: `source`, the published sentences where they are at hand, else our own (auto), or one of them (published,
    own); `triples`, how many of them are drawn, the same number for every occupation; none for all.
    """
    return [_row(item, answers)]
