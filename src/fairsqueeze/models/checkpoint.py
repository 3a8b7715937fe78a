"""Checkpoints on disk: a plain transformers folder, plus `fairsqueeze.json` that says how it came to be."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from fairsqueeze.errors import ModelError
from fairsqueeze.models.fingerprint import fingerprint
from fairsqueeze.models.quiet import quiet_transformers
from fairsqueeze.registry import Kind

if TYPE_CHECKING:
    from fairsqueeze.models.model import Model

RECORD = "fairsqueeze.json"
SCHEMA = "fairsqueeze.checkpoint/1"
_LIBRARIES = ("fairsqueeze", "torch", "transformers", "tokenizers", "safetensors")


@dataclass(frozen=True)
class Record:
    """What `fairsqueeze.json` says of a checkpoint: its id, kind, precision and provenance."""

    id: str
    kind: Kind
    dtype: str
    provenance: dict[str, Any]


def save(model: Model, folder: str | Path) -> str:
    """Write `model` to `folder` as safetensors with tokeniser and provenance, and return its checkpoint id.

    The folder appears whole or not at all: it is written beside its place, read back, its id compared with the one in
    memory, and only then renamed. An earlier checkpoint of ours in its place is replaced. Plain transformers loads it.

    Raises ModelError if `folder` is a file or holds anything that is not a checkpoint of ours, if it can't be written,
    or if what was read back differs.
    """
    from fairsqueeze.models.load import load_folder

    target = Path(folder).expanduser().absolute()
    check_target(target)
    check_storable(model)
    identity = fingerprint(model.network)
    dtype = str(model.network.dtype).removeprefix("torch.")
    record = {
        "schema": SCHEMA,
        "id": identity,
        "kind": model.kind,
        "dtype": dtype,
        "reference": model.reference,
        "parameters": model.parameters,
        "absent": list(model.absent),
        "ignored": list(model.ignored),
        "provenance": model.provenance,
        "versions": _versions(),
    }
    with _beside(target) as temporary:
        with quiet_transformers():
            model.network.save_pretrained(temporary)
            model.tokenizer.save_pretrained(temporary)
        text = json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False)
        (temporary / RECORD).write_text(text + "\n", encoding="utf-8")
        load_folder(temporary, str(target), kind=model.kind, dtype=dtype)  # raises if the id is not the same
        _sync(temporary)
        _replace(temporary, target)
    return identity


def check_storable(model: Model) -> None:
    """Raises ModelError where a compression step left weights that no file format holds (`storable` false)."""
    for step in model.provenance.get("steps", ()):
        measured = step.get("measured")
        if isinstance(measured, Mapping) and measured.get("storable") is False:
            raise ModelError(
                f"{model.reference} can't be saved: there is no file format for what {step['name']} makes.",
                f"Save the model before this step, and apply {step['name']} again after loading.",
            )


def check_target(folder: str | Path) -> None:
    """Whether `save` may write to `folder`, asked before anything is spent. Raises ModelError if it is a file, holds
    anything that is not a checkpoint of ours, or can't be written."""
    target = Path(folder).expanduser().absolute()
    if target.exists():
        if not target.is_dir():
            raise ModelError(f"{target} is a file; a checkpoint is a folder.", "Choose another place.")
        if any(target.iterdir()) and not (target / RECORD).is_file():
            raise ModelError(f"{target} is not empty and holds no checkpoint of fairsqueeze.", "Choose a new folder.")
    parent = next(folder for folder in target.parents if folder.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        raise ModelError(f"{target} can't be written: no permission in {parent}.", "Choose another place.")


def read_record(folder: Path) -> Record | None:
    """The record of a folder that `save` wrote, None for any other folder. Raises ModelError if it is damaged."""
    path = folder / RECORD
    if not path.is_file():
        return None
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        if raw["schema"] != SCHEMA:
            raise ModelError(
                f"{path} has schema {raw['schema']!r}; this version reads {SCHEMA!r}.", "Update fairsqueeze."
            )
        kind: Kind = next(k for k in get_args(Kind) if k == raw["kind"])
        return Record(str(raw["id"]), kind, str(raw["dtype"]), dict(raw["provenance"]))
    except (ValueError, KeyError, TypeError, StopIteration) as problem:
        raise ModelError(
            f"{path} is damaged: {problem!r}.", "Restore it, or delete it to lose the provenance."
        ) from problem


def _versions() -> dict[str, str]:
    found = {}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # run from a source tree that is not installed
            continue
    return found


@contextmanager
def _beside(target: Path) -> Iterator[Path]:
    """A folder on the same disk as `target`; whatever is left of it at the end is removed."""
    from safetensors import SafetensorError

    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
    except OSError as problem:
        raise _unwritable(target, problem) from problem
    try:
        yield temporary
    except (OSError, SafetensorError) as problem:  # the latter when safetensors finds the disk full
        raise _unwritable(target, problem) from problem
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _unwritable(target: Path, problem: Exception) -> ModelError:
    why = getattr(problem, "strerror", None) or problem
    return ModelError(f"{target} can't be written: {why}.", "Choose another place, or free space.")


def _sync(folder: Path) -> None:
    """Have the bytes on the disk before the name is."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as stream:
                os.fsync(stream.fileno())


def _replace(temporary: Path, target: Path) -> None:
    temporary.chmod(0o755)
    for file in temporary.iterdir():  # safetensors writes for its owner alone
        file.chmod(0o644)
    if target.exists():
        old = temporary.with_name(temporary.name + ".old")
        os.replace(target, old)
        os.replace(temporary, target)
        shutil.rmtree(old, ignore_errors=True)
    else:
        os.replace(temporary, target)
