"""Fetches a recording that a caller only names. Asks nobody whom the settings do not list.

Decides by scheme, host, port and the beginning of the path, then by the address that is connected
to. Refuses redirects, names that lead to private addresses, and whoever sends too much or too
slowly.
"""

from __future__ import annotations

import http.client
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import SplitResult, unquote, urlsplit

import obstore

from voice_pipeline.addresses import is_public
from voice_pipeline.config import Settings
from voice_pipeline.errors import BadInput, Misconfigured, Retryable
from voice_pipeline.opening import open_bucket
from voice_pipeline.ways_in.bucket import faults

BLOCK = 256 << 10  # bytes
PORTS = {"http": 80, "https": 443}
LONGEST = 2000  # characters of a reference
AT_ONCE = 4  # fetches of one process; more wait at the other end
# printable ASCII but for the characters that mean something else to somebody: \ " < > ^ ` { | }
PLAIN = re.compile(r"[!#-;=?-\[\]_a-z~]+", re.ASCII)
# what would leave the listed path, however it is written
CLIMBS = re.compile(r"(^|/|%2f|%5c)(\.|%2e){1,2}($|/|%2f|%5c|;)|//|%2f|%5c|%00", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Reference:
    """A reference that the settings allow."""

    scheme: str
    host: str  # of a bucket: its name
    port: int  # of a bucket: 0
    path: str  # with its query, as it is asked for
    name: str  # base name of the recording


class References:
    """What may be fetched, and how."""

    def __init__(self, settings: Settings) -> None:
        """
        Raises:
            Misconfigured: an entry of `serve.references` is none.
        """
        self._settings, serve = settings, settings.serve
        try:
            self._allowed = [_parse(entry) for entry in serve.references]
        except BadInput as error:
            raise Misconfigured(f"serve.references: {error.message}") from None
        self._private = serve.private_references
        self._timeout, self._largest = serve.reference_timeout, serve.largest_upload
        self._slots = threading.BoundedSemaphore(AT_ONCE)

    def check(self, text: str) -> Reference:
        """Return a reference that may be fetched.

        Raises:
            BadInput: it is none, or not within what the settings list (code `reference`).
        """
        parts = _parse(text)
        path = parts.path or "/"
        if not any(_within(parts, path, entry) for entry in self._allowed):
            raise BadInput(
                "this place is not listed in the setting serve.references", code="reference"
            )
        name = path.rpartition("/")[2]
        if not name:
            raise BadInput("the reference names no recording", code="reference")
        query = f"?{parts.query}" if parts.query else ""
        return Reference(parts.scheme, parts.hostname or "", _port(parts), path + query, name[:200])

    def fetch(self, found: Reference, sink: Callable[[bytes], object]) -> None:
        """Send a recording's bytes to the sink.

        Raises:
            BadInput: the other side has none, or sends too much (`reference_refused`,
                `too_large`), or its address is not one that may be asked (`reference_address`).
            Retryable: it does not answer, breaks off, or is too slow (`reference_unreachable`),
                or too many are being fetched already (`overloaded`).
        """
        if not self._slots.acquire(blocking=False):
            raise Retryable("too many recordings are being fetched", code="reference_busy")
        try:
            (self._get_object if found.scheme == "s3" else self._fetch)(found, sink)
        finally:
            self._slots.release()

    def _get_object(self, found: Reference, sink: Callable[[bytes], object]) -> None:
        store = open_bucket(self._settings, f"s3://{found.host}")
        with faults():
            try:
                got = obstore.get(store, unquote(found.path.strip("/")))
            except FileNotFoundError:
                raise BadInput("the bucket has no such object", code="reference_refused") from None
            if got.meta["size"] > self._largest:
                raise self._too_large()
            end = time.monotonic() + self._timeout
            for piece in got.stream(BLOCK):
                sink(bytes(piece))
                if time.monotonic() > end:
                    raise Retryable("the bucket is too slow", code="reference_unreachable")

    def _fetch(self, found: Reference, sink: Callable[[bytes], object]) -> None:
        try:
            with self._connected(found) as connection:
                connection.request(
                    "GET",
                    found.path,
                    headers={"User-Agent": "voice-pipeline", "Accept-Encoding": "identity"},
                )
                answer = connection.getresponse()
                self._check_answer(answer)
                self._pour(answer, sink)
        except (OSError, http.client.HTTPException) as error:  # TLS faults are OSErrors
            raise Retryable(
                f"the place of the recording does not answer or broke off ({type(error).__name__})",
                code="reference_unreachable",
            ) from None

    def _check_answer(self, answer: http.client.HTTPResponse) -> None:
        if answer.status in (408, 425, 429) or answer.status >= 500:
            raise Retryable(
                f"the place of the recording answered {answer.status}; try again later",
                code="reference_unreachable",
            )
        if answer.status != 200:
            raise BadInput(
                f"the place of the recording answered {answer.status}"
                + ("; redirects are not followed" if 300 <= answer.status < 400 else ""),
                code="reference_refused",
            )
        if answer.getheader("Content-Encoding", "identity") != "identity":
            raise BadInput("the recording comes compressed", code="reference_refused")
        if answer.length is None and not answer.chunked:
            raise BadInput(
                "the place of the recording does not say how long it is, so that a part could not "
                "be told from the whole",
                code="reference_refused",
            )
        if answer.length is not None and answer.length > self._largest:
            raise self._too_large()

    def _pour(self, answer: http.client.HTTPResponse, sink: Callable[[bytes], object]) -> None:
        size, promised = 0, answer.length
        while piece := answer.read1(BLOCK):
            size += len(piece)
            if size > self._largest:
                raise self._too_large()
            sink(piece)
        if promised is not None and size < promised:
            raise http.client.IncompleteRead(b"", promised - size)

    def _too_large(self) -> BadInput:
        return BadInput(f"the recording is larger than {self._largest:,} bytes", code="too_large")

    @contextmanager
    def _connected(self, found: Reference) -> Iterator[http.client.HTTPConnection]:
        """Connect to the very address that was looked at; all of it is cut when time is up."""
        address = self._address(found)
        line = socket.create_connection(address, min(10.0, self._timeout))
        line.settimeout(self._timeout)
        if found.scheme == "https":
            line = ssl.create_default_context().wrap_socket(
                line, server_hostname=found.host, do_handshake_on_connect=False
            )
        late = threading.Timer(self._timeout, _cut, [line])
        late.daemon = True
        late.start()
        try:
            if isinstance(line, ssl.SSLSocket):
                line.do_handshake()
            connection = http.client.HTTPConnection(found.host, found.port)
            connection.sock = line
            yield connection
        finally:
            late.cancel()
            line.close()

    def _address(self, found: Reference) -> tuple[str, int]:
        """Return where to connect to: the first address, if all that the name has may be asked."""
        told = socket.getaddrinfo(found.host, found.port, type=socket.SOCK_STREAM)
        addresses = [str(one[4][0]) for one in told]
        if not self._private and not all(is_public(one) for one in addresses):
            raise BadInput(
                "the host has a private, loopback or link-local address; the setting "
                "serve.private_references allows such",
                code="reference_address",
            )
        return addresses[0], found.port


def _parse(text: str) -> SplitResult:
    """Read a reference.

    Raises:
        BadInput: it is none (code `reference`). The message does not repeat it.
    """
    fault = BadInput(
        "a reference is https://HOST/PATH or s3://BUCKET/KEY in plain ASCII, without user, "
        "fragment, empty or climbing steps",
        code="reference",
    )
    if len(text) > LONGEST or not PLAIN.fullmatch(text):
        raise fault
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise fault from None
    plain = parts.username is None and parts.password is None and not parts.fragment
    bucket = parts.scheme == "s3"
    if (
        parts.scheme not in ("s3", *PORTS)
        or not parts.hostname
        or not plain
        or (bucket and (port is not None or parts.query))
        or port == 0
        or CLIMBS.search(parts.path)
    ):
        raise fault
    return parts


def _within(parts: SplitResult, path: str, entry: SplitResult) -> bool:
    same = (parts.scheme, parts.hostname, _port(parts)) == (
        entry.scheme,
        entry.hostname,
        _port(entry),
    )
    begin = entry.path.rstrip("/")
    return same and (path == begin or path.startswith(f"{begin}/"))


def _port(parts: SplitResult) -> int:
    return parts.port or PORTS.get(parts.scheme, 0)


def _cut(line: socket.socket) -> None:
    """End a connection under whoever reads from it: what came by then is seen to be a part."""
    try:
        # not the method of a TLS line, which would go on reading without TLS
        socket.socket.shutdown(line, socket.SHUT_RDWR)
    except OSError:
        return  # it has ended by itself
