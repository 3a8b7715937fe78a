"""Which output of a classifier is which class of a data set: matched by name, never by position."""

from __future__ import annotations

from collections.abc import Sequence

from fairsqueeze.errors import BadSetting, ModelError
from fairsqueeze.stimuli.nli_labels import names_in


def class_order(outputs: Sequence[str], classes: Sequence[str], given: str | None = None) -> tuple[int, ...]:
    """Positions of `classes` among a model's outputs; names are compared without case and punctuation.

    Args:
        outputs: names of the outputs in their order, from the model's config.
        classes: of the data, in any order.
        given: the classes in the order of the outputs, `a/b`, for a config that has other names (`LABEL_0` …).

    Raises ModelError where the names are not those of the classes and nothing is given, or the numbers of outputs and
    classes differ; BadSetting where `given` does not name every class once, or the config says otherwise.
    """
    wanted = [plain_name(name) for name in classes]
    example = "/".join(classes)
    if len(outputs) != len(classes):
        raise ModelError(
            f"The model has {len(outputs)} outputs ({', '.join(outputs)}), the data {len(classes)} classes "
            f"({', '.join(classes)}).",
            "Choose a model that is trained for these classes.",
        )
    named = _positions([plain_name(name) for name in outputs], wanted)
    if given is None:
        if named is None:
            raise ModelError(
                f"The model's outputs are called {', '.join(outputs)}, the classes {', '.join(classes)}: which is "
                "which can't be read from its config.",
                f"Name the classes in the order of the outputs with the setting labels, such as labels={example}.",
            )
        return named
    told = _positions([plain_name(name) for name in names_in(given)], wanted)
    if told is None:
        raise BadSetting(f"labels is {given!r}.", f"It must name every class once: labels={example}.")
    if named is not None and named != told:
        raise BadSetting(
            f"labels is {given!r}, but the model's config names its outputs {', '.join(outputs)}.",
            "Leave the setting out; where the config is wrong, correct its id2label.",
        )
    return told


def plain_name(name: str) -> str:
    """The name by which classes are compared: without case and punctuation."""
    return "".join(c for c in name.lower() if c.isalnum())


def _positions(names: Sequence[str], wanted: Sequence[str]) -> tuple[int, ...] | None:
    if sorted(names) != sorted(wanted) or len(set(names)) != len(names):
        return None
    return tuple(names.index(name) for name in wanted)
