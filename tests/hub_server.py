"""A model hub on a free loopback port: lists one repository and serves its files, well or badly.

It redirects downloads to another port, as hubs do to their storage, cuts connections where it is
told, and keeps every request with its headers.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

COMMIT = "c0ffee" + "0" * 34
Requests = list[tuple[str, dict[str, str]]]


class Hub:
    """Serves `files` as the repository `repository` at `COMMIT` (branch main)."""

    def __init__(self, repository: str, files: Mapping[str, bytes]) -> None:
        self.repository = repository
        self.files = dict(files)
        self.served = dict(files)  # what storage really sends
        self.large = {"model.bin"}  # kept in LFS: listed with sha256, others with a git hash
        self.extra: list[dict[str, Any]] = []  # further entries of the listing
        self.cut_after: int | None = None  # bytes after which storage breaks each answer off
        self.statuses: list[int] = []  # of the next downloads
        self.ranges = True  # storage understands Range
        self.listing: bytes | None = None  # instead of the right one
        self.listing_status = 200
        self.requests: Requests = []  # to the hub
        self.downloads: Requests = []  # to storage
        self.sent = 0  # bytes of files

    def __enter__(self) -> Self:
        hub = self

        class Front(BaseHTTPRequestHandler):
            def log_message(self, *_: Any) -> None:
                """Be quiet."""

            def do_GET(self) -> None:
                hub.front(self)

        class Storage(Front):
            def do_GET(self) -> None:
                hub.storage(self)

        self._servers = [ThreadingHTTPServer(("127.0.0.1", 0), one) for one in (Front, Storage)]
        for server in self._servers:
            server.daemon_threads = True
            threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for server in self._servers:
            server.shutdown()
            server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._servers[0].server_port}"

    def file_url(self, name: str) -> str:
        return f"{self.url}/{self.repository}/resolve/{COMMIT}/{name}"

    def front(self, request: BaseHTTPRequestHandler) -> None:
        self.requests.append((request.path, dict(request.headers)))
        if request.path.startswith("/api/models/"):
            data = self.listing if self.listing is not None else json.dumps(self._listed()).encode()
            status = self.listing_status
            known = request.path.split("?")[0].endswith(("/revision/main", f"/revision/{COMMIT}"))
            _send(request, status if known else 404, data if known else b"{}")
            return
        name = request.path.split(f"/resolve/{COMMIT}/")[-1]
        storage = self._servers[1].server_port
        _send(request, 302, b"", {"Location": f"http://127.0.0.1:{storage}/{name}"})

    def storage(self, request: BaseHTTPRequestHandler) -> None:
        self.downloads.append((request.path, dict(request.headers)))
        if self.statuses:
            status = self.statuses.pop(0)
            if status != 200:
                _send(request, status, b"")
                return
        data = self.served[request.path.lstrip("/")]
        wanted = request.headers.get("Range", "")
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and self.ranges else 0
        if start > len(data):
            _send(request, 416, b"")
            return
        rest = data[start:]
        request.send_response(206 if start else 200)
        if start:
            request.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        request.send_header("Content-Length", str(len(rest)))
        request.end_headers()
        part = rest if self.cut_after is None else rest[: self.cut_after]
        self.sent += len(part)
        request.wfile.write(part)

    def _listed(self) -> dict[str, Any]:
        siblings: list[dict[str, Any]] = []
        for name, data in self.files.items():
            git = hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
            one: dict[str, Any] = {"rfilename": name, "size": len(data), "blobId": git}
            if name in self.large:
                sha = hashlib.sha256(data).hexdigest()
                one["lfs"] = {"size": len(data), "sha256": sha, "pointerSize": 130}
            siblings.append(one)
        return {
            "id": self.repository, "modelId": self.repository, "sha": COMMIT,
            "private": False, "tags": [], "downloads": 0, "likes": 0,
            "siblings": [*siblings, *self.extra],
        }  # fmt: skip


def _send(
    request: BaseHTTPRequestHandler, status: int, data: bytes, headers: Mapping[str, str] = {}
) -> None:
    request.send_response(status)
    for name, value in headers.items():
        request.send_header(name, value)
    request.send_header("Content-Length", str(len(data)))
    request.end_headers()
    request.wfile.write(data)
