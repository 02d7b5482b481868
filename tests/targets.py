"""Targets on free loopback ports that keep what they are given, so that duplicates show.

Each subclass speaks one vendor's documented protocol. A test scripts what goes wrong before the
request is worked on (`before`) or after it has been (`after`): the answer is then lost.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit


@dataclass
class Asked:
    """A request as it came."""

    method: str
    path: str  # as it was sent, without the query
    query: dict[str, str]
    headers: dict[str, str]  # names in lower case
    body: bytes
    parts: list[str] = field(default_factory=list)  # of the path, decoded

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def form(self) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(self.body.decode()).items()}


@dataclass
class Told:
    """What a target answers, after `delay` seconds; `drop` breaks the connection off instead."""

    status: int = 200
    value: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    drop: bool = False
    delay: float = 0.0

    def bytes(self) -> bytes:
        if isinstance(self.value, bytes):
            return self.value
        return b"" if self.value is None else json.dumps(self.value).encode()


class Target:
    """Answers with `work`, unless a fault was scripted for the next request."""

    def __init__(self) -> None:
        self.before: list[Told] = []
        self.after: list[Told] = []
        self.asked: list[Asked] = []
        self.only: Callable[[Asked], bool] = lambda _: True  # which requests faults are for
        self.lock = threading.RLock()

    def work(self, asked: Asked) -> Told:
        raise NotImplementedError

    def __enter__(self) -> Self:
        target = self

        class Front(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: Any) -> None:
                """Be quiet."""

            def handle_one_request(self) -> None:
                try:
                    super().handle_one_request()
                except ConnectionError:
                    self.close_connection = True

            def answer(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                parts = urlsplit(self.path)
                asked = Asked(
                    self.command, parts.path,
                    {name: values[0] for name, values in parse_qs(parts.query).items()},
                    {name.lower(): value for name, value in self.headers.items()},
                    self.rfile.read(length), [unquote(part) for part in parts.path.split("/")[1:]],
                )  # fmt: skip
                told = target.told(asked)
                time.sleep(told.delay)
                if told.drop:
                    self.close_connection = True
                    return
                data = told.bytes()
                self.send_response(told.status)
                for name, value in told.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(data)

        for verb in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"):
            setattr(Front, f"do_{verb}", Front.answer)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Front)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def told(self, asked: Asked) -> Told:
        with self.lock:
            self.asked.append(asked)
            faulty = self.only(asked)
            if faulty and self.before:
                return self.before.pop(0)
            told = self.work(asked)
            return self.after.pop(0) if faulty and self.after else told
