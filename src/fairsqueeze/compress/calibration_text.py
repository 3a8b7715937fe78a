"""Calibration text: running text by the name of a data set, or from a file."""

from __future__ import annotations

from pathlib import Path

from fairsqueeze.assets.locate import locate
from fairsqueeze.errors import DataError
from fairsqueeze.stimuli.passages import running_text

TEXTS = {
    "wikitext2": ("wikitext2", "valid.txt"),
    "c4": ("calibration_text_exllamav2", "c4.utf8"),
    "wiki": ("calibration_text_exllamav2", "wiki.utf8"),
}
"""Data set and file that each name stands for; none of them is a text that anything is scored on."""
PACKAGE = "package"


def calibration_text(name: str) -> str:
    """The text of a name in `TEXTS`; of "package" or "" the one that the package ships; else of the file at this path.

    Raises:
        AssetError: a named text that is not on this machine.
        DataError: a file that can't be read as UTF-8.
    """
    if name in TEXTS:
        data, file = TEXTS[name]
        return locate(data).files[file].read_text(encoding="utf-8")
    if name in (PACKAGE, ""):
        return running_text({}, "package")[1]
    try:
        return Path(name).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise DataError(
            f"{name} can't be read as UTF-8 text: {problem}.",
            f"Give {', '.join([PACKAGE, *TEXTS])}, or the path of a text file.",
        ) from None
