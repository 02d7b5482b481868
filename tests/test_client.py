"""The client against a real service on loopback, and against one that keeps saying no."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from quick import FLAC, SHOWN, Running, running

from voice_pipeline.client import Client, Refused, Unavailable


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("client") / "data") as found:
        yield found


@pytest.fixture
def client(api: Running) -> Iterator[Client]:
    with Client(api.url, api.key()) as made:
        yield made


def sound(folder: Path, body: bytes = b"RIFF sound", name: str = "a.wav") -> Path:
    path = folder / name
    path.write_bytes(body)
    return path


def test_from_upload_to_every_result(client: Client, tmp_path: Path) -> None:
    """Ten lines of Python hand a call in and read all that came of it."""
    call = client.upload(sound(tmp_path), {"queue": "billing", "call_ref": "c-1"})
    ended = client.wait(call["id"], 30)
    assert ended["status"] == "done" and ended["metadata"]["call_ref"] == "c-1"
    assert client.note(call["id"])["call_id"] == call["id"]
    assert client.transcript(call["id"])["turns"][0]["text"] == SHOWN
    assert client.captions(call["id"]).startswith("WEBVTT")
    assert client.audio(call["id"]) == FLAC
    assert client.vcon(call["id"])["analysis"][0]["body"]["transcript"]["text"] == SHOWN
    assert json.loads(client.redaction_log(call["id"]).splitlines()[0])["call"] == call["id"]
    assert [one["id"] for one in client.search("parcel late", call_ref="c-1")] == [call["id"]]


def test_a_key_makes_one_call(client: Client, tmp_path: Path) -> None:
    """The same key is the same call, another recording under it is refused, no key is a new one."""
    path = sound(tmp_path)
    first = client.upload(path, idempotency_key="k1")
    assert client.upload(path, idempotency_key="k1")["id"] == first["id"]
    with pytest.raises(Refused) as refused:
        client.upload(sound(tmp_path, b"other"), idempotency_key="k1")
    assert (refused.value.status, refused.value.code) == (409, "idempotency_conflict")
    assert client.upload(path)["id"] != first["id"]


def test_lists_and_events_go_over_pages(client: Client, tmp_path: Path) -> None:
    """An iterator gives every call and every event once, however small the pages."""
    made = {
        client.upload(sound(tmp_path, f"RIFF {n}".encode()), {"team": "pages"})["id"]
        for n in range(5)
    }
    found = [one["id"] for one in client.calls(team="pages", limit=2)]
    assert set(found) == made and len(found) == 5
    for call in made:
        client.wait(call, 30)
    told = list(client.events(limit=3))
    assert len({event["id"] for event in told}) == len(told)
    done = [e["subject"] for e in told if e["type"] == "voice-pipeline.call.done.v1"]
    assert made <= set(done)
    assert list(client.events(int(told[-1]["id"]))) == []


def test_what_is_refused_says_why(client: Client, api: Running, tmp_path: Path) -> None:
    """No result, no call, no right: each is an error with the API's own code, at once."""
    with pytest.raises(Refused) as unknown:
        client.note("nothing")
    assert (unknown.value.status, unknown.value.code) == (404, "not_found")
    with Client(api.url, api.key("uploader")) as uploader:
        call = uploader.upload(sound(tmp_path))
        with pytest.raises(Refused) as forbidden:
            uploader.note(call["id"])
    assert forbidden.value.status == 403
    slow = client.upload(sound(tmp_path, b"slow sound"))
    with pytest.raises(TimeoutError):
        client.wait(slow["id"], 0.01)


class _Busy(BaseHTTPRequestHandler):
    """Answers 429, then drops the line, then 503, then takes the upload."""

    seen: list[str]

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.seen.append(self.headers["idempotency-key"])
        number = len(self.seen)
        if number == 2:
            self.connection.close()
            return
        status = {1: 429, 3: 503}.get(number, 202 if number == 4 else 429)
        body = b'{"id": "c1", "status": "received"}' if status == 202 else b"{}"
        self.send_response(status)
        if status == 429:
            self.send_header("Retry-After", "7")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


@contextmanager
def busy() -> Iterator[tuple[str, list[str]]]:
    handler = type("Busy", (_Busy,), {"seen": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", handler.seen  # type: ignore[attr-defined]
        server.shutdown()
        thread.join()


def test_it_waits_as_it_is_told_and_tries_again(tmp_path: Path) -> None:
    """429, a broken line and 503 are tried again under one key, and Retry-After is honoured."""
    slept: list[float] = []
    with busy() as (url, seen), Client(url, "k", sleep=slept.append) as client:
        assert client.upload(sound(tmp_path))["id"] == "c1"
    assert len(seen) == 4 and len(set(seen)) == 1
    assert 7 <= slept[0] <= 8.75 and 1 <= slept[1] <= 1.25 and 2 <= slept[2] <= 2.5


def test_it_gives_up_in_the_end(tmp_path: Path) -> None:
    """A service that never has room is an error that says so, after so many tries."""
    with busy() as (url, seen), Client(url, "k", tries=3, sleep=lambda _: None) as client:
        with pytest.raises(Unavailable, match="3 times"):
            client.upload(sound(tmp_path))
        assert len(seen) == 3
    with (
        Client(url, "k", tries=2, sleep=lambda _: None) as gone,
        pytest.raises(Unavailable, match="no answer"),
    ):
        gone.call("c1")
