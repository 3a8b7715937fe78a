"""From the folder of an audit, a comparison or a study to the plain values that reports are made from."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

from fairsqueeze.errors import StoreError
from fairsqueeze.report.results import Kind, Results, Variant
from fairsqueeze.study.finished import finished
from fairsqueeze.study.store import Store


def load_results(folder: Path | str) -> Results:
    """What the folder (or URL) of an audit, a comparison or a study holds; StoreError if it is none of these."""
    store = Store(folder)
    for name, read in (("study", _of_study), ("compare", _of_comparison), ("audit", _of_audit)):
        if store.holds(name):
            return read(store)
    raise StoreError(f"{folder} holds no audit, comparison or study.", "Give the --out folder of one of these.")


def holds_results(folder: Path | str) -> bool:
    """Whether `folder` is that of an audit, a comparison or a study."""
    store = Store(folder)
    return any(store.holds(name) for name in ("study", "compare", "audit"))


def _of_study(store: Store) -> Results:
    document = store.read_document("study") or {}
    found = finished(store)
    if not found:
        raise StoreError(f"{store.root}: no variant of the study is finished yet.", "Run: fairsqueeze study run")
    several = len({d["model"] for d in found}) > 1
    variants = [
        Variant(f"{d['model']}: {d['label']}" if several else d["label"], d["kind"], d["audit"], d["comparison"])
        for d in found
    ]
    study = document.get("study", {})
    name, description = study.get("name", ""), study.get("description", "")
    return Results(name, description, variants, document.get("command", ""), _date(store))


def _of_comparison(store: Store) -> Results:
    comparison = store.read_document("compare") or {}
    variants = []
    sides: tuple[tuple[str, Kind], ...] = (("base", "dense"), ("other", "compressed"))
    for side, kind in sides:
        audit = Store(f"{store.root}/{side}").read_document("audit")
        if audit is None:
            raise StoreError(f"{store.root}/{side} holds no audit.", "Compare models, not folders, to report on both.")
        variants.append(Variant(audit["model"]["reference"], kind, audit, comparison if side == "other" else None))
    return Results("comparison", "", variants, variants[1].audit["provenance"]["command"], _date(store))


def _of_audit(store: Store) -> Results:
    audit = store.read_document("audit")
    if audit is None:
        raise StoreError(f"{store.root}/audit.json is damaged.", "Run the audit again with the same --out.")
    if not {"model", "provenance"} <= set(audit):
        raise StoreError(f"{store.root}/audit.json is no audit of fairsqueeze.", "Run the audit with another --out.")
    reference = audit["model"]["reference"]
    kind: Kind = "reference" if reference.startswith("reference:") else "dense"
    return Results("audit", "", [Variant(reference, kind, audit, None)], audit["provenance"]["command"], _date(store))


def _date(store: Store) -> str:
    return datetime.fromtimestamp(store.changed(), timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
