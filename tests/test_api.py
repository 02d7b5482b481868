"""The HTTP API as its users meet it: over a real socket, on both databases."""

from __future__ import annotations

import io
import json
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
import sqlalchemy as sa
from quick import FLAC, SAID, SHOWN, Running, hand_in, running, settled

from voice_pipeline.access.permissions import PERMISSIONS, Role
from voice_pipeline.api.app import create_app
from voice_pipeline.api.forms import FormReader
from voice_pipeline.api.guard import Guard, route_permissions
from voice_pipeline.errors import BadInput


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("api") / "data") as found:
        yield found


@pytest.fixture(scope="module")
def admin(api: Running) -> Iterator[httpx.Client]:
    with api.client() as client:
        yield client


def test_a_call_from_upload_to_every_result(admin: httpx.Client) -> None:
    """Who hands a recording in gets note, transcript, captions, audio and log of it."""
    call = hand_in(admin, queue="billing", agent="a7", started_at="2026-11-26T09:00")
    state = settled(admin, call)
    assert state["status"] == "done" and state["revision"] == 1
    assert state["metadata"] == {"queue": "billing", "agent": "a7",
                                 "started_at": "2026-11-26T09:00"}  # fmt: skip
    assert state["review"] == "required" and state["request_type"] == "delivery_problem"
    assert {one["stage"] for one in state["stages"]} >= {"ingest", "transcribe", "release"}
    assert all(one["share"] == 1 for one in state["stages"])
    note = admin.get(f"/v1/calls/{call}/note").json()
    assert note["call_id"] == call and note["reason"]["evidence"][0]["turn"] == 0
    turns = admin.get(f"/v1/calls/{call}/transcript").json()["turns"]
    assert turns[0]["text"] == SHOWN
    assert admin.get(f"/v1/calls/{call}/captions").text.startswith("WEBVTT")
    assert admin.get(f"/v1/calls/{call}/audio").content == FLAC
    log = admin.get(f"/v1/calls/{call}/redaction-log").text.splitlines()
    assert json.loads(log[0])["call"] == call
    vcon = admin.get(f"/v1/calls/{call}/vcon")
    assert vcon.headers["content-type"] == "application/vcon"
    assert vcon.json()["dialog"][0]["interaction_id"] == call
    tag = {"If-None-Match": vcon.headers["etag"]}
    assert admin.get(f"/v1/calls/{call}/vcon", headers=tag).status_code == 304
    assert admin.get(f"/v1/calls/{call}/vcon", params={"revision": 9}).status_code == 404


def test_audio_by_ranges(admin: httpx.Client) -> None:
    """A player can seek: any byte range is exactly that part of the whole."""
    call = hand_in(admin)
    settled(admin, call)
    url = f"/v1/calls/{call}/audio"
    for header, part in [("bytes=0-99", FLAC[:100]), ("bytes=10000-", FLAC[10000:]),
                         ("bytes=-7", FLAC[-7:]), ("bytes=5-5", FLAC[5:6]),
                         ("bytes=0-99999999", FLAC)]:  # fmt: skip
        answer = admin.get(url, headers={"Range": header})
        assert (answer.status_code, answer.content) == (206, part), header
    assert admin.get(url, headers={"Range": f"bytes={len(FLAC)}-"}).status_code == 416
    assert admin.get(url, headers={"Range": "bytes=9-3"}).status_code == 416
    assert admin.get(url, headers={"Range": "lines=1-2"}).content == FLAC
    tag = admin.get(url).headers["etag"]
    assert admin.get(url, headers={"If-None-Match": tag}).status_code == 304


def test_what_is_not_ready_held_failed_or_unknown(admin: httpx.Client) -> None:
    """Each state in which there is no result has a status and a code of its own."""
    slow = hand_in(admin, b"slow sound")
    assert admin.get(f"/v1/calls/{slow}/note").json()["code"] == "not_ready"
    held = hand_in(admin, b"doubtful")
    state = settled(admin, held)
    assert (state["status"], state["code"]) == ("held", "low_confidence")
    for name in ("note", "transcript", "captions", "audio", "vcon"):
        answer = admin.get(f"/v1/calls/{held}/{name}")
        assert (answer.status_code, answer.json()["code"]) == (409, "held"), name
        assert answer.headers["content-type"] == "application/problem+json"
    assert admin.get(f"/v1/calls/{held}/redaction-log").status_code == 200
    failed = hand_in(admin, b"broken sound")
    state = settled(admin, failed)
    assert (state["status"], state["code"]) == ("failed", "damaged_audio")
    assert admin.get(f"/v1/calls/{failed}/note").json()["code"] == "call_failed"
    assert admin.get("/v1/calls/none/note").status_code == 404
    settled(admin, slow)


@pytest.mark.parametrize(
    ("files", "data", "status", "code"),
    [
        ({"file": ("a.wav", b"")}, {}, 422, "empty_file"),
        ({"other": ("a.wav", b"x")}, {}, 422, "no_file"),
        ({"file": ("a.wav", b"x")}, {"metadata": "{"}, 422, "meta"),
        ({"file": ("a.wav", b"x")}, {"metadata": '{"a": NaN}'}, 422, "meta"),
        ({"file": ("a.wav", b"x")}, {"metadata": '{"a": 1, "a": 2}'}, 422, "meta"),
        ({"file": ("a.wav", b"x")}, {"metadata": '{"a": {"b": 1}}'}, 422, "meta"),
        ({"file": ("a.wav", b"x")}, {"metadata": '{"started_at": "soon"}'}, 422, "meta"),
        ({"file": ("a.wav", b"x")}, {"metadata": '{"agent_channel": "up"}'}, 422, "meta"),
        ({"file": ("a.wav", b"x")}, {"metadata": "[" * 60_000}, 422, "meta"),
        ({"file": ("a.wav", b"x")}, {"metadata": '"' + "x" * 1_000_000 + '"'}, 413, "too_large"),
    ],
)
def test_uploads_that_cannot_be_used(
    admin: httpx.Client, files: dict[str, tuple[str, bytes]], data: dict[str, str], status: int,
    code: str,
) -> None:  # fmt: skip
    """A bad upload gets a status, a code and one sentence, and leaves no call behind."""
    before = len(admin.get("/v1/calls?limit=200").json()["items"])
    answer = admin.post("/v1/calls", files=files, data=data)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert len(admin.get("/v1/calls?limit=200").json()["items"]) == before


def test_bodies_that_are_no_forms(admin: httpx.Client, api: Running) -> None:
    """Wrong types, cut bodies and path tricks are refused or made harmless."""
    for kind in ("application/json", "multipart/form-data", "multipart/form-data; boundary=", ""):
        answer = admin.post("/v1/calls", content=b"{}", headers={"Content-Type": kind})
        assert answer.status_code == 415, kind
    answer = admin.post("/v1/calls", content=b"--x\r\nbroken",
                        headers={"Content-Type": "multipart/form-data; boundary=x"})  # fmt: skip
    assert answer.json()["code"] in ("bad_form", "cut_upload")
    call = hand_in(admin, name="../../etc/pass\x00wd\r\nX: y.wav")
    assert "/" not in settled(admin, call)["name"]
    host, _, port = api.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port))) as peer:  # says 1,000 bytes, sends few
        key = api.key("uploader")
        peer.sendall(
            f"POST /v1/calls HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n"
            "Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 1000\r\n\r\n"
            '--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nRIFF'.encode()
        )
    cut = sa.text("select count(*) from calls where received_sha256 is null")
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with api.service.kit.store.database.connect() as db:
            if not db.scalar(cut):
                return
        time.sleep(0.1)
    raise AssertionError("a cut upload left a call behind")


def test_the_same_upload_twice(admin: httpx.Client) -> None:
    """A key makes an upload safe to repeat; without one the double is a call that says so."""
    files = {"file": ("a.wav", b"RIFF one of a kind")}
    first = admin.post("/v1/calls", files=files, headers={"Idempotency-Key": "k1"})
    again = admin.post("/v1/calls", files=files, headers={"Idempotency-Key": "k1"})
    assert first.json()["id"] == again.json()["id"] and again.status_code == 202
    other = {"file": ("a.wav", b"RIFF another")}
    answer = admin.post("/v1/calls", files=other, headers={"Idempotency-Key": "k1"})
    assert (answer.status_code, answer.json()["code"]) == (409, "idempotency_conflict")
    double = admin.post("/v1/calls", files=files).json()
    assert double["id"] != first.json()["id"]
    assert double["warnings"] == [{"code": "duplicate_of", "detail": first.json()["id"]}]


def test_one_key_from_many_at_once(admin: httpx.Client) -> None:
    """Eight senders of the same thing at the same time make one call."""

    def send(_: int) -> str:
        files = {"file": ("a.wav", b"RIFF in a crowd")}
        answer = admin.post("/v1/calls", files=files, headers={"Idempotency-Key": "crowd"})
        return str(answer.json()["id"])

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(send, range(8)))) == 1


def test_too_large() -> None:
    """A recording over the limit is refused, whether or not its sender says how long it is."""
    body = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n' + b"0" * 99
    reader = FormReader("multipart/form-data; boundary=x", io.BytesIO().write, 50)
    with pytest.raises(BadInput) as refused:
        reader.feed(body)
    assert refused.value.code == "too_large"


def test_lists_pages_and_search(admin: httpx.Client) -> None:
    """Pages hold every call once, filters narrow them, words find redacted text."""
    mine = [hand_in(admin, f"RIFF {n}".encode(), team="pages", agent=f"a{n % 2}") for n in range(7)]
    for call in mine:
        settled(admin, call)
    seen: list[str] = []
    cursor = None
    while True:
        query = {"team": "pages", "limit": 3} | ({"cursor": cursor} if cursor else {})
        page = admin.get("/v1/calls", params=query).json()
        seen += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == mine[::-1]
    some = admin.get("/v1/calls", params={"team": "pages", "agent": "a1"}).json()["items"]
    assert [one["id"] for one in some] == [mine[n] for n in (5, 3, 1)]
    found = admin.get("/v1/search", params={"q": "parcel late", "team": "pages"}).json()["items"]
    assert len(found) == 7
    assert not admin.get("/v1/search", params={"q": SAID.split()[-1] + " one"}).json()["items"]
    for q in ('"', "a OR b", "x*", "NEAR(", "col:", "'; drop table calls --"):
        assert admin.get("/v1/search", params={"q": q}).status_code == 200, q
    assert admin.get("/v1/calls", params={"cursor": "%%"}).status_code == 422
    assert admin.get("/v1/calls", params={"limit": 0}).status_code == 422
    assert admin.get("/v1/calls", params={"nothing": "1"}).status_code == 422


def test_who_is_not_meant_sees_nothing(api: Running, admin: httpx.Client) -> None:
    """Another tenant's and another queue's call does not exist; a wrong role is told so."""
    call = hand_in(admin, queue="billing")
    settled(admin, call)
    paths = [f"/v1/calls/{call}", *(f"/v1/calls/{call}/{name}" for name in
             ("note", "transcript", "audio", "redaction-log", "revisions"))]  # fmt: skip
    with api.client(tenant="other") as other, api.client(queues="legal") as narrow:
        for path in paths:
            assert other.get(path).status_code == 404, path
            assert narrow.get(path).status_code == 404, path
        assert other.get("/v1/calls").json()["items"] == []
        assert other.get("/v1/search?q=parcel").json()["items"] == []
        assert other.get("/v1/events").json()["items"] == []
        assert other.post(f"/v1/calls/{call}/cancel").status_code == 404
        wrong = narrow.post("/v1/calls", files={"file": ("a", b"x")},
                            data={"metadata": '{"queue": "billing"}'})  # fmt: skip
        assert wrong.status_code == 422
        own = hand_in(narrow)
        assert settled(narrow, own)["metadata"]["queue"] == "legal"
    with api.client("uploader") as uploader:
        assert uploader.get(f"/v1/calls/{call}").status_code == 200
        assert uploader.get(f"/v1/calls/{call}/note").status_code == 403
        assert uploader.get("/v1/calls/none/note").status_code == 403  # before it is looked up
    assert httpx.get(f"{api.url}/v1/calls").status_code == 401
    assert httpx.get(f"{api.url}/healthz").status_code == 200
    assert httpx.get(f"{api.url}/readyz").json()["status"] == "ok"


def test_every_route_as_every_role(api: Running) -> None:
    """The permission table is what the API does: each role, each route, allowed or not."""
    service = api.service
    app = create_app(service, Guard.of(service.kit.settings, service.kit.store))
    clients = {role: api.client(role) for role in Role}
    walked = 0
    for (method, path), permission in route_permissions(app).items():
        if permission is None:
            continue
        url = path.replace("{call}", "none").replace("{id}", "1").replace("{name}", "x")
        for role, client in clients.items():
            allowed = role in PERMISSIONS[permission].roles
            got = client.request(method, url).status_code
            assert (got == 403) == (not allowed), (method, path, role, got)
            walked += 1
    assert walked >= 6 * 12
    for client in clients.values():
        client.close()


def test_cancel_retry_and_a_new_revision(admin: httpx.Client) -> None:
    """Work can be stopped, and done again from a stage; nothing earlier is overwritten."""
    call = hand_in(admin, b"slow to stop")
    assert admin.post(f"/v1/calls/{call}/cancel").json()["status"] == "cancelled"
    assert settled(admin, call)["status"] == "cancelled"
    assert admin.get(f"/v1/calls/{call}/note").json()["code"] == "cancelled"
    assert admin.post(f"/v1/calls/{call}/cancel").status_code == 422
    assert admin.post(f"/v1/calls/{call}/retry").status_code == 202
    assert settled(admin, call)["status"] == "done"
    again = admin.post(f"/v1/calls/{call}/retry", json={"stage": "analyse"})
    assert again.status_code == 202
    assert settled(admin, call)["revision"] == 2
    assert len(admin.get(f"/v1/calls/{call}/revisions").json()["items"]) == 2
    assert admin.get(f"/v1/calls/{call}/note?revision=1").status_code == 200
    assert admin.get(f"/v1/calls/{call}/note?revision=9").status_code == 404
    assert admin.post(f"/v1/calls/{call}/retry", json={"stage": "x"}).status_code == 422


def test_events_in_order_and_progress_as_a_stream(admin: httpx.Client) -> None:
    """An integration follows everything with a cursor; a page follows one call as it goes."""
    start = 0
    while page := admin.get(f"/v1/events?cursor={start}&limit=1000").json()["items"]:
        start = int(page[-1]["id"])
    call = hand_in(admin, b"slow progress")
    with admin.stream("GET", f"/v1/calls/{call}/progress") as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        states = [json.loads(line[6:])["status"] for line in stream.iter_lines()
                  if line.startswith("data: ")]  # fmt: skip
    assert states[-1] == "done" and len(states) > 1
    items = admin.get(f"/v1/events?cursor={start}").json()["items"]
    kinds = [item["type"] for item in items if item["subject"] == call]
    assert kinds == [f"voice-pipeline.call.{kind}.v1" for kind in ("received", "started", "done")]
    assert SAID not in json.dumps(items) and SHOWN not in json.dumps(items)


def test_openapi_and_headers(admin: httpx.Client) -> None:
    """The description is OpenAPI 3.1, and no answer can be framed or sniffed."""
    spec = admin.get("/openapi.json").json()
    assert spec["openapi"].startswith("3.1")
    assert "multipart/form-data" in spec["paths"]["/v1/calls"]["post"]["requestBody"]["content"]
    answer = admin.get("/v1/calls")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "server" not in answer.headers
    assert admin.get("/v1/nothing").headers["content-type"] == "application/problem+json"
    assert admin.delete("/healthz").status_code == 405
