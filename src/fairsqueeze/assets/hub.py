"""The Hugging Face hub: pinned files of catalogue entries, and snapshots of models without pickles and code."""

from __future__ import annotations

import errno
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from glob import escape
from pathlib import Path, PurePosixPath

from fairsqueeze.assets import cache
from fairsqueeze.assets.catalogue import HubSource
from fairsqueeze.errors import AssetError, ModelError

WEIGHTS = (".safetensors", ".gguf")
ALLOWED = (*WEIGHTS, ".json", ".txt", ".model", ".tiktoken", ".bpe", ".jinja")
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".msgpack", ".h5")


def file(source: HubSource, path: str) -> Path:
    """One file of a catalogue entry at its pinned revision, under the cache's unfinished files; resumes by itself.

    Raises:
        AssetError: no network, no such repository, revision or file, or no right to read it.
    """
    from huggingface_hub import hf_hub_download

    place = _unfinished(source)
    with _in_words(source.repo), cache.writing(place):
        _reach()
        return Path(
            hf_hub_download(
                source.repo,
                path,
                repo_type=source.repo_type,
                revision=source.revision,
                local_dir=place,
                endpoint=_endpoint(),
            )
        )


def clear(source: HubSource) -> None:
    """Removes what `file` left of a source whose files are all in place."""
    shutil.rmtree(_unfinished(source), ignore_errors=True)


def snapshot(repo_id: str, revision: str | None = None, patterns: Sequence[str] = ()) -> Path:
    """The folder of a model repository in the hub's own cache: configuration, tokeniser, weights; no pickle, no code.

    Args:
        repo_id: `org/name`.
        revision: branch, tag or commit; None is the default branch. The returned folder is named by the commit.
        patterns: of the allowed files, only those matching one of these (config.json alone fetches no
            weights); () is those at the top level.

    Without a network, what an earlier call fetched is used.

    Raises:
        ModelError: the repository has no safetensors or GGUF weights; where it has pickles only, it says so.
        AssetError: no network, no such repository or revision, or no right to read it.
    """
    from huggingface_hub import HfApi, snapshot_download

    with _in_words(repo_id, revision):
        try:
            _reach()
            info = HfApi(endpoint=_endpoint()).model_info(repo_id, revision=revision)
        except _unreachable():
            return _fetched_before(repo_id, revision, patterns)
        chosen = choose(repo_id, [sibling.rfilename for sibling in info.siblings or []], patterns)
        return Path(
            snapshot_download(
                repo_id, revision=revision, allow_patterns=[escape(name) for name in chosen], endpoint=_endpoint()
            )
        )


def _fetched_before(repo_id: str, revision: str | None, patterns: Sequence[str]) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import OfflineModeIsEnabled

    folder = Path(snapshot_download(repo_id, revision=revision, allow_patterns=["config.json"], local_files_only=True))
    if _asks_for_weights(patterns) and not any(path.name.endswith(WEIGHTS) for path in folder.rglob("*")):
        raise OfflineModeIsEnabled("what was fetched before holds no weights")
    return folder


def reachable() -> bool:
    """Whether the hub answers, by one short look; never where HF_HUB_OFFLINE says that it is not to be asked."""
    from huggingface_hub import constants, errors

    if constants.HF_HUB_OFFLINE:
        return False
    try:
        _reach()
    except errors.OfflineModeIsEnabled:
        return False
    return True


def config_here(repo_id: str, revision: str | None = None) -> Path | None:
    """The folder of a model repository's config.json, if an earlier call fetched it; never the network.

    Raises AssetError for what is not the id of a repository.
    """
    from huggingface_hub import constants, try_to_load_from_cache

    with _in_words(repo_id, revision):
        found = try_to_load_from_cache(repo_id, "config.json", revision=revision, cache_dir=constants.HF_HUB_CACHE)
    return Path(found).parent if isinstance(found, str) else None


def weights_here(repo_id: str, revision: str | None = None) -> bool:
    """Whether an earlier call fetched the weights of a model repository; never the network."""
    folder = config_here(repo_id, revision)
    return folder is not None and any(path.name.endswith(WEIGHTS) for path in folder.rglob("*"))


def size_of(repo_id: str, revision: str | None = None) -> int | None:
    """Bytes of the files that `snapshot` would fetch; None where the hub does not tell.

    Raises: as `snapshot`.
    """
    from huggingface_hub import HfApi

    with _in_words(repo_id, revision):
        info = HfApi(endpoint=_endpoint()).model_info(repo_id, revision=revision, files_metadata=True)
        sizes = {sibling.rfilename: sibling.size for sibling in info.siblings or []}
    wanted = [sizes[name] for name in choose(repo_id, list(sizes))]
    return None if None in wanted else sum(size for size in wanted if size)


def choose(repo_id: str, names: Sequence[str], patterns: Sequence[str] = ()) -> list[str]:
    """Of a repository's files, those that `snapshot` takes.

    GGUF files and a second, consolidated set of weights are left where there are plain safetensors.

    Raises:
        ModelError: no weights in the repository or among what the patterns ask for, or several GGUF files and no
            pattern that picks one.
    """
    allowed = [name for name in names if name.endswith(ALLOWED)]
    if not any(name.endswith(WEIGHTS) for name in allowed):
        raise _no_weights(repo_id, names, ())
    if patterns:
        chosen = [name for name in allowed if any(fnmatchcase(name, pattern) for pattern in patterns)]
        if _asks_for_weights(patterns) and not any(name.endswith(WEIGHTS) for name in chosen):
            raise _no_weights(repo_id, names, patterns)
        return chosen
    top = [name for name in allowed if "/" not in name]
    plain = [name for name in top if name.endswith(".safetensors") and not name.startswith("consolidated")]
    gguf = [name for name in top if name.endswith(".gguf")]
    if not plain and not gguf:
        raise _no_weights(repo_id, names, patterns)
    if not plain and len(gguf) > 1:
        listed = ", ".join(gguf[:4]) + (", …" if len(gguf) > 4 else "")
        raise ModelError(f"{repo_id} holds {len(gguf)} GGUF files: {listed}.", "Download one and give its path.")
    weights = plain or gguf
    return [name for name in top if name in weights or not name.endswith(WEIGHTS)]


def _asks_for_weights(patterns: Sequence[str]) -> bool:
    return not patterns or any(pattern.endswith((*WEIGHTS, "*")) for pattern in patterns)


def _no_weights(repo_id: str, names: Sequence[str], patterns: Sequence[str]) -> ModelError:
    pickles = [name for name in names if PurePosixPath(name).suffix in PICKLES]
    wanted = f" matching {', '.join(patterns)}" if patterns else ""
    if pickles and not any(name.endswith(WEIGHTS) for name in names):
        return ModelError(
            f"{repo_id} holds its weights only in formats that can run code or that are not supported ({pickles[0]}); "
            "pickles are never loaded.",
            "Convert it to safetensors (https://huggingface.co/spaces/safetensors/convert), or choose another model.",
        )
    return ModelError(f"{repo_id} holds no .safetensors or .gguf file{wanted}.", "Choose a repository with weights.")


def _unfinished(source: HubSource) -> Path:
    return cache.partial_path(f"{source.repo.replace('/', '--')}-{source.revision[:12]}").with_suffix(".hub")


def _reach() -> None:
    """One short look whether the hub answers: huggingface_hub itself tries six times, for half a minute.

    Raises:
        OfflineModeIsEnabled: it does not.
    """
    import httpx
    from huggingface_hub import constants, errors

    try:
        httpx.head(_endpoint() or constants.ENDPOINT, timeout=10)
    except httpx.TransportError as problem:
        raise errors.OfflineModeIsEnabled(str(problem)) from problem


def _endpoint() -> str | None:
    """The hub's address if HF_ENDPOINT names one, read when it is needed, not when the library is imported."""
    return os.environ.get("HF_ENDPOINT", "").rstrip("/") or None


def _unreachable() -> tuple[type[Exception], ...]:
    from huggingface_hub import errors

    return (_transport_error(), errors.OfflineModeIsEnabled)


def _transport_error() -> type[Exception]:
    """The base of "no answer came" in the HTTP library below huggingface_hub (httpx or httpx2, by its version)."""
    from huggingface_hub.errors import HTTPError

    library = sys.modules[HTTPError.__module__.partition(".")[0]]
    return library.TransportError  # type: ignore[no-any-return]


@contextmanager
def _in_words(repo_id: str, revision: str | None = None) -> Iterator[None]:
    """Turns the errors of huggingface_hub into messages with a remedy."""
    from huggingface_hub import errors

    at = f"{repo_id}@{revision}" if revision else repo_id
    unreachable: tuple[type[Exception], ...] = (
        *_unreachable(),
        errors.LocalEntryNotFoundError,
        errors.FileMetadataError,
    )
    try:
        yield
    except errors.GatedRepoError as problem:
        raise AssetError(
            f"{at} is gated on the hub.", "Ask for access on its page and run `hf auth login`."
        ) from problem
    except errors.RepositoryNotFoundError as problem:
        raise AssetError(
            f"The hub has no repository {repo_id!r}, or it is private.", "Check the name, or run `hf auth login`."
        ) from problem
    except errors.RevisionNotFoundError as problem:
        raise AssetError(f"{repo_id} has no revision {revision!r}.", "Name a branch, tag or commit.") from problem
    except errors.RemoteEntryNotFoundError as problem:
        raise AssetError(f"{at} lacks a file: {problem}.", "Try another source with `--from`.") from problem
    except errors.HFValidationError as problem:
        raise AssetError(f"{repo_id!r} is not the id of a hub repository.", "It reads org/name.") from problem
    except unreachable as problem:
        raise AssetError(
            f"No network, or no hub there: {at} could not be fetched from {_endpoint() or 'https://huggingface.co'} "
            f"({str(problem).partition(chr(10))[0]}).",
            "Check the network, HF_ENDPOINT and HF_HUB_OFFLINE, or use another source with `--from`.",
        ) from problem
    except errors.HfHubHTTPError as problem:
        raise AssetError(f"The hub refused {at}: {problem}.", "Try again later, or use another source.") from problem
    except OSError as problem:
        if problem.errno == errno.ENOSPC:
            raise cache.NotWritable(
                f"The disk is full: {at} could not be fetched.", "Free some space; it goes on where it stopped."
            ) from problem
        raise
