"""Which output of an entailment classifier means what: read from its label names, never assumed."""

from __future__ import annotations

import re

from fairsqueeze.errors import BadSetting, ModelError

LABELS = ("entailment", "neutral", "contradiction")
SPELLINGS = {
    "entailment": ("entailment", "entail", "entails", "entailed", "entailing", "implication", "e"),
    "neutral": ("neutral", "neutrality", "undetermined", "n"),
    "contradiction": ("contradiction", "contradict", "contradicts", "contradictory", "contradicted", "c"),
}
"""How the three labels are written in published configs, in lower case and without anything but letters."""
EXAMPLE = "/".join(LABELS)


def order_of(labels: tuple[str, ...], given: str | None = None) -> tuple[int, int, int]:
    """Positions of (entailment, neutral, contradiction) among a model's outputs.

    Args:
        labels: names of the outputs in their order, as `Outputs.labels` has them from the model's config.
        given: the names in the order of the outputs, separated by `/` (or a comma, which the command line takes for the
            end of a setting), for a config that has none (`LABEL_0` …).

    Raises ModelError where the config does not name three outputs so that they can be told apart and nothing is given;
    BadSetting where `given` does not name the three labels once each, or says other than a config that does name them.
    """
    read = _positions(labels)
    if given is None:
        if read is None:
            raise ModelError(
                f"The model's outputs are called {', '.join(labels) or 'nothing'}, "
                "so which of them is entailment can't be read from its config.",
                f"Name the outputs in their order with the setting labels, such as labels={EXAMPLE}, "
                "or choose a model that is trained for inference with three labels.",
            )
        return read
    wanted = _positions(tuple(names_in(given)))
    if wanted is None:
        raise BadSetting(
            f"labels is {given!r}.", f"It must name entailment, neutral and contradiction once each: labels={EXAMPLE}."
        )
    if len(labels) != len(LABELS):
        raise ModelError(
            f"The model has {len(labels)} outputs, but labels={given} names 3.",
            "Choose a model that is trained for inference with three labels.",
        )
    if read is not None and read != wanted:
        raise BadSetting(
            f"labels is {given!r}, but the model's config names its outputs {','.join(labels)}.",
            "Leave the setting out; where the config is wrong, correct its id2label.",
        )
    return wanted


def names_in(given: str) -> list[str]:
    """The names in a setting that lists outputs in their order: `a/b/c`, or with commas or bars between them."""
    return [part.strip() for part in re.split(r"[/,|]", given)]


def label_named(text: str) -> str | None:
    """The label that `text` spells, whatever its case; None if it spells none of the three."""
    letters = "".join(c for c in text.lower() if c.isalpha())
    return next((label for label, spellings in SPELLINGS.items() if letters in spellings), None)


def _positions(names: tuple[str, ...]) -> tuple[int, int, int] | None:
    found = [label_named(name) for name in names]
    if len(found) != len(LABELS) or set(found) != set(LABELS):
        return None
    return found.index("entailment"), found.index("neutral"), found.index("contradiction")
