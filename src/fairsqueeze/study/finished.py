"""finished: the variants of a study that its folder holds, as the study now stands."""

from __future__ import annotations

from typing import Any

from fairsqueeze.study.store import Store


def finished(store: Store) -> list[dict[str, Any]]:
    """The documents of the finished variants, in the order of the plan.

    Variants that were made by an earlier version of the study file (another limit, other settings) stay in the folder,
    so that going back computes nothing twice, but they are not part of the study any more.
    """
    keys = (store.read_document("study") or {}).get("variants")
    if keys is None:
        return sorted(store.documents("variants"), key=lambda document: document["order"])
    found = (store.read_document(f"variants/{key}") for key in keys)
    return [document for document in found if document is not None]


def finished_outlines(store: Store) -> list[dict[str, Any]]:
    """`model`, `label`, `kind` and `order` of the documents that `finished` would read, from the manifest alone."""
    keys = (store.read_document("study") or {}).get("variants")
    outlines = store.outlines("variants")
    if keys is None:
        return sorted(outlines.values(), key=lambda outline: outline["order"])
    return [outlines[key] for key in keys if key in outlines]
