"""check_text: what a check of a study file found, for a terminal."""

from __future__ import annotations

from typing import Any


def check_text(document: dict[str, Any]) -> str:
    """A verdict in the first line; then problems, what is missing, notices, what to fetch, and the disk it takes.

    `document` is `CheckReport.to_json()`.
    """
    by_level = {level: [f for f in document["findings"] if f["level"] == level] for level in _PREFIX}
    lines = [_verdict(document, len(by_level["problem"]))]
    for level, prefix in _PREFIX.items():
        lines += [line for finding in by_level[level] for line in _finding(prefix, finding)]
    if document["fetch"]:
        lines.append(f"to fetch: fairsqueeze fetch {' '.join(document['fetch'])}")
    lines += [_disk(need) for need in document["disk"] if need["bytes"] or need["unknown"]]
    return "\n".join(lines)


_PREFIX = {"problem": "", "missing": "missing: ", "notice": "note: "}


def _verdict(document: dict[str, Any], problems: int) -> str:
    file = document["file"]
    count = f"{problems} problem{'s' if problems != 1 else ''}"
    if not document["in_order"]:
        return f"{file} is not in order: {count}."
    each = sorted({len(asked) for asked in document["evaluations"].values()})
    size = f"{document['variants']} variants, {' or '.join(map(str, each))} evaluations each"
    if document["ok"]:
        return f"{file} is in order: {size}."
    return f"{file} is in order ({size}), but can't run here: {count}."


def _finding(prefix: str, finding: dict[str, Any]) -> list[str]:
    where = ": ".join(filter(None, (finding["where"], finding["place"], finding["message"])))
    return [f"{prefix}{where}", *([f"  {finding['remedy']}"] if finding["remedy"] else [])]


def _disk(need: dict[str, Any]) -> str:
    size = f"about {_bytes(need['bytes'])}" if need["bytes"] else "size not known"
    unknown = need["unknown"]
    more = f", and {len(unknown)} model{'s' if len(unknown) != 1 else ''} of unknown size" if unknown else ""
    more = "" if not need["bytes"] else more
    return f"disk: {need['what']}: {size}{more}; {_bytes(need['free_bytes'])} free at {need['folder']}"


def _bytes(size: int) -> str:
    for unit, factor in (("GB", 1e9), ("MB", 1e6)):
        if size >= factor:
            return f"{size / factor:.3g} {unit}"
    return f"{size / 1e3:.0f} kB"
