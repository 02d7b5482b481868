"""A client for the HTTP API: hand calls in, wait for them, read what came out.

Tries again what may be tried again (429, 503, a broken line), with the pauses that the service
asks for and, for an upload, under one key, so that no recording is taken twice. Thin: answers are
the API's own JSON.
"""

from __future__ import annotations

import json
import random
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Required, Self, TypedDict, cast

import httpx2

from voice_pipeline.errors import Permanent, Retryable

State = Literal["received", "running", "held", "done", "failed", "cancelled", "erased"]
MOVING = ("received", "running")
PASSING = (429, 503)
TRIES = 6
LONGEST_PAUSE = 60.0  # seconds between two tries
LOOK = 1.0  # seconds between looks at a call, at most


class Call(TypedDict, total=False):
    """A call as the API shows it; docs/reference.md has every field."""

    id: Required[str]
    status: Required[State]
    revision: int
    metadata: dict[str, str]
    duration: float | None  # seconds
    request_type: str | None
    urgency: str | None
    flags: list[str]
    review: str | None
    warnings: list[dict[str, str]]
    code: str | None  # why it failed or is held
    detail: str | None
    stages: list[dict[str, Any]]  # of a single call: stage, share 0..1, seconds


class Refused(Permanent):
    """The service says no; `status` and `code` say why (docs/codes.md)."""

    code = "refused"

    def __init__(self, message: str, *, status: int, code: str) -> None:
        super().__init__(message, code=code)
        self.status = status


class Unavailable(Retryable):
    """The service did not answer, or had no room, however often it was asked."""

    code = "unavailable"


class Client:
    """A service and a key for it; use it in a `with` block, or `close` it."""

    def __init__(
        self,
        url: str,
        key: str,
        *,
        timeout: float = 60.0,
        tries: int = TRIES,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """
        Args:
            url: of the service, for example http://127.0.0.1:8000.
            key: an API key, or a bearer token.
            timeout: seconds that one request may stay without an answer.
            tries: how often a request is sent before it is given up.
            sleep: waits between tries.
        """
        self._http = httpx2.Client(
            base_url=url,
            headers={"Authorization": f"Bearer {key}"},
            timeout=timeout,
            follow_redirects=False,
        )
        self._tries, self._sleep = tries, sleep

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    # ------------------------------------------------------------ handing in

    def upload(
        self,
        path: Path | str,
        metadata: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
    ) -> Call:
        """Hand in a recording. It cannot be lost once this has returned.

        Args:
            path: the recording; it is sent as it is read.
            metadata: a flat object.
            idempotency_key: the same key and recording again is the same call; None: a new one,
                kept over the tries of this upload.

        Raises:
            Refused: the recording or the key is not taken.
            Unavailable: there is no room, or no answer.
            OSError: the file cannot be read.
        """
        path, key = Path(path), idempotency_key or uuid.uuid4().hex
        form = {"metadata": json.dumps(metadata)} if metadata else {}

        def send() -> httpx2.Response:
            with path.open("rb") as file:  # anew for each try
                return self._http.post(
                    "/v1/calls",
                    files={"file": (path.name, file)},
                    data=form,
                    headers={"Idempotency-Key": key},
                )

        return cast(Call, self._asked(send).json())

    def fetch(
        self,
        reference: str,
        metadata: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
        *,
        backfill: bool = False,
    ) -> Call:
        """Have the service fetch a recording: https://HOST/PATH or s3://BUCKET/KEY.

        Raises:
            Refused, Unavailable: as `upload`.
        """
        body = {"reference": reference, "metadata": dict(metadata or {}), "backfill": backfill}
        headers = {"Idempotency-Key": idempotency_key or uuid.uuid4().hex}
        answer = self._asked(
            lambda: self._http.post("/v1/calls/by-reference", json=body, headers=headers)
        )
        return cast(Call, answer.json())

    # ------------------------------------------------------------ following

    def call(self, call: str) -> Call:
        """Return where a call is."""
        return cast(Call, self._get(f"/v1/calls/{call}").json())

    def wait(self, call: str, timeout: float = 3600.0) -> Call:
        """Return a call when it has ended: done, held, failed, cancelled or erased.

        Args:
            timeout: seconds.

        Raises:
            TimeoutError: it has not by then.
        """
        end, pause = time.monotonic() + timeout, 0.05
        while (state := self.call(call))["status"] in MOVING:
            if time.monotonic() + pause > end:
                raise TimeoutError(f"call {call} has not ended within {timeout:g} s")
            self._sleep(pause)
            pause = min(LOOK, pause * 1.5)
        return state

    def calls(self, **filters: Any) -> Iterator[Call]:
        """Yield calls, newest first, page by page.

        Args:
            filters: status, agent, team, queue, customer_ref, call_ref, request_type, review,
                flag, since, until; `limit` is the size of a page.
        """
        return self._pages("/v1/calls", filters)

    def search(self, words: str, **filters: Any) -> Iterator[Call]:
        """Yield calls whose redacted text holds all the words, newest first."""
        return self._pages("/v1/search", {"q": words, **filters})

    def events(self, cursor: int = 0, *, limit: int = 1000) -> Iterator[dict[str, Any]]:
        """Yield what happened after a cursor, in order, up to now.

        The `id` of an event is the cursor behind it: keep the last one, and go on from there.
        """
        while True:
            page = self._get("/v1/events", {"cursor": cursor, "limit": limit}).json()
            yield from page["items"]
            if not page["items"]:
                return
            cursor = page["next_cursor"]

    # ------------------------------------------------------------ results

    def note(self, call: str, revision: int | None = None) -> dict[str, Any]:
        """Return the case note."""
        return cast(dict[str, Any], self._result(call, "note", revision).json())

    def transcript(self, call: str, revision: int | None = None) -> dict[str, Any]:
        """Return the redacted transcript."""
        return cast(dict[str, Any], self._result(call, "transcript", revision).json())

    def captions(self, call: str, revision: int | None = None) -> str:
        """Return the redacted transcript as WebVTT."""
        return self._result(call, "captions", revision).content.decode()

    def audio(self, call: str, revision: int | None = None) -> bytes:
        """Return the muted recording, FLAC."""
        return self._result(call, "audio", revision).content

    def redaction_log(self, call: str, revision: int | None = None) -> bytes:
        """Return the signed redaction log, JSON lines."""
        return self._result(call, "redaction-log", revision).content

    def vcon(self, call: str, revision: int | None = None) -> dict[str, Any]:
        """Return the call as an unsigned vCon, the muted recording inside."""
        return cast(dict[str, Any], self._result(call, "vcon", revision).json())

    # ------------------------------------------------------------ inside

    def _result(self, call: str, what: str, revision: int | None) -> httpx2.Response:
        given = {} if revision is None else {"revision": revision}
        return self._get(f"/v1/calls/{call}/{what}", given)

    def _pages(self, path: str, filters: Mapping[str, Any]) -> Iterator[Call]:
        given = {name: value for name, value in filters.items() if value is not None}
        while True:
            page = self._get(path, given).json()
            yield from page["items"]
            if page["next_cursor"] is None:
                return
            given["cursor"] = page["next_cursor"]

    def _get(self, path: str, given: Mapping[str, Any] | None = None) -> httpx2.Response:
        return self._asked(lambda: self._http.get(path, params=dict(given or {})))

    def _asked(self, send: Callable[[], httpx2.Response]) -> httpx2.Response:
        """Send until there is an answer that will not change."""
        why = ""
        for number in range(self._tries):
            wait: float | None = None
            try:
                answer = send()
            except httpx2.TransportError as error:
                why = f"no answer ({type(error).__name__})"
            else:
                if answer.status_code not in PASSING:
                    return _checked(answer)
                why = f"the service answered {answer.status_code}"
                wait = _asked_pause(answer)
            if number + 1 < self._tries:
                own = min(LONGEST_PAUSE, 0.5 * 2**number)
                # spread, so that many clients do not come back in the same moment
                self._sleep(
                    (own if wait is None else min(wait, LONGEST_PAUSE)) * random.uniform(1, 1.25)
                )
        raise Unavailable(f"{why}, {self._tries} times; try again later")


def _checked(answer: httpx2.Response) -> httpx2.Response:
    if answer.is_success:
        return answer
    try:
        told = answer.json()
    except ValueError:
        told = {}
    problem = told if isinstance(told, dict) else {}
    raise Refused(
        str(problem.get("detail", f"the service answered {answer.status_code}")),
        status=answer.status_code,
        code=str(problem.get("code", "refused")),
    )


def _asked_pause(answer: httpx2.Response) -> float | None:
    """Return the seconds of Retry-After; None where it says a date or nothing."""
    text = answer.headers.get("retry-after", "")
    return float(text) if text.isascii() and text.isdigit() else None
