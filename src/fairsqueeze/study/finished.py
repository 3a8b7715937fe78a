"""finished: the variants of a study that its folder holds, as the study now stands.

A variant is finished if its document and the records of all its steps are there, none of another size than promised.
"""

from __future__ import annotations

from typing import Any

from fairsqueeze.study.facts import steps_behind
from fairsqueeze.study.store import Store


def finished(store: Store) -> list[dict[str, Any]]:
    """The documents of the variants, in the order of the plan, whatever became of their records since.

    Variants that were made by an earlier version of the study file (another limit, other settings) stay in the folder,
    so that going back computes nothing twice, but they are not part of the study any more.
    """
    keys = (store.read_document("study") or {}).get("variants")
    if keys is None:
        return sorted(store.documents("variants"), key=lambda document: document["order"])
    found = (store.read_document(f"variants/{key}") for key in keys)
    return [document for document in found if document is not None]


def finished_outlines(store: Store) -> list[dict[str, Any]]:
    """`model`, `label`, `kind` and `order` of the finished variants of the study as it now stands."""
    keys = (store.read_document("study") or {}).get("variants")
    outlines = all_finished(store)
    if keys is None:
        return sorted(outlines.values(), key=lambda outline: outline["order"])
    return [outlines[key] for key in keys if key in outlines]


def all_finished(store: Store) -> dict[str, dict[str, Any]]:
    """By key, the outlines of all finished variants that the folder holds, from the manifest alone.

    A document that was promised without its steps, before there were such facts, is read.
    """
    outlines, there = store.outlines("variants"), store.ids("records")
    return {key: one for key, one in outlines.items() if is_finished(store, key, one.get("steps"), there)}


def is_finished(store: Store, key: str, steps: list[str] | None, there: set[str]) -> bool:
    """Whether the records of all `steps` are `there`; of None, of those that the document of the variant names."""
    if steps is None:
        document = store.read_document(f"variants/{key}")
        steps = None if document is None else steps_behind(document)
    return steps is not None and there.issuperset(steps)
