"""One chat completions server: asked within limits, read within limits, believed in nothing.

It sends what it is handed to the one address that was configured, follows no redirect, asks no
proxy, and reads no more than a set number of bytes for a set time. Error bodies are never read.
"""

from __future__ import annotations

import json
import re
import secrets
import ssl
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import httpx2
import openai
from openai import OpenAI

from voice_pipeline.analysts._pacing import Breaker, Budget, Pace, Refused, utc_day
from voice_pipeline.analysts._reply import Unfit, json_in

Mode = Literal["json_schema", "json_object", "text"]
LADDER: tuple[Mode, ...] = ("json_schema", "json_object", "text")
LARGEST = 10_000_000  # bytes of an answer; a note is some thousand
CHARS_A_TOKEN = 3  # English has 4 and more; fewer is the safe side
_PROBE_TOKENS = 64
# A reply cannot have used fewer tokens than a letter each twenty, or more than a byte each.
_FEWEST_CHARS, _TEMPLATE = 20, 2000
_KEPT_HEADERS = frozenset({
    "host", "authorization", "content-type", "content-length", "accept", "connection", "user-agent",
    "x-stainless-raw-response",  # by which the client knows that we read the answer ourselves
})  # fmt: skip
_MODEL_NAME = re.compile(r"[^\w.:/@+-]+")

Message = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Limits:
    """How far a server is asked."""

    timeout: float  # seconds for one attempt, from sending to the last byte
    retries: int  # further attempts
    longest_wait: float  # seconds between two attempts
    concurrency: int  # requests at once
    failures: int  # in a row, after which the server is left alone ...
    rest: float  # ... for so many seconds
    tokens_a_day: int | None
    budget_file: Path | None


@dataclass(frozen=True, slots=True)
class Asked:
    """What shapes an answer."""

    model: str
    temperature: float | None
    seed: int | None
    max_tokens: int
    max_tokens_name: str = "max_tokens"  # some servers want max_completion_tokens


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, and what it took."""

    content: str
    model: str  # as the server names it, letters that could be markup dropped
    prompt_tokens: int
    completion_tokens: int
    reported: bool  # the counts are the server's own, and can be true
    latency: float  # seconds, waiting for a turn included
    attempts: int


class ChatServer:
    """Asks for JSON in the strictest way that the server was seen to obey."""

    def __init__(
        self,
        base_url: str,
        key: str,
        asked: Asked,
        limits: Limits,
        *,
        ca_file: Path | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        today: Callable[[], str] = utc_day,
    ) -> None:
        self._asked, self._limits, self._clock = asked, limits, clock
        self._turns = threading.BoundedSemaphore(limits.concurrency)
        self._breaker = Breaker(limits.failures, limits.rest, clock)
        self._pace = Pace(limits.longest_wait, clock, sleep)
        self.budget = Budget(limits.tokens_a_day, limits.budget_file, today)
        self._mode: Mode | None = None
        self._probing = threading.Lock()
        self._client = OpenAI(
            base_url=base_url,
            api_key=key,
            max_retries=0,  # retries are ours: they heed headers and count
            timeout=limits.timeout,
            http_client=openai.DefaultHttpxClient(
                trust_env=False,
                follow_redirects=False,
                timeout=limits.timeout,
                verify=ssl.create_default_context(cafile=ca_file) if ca_file else True,
                event_hooks={"request": [_only_needed], "response": [_only_good]},
            ),
        )

    # ------------------------------------------------------------ asking

    def mode(self) -> Mode:
        """Return how this server is asked for JSON; found out with its first call.

        Raises:
            Refused: it did not answer, or obeys none of the three ways.
        """
        with self._probing:
            if self._mode is None:
                self._mode = self._probe()
            return self._mode

    @property
    def known_mode(self) -> Mode | None:
        """How this server is asked; None where it was never reached."""
        return self._mode

    def ask(self, messages: Sequence[Message], schema: Mapping[str, Any]) -> Answer:
        """Return the server's answer.

        Args:
            messages: what it is told; nothing but redacted text may be in it.
            schema: JSON schema of the answer.

        Raises:
            Refused: no answer within the limits; the code says why.
            Unfit: the model refused, or its answer was cut short.
        """
        while True:
            mode = self.mode()
            try:
                return self._ask(messages, mode, schema, self._asked.max_tokens)
            except _Rejected:  # a small schema was taken, and this one is not
                if mode == LADDER[-1]:
                    raise
                self._mode = LADDER[LADDER.index(mode) + 1]

    def _probe(self) -> Mode:
        """Ask for one word in a tiny form, the strictest way first."""
        for mode in LADDER:
            word = secrets.token_hex(4)
            form = {
                "type": "object",
                "properties": {"probe": {"type": "string", "enum": [word]}},
                "required": ["probe"],
                "additionalProperties": False,
            }
            # Where the schema is enforced the form comes by itself; else it must be asked for.
            wish = f'Reply with the word "{word}"'
            if mode != "json_schema":
                wish = f'Reply with a JSON object: the key "probe" has the value "{word}"'
            try:
                answer = self._ask(
                    [{"role": "user", "content": wish}], mode, form, _PROBE_TOKENS, told=False
                )
                if json_in(answer.content).get("probe") == word:
                    return mode
            except _Rejected:
                continue
            except Unfit:
                continue
        raise Refused("server", "the server was seen to write JSON in none of three ways")

    def _ask(
        self,
        messages: Sequence[Message],
        mode: Mode,
        schema: Mapping[str, Any],
        max_tokens: int,
        *,
        told: bool = True,
    ) -> Answer:
        body: dict[str, Any] = {
            "model": self._asked.model,
            "messages": list(messages),
            self._asked.max_tokens_name: max_tokens,
        }
        if self._asked.temperature is not None:
            body["temperature"] = self._asked.temperature
        if self._asked.seed is not None:
            body["seed"] = self._asked.seed
        if mode == "json_schema":
            form = {"name": "note", "strict": True, "schema": schema}
            body["response_format"] = {"type": "json_schema", "json_schema": form}
        else:
            if mode == "json_object":
                body["response_format"] = {"type": "json_object"}
            if told:
                body["messages"] = [*_with_schema(messages, schema)]
        begun = self._clock()
        length = len(json.dumps(body["messages"], ensure_ascii=False).encode())
        with self._turns, self.budget.spend(length // CHARS_A_TOKEN + max_tokens) as used:
            for attempt in range(self._limits.retries + 1):
                self._breaker.check()
                self._pace.wait()
                try:
                    raw, headers = self._send(body)
                except _Failed as failed:
                    self._breaker.note(good=failed.status == 429)
                    self._pace.heed(failed.headers, attempt)
                    if not failed.again or attempt == self._limits.retries:
                        raise Refused(failed.code, failed.detail) from None
                    continue
                self._breaker.note(good=True)
                self._pace.heed(headers, None)
                used(length // CHARS_A_TOKEN + max_tokens)  # until the answer says better
                answer = _answer(raw, length, self._clock() - begun, attempt + 1)
                used(answer.prompt_tokens + answer.completion_tokens)
                return answer
        raise AssertionError("the loop returns or raises")

    def _send(self, body: Mapping[str, Any]) -> tuple[bytes, Mapping[str, str]]:
        deadline = time.monotonic() + self._limits.timeout
        parts: list[bytes] = []
        size = 0
        try:
            with self._client.chat.completions.with_streaming_response.create(
                **body, stream=False
            ) as response:
                for part in response.iter_bytes():
                    parts.append(part)
                    size += len(part)
                    if size > LARGEST:
                        raise _Failed("server", "the answer is larger than 10 MB", again=False)
                    if time.monotonic() > deadline:
                        raise _Failed("server", "the answer took too long")
                return b"".join(parts), {k.lower(): v for k, v in response.headers.items()}
        except openai.APITimeoutError:
            raise _Failed("server", "the server did not answer in time") from None
        except (openai.APIConnectionError, httpx2.HTTPError):
            raise _Failed("server", "the connection to the server failed or broke off") from None


# ---------------------------------------------------------------- what a server can do wrong


class _Failed(Exception):
    """One attempt failed."""

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        again: bool = True,
        status: int = 0,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.code, self.detail, self.again, self.status = code, detail, again, status
        self.headers: Mapping[str, str] = headers or {}


class _Rejected(Refused):
    """The server does not take this kind of request."""


def _only_needed(request: Any) -> None:
    """Drop every header that the request can do without: accounts and versions are nobody's."""
    for name in [name for name in request.headers if name.lower() not in _KEPT_HEADERS]:
        del request.headers[name]
    request.headers["accept-encoding"] = "identity"


def _only_good(response: Any) -> None:
    """Let answers pass and turn all else into what to do about it, by the status alone."""
    status = int(response.status_code)
    if status == 200:
        return
    headers = {name.lower(): value for name, value in response.headers.items()}
    if status == 429:
        raise _Failed("quota", "the server is busy for us (429)", status=status, headers=headers)
    if status in (408, 409) or status >= 500:
        raise _Failed("server", f"the server failed ({status})", headers=headers)
    if status in (401, 403):
        raise _Failed("access", f"the server refused our key ({status})", again=False)
    if status == 404:
        raise _Failed("access", "the server has no such model or address (404)", again=False)
    if status in (400, 413, 422):
        raise _Rejected("server", f"the server does not take the request ({status})")
    raise _Failed("server", f"the server answered with status {status}", again=False)


def _answer(raw: bytes, sent: int, latency: float, attempts: int) -> Answer:
    """Read a chat completion.

    Raises:
        Refused: it is none.
        Unfit: the model refused or its answer was cut short.
    """
    try:
        whole = json.loads(raw)
        choice = whole["choices"][0]
        message = choice["message"]
        reason = choice.get("finish_reason")
        content = message.get("content")
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        raise Refused("server", "the answer is no chat completion") from None
    if message.get("refusal") or reason == "content_filter":
        raise Unfit(["the model refused"])
    if reason == "length":
        raise Unfit(["the answer was cut short; write less"])
    if not isinstance(content, str) or not content.strip():
        raise Unfit(["the answer is empty"])
    prompt, completion, reported = _tokens(whole.get("usage"), sent, len(content.encode()))
    model = _model_name(str(whole.get("model") or ""))
    return Answer(content, model, prompt, completion, reported, latency, attempts)


def _model_name(text: str) -> str:
    """Return a model's name without markup, or the place of its file on somebody's disk."""
    name = _MODEL_NAME.sub("", text).replace("://", "")
    return (name.rpartition("/")[2] if name.startswith("/") else name)[:100]


def _tokens(usage: Any, sent: int, got: int) -> tuple[int, int, bool]:
    """Return the token counts that a server reports, or our own estimate where they cannot be."""
    counts: list[int] = []
    for name, size in (("prompt_tokens", sent), ("completion_tokens", got)):
        count = usage.get(name) if isinstance(usage, dict) else None
        if (
            isinstance(count, int)
            and not isinstance(count, bool)
            and size // _FEWEST_CHARS <= count <= size + _TEMPLATE
        ):
            counts.append(count)
    if len(counts) == 2:
        return counts[0], counts[1], True
    return sent // CHARS_A_TOKEN, got // CHARS_A_TOKEN, False


def _with_schema(messages: Sequence[Message], schema: Mapping[str, Any]) -> list[Message]:
    """Put the schema behind the system prompt, for servers that take none."""
    told = "\n\nThe JSON schema of your answer:\n" + json.dumps(schema, separators=(",", ":"))
    return [
        {**message, "content": message["content"] + told}
        if message["role"] == "system"
        else message
        for message in messages
    ]
