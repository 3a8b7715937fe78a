"""status: which variants of the study in a folder are finished, and why others failed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fairsqueeze.errors import StoreError
from fairsqueeze.study.finished import all_finished
from fairsqueeze.study.store import Store

Named = list[tuple[str, str, str]]
"""Key, model and label of every variant of a study, in the order of its plan."""


def status(store: Store) -> dict[str, Any]:
    """Which variants of the study in `store` are finished, which are open, and which of these failed.

    The study is the one that was run there last. No model is loaded and nothing planned: document and records of a
    finished variant are there (`finished`).

    Raises StoreError for a folder that holds no study.
    """
    document = store.read_document("study")
    if document is None or "study" not in document:
        raise StoreError(f"{store.root} holds no study.", "Give the --out folder of `fairsqueeze study run`.")
    named = _named(document)
    done = all_finished(store)
    rows = [{"model": model, "variant": label, "finished": key in done} for key, model, label in named]
    return {
        "study": document["study"]["name"],
        "finished": sum(row["finished"] for row in rows),
        "total": len(rows),
        "variants": rows,
        "failed": _failed(store, (one for one in named if one[0] not in done)),
    }


def _failed(store: Store, left: Iterable[tuple[str, str, str]]) -> dict[str, str]:
    """Why variants that are not finished failed the last time, by model and label."""
    failures = dict(store.documents_by_id("failed"))
    found = {f"{model}: {label}": failures[key] for key, model, label in left if key in failures}
    return {name: f"{failure['message']} {failure['remedy']}".strip() for name, failure in found.items()}


def _named(document: dict[str, Any]) -> Named:
    if "labels" in document:
        pairs = document["labels"]
    else:  # written by an earlier version: the plan has the same variants in the same order
        from fairsqueeze.study.plan import plan
        from fairsqueeze.study.study import Study

        pairs = [(variant.model, variant.label) for variant in plan(Study.model_validate(document["study"])).variants]
    return [(key, model, label) for key, (model, label) in zip(document["variants"], pairs, strict=False)]
