"""The files that a package index offers of a project: JSON (PEP 691) or HTML (PEP 503), over HTTP or from a folder."""

from __future__ import annotations

from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urljoin, urlsplit
from urllib.request import url2pathname

import httpx

_ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.01"


@dataclass(frozen=True)
class Link:
    """A file on offer: its name, where it is, and the sha256 that the page gives for it, if it does."""

    file: str
    url: str
    sha256: str | None


def links(client: httpx.Client, index: str, project: str) -> list[Link]:
    """Every file of `project` at an index; [] where the index does not know it.

    Raises:
        httpx.HTTPError: it can't be reached, or answers with an error other than "not found".
        ValueError: its answer is not a page of an index.
    """
    page = f"{index}/{project}/"
    if (folder := local_path(page)) is not None:
        index_file = folder / "index.html"
        return parse_html(index_file.read_text(encoding="utf-8"), page) if index_file.is_file() else []
    return page_links(client, page)


def page_links(client: httpx.Client, page: str) -> list[Link]:
    """Every file that one page of an index, or a page of links, offers."""
    response = client.get(page, headers={"Accept": _ACCEPT})
    if response.status_code == httpx.codes.NOT_FOUND:
        return []
    response.raise_for_status()
    base = str(response.url)
    if "json" in response.headers.get("content-type", ""):
        return parse_json(response.json(), base)
    return parse_html(response.text, base)


def parse_json(document: object, base: str) -> list[Link]:
    """The files of a PEP 691 document."""
    try:
        return [
            Link(file["filename"], urljoin(base, file["url"]), file.get("hashes", {}).get("sha256"))
            for file in document["files"]  # type: ignore[index]
        ]
    except (KeyError, TypeError, AttributeError) as problem:
        raise ValueError(f"{base} is not a PEP 691 page: {problem!r}") from problem


def parse_html(text: str, base: str) -> list[Link]:
    """The files of a PEP 503 page; a link's fragment may hold its hash."""
    reader = _Anchors()
    reader.feed(text)
    found = []
    for href in reader.hrefs:
        url, fragment = urldefrag(urljoin(base, href))
        digest = fragment.removeprefix("sha256=") if fragment.startswith("sha256=") else None
        found.append(Link(unquote(urlsplit(url).path).rsplit("/", 1)[-1], url, digest))
    return found


def local_path(url: str) -> Path | None:
    """The path that a file: URL, or a plain path, names on this machine; None for any other URL."""
    parts = urlsplit(url)
    if parts.scheme == "file":
        return Path(url2pathname(parts.path))
    return None if "://" in url else Path(url).expanduser()


class _Anchors(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.hrefs: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.hrefs += [value for key, value in attrs if key == "href" and value]
