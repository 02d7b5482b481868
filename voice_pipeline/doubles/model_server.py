"""A server that speaks the chat completions protocol on a free loopback port, without a model.

It answers as it is told: well, or in one of the ways in which real servers fail. It keeps every
byte that it receives, so a test can look for what must never have left.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from voice_pipeline.doubles.vectors import embeddings
from voice_pipeline.doubles.writers import (
    OTHER_CALL,
    Writer,
    extractive,
    in_spanish,
    instance,
    turns_of,
)

BEHAVIOURS: Mapping[str, str] = {
    "good": "writes a note from the request's own turns; obeys json_schema and json_object",
    "schema_ignored": "answers 200 in prose where json_schema was asked for; obeys json_object",
    "schema_rejected": "answers 400 to json_schema; obeys json_object",
    "formats_rejected": "answers 400 to any response_format; fences its JSON in prose otherwise",
    "rate_limited": "429 with Retry-After",
    "error": "500",
    "unauthorized": "401",
    "no_model": "404",
    "redirect": "307 to another host",
    "slow": "answers well, after `delay` seconds",
    "hang": "takes the request and says nothing until the server is closed",
    "drip": "sends a byte now and then, for ever",
    "truncated": "closes the connection in the middle of the body",
    "html": "200 with a web page",
    "huge": "200 with 12 MB",
    "invalid_json": "a reply whose content is half a JSON document",
    "broken_envelope": "200 with JSON that is no chat completion",
    "wrong_shape": "valid JSON that does not fit the schema",
    "refusal": "the model refuses",
    "length": "finish_reason `length`, content cut short",
    "empty": "a reply that fits the schema and says nothing",
    "wrong_usage": "answers well and reports impossible token counts",
    "no_usage": "answers well and reports no token counts",
    "other_language": "quotes rightly and writes its statements in Spanish",
    "other_call": "a note that would be right, about another call",
    "odd_model": "answers well as a model whose name is markup",
}
HUGE = 12_000_000  # bytes
WAIT = 0.05  # seconds between bytes that drip

_STATUS = {"error": 500, "unauthorized": 401, "no_model": 404, "rate_limited": 429}


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it came in."""

    path: str
    headers: Mapping[str, str]  # names in lower case
    body: bytes = field(repr=False)

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class ModelServer:
    """A context manager; `base_url` is what a client is given.

    Args:
        script: what the chat completions requests get, one after the other (see BEHAVIOURS); the
            last one goes for all that follow.
        writer: turns of a request to the reply's content where the behaviour is a good one.
        retry_after: the header's value, with `rate_limited`.
        delay: seconds, with `slow`.
        headers: further headers of every answer, for example rate limits.
        key: the bearer key asked for; None: any, or none.
    """

    def __init__(
        self,
        script: str | Sequence[str] = "good",
        *,
        writer: Writer = extractive,
        retry_after: str = "0",
        delay: float = 0.5,
        headers: Mapping[str, str] | None = None,
        key: str | None = None,
        model: str = "double-1",
    ) -> None:
        self.script = [script] if isinstance(script, str) else list(script)
        if unknown := sorted(set(self.script) - set(BEHAVIOURS)):
            raise ValueError(f"no behaviour is called {unknown}; there are {sorted(BEHAVIOURS)}")
        self.writer, self.retry_after, self.delay = writer, retry_after, delay
        self.headers, self.key, self.model = dict(headers or {}), key, model
        self.requests: list[Request] = []
        self.busiest = 0  # most requests at once so far
        self._busy = 0
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._http = _Server(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}/v1"

    @property
    def chats(self) -> list[Request]:
        """The chat completions requests so far."""
        return [request for request in self.requests if request.path.endswith("/chat/completions")]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closing.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def pause(self, seconds: float) -> bool:
        """Wait, but not longer than the server lives; tell whether it still does."""
        return not self._closing.wait(seconds)

    def began(self, request: Request) -> str:
        """Note a request and return how it is to be answered."""
        with self._lock:
            self.requests.append(request)
            self._busy += 1
            self.busiest = max(self.busiest, self._busy)
            if not request.path.endswith("/chat/completions"):
                return "good"
            return self.script.pop(0) if len(self.script) > 1 else self.script[0]

    def ended(self) -> None:
        with self._lock:
            self._busy -= 1


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing where a client hangs up: that is what some behaviours are for."""


def _handler(server: ModelServer) -> type[BaseHTTPRequestHandler]:
    class Handler(_Handler):
        double = server

    return Handler


class _Handler(BaseHTTPRequestHandler):
    double: ModelServer
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the parent's name
        """Say nothing: requests hold what was said on calls."""

    def do_GET(self) -> None:
        request = self._request()
        self.double.began(request)
        try:
            if request.path.endswith("/models"):
                model = {"id": self.double.model, "object": "model", "owned_by": "double"}
                self._json({"object": "list", "data": [model]})
            else:
                self._error(404)
        finally:
            self.double.ended()

    def do_POST(self) -> None:
        request = self._request()
        behaviour = self.double.began(request)
        try:
            self._answer(request, behaviour)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True  # the client has had enough
        finally:
            self.double.ended()

    def _request(self) -> Request:
        length = int(self.headers.get("content-length") or 0)
        headers = {name.lower(): value for name, value in self.headers.items()}
        return Request(self.path, headers, self.rfile.read(length))

    # ------------------------------------------------------------ what is answered

    def _answer(self, request: Request, behaviour: str) -> None:
        key = self.double.key
        if key is not None and request.headers.get("authorization") != f"Bearer {key}":
            self._error(401)
        elif request.path.endswith("/embeddings"):
            self._json(embeddings(request.json, self.double.model))
        elif not request.path.endswith("/chat/completions"):
            self._error(404)
        elif behaviour in _STATUS:
            self._error(_STATUS[behaviour])
        elif behaviour in _BODIES:
            _BODIES[behaviour](self)
        else:
            self._complete(request.json, behaviour)

    def _complete(self, asked: dict[str, Any], behaviour: str) -> None:
        wanted = (asked.get("response_format") or {}).get("type", "text")
        if (behaviour == "schema_rejected" and wanted == "json_schema") or (
            behaviour == "formats_rejected" and wanted != "text"
        ):
            return self._error(400)
        if behaviour == "slow":
            self.double.pause(self.double.delay)
        content = self._content(asked, behaviour, wanted)
        reason = "length" if behaviour == "length" else "stop"
        message: dict[str, Any] = {"role": "assistant", "content": content}
        if behaviour == "refusal":
            message |= {"content": None, "refusal": "I cannot help with that."}
        model = "<img src=x>](http://evil.example)" if behaviour == "odd_model" else None
        usage = _usage(asked, content, behaviour)
        if asked.get("stream"):
            return self._stream(content, reason, usage, asked)
        return self._json(
            {
                "id": "chatcmpl-double",
                "object": "chat.completion",
                "created": 0,
                "model": model or asked.get("model") or self.double.model,
                "choices": [
                    {"index": 0, "message": message, "finish_reason": reason, "logprobs": None}
                ],
            }
            | ({"usage": usage} if usage else {})
        )

    def _content(self, asked: dict[str, Any], behaviour: str, wanted: str) -> str:
        schema = ((asked.get("response_format") or {}).get("json_schema") or {}).get("schema")
        turns = turns_of(asked.get("messages") or [])
        if behaviour == "schema_ignored" and wanted == "json_schema":
            return "Of course! The customer called and the agent helped them."
        if turns is None:
            reply: Any = instance(schema) if schema else {"probe": _word_asked(asked)}
        elif behaviour == "other_call":
            reply = extractive(OTHER_CALL)
        elif behaviour == "other_language":
            reply = in_spanish(extractive(turns))
        elif behaviour == "empty":
            reply = extractive([])
        elif behaviour == "wrong_shape":
            reply = {"summary": "it went well", "promise": True}
        else:
            reply = self.double.writer(turns)
        text = json.dumps(reply, ensure_ascii=False)
        if behaviour in ("invalid_json", "length"):
            return text[: len(text) // 2]
        if behaviour == "formats_rejected":
            return f"Here is the note:\n```json\n{text}\n```\nAnything else?"
        return text

    # ------------------------------------------------------------ how it is sent

    def _json(self, document: Any, status: int = 200) -> None:
        self._send(json.dumps(document, ensure_ascii=False).encode(), "application/json", status)

    def _send(self, body: bytes, kind: str, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in (self.double.headers | headers).items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def _error(self, status: int) -> None:
        """Answer with an error that repeats what it got, as careless servers do."""
        body = json.dumps({"error": {"message": f"status {status}", "code": None}}).encode()
        extra = {"Retry_After": self.double.retry_after} if status == 429 else {}
        self._send(body, "application/json", status, **extra)

    def _stream(
        self, content: str, reason: str, usage: dict[str, int] | None, asked: dict[str, Any]
    ) -> None:
        def event(delta: dict[str, str], finish: str | None = None) -> bytes:
            choice = {"index": 0, "delta": delta, "finish_reason": finish}
            chunk = {
                "id": "chatcmpl-double",
                "object": "chat.completion.chunk",
                "created": 0,
                "model": asked.get("model") or self.double.model,
                "choices": [choice],
            }
            return f"data: {json.dumps(chunk, ensure_ascii=False)}\n\n".encode()

        events = [event({"role": "assistant", "content": ""})]
        events += [event({"content": content[at : at + 40]}) for at in range(0, len(content), 40)]
        events.append(event({}, reason))
        if usage and (asked.get("stream_options") or {}).get("include_usage"):
            last = {"id": "chatcmpl-double", "object": "chat.completion.chunk", "created": 0,
                    "model": self.double.model, "choices": [], "usage": usage}  # fmt: skip
            events.append(f"data: {json.dumps(last)}\n\n".encode())
        self._send(b"".join([*events, b"data: [DONE]\n\n"]), "text/event-stream")

    def hang(self) -> None:
        while self.double.pause(1.0):
            pass
        self.close_connection = True

    def drip(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(HUGE))
        self.end_headers()
        while self.double.pause(WAIT):
            self.wfile.write(b" ")
            self.wfile.flush()
        self.close_connection = True

    def truncated(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", "4000")
        self.end_headers()
        self.wfile.write(b'{"id": "chatcmpl-double", "choices": [')
        self.wfile.flush()
        self.close_connection = True

    def html(self) -> None:
        self._send(b"<!doctype html><title>Sign in</title><p>Please sign in.", "text/html")

    def huge(self) -> None:
        self._send(b'{"x": "' + b"a" * HUGE + b'"}', "application/json")

    def broken_envelope(self) -> None:
        self._json({"choices": "none", "usage": []})

    def redirect(self) -> None:
        self._send(b"", "text/plain", 307, Location="http://127.0.0.2:9/v1/chat/completions")


_BODIES: Mapping[str, Callable[[_Handler], None]] = {
    "hang": _Handler.hang,
    "drip": _Handler.drip,
    "truncated": _Handler.truncated,
    "html": _Handler.html,
    "huge": _Handler.huge,
    "broken_envelope": _Handler.broken_envelope,
    "redirect": _Handler.redirect,
}


def _usage(asked: Mapping[str, Any], content: str, behaviour: str) -> dict[str, int] | None:
    if behaviour == "no_usage":
        return None
    prompt = len(json.dumps(asked.get("messages"))) // 4
    completion = len(content) // 4
    if behaviour == "wrong_usage":
        prompt, completion = -7, 10**15
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    }


def _word_asked(asked: Mapping[str, Any]) -> str:
    """Return the word between quotation marks in the last message: what a probe asks to echo."""
    last = str((asked.get("messages") or [{}])[-1].get("content", ""))
    quoted = last.split('"')
    return quoted[-2] if len(quoted) > 2 else ""
