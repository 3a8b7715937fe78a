"""How a user names a model: a built-in one, a reference model, a folder, a GGUF file or a hub id."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from fairsqueeze.errors import ModelError, unknown_name

ReferenceModel = Literal["random", "constant", "destroyed"]
Source = Literal["builtin", "reference", "folder", "gguf", "hub"]

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
FORMS = (
    "A model is a folder, a .gguf file, builtin:NAME, a hub id (org/name or org/name@revision), "
    "or reference:random|constant|destroyed:MODEL."
)


@dataclass(frozen=True)
class Reference:
    """A parsed model reference.

    Args:
        text: as it was given.
        source: which of the five forms it has.
        name: name of the built-in model, or hub id; "" otherwise.
        revision: of the hub id; None where none was given.
        path: the folder or file, absolute.
        which: the reference model wanted of `of`.
        of: the model that a reference model is made from.
    """

    text: str
    source: Source
    name: str = ""
    revision: str | None = None
    path: Path | None = None
    which: ReferenceModel | None = None
    of: Reference | None = None


def parse_reference(text: str | Path) -> Reference:
    """What `text` refers to. Looks at the disk, never at the network, and loads nothing.

    A string that is an existing path is that path. Raises ModelError for a path that does not exist and for text of no
    known form, UnknownName for a reference model that does not exist.
    """
    text = str(text)
    if text.startswith("reference:"):
        return _reference_model(text)
    if text.startswith("builtin:"):
        return Reference(text, "builtin", name=text.removeprefix("builtin:"))
    path = Path(text).expanduser()
    if text and path.exists():
        if path.is_file() and path.suffix.lower() != ".gguf":
            raise ModelError(f"{text} is a file, not a model.", f"Give the folder that it lies in. {FORMS}")
        return Reference(text, "folder" if path.is_dir() else "gguf", path=path.resolve())
    if _looks_like_a_path(text):
        raise ModelError(f"No such model: {text} does not exist.", "Check the path. " + FORMS)
    name, _, revision = text.partition("@")
    if not _HUB_ID.fullmatch(name) or text.endswith("@") or ".." in text:
        raise ModelError(f"{text!r} is not a model reference.", FORMS)
    return Reference(text, "hub", name=name, revision=revision or None)


def _reference_model(text: str) -> Reference:
    which, colon, rest = text.removeprefix("reference:").partition(":")
    if which not in get_args(ReferenceModel):
        raise unknown_name("reference model", which, get_args(ReferenceModel))
    if not colon or not rest:
        raise ModelError(f"{text!r} does not say which model it is made from.", f"Write reference:{which}:MODEL.")
    chosen: ReferenceModel = next(w for w in get_args(ReferenceModel) if w == which)
    of = parse_reference(rest)
    if of.source == "reference":
        raise ModelError(f"{text!r} is a reference model of a reference model.", f"Write {of.text!r} or name a model.")
    return Reference(text, "reference", which=chosen, of=of)


def _looks_like_a_path(text: str) -> bool:
    if text.startswith((".", "/", "~")) or text.endswith((".gguf", "/")) or "\\" in text:
        return True
    return text.partition("@")[0].count("/") > 1
