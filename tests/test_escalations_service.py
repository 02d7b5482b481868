"""Escalations of a running service: raised by calls, sent as notices, acknowledged over the API."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from command import run
from prometheus import figures
from quick import QuickKit, Running, hand_in, running, settled

from voice_pipeline import domain as d
from voice_pipeline.api import metrics
from voice_pipeline.pipeline import Stages
from voice_pipeline.policy.load import DEFAULT
from voice_pipeline.ports import Stage

FLAGS = {"safety_of_life": "at once", "complaint": "3 working days"}


class Raising(QuickKit):
    """Every call raises two flags; one that is worked on again raises the first alone."""

    def stages(self, plan: str) -> Stages:
        def review(recording: Any, _text: Any, note: d.CaseNote, _flags: Any) -> d.CaseNote:
            old = recording.metadata.get("historical") == "true"
            row = self.store.register.get(recording.id)
            again = row is not None and row.revision > 0
            found = tuple(
                d.Escalation(name, 1, name, "critical", "Somebody said so.", (), {},
                             {"queue": None, "due": due, "notify": ["duty manager"],
                              **({"historical": True} if old else {})})
                for name, due in list(FLAGS.items())[: 1 if again else 2]
            )  # fmt: skip
            return replace(note, escalations=found)

        return replace(super().stages(plan), review=Stage("review", review, "2"))


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, Path]]:
    folder = tmp_path_factory.mktemp("escalations")
    pack = Path(shutil.copytree(DEFAULT, folder / "pack"))
    notify = yaml.safe_load((pack / "notify.yaml").read_text("utf-8"))
    notify["owners"]["duty manager"]["ways"] = ["told"]
    (pack / "notify.yaml").write_text(yaml.safe_dump(notify), "utf-8")
    told = {"use": "folder", "options": {"path": str(folder / "told")}, "automatic": False}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(metrics, "FRESH", 0.0)
        patch.setattr("quick.QuickKit", Raising)
        patch.setattr("voice_pipeline.escalating.keeper.TICK", 0.1)
        with running(folder / "data", policy=pack, targets={"told": told}) as service:
            yield service, folder


def notices(folder: Path, call: str) -> list[dict[str, Any]]:
    found = [json.loads(file.read_text("utf-8")) for file in (folder / "told").glob("*.json")]
    return [one["fields"] for one in found if one["fields"]["call_id"] == call]


def wait(condition: Any, seconds: float = 15.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_call_that_is_about_a_life_tells_somebody_at_once(here: tuple[Running, Path]) -> None:
    """Whatever the hour: the notice is there seconds after the call was worked on."""
    service, folder = here
    with service.client("supervisor") as client, service.client("admin") as admin:
        call = hand_in(admin, queue="billing")
        settled(admin, call)
        wait(lambda: notices(folder, call))
        (fields,) = notices(folder, call)
        assert (fields["category"], fields["kind"]) == ("safety_of_life", "due")
        items = client.get("/v1/escalations", params={"call": call}).json()["items"]
        assert {one["category"]: one["state"] for one in items} == dict.fromkeys(FLAGS, "open")
        one = next(item for item in items if item["category"] == "safety_of_life")
        wait(lambda: client.get(f"/v1/escalations/{one['id']}").json()["told"][0]["sent_at"])
        events = admin.get("/v1/events", params={"limit": 1000}).json()["items"]
        types = [event["type"] for event in events if event["subject"] == call]
        assert types.count("voice-pipeline.escalation.opened.v1") == 2


def test_people_acknowledge_and_resolve(here: tuple[Running, Path]) -> None:
    """Who, when and why, once each; a page of the list after the other; others' do not exist."""
    service, _ = here
    with service.client("supervisor") as client, service.client("admin") as admin:
        call = hand_in(admin, b"RIFF two")
        settled(admin, call)
        found = client.get("/v1/escalations", params={"call": call, "limit": 1}).json()
        rest = client.get("/v1/escalations",
                          params={"call": call, "cursor": found["next_cursor"]})  # fmt: skip
        items = [*found["items"], *rest.json()["items"]]
        assert {one["category"] for one in items} == set(FLAGS)
        assert rest.json()["next_cursor"] is None
        url = f"/v1/escalations/{items[0]['id']}"
        assert client.post(f"{url}/acknowledge", json={}).status_code == 422
        done = client.post(f"{url}/acknowledge", json={"reason": "I call 415-555-2671 back"})
        assert done.json()["state"] == "acknowledged"
        assert "2671" not in done.json()["acknowledge_reason"]
        assert done.json()["acknowledged_by"].startswith("key ")
        again = client.post(f"{url}/acknowledge", json={"reason": "me too"})
        assert (again.status_code, again.json()["code"]) == (409, "not_open")
        assert client.post(f"{url}/resolve", json={"reason": "done"}).json()["state"] == "resolved"
        assert admin.post(f"{url}/resolve", json={"reason": "x"}).status_code == 403
        assert client.get("/v1/escalations/none").status_code == 404
        with service.client("supervisor", tenant="other") as other:
            assert other.get(url).status_code == 404
            assert other.post(f"{url}/resolve", json={"reason": "x"}).status_code == 404
            assert other.get("/v1/escalations").json()["items"] == []


def test_another_run_closes_what_it_does_not_raise(here: tuple[Running, Path]) -> None:
    """By the engine, in the transaction that ends the run, with an event."""
    service, _ = here
    with service.client("supervisor") as client, service.client("admin") as admin:
        call = hand_in(admin, b"RIFF three")
        settled(admin, call)
        assert client.post(f"/v1/calls/{call}/retry", json={"stage": "review"}).status_code == 202
        wait(lambda: settled(admin, call)["revision"] == 2)
        items = client.get("/v1/escalations", params={"call": call}).json()["items"]
        states = {one["category"]: (one["state"], one["code"]) for one in items}
        assert states == {"safety_of_life": ("open", None),
                          "complaint": ("resolved", "no_longer_raised")}  # fmt: skip


def test_old_recordings_are_history(here: tuple[Running, Path]) -> None:
    """Due times of a backfill are marked, and nobody is told."""
    service, folder = here
    with service.client("supervisor") as client, service.client("admin") as admin:
        call = hand_in(admin, b"RIFF old", historical="true")
        settled(admin, call)
        items = client.get("/v1/escalations", params={"call": call}).json()["items"]
        assert {one["historical"] for one in items} == {True}
        assert {one["overdue"] for one in items} == {False}
        time.sleep(0.5)
        assert notices(folder, call) == []


def test_open_and_overdue_are_figures(here: tuple[Running, Path]) -> None:
    """By state, category and severity; how many are late and since when."""
    service, _ = here
    with service.client("admin") as admin:
        settled(admin, hand_in(admin, b"RIFF four"))
    found = figures(service.url)
    kind = (("category", "safety_of_life"), ("severity", "critical"), ("state", "open"))
    assert found["escalations", kind] >= 1
    assert found["escalations_overdue", kind[:2]] >= 1
    assert found["escalation_overdue_oldest_seconds", ()] > 0
    assert found["notices_failing", ()] == 0


def test_the_command_line_lists_and_decides(here: tuple[Running, Path]) -> None:
    """Beside a running service: what is overdue, who was told, acknowledged, resolved."""
    service, folder = here
    with service.client("admin") as admin:
        call = hand_in(admin, b"RIFF five")
        settled(admin, call)
    (row,) = service.service.kit.store.escalations.find(
        None, equal={"call": call, "category": "safety_of_life"}
    )
    config = folder / "site.toml"
    config.write_text(f'policy = "{folder / "pack"}"\n', "utf-8")
    start = ("--data", folder / "data", "--config", config, "escalations")
    listed = json.loads(run(*start, "list", "--call", call, "--overdue", "--json").stdout)
    assert [one["id"] for one in listed] == [row.id]
    done = run(*start, "acknowledge", row.id, "--by", "M. Lee", "--reason", "seen")
    assert done.stdout == f"{row.id}: acknowledged by M. Lee\n", done.stderr
    shown = json.loads(run(*start, "show", row.id).stdout)
    assert (shown["state"], shown["acknowledge_reason"]) == ("acknowledged", "seen")
    assert [one["kind"] for one in shown["told"]] == ["due"]
