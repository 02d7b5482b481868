"""Talking to a target's server: one place for addresses, time-outs, redirects and what faults mean.

Decides whether a fault is of the whole target, of one request, or of the settings, and whether a
request may have got through. Refuses private addresses unless the target allows them, redirects,
and answers larger than a megabyte. No message repeats what a server said.
"""

from __future__ import annotations

import contextlib
import email.utils
import json
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
from pydantic import BaseModel, ConfigDict, Field, field_validator

from voice_pipeline.connectors._address import address_of, trusted
from voice_pipeline.errors import Misconfigured, Permanent, Retryable

LARGEST = 1 << 20  # bytes of an answer
CONNECT = 5.0  # seconds to connect
LONGEST_WAIT = 86_400.0  # seconds that a Retry-After may ask for
SECRETS = ("authorization", "cookie", "webhook-signature")  # headers that nobody is shown


class HttpOptions(BaseModel):
    """What every target that is a server has."""

    model_config = ConfigDict(extra="forbid")

    url: str = Field(description="where the server is: https://HOST/PATH")
    timeout: float = Field(15.0, gt=0, le=300, description="seconds that one answer may take")
    private: bool = Field(False, description="whether it may have a private or loopback address")
    ca: Path | None = Field(
        None, description="PEM file of the authority that signs its certificate"
    )

    @field_validator("url")
    @classmethod
    def _plain(cls, text: str) -> str:
        parts = urlsplit(text)
        plain = parts.username is None and parts.password is None and not parts.fragment
        if parts.scheme not in ("http", "https") or not parts.hostname or not plain:
            raise ValueError("takes https://HOST/PATH without user, password or fragment")
        return text


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server said."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)  # may hold anything

    def json(self) -> Any:
        """Return the body as JSON values.

        Raises:
            Retryable: it is none (code `bad_answer`); the request may have got through.
        """
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            raise Retryable(
                "the server answered something else than JSON", code="bad_answer"
            ) from None

    def object(self) -> dict[str, Any]:
        """Return the body as a JSON object; raises as `json`."""
        value = self.json()
        if not isinstance(value, dict):
            raise Retryable("the server answered JSON of another shape", code="bad_answer")
        return value


class Http:
    """Requests to one target's server. Safe for several threads."""

    def __init__(self, options: HttpOptions, *, headers: Mapping[str, str] | None = None) -> None:
        """
        Args:
            options: of the target.
            headers: that go with every request, credentials among them.

        Raises:
            Misconfigured: the file of its authority cannot be read, or the address is plain HTTP
                on the open internet.
        """
        self._options = options
        self.url = options.url  # as it was given: some servers mind a slash at its end
        self.base = options.url.rstrip("/")
        parts = urlsplit(options.url)
        self._secure = parts.scheme == "https"
        if not self._secure and not options.private:
            raise Misconfigured(
                "a target on the open internet is reached over https; set `private = true` for "
                "one in your own network",
                code="target_address",
            )
        self._client = httpx2.Client(
            # Certificates take a while to read, and plain http shows none.
            verify=trusted(options.ca) if self._secure or options.ca else False,
            timeout=httpx2.Timeout(options.timeout, connect=min(CONNECT, options.timeout)),
            headers={"User-Agent": "voice-pipeline", **(headers or {})},
            follow_redirects=False,
            trust_env=False,  # no proxy that nobody configured here
            limits=httpx2.Limits(max_keepalive_connections=0),  # each is watched from its start
        )

    def request(
        self,
        method: str,
        path: str,
        *,
        content: bytes | None = None,
        body: Any = None,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        accept: tuple[int, ...] = (),
        largest: int = LARGEST,
    ) -> Answer:
        """Send one request and return its answer.

        Args:
            method: GET, POST, ...
            path: behind the target's URL; or a whole URL of the same server; empty: the URL itself.
            content: bytes of the body; or
            body: JSON values of the body.
            params: of the query.
            headers: beside those of every request.
            accept: statuses from 300 on that are no fault, for example 404.
            largest: bytes of an answer.

        Raises:
            Retryable: `target_unreachable`, `target_busy`, `target_failed`, `no_answer`,
                `bad_answer`; see `ports.Connector.deliver`.
            Permanent: the server refuses the request (`target_refused`).
            Misconfigured: it refuses our credentials (`target_denied`), sends us elsewhere
                (`target_moved`), shows a certificate that is not good (`target_certificate`), or
                its address may not be asked (`target_address`).
        """
        whole = path.startswith(f"{self.base}/")
        url = path if whole else self.base + path if path else self.url
        sent = dict(headers or {})
        if body is not None:
            content = json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")
            sent.setdefault("Content-Type", "application/json")
        target = httpx2.URL(url)
        if params:
            target = target.copy_merge_params(dict(params))
        port = target.port or (443 if target.scheme == "https" else 80)
        address = address_of(target.host, port, private=self._options.private)
        request = self._client.build_request(
            method,
            target.copy_with(host=address),
            content=content,
            headers=sent | {"Host": target.netloc.decode("ascii")},
            extensions={"sni_hostname": target.host},
        )
        answer = self._sent(request, largest)
        _check(answer, accept)
        return answer

    def close(self) -> None:
        self._client.close()

    def _sent(self, request: httpx2.Request, largest: int) -> Answer:
        watch = _Watch()
        request.extensions["trace"] = watch.see
        timer = threading.Timer(self._options.timeout, watch.cut)
        timer.daemon = True
        timer.start()
        try:
            answer = self._client.send(request, stream=True)
            try:
                body = bytearray()
                for piece in answer.iter_bytes():
                    body += piece
                    if len(body) > largest:
                        raise Retryable("the server's answer has no end", code="bad_answer")
                if watch.over:  # without a length, an answer that was cut looks whole
                    raise Retryable("the server answers too slowly", code="no_answer")
            finally:
                answer.close()
        except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
            raise _not_connected(error) from None
        except (httpx2.TransportError, httpx2.DecodingError) as error:
            raise Retryable(
                f"the server broke off or did not answer ({type(error).__name__}); it may have "
                "taken the request",
                code="no_answer",
            ) from None
        finally:
            timer.cancel()
        return Answer(answer.status_code, dict(answer.headers), bytes(body))


class _Watch:
    """Ends a request whose answer comes in drips: a client's time-outs are those of one read."""

    def __init__(self) -> None:
        self._stream: Any = None
        self.over = False

    def see(self, event: str, info: Mapping[str, Any]) -> None:
        if event in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
            self._stream = info["return_value"]

    def cut(self) -> None:
        self.over = True
        if self._stream is not None:
            with contextlib.suppress(OSError):  # it has just ended
                # Not a TLS socket's own `shutdown`, which takes its state from under the reader.
                socket.socket.shutdown(self._stream.get_extra_info("socket"), socket.SHUT_RDWR)


def shown(headers: Mapping[str, str]) -> dict[str, str]:
    """Return headers as people may see them."""
    return {
        name: "(secret)" if name.lower() in SECRETS else value for name, value in headers.items()
    }


def waits(answer: Answer) -> float | None:
    """Return the seconds that a server asked to wait, or None."""
    text = answer.headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text), LONGEST_WAIT)
    try:
        at = email.utils.parsedate_to_datetime(text).timestamp()
    except (TypeError, ValueError):
        return None
    return min(max(0.0, at - time.time()), LONGEST_WAIT)


def _check(answer: Answer, accept: tuple[int, ...]) -> None:
    status = answer.status
    if 200 <= status < 300 or status in accept:
        return
    if status in (401, 403):
        raise Misconfigured(
            f"the server refuses our credentials or rights (HTTP {status}); check them with "
            "`targets test`",
            code="target_denied",
        )
    if 300 <= status < 400:
        raise Misconfigured(
            f"the server sends us elsewhere (HTTP {status}); redirects are not followed: set the "
            "URL that it moved to",
            code="target_moved",
        )
    if status in (429, 503):
        raise Retryable(
            f"the server asks to wait (HTTP {status})", code="target_busy", after=waits(answer)
        )
    if status in (408, 425) or status >= 500:
        away = status in (502, 504)
        raise Retryable(
            f"the server failed (HTTP {status})",
            code="target_unreachable" if away else "target_failed",
            after=waits(answer),
        )
    raise Permanent(f"the server refuses this (HTTP {status})", code="target_refused")


def _not_connected(error: Exception) -> Retryable | Misconfigured:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return Misconfigured(
                f"the server's certificate is not good: {cause.verify_message}",
                code="target_certificate",
            )
        cause = cause.__cause__ or cause.__context__
    return Retryable(
        f"the server cannot be reached ({type(error).__name__})", code="target_unreachable"
    )
