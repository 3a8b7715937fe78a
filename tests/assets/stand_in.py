"""Stand-in servers on this machine: a package index and a hub, with the faults that a real network has."""

from __future__ import annotations

import hashlib
import io
import json
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def make_wheel(members: dict[str, bytes]) -> bytes:
    """A wheel's bytes, the same for the same members."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0)), content)
    return buffer.getvalue()


class Server:
    """A web server of fixed contents that notes what it was asked.

    Args of a page: path → (content type, bytes). `drop_after`: the first answer with a body longer than that many
    bytes breaks off there; `always_drop`: every one does. `ranges`: whether it understands Range.
    """

    def __init__(self) -> None:
        self.pages: dict[str, tuple[str, bytes]] = {}
        self.headers: dict[str, dict[str, str]] = {}
        self.status: dict[str, int] = {}
        self.asked: list[tuple[str, str, str | None]] = []
        self.drop_after: int | None = None
        self.always_drop = False
        self.ranges = True
        self.url = ""

    def gets(self, path: str) -> list[str | None]:
        """The Range headers of the GETs of one path."""
        return [given for method, asked, given in self.asked if method == "GET" and asked == path]

    @contextmanager
    def running(self) -> Iterator[Server]:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def do_HEAD(self) -> None:
                outer.answer(self, body=False)

            def do_GET(self) -> None:
                outer.answer(self, body=True)

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        self.url = f"http://127.0.0.1:{server.server_address[1]}"
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()
            thread.join()

    def answer(self, request: BaseHTTPRequestHandler, body: bool) -> None:
        path = unquote(urlsplit(request.path).path)
        given = request.headers.get("Range")
        self.asked.append((request.command, path, given))
        if path not in self.pages or path in self.status:
            status = self.status.get(path, 404)
            request.send_response(status)
            for key, value in self.headers.get(path, {}).items():
                request.send_header(key, value)
            request.send_header("Content-Length", "0")
            request.end_headers()
            return
        kind, content = self.pages[path]
        start = int(given.removeprefix("bytes=").partition("-")[0]) if given and self.ranges else 0
        request.send_response(206 if start else 200)
        request.send_header("Content-Type", kind)
        request.send_header("Content-Length", str(len(content) - start))
        if start:
            request.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        for key, value in self.headers.get(path, {}).items():
            request.send_header(key, value)
        request.end_headers()
        if body:
            self._send(request, content[start:])

    def _send(self, request: BaseHTTPRequestHandler, content: bytes) -> None:
        cut = self.drop_after
        if cut is not None and len(content) > cut:
            if not self.always_drop:
                self.drop_after = None
            request.wfile.write(content[:cut])
            request.wfile.flush()
            request.close_connection = True
            request.connection.shutdown(2)
        else:
            request.wfile.write(content)


def offer_wheel(server: Server, project: str, file: str, content: bytes, html: bool = False) -> str:
    """Puts a wheel on a stand-in index under `/simple`; returns the path of the file."""
    path = f"/files/{file}"
    server.pages[path] = ("application/octet-stream", content)
    if html:
        page = f'<html><body><a href="../../files/{file}#sha256={sha256(content)}">{file}</a></body></html>'
        server.pages[f"/simple/{project}/"] = ("text/html", page.encode())
    else:
        listing = {"files": [{"filename": file, "url": f"../../files/{file}", "hashes": {"sha256": sha256(content)}}]}
        server.pages[f"/simple/{project}/"] = ("application/vnd.pypi.simple.v1+json", json.dumps(listing).encode())
    return path


def offer_repository(server: Server, repo: str, files: dict[str, bytes], dataset: bool = False) -> None:
    """Puts a repository on a stand-in hub, at the branch main and the commit `COMMIT`."""
    server.pages["/"] = ("text/html", b"hub")
    kind = "datasets" if dataset else "models"
    siblings = [{"rfilename": name} for name in files]
    info = {"id": repo, "modelId": repo, "sha": COMMIT, "siblings": siblings, "private": False, "tags": []}
    tree = [
        {"type": "file", "path": name, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
        for name, content in files.items()
    ]
    for path in (f"/api/{kind}/{repo}", f"/api/{kind}/{repo}/revision/main", f"/api/{kind}/{repo}/revision/{COMMIT}"):
        server.pages[path] = ("application/json", json.dumps(info).encode())
    server.pages[f"/api/{kind}/{repo}/tree/{COMMIT}"] = ("application/json", json.dumps(tree).encode())
    for name, content in files.items():
        for revision in ("main", COMMIT):
            path = f"/{'datasets/' if dataset else ''}{repo}/resolve/{revision}/{name}"
            server.pages[path] = ("application/octet-stream", content)
            server.headers[path] = {
                "X-Repo-Commit": COMMIT,
                "ETag": f'"{hashlib.sha1(content).hexdigest()}"',
                "X-Linked-Size": str(len(content)),
                "X-Linked-ETag": f'"{sha256(content)}"',
            }
