"""Every error that a user can cause or act on. Each carries what went wrong and what to do next."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class FairsqueezeError(Exception):
    """A problem with one message and one remedy; the command line prints both and exits with `exit_code`.

    Args:
        message: where and what, in one sentence; quotes the value that was received.
        remedy: what to do, as a sentence or a command. May be empty where nothing helps.
    """

    exit_code = 2

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message, remedy)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}".strip()


class UnknownName(FairsqueezeError):
    """A name that no registry or catalogue holds; the remedy lists the nearest ones."""


class BadSetting(FairsqueezeError):
    """A parameter that does not exist, has the wrong type or lies outside its range."""


class AssetError(FairsqueezeError):
    """A data set or model that could not be found, fetched or verified."""


class DataError(FairsqueezeError):
    """A data file whose content is not what its format promises."""


class ModelError(FairsqueezeError):
    """A model that could not be loaded as it was meant to be, or that does not fit what is asked of it."""


class NonFinite(ModelError):
    """A model that answered NaN or infinity: it is broken, which is not the same as unbiased."""

    exit_code = 1


class StoreError(FairsqueezeError):
    """A results folder that can't be written, or a file in it that is damaged."""


class StudyError(FairsqueezeError):
    """A study file that can't be run as written."""


class StepFailed(FairsqueezeError):
    """One step of a longer run failed; the others are unaffected."""

    exit_code = 1


def unknown_name(kind: str, name: str, known: Iterable[str], see: str = "") -> UnknownName:
    """The error for `name`, which is not among `known` things of this `kind`, with near matches first.

    A name that is the family of several variants (`crows_pairs` of `crows_pairs.changed`) lists these.
    """
    known = sorted(known)
    variants = [k for k in known if k.startswith(f"{name}.")]
    near = variants or get_close_matches(name, known, n=4, cutoff=0.5)
    if near:
        remedy = f"Did you mean {' or '.join(repr(n) for n in near)}?"
    else:
        remedy = f"Known: {', '.join(known)}." if known else ""
    return UnknownName(f"There is no {kind} called {name!r}.", " ".join(filter(None, (remedy, see))))
