"""The HTTP edge of access: every route names its permission, and nobody gets past it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Depends, FastAPI, Request, WebSocket
from fastapi.testclient import TestClient
from pydantic import BaseModel

from voice_pipeline.access.keys import Keys
from voice_pipeline.access.limits import Buckets
from voice_pipeline.access.log import AccessLog
from voice_pipeline.access.permissions import PERMISSIONS, Role, may
from voice_pipeline.access.principal import Principal, Unauthenticated
from voice_pipeline.api.guard import (
    PAGES,
    Guard,
    GuardedRoute,
    allowed,
    open_to_all,
    protect,
    route_permissions,
)
from voice_pipeline.config import load_settings
from voice_pipeline.store import Store


class Body(BaseModel):
    number: int


class Served:
    """An app with one route a permission, over a real data folder."""

    def __init__(self, folder: Path) -> None:
        self.store = Store(folder)
        self.guard = Guard.of(load_settings(data=folder), self.store)
        self.app = FastAPI()
        protect(self.app, self.guard)
        self.touched: list[str] = []
        router = APIRouter(prefix="/v1", route_class=GuardedRoute)
        for name in PERMISSIONS:
            self._add(router, name)

        @router.post("/body")
        def body(given: Body, who: Annotated[Principal, Depends(allowed("keys.manage"))]) -> str:
            return f"{who.id} {given.number}"

        @self.app.get("/live", dependencies=[Depends(open_to_all("probes have no key"))])
        def live() -> str:
            return "ok"

        self.app.include_router(router)
        self.client = TestClient(self.app, raise_server_exceptions=False)

    def _add(self, router: APIRouter, name: str) -> None:
        gate = Depends(allowed(name))

        @router.get(f"/{name}/{{call}}")
        def route(call: str, who: Principal = gate) -> dict[str, Any]:
            self.touched.append(call)
            return {"who": who.id, "tenant": who.tenant}

    def get(self, path: str, key: str | None = None, **headers: str) -> Any:
        if key is not None:
            headers["Authorization"] = f"Bearer {key}"
        return self.client.get(path, headers=headers)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    made = Served(tmp_path)
    yield made
    made.store.close()


def test_each_role_gets_what_the_table_says(served: Served) -> None:
    """Each role x each route: allowed or 403, and a refused one never reaches the route."""
    keys = {role: served.guard.keys.create(role) for role in Role}
    checked = 0
    for (method, path), permission in route_permissions(served.app).items():
        if method != "GET" or permission is None:
            continue
        for role, key in keys.items():
            served.touched.clear()
            answer = served.get(path.format(call="c-1"), key)
            assert answer.status_code == (200 if may(role, permission) else 403), (role, path)
            assert bool(served.touched) == may(role, permission)
            checked += 1
    assert checked == len(Role) * len(PERMISSIONS)


def test_routes_without_a_permission_are_found(served: Served) -> None:
    """A route that somebody forgot to guard fails the walk instead of serving everybody."""
    walked = route_permissions(served.app)
    assert walked["GET", "/live"] is None
    assert walked["GET", "/v1/notes.read/{call}"] == "notes.read"
    assert set(walked.values()) == {None, *PERMISSIONS}

    @served.app.get("/forgotten")
    def forgotten() -> str:
        return "anything"

    with pytest.raises(LookupError, match="/forgotten"):
        route_permissions(served.app)
    with pytest.raises(KeyError):
        allowed("notes.raed")


def test_what_is_mounted_is_found(served: Served) -> None:
    """A mounted app or a socket is guarded by nobody: it fails the walk unless it is named."""
    served.app.mount("/files", FastAPI())
    with pytest.raises(LookupError, match="/files"):
        route_permissions(served.app)
    assert route_permissions(served.app, [*PAGES, "/files"])

    @served.app.websocket("/socket")
    async def socket(socket: WebSocket) -> None:
        await socket.accept()

    with pytest.raises(LookupError, match="/socket"):
        route_permissions(served.app, [*PAGES, "/files"])


@pytest.mark.parametrize(
    "header",
    [None, "", "Bearer", "Bearer ", "Basic dXNlcjpwYXNz", "vp_aaaaaaaa_x"],
    ids=["none", "empty", "bare", "blank", "basic", "no scheme"],
)
def test_nothing_shown_is_401(served: Served, header: str | None) -> None:
    """Without a credential the answer says how to send one, and names no error of yours."""
    answer = served.client.get(
        "/v1/calls.read/c-1", headers={} if header is None else {"Authorization": header}
    )
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == 'Bearer realm="voice-pipeline"'
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "no_credential"
    assert not served.touched


def test_a_wrong_key_is_401_and_is_not_repeated(served: Served) -> None:
    """A wrong credential is an invalid token; the answer does not echo it."""
    key = served.guard.keys.create(Role.admin)
    wrong = key[:-1] + ("a" if key[-1] != "a" else "b")
    for shown in (wrong, "vp_short", "eyJhbGciOiJub25lIn0.e30.", "ü" * 10):
        bearer = {"Authorization": f"Bearer {shown}".encode("latin-1")}
        answer = served.client.get("/v1/calls.read/c-1", headers=bearer)
        assert answer.status_code == 401
        assert 'error="invalid_token"' in answer.headers["www-authenticate"]
        assert shown not in answer.text


@pytest.mark.parametrize("odd", [b"\xa0", b"\x85", b"\t", b"\x0b", b"\xc2\xa0"], ids=repr)
def test_odd_blanks_are_part_of_a_key(served: Served, odd: bytes) -> None:
    """Only what HTTP calls a blank is taken off: every key has one spelling."""
    key = served.guard.keys.create(Role.admin).encode()
    for shown, right in ((key, True), (key + odd, False), (odd + key, False)):
        headers = [(b"authorization", b"Bearer " + shown)]
        request = Request({"type": "http", "headers": headers, "client": ("192.0.2.7", 1)})
        if right:
            assert served.guard.principal(request).role is Role.admin
        else:
            with pytest.raises(Unauthenticated):
                served.guard.principal(request)


def test_two_credentials_are_none(served: Served) -> None:
    """Two Authorization headers, of which a proxy may have checked the other one, are refused."""
    key = served.guard.keys.create(Role.admin)
    both = [("Authorization", "Bearer vp_x"), ("Authorization", f"Bearer {key}")]
    assert served.client.get("/v1/calls.read/c", headers=both).status_code == 401


def test_nobody_has_a_body_read_before_they_are_known(served: Served) -> None:
    """A broken body of somebody unknown is 401, of somebody without permission 403, never 422."""
    post = served.client.post
    broken = {"content": "{", "headers": {"Content-Type": "application/json"}}
    assert post("/v1/body", **broken).status_code == 401
    for role, status in ((Role.agent, 403), (Role.admin, 422)):
        bearer = {"Authorization": f"Bearer {served.guard.keys.create(role)}"}
        answer = post("/v1/body", content="{", headers=broken["headers"] | bearer)
        assert answer.status_code == status


def test_a_flood_is_429_for_its_sender_alone(served: Served) -> None:
    """Over the limit the answer says when to come again; others are served meanwhile."""
    time = [0.0]
    slow = Guard(
        served.guard.keys, None, served.guard.log,
        Buckets(0.25, 3, lambda: time[0]), served.guard.failures,
    )  # fmt: skip
    protect(served.app, slow)
    loud, calm = (slow.keys.create(Role.agent) for _ in range(2))
    answers = [served.get("/v1/calls.read/c-1", loud) for _ in range(4)]
    assert [a.status_code for a in answers] == [200, 200, 200, 429]
    assert answers[-1].headers["retry-after"] == "4"
    assert served.get("/v1/calls.read/c-1", calm).status_code == 200
    time[0] = 4.0
    assert served.get("/v1/calls.read/c-1", loud).status_code == 200


def test_guessing_is_slowed_and_known_keys_still_pass(served: Served) -> None:
    """After ten wrong keys an address waits; a key that was used there a moment ago does not."""
    known, new = (served.guard.keys.create(Role.agent) for _ in range(2))
    assert served.get("/v1/calls.read/c-1", known).status_code == 200
    answers = [served.get("/v1/calls.read/c-1", "vp_wrong").status_code for _ in range(12)]
    assert answers == [401] * 10 + [429] * 2
    assert served.get("/v1/calls.read/c-1", known).status_code == 200
    answer = served.get("/v1/calls.read/c-1", new)
    assert answer.status_code == 429
    assert 1 <= int(answer.headers["retry-after"]) <= 10


def test_refused_looks_are_in_the_access_log(served: Served) -> None:
    """Who tried to hear what they may not is kept; a refused upload is no look."""
    key = served.guard.keys.create(Role.uploader)
    served.get("/v1/audio.read/c-7", key)
    served.get("/v1/audio.read/%0anot%20a%20call", key)
    served.get("/v1/calls.cancel/c-7", key)
    rows = [look for look, _ in served.guard.log.rows()]
    assert [(look.permission, look.call, look.outcome) for look in rows] == [
        ("audio.read", "c-7", "denied"),
        ("audio.read", None, "denied"),
    ]
    assert rows[0].who == key[3:11]
    assert rows[0].address == "testclient"
    secret = key[12:]
    assert secret not in json.dumps([str(look) for look in rows])


def test_openapi_names_the_credential(served: Served) -> None:
    """Generated clients know that a bearer credential is needed."""
    document = served.app.openapi()
    assert document["paths"]["/v1/body"]["post"]["security"] == [{"HTTPBearer": []}]
    assert "security" not in document["paths"]["/live"]["get"]


def test_a_guard_is_built_from_settings(tmp_path: Path) -> None:
    """A data folder and its settings are all that a service needs."""
    store = Store(tmp_path)
    guard = Guard.of(load_settings(data=tmp_path), store)
    assert guard.tokens is None
    assert isinstance(guard.keys, Keys)
    assert isinstance(guard.log, AccessLog)
    store.close()
