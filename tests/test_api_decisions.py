"""Erasure, holds and reviews over HTTP: a real service, a real socket."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx
import pytest
from quick import SHOWN, Running, hand_in, running, settled

from voice_pipeline.access.log import AccessLog
from voice_pipeline.config import Erase
from voice_pipeline.erasing import read_receipt

WHY = {"reason": "the customer asks"}


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("api") / "data") as found:
        yield found


@pytest.fixture(scope="module")
def clients(api: Running) -> Iterator[dict[str, httpx.Client]]:
    roles = ("admin", "compliance", "supervisor", "integration")
    found = {role: api.client(role) for role in roles}
    yield found
    for client in found.values():
        client.close()


def test_a_call_is_erased_and_then_gone(api: Running, clients: dict[str, httpx.Client]) -> None:
    """One request: the signed receipt in the answer, 410 for every result, one event, a log row."""
    admin = clients["admin"]
    call = hand_in(admin, queue="billing", customer_ref="c-17")
    settled(admin, call)
    answer = admin.delete(f"/v1/calls/{call}")
    assert answer.status_code == 202
    body = answer.json()
    assert (body["id"], body["status"], body["state"]) == (call, "erased", "done")
    assert read_receipt(json.dumps(body["receipt"]))["calls"] == [call]
    for name in ("note", "transcript", "captions", "audio", "redaction-log"):
        answer = admin.get(f"/v1/calls/{call}/{name}")
        assert (answer.status_code, answer.json()["code"]) == (410, "erased"), name
    assert admin.delete(f"/v1/calls/{call}").status_code == 410
    state = admin.get(f"/v1/calls/{call}").json()
    assert (state["status"], state["metadata"], state["name"]) == (
        "erased", {"queue": "billing"}, None,
    )  # fmt: skip
    assert admin.get(f"/v1/erasures/{body['erasure']}").json()["receipt"] == body["receipt"]
    found = admin.get("/v1/search", params={"q": "parcel"}).json()["items"]
    assert call not in [one["id"] for one in found]
    events = admin.get("/v1/events?limit=1000").json()["items"]
    assert [e["type"] for e in events if e["subject"] == call][-1].endswith("call.erased.v1")
    assert api.service.kit.erasing.check([call]).remains == {}
    store = api.service.kit.store
    looks = [look for look, _ in AccessLog(store.database, store.signing_seed()).rows(call=call)]
    assert looks[-1].permission == "calls.erase"
    assert looks[-1].outcome == "done"


def test_a_call_that_is_being_heard_is_erased(
    api: Running, clients: dict[str, httpx.Client]
) -> None:
    """In the middle of the work: it stops, and does not come back."""
    admin = clients["admin"]
    call = hand_in(admin, b"slow sound")
    assert admin.delete(f"/v1/calls/{call}", params=WHY).json()["status"] == "erased"
    other = hand_in(admin, b"slow other")
    assert settled(admin, other)["status"] == "done"
    assert admin.get(f"/v1/calls/{call}").json()["status"] == "erased"
    assert api.service.kit.erasing.check([call]).remains == {}


def test_a_hold_refuses_an_erasure(clients: dict[str, httpx.Client]) -> None:
    """409 with a code while it stands; lifted, the call can go."""
    admin, compliance = clients["admin"], clients["compliance"]
    call = hand_in(admin)
    settled(admin, call)
    assert compliance.post(f"/v1/calls/{call}/hold", json={"reason": " "}).status_code == 422
    assert compliance.post(f"/v1/calls/{call}/hold", json={"reason": "court"}).status_code == 201
    answer = admin.delete(f"/v1/calls/{call}")
    assert (answer.status_code, answer.json()["code"]) == (409, "legal_hold")
    assert admin.get(f"/v1/calls/{call}/note").status_code == 200
    lifted = compliance.delete(f"/v1/calls/{call}/hold", params={"reason": "settled"})
    assert lifted.json() == {"id": call, "lifted": 1}
    again = compliance.delete(f"/v1/calls/{call}/hold", params={"reason": "settled"})
    assert again.status_code == 404
    assert admin.delete(f"/v1/calls/{call}").status_code == 202


def test_all_of_a_customer_after_a_preview(clients: dict[str, httpx.Client]) -> None:
    """What would go, by kind; then it goes, and nobody else's."""
    admin = clients["admin"]
    mine = [hand_in(admin, f"one {n}".encode(), customer_ref="ann") for n in range(2)]
    other = hand_in(admin, b"other", customer_ref="bob")
    for call in (*mine, other):
        settled(admin, call)
    asked = {"customer_ref": "ann", "reason": "left us"}
    preview = admin.post("/v1/erasures", json={**asked, "preview": True}).json()
    assert sorted(preview["calls"]) == sorted(mine)
    assert preview["would_erase"]["blobs Audio"] == 2
    done = admin.post("/v1/erasures", json=asked).json()
    assert sorted(done["receipt"]["calls"]) == sorted(mine)
    assert admin.get(f"/v1/calls/{other}/note").status_code == 200
    none = admin.post("/v1/erasures", json=asked)
    assert (none.status_code, none.json()["code"]) == (404, "not_found")


def test_nobody_erases_what_is_not_theirs(api: Running, clients: dict[str, httpx.Client]) -> None:
    """Another tenant, another queue: 404, and the receipt of it is 404 as well."""
    admin = clients["admin"]
    call = hand_in(admin, queue="billing")
    settled(admin, call)
    with api.client(tenant="other") as other, api.client(queues="legal") as narrow:
        for client in (other, narrow):
            assert client.delete(f"/v1/calls/{call}").status_code == 404
            body = {"calls": [call], "reason": "x"}
            assert client.post("/v1/erasures", json=body).status_code == 404
        erasure = admin.delete(f"/v1/calls/{call}").json()["erasure"]
        for client in (other, narrow):
            assert client.get(f"/v1/erasures/{erasure}").status_code == 404
            assert client.post(f"/v1/erasures/{erasure}/confirm").status_code == 404


def test_four_eyes_where_they_are_wanted(
    api: Running, clients: dict[str, httpx.Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One principal proposes, the same cannot confirm, another does."""
    kit, one, two = api.service.kit, clients["admin"], clients["compliance"]
    eyes = kit.settings.model_copy(update={"erase": Erase(four_eyes=True)})
    monkeypatch.setattr(kit, "settings", eyes)
    call = hand_in(one)
    settled(one, call)
    asked = one.delete(f"/v1/calls/{call}").json()
    assert (asked["status"], asked["state"], asked["receipt"]) == ("proposed", "proposed", None)
    url = f"/v1/erasures/{asked['erasure']}/confirm"
    assert one.post(url).json()["code"] == "four_eyes"
    assert one.get(f"/v1/calls/{call}/note").status_code == 200
    done = two.post(url).json()
    assert done["state"] == "done"
    assert done["approved_by"] != done["asked_by"]
    assert one.get(f"/v1/calls/{call}/note").status_code == 410


def test_a_note_is_approved_edited_and_shown(clients: dict[str, httpx.Client]) -> None:
    """The edit is what readers get, redacted, with who decided last."""
    supervisor = clients["supervisor"]
    call = hand_in(supervisor)
    assert settled(supervisor, call)["review"] == "required"
    url = f"/v1/calls/{call}"
    done = supervisor.post(f"{url}/approve", json=WHY).json()
    assert (done["review"], done["decision"]["decision"]) == ("approved", "approved")
    assert supervisor.post(f"{url}/reject", json=WHY).json()["code"] == "no_review_waits"
    changes = {"urgency": "urgent", "summary": ["Call back on 020 7946 0958."]}
    done = supervisor.post(f"{url}/edit", json={**WHY, "changes": changes})
    assert done.status_code == 200, done.text
    note = supervisor.get(f"{url}/note").json()
    assert note["urgency"] == "urgent"
    assert "7946" not in json.dumps(note)
    assert note["review"]["decision"]["decision"] == "edited"
    made = clients["integration"].get(f"{url}/decisions").json()["items"]
    assert [one["decision"] for one in made] == ["approved", "edited"]
    for body in ({**WHY, "changes": {"moon": 1}}, {**WHY, "changes": {}}, {"changes": changes}):
        assert supervisor.post(f"{url}/edit", json=body).status_code == 422


def test_a_held_call_is_released_run_again_or_given_up(clients: dict[str, httpx.Client]) -> None:
    """Nothing waits for ever: each way ends in a state of its own, on the record."""
    supervisor = clients["supervisor"]
    calls = [hand_in(supervisor, f"doubtful {n}".encode()) for n in range(3)]
    for call in calls:
        assert settled(supervisor, call)["status"] == "held"
    released, again, given_up = calls
    assert supervisor.post(f"/v1/calls/{released}/release", json=WHY).status_code == 202
    state = settled(supervisor, released)
    assert (state["status"], state["revision"]) == ("done", 2)
    assert "released_by_person" in [one["code"] for one in state["warnings"]]
    turns = supervisor.get(f"/v1/calls/{released}/transcript").json()["turns"]
    assert turns[0]["text"] == SHOWN
    log = supervisor.get(f"/v1/calls/{released}/redaction-log").text
    assert '"override"' in log
    assert supervisor.post(f"/v1/calls/{again}/rerun", json=WHY).status_code == 202
    assert settled(supervisor, again)["status"] == "held"
    assert supervisor.post(f"/v1/calls/{given_up}/discard", json=WHY).json()["status"] == "failed"
    state = settled(supervisor, given_up)
    assert (state["status"], state["code"]) == ("failed", "discarded")
    answer = supervisor.post(f"/v1/calls/{given_up}/release", json=WHY)
    assert (answer.status_code, answer.json()["code"]) == (409, "not_held")
