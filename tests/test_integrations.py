"""What integrations rely on: deliveries over HTTP, the feed, its schemas, the consumer."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from crm import CRMS
from jsonschema import Draft202012Validator
from quick import Running, hand_in, running, settled
from test_delivery import Desk

from voice_pipeline.access.log import AccessLog
from voice_pipeline.api.schemas import NAMES, schema
from voice_pipeline.ports import Match

CONSUMER = Path(__file__).parents[1] / "docs" / "integrations" / "consumer.py"
WHY = {"reason": "asked the agent"}


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    CRMS.clear()
    targets = {
        "crm": Desk.target(options={"matches": True}),
        "theirs": Desk.target(at="theirs", tenant="acme"),
    }
    CRMS[""].match = lambda parcel: Match("none", "with this reference")
    with running(tmp_path_factory.mktemp("api") / "data", targets=targets) as found:
        yield found


@pytest.fixture(scope="module")
def admin(api: Running) -> Iterator[httpx.Client]:
    with api.client("admin") as client:
        yield client


def delivery(client: httpx.Client, call: str, *states: str) -> dict[str, Any]:
    """Wait until the delivery of a call is in one of the states."""
    deadline = time.monotonic() + 30
    while True:
        found = client.get("/v1/deliveries", params={"call": call}).json()["items"]
        if found and found[-1]["state"] in states:
            one: dict[str, Any] = found[-1]
            return one
        assert time.monotonic() < deadline, found
        time.sleep(0.1)


def test_an_unmatched_note_waits_and_goes_where_a_person_says(admin: httpx.Client) -> None:
    """Nobody guesses whose record it is; the answer of a person is kept with name and reason."""
    call = hand_in(admin)
    one = delivery(admin, call, "unmatched")
    assert one["code"] == "no_match"
    path = f"/v1/deliveries/{one['key']}"
    assert admin.post(f"{path}/assign", json={"record": "c-9", "reason": " "}).status_code == 422
    answer = admin.post(f"{path}/assign", json={"record": "cust-9", **WHY})
    assert (answer.status_code, answer.json()["customer"]) == (200, "cust-9")
    done = delivery(admin, call, "delivered")
    assert (done["record"], done["why"]) == (f"rec-{call}", "asked the agent")
    assert CRMS[""].records[call][0].customer == "cust-9"
    again = admin.post(f"{path}/cancel", json=WHY)
    assert (again.status_code, again.json()["code"]) == (409, "delivered_already")
    assert admin.get(path).json()["state"] == "delivered"


def test_a_call_of_one_tenant_reaches_its_own_target_only(api: Running) -> None:
    """And its deliveries and targets are nobody else's to see or to touch."""
    with api.client("admin", "acme") as theirs, api.client("supervisor", "acme") as lead:
        call = hand_in(theirs)
        one = delivery(theirs, call, "delivered")
        assert one["target"] == "theirs"
        assert [t["target"] for t in theirs.get("/v1/targets").json()["items"]] == ["theirs"]
        assert theirs.post("/v1/targets/crm/pause", json=WHY).status_code == 404
        assert lead.post("/v1/deliveries/replay", json=WHY).json() == {"replayed": 0}
    with api.client("admin") as ours:
        assert ours.get(f"/v1/deliveries/{one['key']}").status_code == 404
        assert ours.get(f"/v1/calls/{call}/deliveries/preview?target=crm").status_code == 404


def test_a_target_is_paused_and_resumed(admin: httpx.Client) -> None:
    """Nothing is sent meanwhile, nothing is lost."""
    CRMS[""].match = lambda parcel: Match("one", "with this reference", "cust-1")
    paused = admin.post("/v1/targets/crm/pause", json={"reason": "maintenance"})
    assert paused.json()["state"] == "paused"
    call = hand_in(admin)
    settled(admin, call)
    time.sleep(1.5)
    assert delivery(admin, call, "waiting")["attempts"] == 0
    assert admin.post("/v1/targets/crm/resume").json()["state"] == "good"
    assert delivery(admin, call, "delivered")["attempts"] == 1


def test_a_preview_is_a_look_at_the_note(api: Running, admin: httpx.Client) -> None:
    """It shows the request, and stands in the access log."""
    call = hand_in(admin)
    delivery(admin, call, "delivered")
    shown = admin.get(f"/v1/calls/{call}/deliveries/preview", params={"target": "crm"}).json()
    assert "The parcel is late." in shown["requests"][0]["body"]
    store = api.service.kit.store
    looks = [look for look, _ in AccessLog(store.database, store.signing_seed()).rows(call=call)]
    assert [look.what for look in looks] == ["preview"]


def test_the_feed_keeps_to_its_schema(admin: httpx.Client) -> None:
    """Every event is what the published schema says, and every note too."""
    call = hand_in(admin)
    settled(admin, call)
    published = {name: admin.get(f"/v1/schemas/{name}").json() for name in NAMES}
    assert published == {name: schema(name) for name in NAMES}
    for found in published.values():
        Draft202012Validator.check_schema(found)
    events = admin.get("/v1/events?limit=1000").json()["items"]
    assert events
    for event in events:
        Draft202012Validator(published["event-1"]).validate(event)
        assert event["dataschema"] == "/v1/schemas/event-1"
    note = admin.get(f"/v1/calls/{call}/note").json()
    Draft202012Validator(published["note-1"]).validate(note)
    assert admin.get("/v1/schemas/nothing").status_code == 404


def test_the_consumer_works_as_printed(api: Running, admin: httpx.Client, tmp_path: Path) -> None:
    """Killed in the middle and started again it has every note; the code is at most 30 lines."""
    code = CONSUMER.read_text("utf-8").partition('"""\n\n')[2]
    assert len([line for line in code.splitlines() if line.strip()]) <= 30
    calls = [hand_in(admin, f"for the consumer {n}".encode()) for n in range(5)]
    for call in calls[:3]:
        settled(admin, call)
    told = {**os.environ, "VP_URL": api.url, "VP_KEY": api.key("integration"), "VP_WAIT": "0.1"}
    for wanted in (calls[:3], calls):
        process = subprocess.Popen([sys.executable, CONSUMER, tmp_path / "notes"], env=told)
        try:
            wait_for(lambda names=wanted: has(tmp_path / "notes", names))
        finally:
            process.kill()
            process.wait()
    for call in calls:
        (file,) = (tmp_path / "notes").glob(f"{call}-*.json")
        assert json.loads(file.read_text())["call_id"] == call


def has(folder: Path, calls: list[str]) -> bool:
    return all(any(folder.glob(f"{call}-*.json")) for call in calls)


def wait_for(good: Any) -> None:
    deadline = time.monotonic() + 60
    while not good():
        assert time.monotonic() < deadline
        time.sleep(0.1)
