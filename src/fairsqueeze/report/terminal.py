"""What the commands print for people: one function per kind of result, from the same document that --json prints."""

from __future__ import annotations

from typing import Any

from rich.console import Group

from fairsqueeze.report.table import audit_table, compare_table, listing_table, summary_table


def audit_text(document: dict[str, Any]) -> Any:
    """The estimates of an audit, and its warnings."""
    return Group(audit_table(document), *_notes(document["warnings"]))


def compare_text(document: dict[str, Any]) -> Any:
    """The differences of a comparison, its warnings and its verdict."""
    return Group(compare_table(document), *_notes(document["warnings"]), f"Verdict: {document['verdict']}")


def compress_text(document: dict[str, Any]) -> str:
    """Where a compressed model lies, what was measured on it, and what it saves."""
    measured = ", ".join(f"{k} {v}" for k, v in document["measured"].items() if isinstance(v, (int, float, str)))
    return f"{document['out']}\n  checkpoint {document['id']}\n  {measured}\n  {document['saves']}"


def study_text(results: Any, document: dict[str, Any]) -> Any:
    """A study's table, what failed, and the path of its report."""
    failed = [f"failed: {label}: {why}" for label, why in document["failed"].items()]
    skipped = [f"not begun, since its dense model failed: {label}" for label in document.get("skipped", ())]
    return Group(summary_table(results), *failed, *skipped, f"Report: {document['report']}")


def status_text(document: dict[str, Any]) -> Any:
    """The variants of a study, how many of them are finished, and why others failed."""
    failed = [f"failed the last time: {name}: {why}" for name, why in document["failed"].items()]
    count = f"{document['finished']} of {document['total']} variants are finished."
    return Group(listing(document["variants"]), count, *failed)


def _notes(messages: list[str]) -> list[str]:
    return [f"note: {message}" for message in messages]


def listing(rows: list[dict[str, Any]]) -> Any:
    """Rows with the same keys as a table."""
    return listing_table(rows, list(rows[0])) if rows else "nothing"


def details(value: dict[str, Any], indent: str = "") -> str:
    """Nested facts, one line each."""
    lines = []
    for key, one in value.items():
        if isinstance(one, dict):
            lines += [f"{indent}{key}:", details(one, indent + "  ")] if one else []
        elif isinstance(one, (list, tuple)):
            lines += [f"{indent}{key}:", *(f"{indent}  - {each}" for each in one)] if one else []
        elif isinstance(one, str) and "\n" in one:
            lines += [f"{indent}{key}:", *(f"{indent}  {line}" for line in one.splitlines())]
        else:
            lines.append(f"{indent}{key}: {'none' if one is None else one}")
    return "\n".join(lines)
