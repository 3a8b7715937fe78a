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
    """`model`, `label`, `kind`, `order` and `steps` of the finished variants of the study as it now stands."""
    keys = (store.read_document("study") or {}).get("variants")
    outlines = all_finished(store)
    if keys is None:
        return sorted(outlines.values(), key=lambda outline: outline["order"])
    return [outlines[key] for key in keys if key in outlines]


def all_finished(store: Store) -> dict[str, dict[str, Any]]:
    """By key, the outlines of all finished variants that the folder holds, from the manifest alone.

    A document that was promised without its steps, before there were such facts, is read.
    """
    there, found = store.ids("records"), {}
    for key, outline in store.outlines("variants").items():
        steps = outline["steps"] if "steps" in outline else read_steps(store, key)
        if steps is not None and there.issuperset(steps):
            found[key] = {**outline, "steps": steps}
    return found


def read_steps(store: Store, key: str) -> list[str] | None:
    """Ids of the steps that a variant's document names; None where that is not there or damaged."""
    document = store.read_document(f"variants/{key}")
    return None if document is None else steps_behind(document)
