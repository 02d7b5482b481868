"""Recordings that are only named: fetched from listed places alone, whatever a name leads to."""

from __future__ import annotations

import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import obstore
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st
from quick import Running, running, settled

from voice_pipeline.addresses import is_public
from voice_pipeline.config import Settings, load_settings
from voice_pipeline.errors import BadInput, Misconfigured, Retryable
from voice_pipeline.store.blobs import Bucket, open_blobs
from voice_pipeline.ways_in.reference import References

SOUND = b"RIFF sound " * 100


class _Host(BaseHTTPRequestHandler):
    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        kind = self.path.rpartition("/")[2]
        if kind == "moved.wav":
            self._head(302, Location="http://127.0.0.1:1/secret")
        elif kind == "slow.wav":
            self._head(200, **{"Content-Length": "1000"})
            for _ in range(100):
                self.wfile.write(b"x")
                time.sleep(0.05)
        elif kind == "cut.wav":
            self._head(200, **{"Content-Length": "1000"})
            self.wfile.write(b"x" * 10)
        elif kind == "endless.wav":
            self._head(200, **{"Transfer-Encoding": "chunked"})
            for _ in range(100):
                self.wfile.write(b"2000\r\n" + b"x" * 0x2000 + b"\r\n")
        elif kind == "silent.wav":
            self._head(200)
            self.wfile.write(b"x")
        elif kind == "busy.wav":
            self._head(503, **{"Content-Length": "0"})
        elif kind == "none.wav":
            self._head(404, **{"Content-Length": "0"})
        else:
            body = SOUND + kind.encode()
            self._head(200, **{"Content-Length": str(len(body))})
            self.wfile.write(body)
        self.close_connection = True

    def _head(self, status: int, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def handle(self) -> None:
        try:
            super().handle()
        except ConnectionError:
            return  # the other side had enough

    def log_message(self, *_: object) -> None: ...


@contextmanager
def hosting(tls: ssl.SSLContext | None = None) -> Iterator[tuple[str, list[str]]]:
    handler = type("Host", (_Host,), {"asked": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", handler.asked  # type: ignore[attr-defined]
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def host() -> Iterator[tuple[str, list[str]]]:
    with hosting() as found:
        yield found


def settings(*allowed: str, **serve: Any) -> Settings:
    return load_settings(None, serve={"references": list(allowed), **serve})


def fetched(references: References, text: str) -> bytes:
    got = bytearray()
    references.fetch(references.check(text), got.extend)
    return bytes(got)


def test_a_listed_place_is_fetched_from(host: tuple[str, list[str]]) -> None:
    """Scheme, host, port and the beginning of the path must be those that the settings list."""
    url, asked = host
    references = References(settings(f"{url}/calls", private_references=True))
    assert fetched(references, f"{url}/calls/2026/a.wav?v=1") == SOUND + b"a.wav?v=1"
    asked.clear()
    for other in (
        f"{url}/callsecret/a.wav", f"{url}/a.wav", f"{url}/calls/../a.wav", f"{url}/calls/",
        f"{url}/calls/%2e%2e/a.wav", f"{url}/calls/.%2E/a.wav", f"{url}/calls/..;/a.wav",
        f"{url}/calls/%2f/a.wav", f"{url}/calls//a.wav", f"{url}/calls\\..\\a.wav",
        url.replace("127.0.0.1", "127.0.0.1.") + "/calls/a.wav",
        url.replace("127.0.0.1", "localhost") + "/calls/a.wav",
        url.replace("127.0.0.1", "u:p@127.0.0.1") + "/calls/a.wav",
        url.replace("127.0.0.1", "2130706433") + "/calls/a.wav",
        url.replace("http", "https") + "/calls/a.wav",
        "http://127.0.0.1/calls/a.wav", f"{url}/calls/a.wav#x", f"{url}/calls/a b.wav",
        f"{url}/calls/a\r\nHost: x.wav", "file:///etc/passwd", "gopher://127.0.0.1/calls/a",
        "", "http://", "http://[/calls/a", f"{url}:0/calls/a.wav", f"{url}/calls/\u202e.wav",
    ):  # fmt: skip
        with pytest.raises(BadInput) as error:
            references.check(other)
        assert error.value.code == "reference", other
    assert asked == []


@given(st.text(max_size=60))
def test_no_text_gets_past_the_list(text: str) -> None:
    """Whatever follows a listed host's name, it is that host and that path, or refused."""
    references = References(settings("https://recordings.example/calls"))
    for given_text in (text, f"https://recordings.example{text}", f"https://{text}/calls/a"):
        try:
            found = references.check(given_text)
        except BadInput:
            continue
        assert (found.scheme, found.host, found.port) == ("https", "recordings.example", 443)
        assert found.path.startswith("/calls/") and ".." not in found.path.split("/")


def test_private_addresses_are_not_asked(
    host: tuple[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A listed name that leads to this machine or network is refused, and nobody is connected to;
    one public address beside a private one does not help."""
    url, asked = host
    asked.clear()
    port = int(url.rpartition(":")[2])
    references = References(settings(url, f"http://name.example:{port}/"))
    told: list[list[str]] = [["127.0.0.1"], ["8.8.8.8", "10.0.0.1"], ["::ffff:127.0.0.1"]]

    def resolve(*_: Any, **__: Any) -> list[Any]:
        return [(2, 1, 6, "", (address, port)) for address in told[0]]

    with pytest.raises(BadInput) as error:
        fetched(references, f"{url}/a.wav")
    assert error.value.code == "reference_address"
    with monkeypatch.context() as names:
        names.setattr(socket, "getaddrinfo", resolve)
        while told:
            with pytest.raises(BadInput):
                fetched(references, f"http://name.example:{port}/a.wav")
            told.pop(0)
    assert asked == []


def test_the_address_that_was_looked_at_is_the_one_connected_to(
    host: tuple[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that answers otherwise when asked again gains nothing: it is asked once."""
    url, asked = host
    asked.clear()
    port, times = int(url.rpartition(":")[2]), list[str]()
    real = socket.getaddrinfo

    def resolve(name: str, *rest: Any, **more: Any) -> Any:
        if name == "name.example":
            times.append(name)
            return [(2, 1, 6, "", ("127.0.0.1" if len(times) == 1 else "10.0.0.1", port))]
        return real(name, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    listed = settings(f"http://name.example:{port}", private_references=True)
    assert fetched(References(listed), f"http://name.example:{port}/a.wav") == SOUND + b"a.wav"
    assert len(times) == 1 and asked == ["/a.wav"]


def test_a_process_fetches_a_few_at_once(host: tuple[str, list[str]]) -> None:
    """Slow hosts cannot hold every thread: past four the answer is to come back."""
    url, _ = host
    references = References(settings(url, private_references=True, reference_timeout=2.0))
    codes = list[str]()

    def one() -> None:
        try:
            fetched(references, f"{url}/slow.wav")
        except Retryable as error:
            codes.append(error.code)

    threads = [threading.Thread(target=one) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(codes) == ["reference_busy"] * 2 + ["reference_unreachable"] * 4
    assert fetched(references, f"{url}/a.wav")


@pytest.mark.parametrize(
    ("name", "kind", "code"),
    [
        ("moved.wav", BadInput, "reference_refused"), ("none.wav", BadInput, "reference_refused"),
        ("silent.wav", BadInput, "reference_refused"), ("endless.wav", BadInput, "too_large"),
        ("cut.wav", Retryable, "reference_unreachable"),
        ("busy.wav", Retryable, "reference_unreachable"),
        ("slow.wav", Retryable, "reference_unreachable"),
    ],
)  # fmt: skip
def test_a_bad_host_is_given_up(
    host: tuple[str, list[str]], name: str, kind: type[Exception], code: str
) -> None:
    """Redirects, missing, endless, cut, slow and silent answers end in time, each with a code."""
    url, _ = host
    listed = settings(url, private_references=True, reference_timeout=1.0, largest_upload=200_000)
    began = time.monotonic()
    with pytest.raises(kind) as error:
        fetched(References(listed), f"{url}/{name}")
    assert error.value.code == code  # type: ignore[attr-defined]
    assert time.monotonic() - began < 4


def certified(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """Make a certificate of `localhost` that signs itself, and what serves with it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    pem, private = folder / "cert.pem", folder / "key.pem"
    pem.write_bytes(made.public_bytes(Encoding.PEM))
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, private)
    return pem, context


def test_tls_is_checked_against_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pinned address must show a certificate of the host's name that this machine trusts, and
    one that never ends its handshake is cut."""
    pem, context = certified(tmp_path)
    with hosting(context) as (url, asked):
        port = url.rpartition(":")[2]
        places = [f"https://localhost:{port}", f"https://127.0.0.1:{port}"]
        references = References(settings(*places, private_references=True))
        with pytest.raises(Retryable):
            fetched(references, f"{places[0]}/a.wav")  # nobody trusts it
        monkeypatch.setenv("SSL_CERT_FILE", str(pem))
        assert fetched(references, f"{places[0]}/a.wav") == SOUND + b"a.wav"
        with pytest.raises(Retryable):
            fetched(references, f"{places[1]}/a.wav")  # not its name
    assert asked == ["/a.wav"]
    with socket.create_server(("127.0.0.1", 0)) as mute:
        place = f"https://127.0.0.1:{mute.getsockname()[1]}"
        listed = settings(place, private_references=True, reference_timeout=0.5)
        began = time.monotonic()
        with pytest.raises(Retryable):
            fetched(References(listed), f"{place}/a.wav")
        assert time.monotonic() - began < 4


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
     "0.0.0.0", "224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1%eth0", "fc00::1", "ff02::1",
     "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "2001:db8::1"],
)  # fmt: skip
def test_what_is_not_public(address: str) -> None:
    """Private, loopback, link-local, shared and reserved addresses, however wrapped."""
    assert not is_public(address)


def test_what_is_public() -> None:
    """Addresses of the open internet are, in both families."""
    assert is_public("8.8.8.8") and is_public("2606:4700:4700::1111")
    assert is_public("::ffff:8.8.8.8")


def test_a_list_that_is_none_ends_the_start() -> None:
    """An entry that means nothing is said when the service starts."""
    for entry in ("recordings.example", "ftp://x/y", "https://user@x/"):
        with pytest.raises(Misconfigured):
            References(settings(entry))


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory, host: tuple[str, list[str]]) -> Iterator[Running]:
    serve = {"references": [f"{host[0]}/calls"], "private_references": True}
    with running(tmp_path_factory.mktemp("refs") / "data", serve=serve) as found:
        yield found


def test_a_call_by_reference(api: Running, host: tuple[str, list[str]]) -> None:
    """It is a call like any other, under its key once; an uploader may not, a refusal says why."""
    body = {"reference": f"{host[0]}/calls/a.wav", "metadata": {"queue": "billing", "vip": True}}
    with api.client("integration") as client:
        key = {"Idempotency-Key": "r1"}
        answer = client.post("/v1/calls/by-reference", json=body, headers=key)
        assert answer.status_code == 202, answer.text
        call = answer.json()["id"]
        again = client.post("/v1/calls/by-reference", json=body, headers=key)
        assert again.json()["id"] == call
        state = settled(client, call)
        assert (state["status"], state["name"]) == ("done", "a.wav")
        assert state["metadata"]["queue"] == "billing"
        other = client.post("/v1/calls/by-reference", json={"reference": f"{host[0]}/x.wav"})
        assert (other.status_code, other.json()["code"]) == (422, "reference")
        gone = client.post(
            "/v1/calls/by-reference", json={"reference": f"{host[0]}/calls/none.wav"}
        )
        assert (gone.status_code, gone.json()["code"]) == (422, "reference_refused")
        busy = client.post(
            "/v1/calls/by-reference", json={"reference": f"{host[0]}/calls/busy.wav"}
        )
        assert busy.status_code == 503 and busy.headers["retry-after"]
    with api.client("uploader") as client:
        assert client.post("/v1/calls/by-reference", json=body).status_code == 403
    with api.client("integration", queues="sales") as client:
        assert client.post("/v1/calls/by-reference", json=body).json()["code"] == "queue"


def lines(answer: httpx.Response) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    return [json.loads(line) for line in answer.text.splitlines()]


def test_a_manifest_ends_line_by_line(api: Running, host: tuple[str, list[str]]) -> None:
    """Each line has its own result; sent again, nothing is taken twice."""
    table = (
        f"reference,call_ref\n{host[0]}/calls/m1.wav,m1\n{host[0]}/calls/none.wav,m2\n"
        f"https://elsewhere.example/a.wav,m3\n{host[0]}/calls/m4.wav,m4\n"
    )
    with api.client("integration") as client:
        csv = {"Content-Type": "text/csv"}
        first = lines(client.post("/v1/manifests?backfill=true", content=table, headers=csv))
        assert [(line["line"], line["status"]) for line in first] == [
            (2, 202), (3, 422), (4, 422), (5, 202),
        ]  # fmt: skip
        assert [line.get("code") for line in first] == [
            None, "reference_refused", "reference", None,
        ]  # fmt: skip
        state = settled(client, first[0]["id"])
        assert state["backfill"] and state["metadata"]["call_ref"] == "m1"
        jsonl = "".join(
            json.dumps({"reference": f"{host[0]}/calls/{name}.wav", "metadata": {"call_ref": name}})
            + "\n"
            for name in ("m1", "m4", "m5")
        )
        kind = {"Content-Type": "application/x-ndjson"}
        again = lines(client.post("/v1/manifests", content=jsonl + "{}\nnope\n", headers=kind))
        assert [line.get("id") for line in again[:2]] == [first[0]["id"], first[3]["id"]]
        assert [line["status"] for line in again] == [202, 202, 202, 422, 422]
        for content, headers, status in (
            (b"x", {"Content-Type": "text/plain"}, 415), (b"a,b\n", csv, 422),
            (b"x" * (5 << 20), csv, 413), (b"reference\n" + b"a\n" * 1001, csv, 413),
        ):  # fmt: skip
            assert (
                client.post("/v1/manifests", content=content, headers=headers).status_code == status
            )


def test_an_object_of_a_bucket(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """s3:// is fetched from the server that the settings name, below the listed prefix alone."""
    monkeypatch.setenv("INVENTED", "invented")
    name = bucket.url.split("/")[2]
    blobs = {
        "url": bucket.url, "endpoint": bucket.endpoint, "region": bucket.region,
        "access_key": "env:INVENTED", "secret_key": "env:INVENTED",
    }  # fmt: skip
    listed = {"references": [bucket.url], "largest_upload": 2000}
    references = References(load_settings(None, blobs=blobs, serve=listed))
    store = open_blobs(tmp_path, bucket)
    obstore.put(store, "a b.wav", SOUND)
    obstore.put(store, "large.wav", b"x" * 3000)
    assert fetched(references, f"{bucket.url}/a%20b.wav") == SOUND
    for text, code in (
        (f"{bucket.url}/none.wav", "reference_refused"), (f"{bucket.url}/large.wav", "too_large"),
        (f"s3://{name}/other/a.wav", "reference"), (f"{bucket.url}/a.wav?versionId=1", "reference"),
    ):  # fmt: skip
        with pytest.raises(BadInput) as error:
            fetched(references, text)
        assert error.value.code == code
