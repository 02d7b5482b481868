"""A server that speaks `/v1/audio/transcriptions` on a free loopback port, without a model.

It "hears" a word for every half second of the WAV that it is sent, answers as it is told, and keeps
what it received, so that a test can look at the requests themselves.
"""

from __future__ import annotations

import io
import json
import threading
import time
import wave
from collections.abc import Callable, Mapping
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

STEP = 0.5  # seconds a word
Answer = Mapping[str, Any]


class AsrServer:
    """Answers well, or in one of the ways in which servers fail.

    `behaviours` are used up one a request, the last one for ever: good, words_in_segments,
    no_words, status:N, slow, drip, truncated, html, broken, shape, huge, redirect:URL.
    """

    def __init__(self, *behaviours: str, change: Callable[[Any], None] | None = None) -> None:
        self.behaviours = list(behaviours or ("good",))
        self.change = change
        self.forms: list[dict[str, Any]] = []  # fields of each request; "file" is the WAV
        self.headers: list[dict[str, str]] = []
        self.busiest = 0  # most requests under way at once
        self._under_way = 0
        self._lock = threading.Lock()
        self._closing = threading.Event()

    def __enter__(self) -> Self:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: Any) -> None:
                """Be quiet."""

            def do_POST(self) -> None:
                outer.answer(self)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/v1"

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers["content-length"]))
        form = fields(request.headers["content-type"], body)
        with self._lock:
            self.forms.append(form)
            self.headers.append({k.lower(): v for k, v in request.headers.items()})
            behaviour = self.behaviours.pop(0) if len(self.behaviours) > 1 else self.behaviours[0]
            self._under_way += 1
            self.busiest = max(self.busiest, self._under_way)
        try:
            self._act(request, behaviour, form)
        finally:
            with self._lock:
                self._under_way -= 1

    def _act(self, request: BaseHTTPRequestHandler, behaviour: str, form: dict[str, Any]) -> None:
        kind, _, value = behaviour.partition(":")
        found = heard(form)
        if kind == "words_in_segments":
            found["segments"][0]["words"] = found.pop("words")
        elif kind == "no_words":
            del found["words"]
        elif kind == "shape":
            found = {"result": "four five three two"}
        if self.change is not None:
            self.change(found)
        data = json.dumps(found).encode()
        status, headers = 200, {}
        if kind == "status":
            status, headers = int(value), {"Retry-After": "0.01"}
            data = json.dumps({"error": {"message": "four five three two said"}}).encode()
        elif kind == "redirect":
            status, headers, data = 307, {"Location": value}, b""
        elif kind == "html":
            data = b"<html>four five three two</html>"
        elif kind == "broken":
            data = data[:-5]
        elif kind == "huge":
            data = b" " * 5_000_000 + data
        elif kind == "slow":
            self._closing.wait(5)
        time.sleep(0.02)  # so that requests overlap
        request.send_response(status)
        for name, text in headers.items():
            request.send_header(name, text)
        request.send_header("Content-Length", str(len(data)))
        request.end_headers()
        try:
            if kind == "truncated":
                request.wfile.write(data[: len(data) // 2])
                request.close_connection = True
            elif kind == "drip":
                for place in range(len(data)):
                    if self._closing.wait(0.05):
                        return
                    request.wfile.write(data[place : place + 1])
                    request.wfile.flush()
            else:
                request.wfile.write(data)
        except (BrokenPipeError, ConnectionResetError):
            request.close_connection = True


def heard(form: Mapping[str, Any]) -> dict[str, Any]:
    """A word for every half second that is not silent: its number, spelled the same every time."""
    with wave.open(io.BytesIO(form["file"])) as file:
        samples = file.readframes(file.getnframes())
        seconds = file.getnframes() / file.getframerate()
        assert (file.getnchannels(), file.getframerate(), file.getsampwidth()) == (1, 16000, 2)
    count = int(seconds / STEP) if any(samples) else 0
    words = [
        {"word": ("hello", "please", "thanks")[i % 3], "start": i * STEP, "end": i * STEP + 0.4}
        for i in range(count)
    ]
    text = " ".join(word["word"] for word in words)
    segment = {"id": 0, "start": 0.0, "end": seconds, "text": text, "avg_logprob": -0.2,
               "no_speech_prob": 0.01, "compression_ratio": 1.0}  # fmt: skip
    return {
        "task": "transcribe",
        "language": "english",
        "duration": seconds,
        "text": text,
        "segments": [segment] if words else [],
        "words": words,
    }


def fields(content_type: str, body: bytes) -> dict[str, Any]:
    """Return the fields of a multipart form; lists where a name comes twice, bytes for the file."""
    message = BytesParser().parsebytes(
        b"Content-Type: " + content_type.encode() + b"\r\n\r\n" + body
    )
    found: dict[str, Any] = {}
    for part in message.get_payload():
        name = part.get_param("name", header="content-disposition")
        data = part.get_payload(decode=True)
        if name == "file":
            found["file"] = data
            found["filename"] = part.get_filename()
        elif name.endswith("[]"):
            found.setdefault(name, []).append(data.decode())
        else:
            found[name] = data.decode()
    return found
