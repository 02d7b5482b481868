"""A proxy that stands between a connector and any server and does what networks and servers do.

    with proxy(server_url) as faulty:
        faulty.script("answer_lost", "429_seconds")  # the next two requests; then all go through
        faulty.chance(0.2, seed=1)                   # or: every fifth, reproducibly

What a fault does is in `FAULTS`: whether the server gets the request, and what the client gets.
"""

from __future__ import annotations

import contextlib
import datetime
import email.utils
import http.client
import ipaddress
import random
import socket
import ssl
import struct
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

ELSEWHERE = "http://169.254.169.254/latest/meta-data"  # where a redirect must not lead
HUGE = 3 << 20  # bytes
DRIP = 0.1  # seconds between the bytes of a slow body


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to one request."""

    forwarded: bool  # the server gets it, and does what it asks
    end: Literal["answer", "hang", "reset", "half", "drip", "slow_head"] = "answer"
    status: int | None = None  # of a made-up answer; None: the server's own
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


def _both(name: str, before: Fault) -> dict[str, Fault]:
    """Return a fault that hits before the server does anything, and one that hits after."""
    return {name: before, f"{name}_after": replace(before, forwarded=True)}


_JSON = (("Content-Type", "application/json"),)
_HTML = (("Content-Type", "text/html"),)
_QUOTED = b'"' + b"a" * HUGE + b'"'
_LATER = email.utils.format_datetime(
    datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1), usegmt=True
)
FAULTS: dict[str, Fault] = {
    "pass": Fault(True),
    "hang": Fault(False, end="hang"),
    "answer_lost": Fault(True, end="hang"),
    **_both("reset", Fault(False, end="reset")),
    "half": Fault(True, end="half"),
    "drip": Fault(True, end="drip"),
    "slow_head": Fault(True, end="slow_head"),
    "429": Fault(False, status=429),
    "429_seconds": Fault(False, status=429, headers=(("Retry-After", "7"),)),
    "429_date": Fault(False, status=429, headers=(("Retry-After", _LATER),)),
    "429_years": Fault(False, status=429, headers=(("Retry-After", "99999999"),)),
    "429_nonsense": Fault(False, status=429, headers=(("Retry-After", "soon"),)),
    **_both("500", Fault(False, status=500, body=b"Traceback: it broke")),
    **_both("502", Fault(False, status=502)),
    "503": Fault(False, status=503, headers=(("Retry-After", "30"),)),
    **_both("504", Fault(False, status=504)),
    "401": Fault(False, status=401),
    "404": Fault(False, status=404),
    **_both("wrong_json", Fault(False, status=200, headers=_JSON, body=b'["not", "what"]')),
    **_both("json_object", Fault(False, status=200, headers=_JSON, body=b"{}")),
    **_both("no_json", Fault(False, status=200, headers=_JSON, body=b'{"id": 1, "na')),
    **_both(
        "html",
        Fault(
            forwarded=False,
            status=200,
            headers=_HTML,
            body=b"<html>Please log in</html>",
        ),
    ),
    **_both("empty", Fault(False, status=200)),
    **_both("huge", Fault(False, status=200, headers=_JSON, body=_QUOTED)),
    "redirect": Fault(False, status=302, headers=(("Location", ELSEWHERE),)),
    "redirect_same_method": Fault(False, status=307, headers=(("Location", ELSEWHERE),)),
}
# Those after which trying again is right, whether or not the server had got the request.
LASTING = ("401", "404", "redirect", "redirect_same_method")
PASSING = tuple(name for name in FAULTS if name not in ("pass", *LASTING))


@dataclass
class Proxy:
    """A proxy that listens; one request a connection."""

    url: str
    upstream: str  # URL of the server
    seen: list[tuple[str, str, str]] = field(default_factory=list)  # method, path, fault
    _next: deque[str] = field(default_factory=deque)
    _share: float = 0.0
    _among: Sequence[str] = PASSING
    _random: random.Random = field(default_factory=random.Random)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def script(self, *names: str) -> None:
        """Set the faults of the next requests; what comes after them goes through."""
        assert all(name in FAULTS for name in names), names
        with self._lock:
            self._next, self._share = deque(names), 0.0

    def chance(self, share: float, *, seed: int, among: Sequence[str] = PASSING) -> None:
        """Let a share of the requests meet a fault, the same ones for the same seed."""
        with self._lock:
            self._next.clear()
            self._share, self._among, self._random = share, among, random.Random(seed)

    def fault(self, method: str, path: str) -> Fault:
        with self._lock:
            name = "pass"
            if self._next:
                name = self._next.popleft()
            elif self._random.random() < self._share:
                name = self._random.choice(self._among)
            self.seen.append((method, path, name))
        return FAULTS[name]


@contextmanager
def proxy(upstream: str, tls: ssl.SSLContext | None = None) -> Iterator[Proxy]:
    """Listen on a free loopback port until the block ends; with `tls`, as https."""
    server = _Server(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    server.tls = tls
    scheme = "https" if tls else "http"
    server.proxy = Proxy(f"{scheme}://127.0.0.1:{server.server_address[1]}", upstream.rstrip("/"))
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server.proxy
    finally:
        server.shutdown()
        server.server_close()


class _Server(ThreadingHTTPServer):
    proxy: Proxy
    tls: ssl.SSLContext | None
    block_on_close = False  # a client may still hang

    def finish_request(self, request: socket.socket, client_address: object) -> None:
        """Shake hands in the connection's own thread; a client that turns away is its affair."""
        with contextlib.suppress(OSError):
            if self.tls is not None:
                request = self.tls.wrap_socket(request, server_side=True)
            _Handler(request, client_address, self)
            request.close()

    def shutdown_request(self, request: socket.socket) -> None:  # type: ignore[override]
        self.close_request(request)  # without the polite FIN, so that a reset is one


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def relay(self) -> None:
        sent = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        fault = self.server.proxy.fault(self.command, self.path)
        self.close_connection = True
        status, headers, body = 200, list(fault.headers), fault.body
        if fault.forwarded:
            status, theirs, answered = self._forwarded(sent)
            if fault.status is None:
                headers, body = theirs, answered
        status = fault.status or status
        if fault.end == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif fault.end == "slow_head":
            with contextlib.suppress(OSError):
                for byte in b"HTTP/1.1 200 OK\r\nX-Slow: " + b"a" * 600:
                    self.wfile.write(bytes([byte]))
                    time.sleep(DRIP)
        elif fault.end == "hang":
            self.connection.settimeout(60)
            with contextlib.suppress(OSError):
                self.connection.recv(1)  # until the client has had enough
        else:
            self._answer(status, headers, body, fault.end)

    def _forwarded(self, sent: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        to = urlsplit(self.server.proxy.upstream)
        connection = http.client.HTTPConnection(to.hostname or "", to.port, timeout=60)
        try:
            headers = dict(self.headers) | {"Host": to.netloc, "Connection": "close"}
            connection.request(self.command, to.path + self.path, sent, headers)
            answer = connection.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException):
            return 502, [], b""
        finally:
            connection.close()
        own = ("content-length", "transfer-encoding", "connection", "date", "server")
        kept = [(name, text) for name, text in answer.getheaders() if name.lower() not in own]
        return answer.status, kept, body

    def _answer(self, status: int, headers: list[tuple[str, str]], body: bytes, end: str) -> None:
        self.send_response(status)
        for name, text in [*headers, ("Content-Length", str(len(body))), ("Connection", "close")]:
            self.send_header(name, text)
        self.end_headers()
        if end == "half":
            self.wfile.write(body[: len(body) // 2])
        elif end == "drip":
            for byte in body:
                self.wfile.write(bytes([byte]))
                time.sleep(DRIP)
        else:
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing: what was seen is in `Proxy.seen`."""


for _method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
    setattr(_Handler, f"do_{_method}", _Handler.relay)


@dataclass(frozen=True, slots=True)
class Certificates:
    """Files of an invented authority, and server contexts with good and bad certificates."""

    authority: Path  # PEM
    good: ssl.SSLContext
    expired: ssl.SSLContext
    other_name: ssl.SSLContext
    self_signed: ssl.SSLContext


def certificates(folder: Path) -> Certificates:
    """Make an authority and what it signs, and a certificate that nobody signed."""
    key = ec.generate_private_key(ec.SECP256R1())
    root = _signed("invented authority", key, None, None, days=30)
    authority = folder / "authority.pem"
    authority.write_bytes(root.public_bytes(serialization.Encoding.PEM))

    def context(
        name: str, signer: ec.EllipticCurvePrivateKey | None, ip: str = "127.0.0.1", days: int = 30
    ) -> ssl.SSLContext:
        own = ec.generate_private_key(ec.SECP256R1())
        made = _signed(name, own, (root, signer) if signer else None, ip, days=days)
        file = folder / f"{name}.pem"
        file.write_bytes(
            own.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            + made.public_bytes(serialization.Encoding.PEM)
        )  # fmt: skip
        served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        served.load_cert_chain(file)
        return served

    return Certificates(
        authority,
        good=context("good", key),
        expired=context("expired", key, days=-1),
        other_name=context("other", key, ip="127.0.0.9"),
        self_signed=context("self", None),
    )


def _signed(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    by: tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None,
    ip: str | None,
    *,
    days: int,
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by[0].subject if by else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=60))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=ip is None, path_length=None), critical=True)
        .add_extension(
            x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
        )
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(
                (by[1] if by else key).public_key()
            ),
            critical=False,
        )
        .add_extension(
            x509.KeyUsage(
                digital_signature=True, key_cert_sign=ip is None, crl_sign=ip is None,
                content_commitment=False, key_encipherment=False, data_encipherment=False,
                key_agreement=False, encipher_only=False, decipher_only=False,
            ),
            critical=True,
        )
    )  # fmt: skip
    if ip is not None:
        names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(ip))])
        made = made.add_extension(names, critical=False)
    return made.sign(by[1] if by else key, hashes.SHA256())
