"""Facts: what the manifest tells of a file, so that the status of 100,000 steps is known without opening them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from fairsqueeze.records import METADATA_KEY, metadata_of

_OF_METADATA = ("checkpoint", "reference", "measure", "measure_version", "items", "schema", "wall_s", "cpu_s")
_OF_RATES = ("parameters", "size", "peak_rss_bytes")


def facts_of_records(table: pa.Table) -> dict[str, Any]:
    """Of a step's records: what its metadata names, the number of rows and of undefined ones, the type of `answer`."""
    found = metadata_of(table) if METADATA_KEY in (table.schema.metadata or {}) else {}
    facts: dict[str, Any] = {key: found[key] for key in (*_OF_METADATA, *_OF_RATES) if key in found}
    if "device" in found.get("context", {}):
        facts["device"] = found["context"]["device"]
    facts["rows"] = table.num_rows
    facts["undefined"] = pc.sum(pc.not_equal(table.column("status"), "ok")).as_py() or 0
    facts["answer"] = str(table.schema.field("answer").type)
    return facts


def facts_of_document(value: Mapping[str, Any]) -> dict[str, Any]:
    """Of a JSON document: the strings, numbers and booleans that stand at its top level.

    Of a variant also `steps`, the ids of those that it was made from: without their records it is not finished.
    """
    facts = {key: one for key, one in value.items() if one is None or isinstance(one, (str, int, float))}
    return {**facts, "steps": steps_behind(value)} if "audit" in value else facts


def steps_behind(document: Mapping[str, Any]) -> list[str]:
    """Ids of the steps that the document of a variant was made from."""
    return list(document["audit"]["provenance"]["steps"].values())
