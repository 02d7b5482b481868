"""Talking to a target's server through every fault: the code says what whoever sends must do."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from fault_proxy import ELSEWHERE, FAULTS, Certificates, Proxy, certificates, proxy

from voice_pipeline.connectors._http import LARGEST, LONGEST_WAIT, Http, HttpOptions
from voice_pipeline.errors import Misconfigured, Permanent, PipelineError, Retryable

SECRET = "Bearer invented-secret"
# What `request(...).object()` raises behind each fault.
CODES: dict[str, tuple[type[PipelineError], str]] = {
    "hang": (Retryable, "no_answer"),
    "answer_lost": (Retryable, "no_answer"),
    "reset": (Retryable, "no_answer"),
    "reset_after": (Retryable, "no_answer"),
    "half": (Retryable, "no_answer"),
    "drip": (Retryable, "no_answer"),
    "slow_head": (Retryable, "no_answer"),
    "429": (Retryable, "target_busy"),
    "429_seconds": (Retryable, "target_busy"),
    "429_date": (Retryable, "target_busy"),
    "429_years": (Retryable, "target_busy"),
    "429_nonsense": (Retryable, "target_busy"),
    "500": (Retryable, "target_failed"),
    "500_after": (Retryable, "target_failed"),
    "502": (Retryable, "target_unreachable"),
    "502_after": (Retryable, "target_unreachable"),
    "503": (Retryable, "target_busy"),
    "504": (Retryable, "target_unreachable"),
    "504_after": (Retryable, "target_unreachable"),
    "401": (Misconfigured, "target_denied"),
    "404": (Permanent, "target_refused"),
    "wrong_json": (Retryable, "bad_answer"),
    "wrong_json_after": (Retryable, "bad_answer"),
    "no_json": (Retryable, "bad_answer"),
    "no_json_after": (Retryable, "bad_answer"),
    "html": (Retryable, "bad_answer"),
    "html_after": (Retryable, "bad_answer"),
    "empty": (Retryable, "bad_answer"),
    "empty_after": (Retryable, "bad_answer"),
    "huge": (Retryable, "bad_answer"),
    "huge_after": (Retryable, "bad_answer"),
    "redirect": (Misconfigured, "target_moved"),
    "redirect_same_method": (Misconfigured, "target_moved"),
}


class Records(ThreadingHTTPServer):
    """A server that keeps what is sent to it and says how much that is."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Keeping)
        self.kept: list[bytes] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


class _Keeping(BaseHTTPRequestHandler):
    server: Records

    def do_POST(self) -> None:
        self.server.kept.append(self.rfile.read(int(self.headers["Content-Length"])))
        body = b'{"kept": %d}' % len(self.server.kept)
        self.send_response(201)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"a" * int(self.path[1:]))

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def records() -> Iterator[Records]:
    server = Records()
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def faulty(records: Records) -> Iterator[Proxy]:
    with proxy(records.url) as made:
        yield made


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return certificates(tmp_path_factory.mktemp("pki"))


def client(url: str, **options: object) -> Http:
    given = HttpOptions.model_validate({"url": url, "private": True, "timeout": 0.5, **options})
    return Http(given, headers={"Authorization": SECRET})


def test_every_fault_has_its_code() -> None:
    """Nobody adds a fault without saying what it must mean."""
    fits = {"pass", "json_object", "json_object_after"}  # what the connector itself must tell
    assert set(CODES) | fits == set(FAULTS)


@pytest.mark.parametrize("name", CODES)
def test_a_fault_is_told_by_its_code(records: Records, faulty: Proxy, name: str) -> None:
    """Waiting, trying again, giving up and stopping the target are four things; the next request
    after a fault goes through as if nothing had been."""
    before, begun = len(records.kept), time.monotonic()
    faulty.script(name)
    http = client(faulty.url)
    kind, code = CODES[name]
    with pytest.raises(PipelineError) as caught:
        http.request("POST", "/x", body={"said": "ünïcode \u202e"}).object()
    assert (type(caught.value), caught.value.code) == (kind, code)
    assert time.monotonic() - begun < 3, "no fault holds a worker longer than its time-out"
    assert len(records.kept) - before == FAULTS[name].forwarded, "a request is sent once"
    for hidden in (SECRET, "invented-secret", "Traceback", "log in", ELSEWHERE):
        assert hidden not in str(caught.value)
    assert http.request("POST", "/x", body={}).object()["kept"] == len(records.kept)
    http.close()


@pytest.mark.parametrize(
    ("name", "least", "most"),
    [
        ("429_seconds", 7, 7),
        ("429_date", 3000, 3600),
        ("503", 30, 30),
        ("429_years", LONGEST_WAIT, LONGEST_WAIT),
    ],
)
def test_a_wait_that_was_asked_for_is_passed_on(
    faulty: Proxy, name: str, least: float, most: float
) -> None:
    """Seconds or a date: whoever sends waits as long as the server asked, but no
    longer than a day."""
    faulty.script(name)
    with pytest.raises(Retryable) as caught:
        client(faulty.url).request("POST", "/x", body={})
    assert caught.value.after is not None and least <= caught.value.after <= most


@pytest.mark.parametrize("name", ["429", "429_nonsense", "500"])
def test_no_wait_is_made_up(faulty: Proxy, name: str) -> None:
    """Where a server names no time, whoever sends decides."""
    faulty.script(name)
    with pytest.raises(Retryable) as caught:
        client(faulty.url).request("POST", "/x", body={})
    assert caught.value.after is None


@pytest.mark.parametrize("status", [404, 302])
def test_a_status_that_is_an_answer_is_no_fault(faulty: Proxy, status: int) -> None:
    """'Not found' is what a search may want to hear; an accepted redirect is still not followed."""
    faulty.script("404" if status == 404 else "redirect")
    answer = client(faulty.url).request("POST", "/x", body={}, accept=(status,))
    assert answer.status == status


def test_nobody_there_is_an_unreachable_target() -> None:
    """The whole target is away, and the request did not get through."""
    with pytest.raises(Retryable) as caught:
        client("http://127.0.0.1:9").request("GET", "/")
    assert caught.value.code == "target_unreachable"
    with pytest.raises(Retryable) as caught:
        client("http://nowhere.invalid").request("GET", "/")
    assert caught.value.code == "target_unreachable"


def test_a_private_address_is_not_asked_unless_allowed(records: Records, pki: Certificates) -> None:
    """Nobody who may set a target's URL reaches into the network behind it."""
    before = len(records.kept)
    with proxy(records.url, pki.good) as faulty:
        for url in (faulty.url, faulty.url.replace("127.0.0.1", "localhost"),
                    faulty.url.replace("127.0.0.1", "[::ffff:127.0.0.1]")):  # fmt: skip
            with pytest.raises(Misconfigured) as caught:
                client(url, private=False, ca=pki.authority).request("POST", "/x", body={})
            assert caught.value.code == "target_address"
        assert faulty.seen == [] and len(records.kept) == before


def test_a_good_certificate_is_trusted(records: Records, pki: Certificates) -> None:
    """The authority of the house is named in the options."""
    with proxy(records.url, pki.good) as faulty:
        answer = client(faulty.url, ca=pki.authority).request("POST", "/x", body={})
        assert answer.object()["kept"] == len(records.kept)


@pytest.mark.parametrize("name", ["slow_head", "drip", "hang", "reset"])
def test_faults_behind_tls_end_as_soon(records: Records, pki: Certificates, name: str) -> None:
    """A sealed connection is cut like an open one."""
    begun = time.monotonic()
    with proxy(records.url, pki.good) as faulty:
        faulty.script(name)
        with pytest.raises(Retryable) as caught:
            client(faulty.url, ca=pki.authority).request("POST", "/x", body={})
    assert caught.value.code == "no_answer" and time.monotonic() - begun < 3


@pytest.mark.parametrize("kind", ["expired", "other_name", "self_signed", "unknown"])
def test_a_bad_certificate_stops_the_target(records: Records, pki: Certificates, kind: str) -> None:
    """Nothing is sent to whoever shows a certificate that is not good; no retry mends that."""
    before = len(records.kept)
    context = pki.good if kind == "unknown" else getattr(pki, kind)
    with proxy(records.url, context) as faulty:
        authority = None if kind == "unknown" else pki.authority
        with pytest.raises(Misconfigured) as caught:
            client(faulty.url, ca=authority).request("POST", "/x", body={})
        assert caught.value.code == "target_certificate"
        assert faulty.seen == [] and len(records.kept) == before


@pytest.mark.parametrize(("more", "taken"), [(0, True), (1, False)])
def test_an_answer_of_a_megabyte_is_taken(records: Records, more: int, taken: bool) -> None:
    """What is larger is no answer to a delivery, and does not fill a worker's memory."""
    http = client(records.url)
    if taken:
        assert len(http.request("GET", f"/{LARGEST + more}").body) == LARGEST
    else:
        with pytest.raises(Retryable, match="no end"):
            http.request("GET", f"/{LARGEST + more}")


def test_chance_is_the_same_for_the_same_seed(records: Records) -> None:
    """A failing chaos run can be run again."""
    runs = []
    for _ in range(2):
        with proxy(records.url) as faulty:
            http = client(faulty.url)
            faulty.chance(0.5, seed=3, among=("500", "empty"))
            for _ in range(20):
                try:
                    http.request("POST", "/x", body={})
                except Retryable:
                    continue
            runs.append([name for _, _, name in faulty.seen])
    assert runs[0] == runs[1] and set(runs[0]) == {"pass", "500", "empty"}
