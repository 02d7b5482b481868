"""Notes on their way: once in effect, on the right record, only what may leave, or to a person."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from crm import CRMS, Crm
from hypothesis import given
from hypothesis import strategies as st
from quick import QuickKit

from voice_pipeline.config import load_settings
from voice_pipeline.delivery.context import Consulting
from voice_pipeline.delivery.wording import shortened
from voice_pipeline.domain import Recording, Ref
from voice_pipeline.engine.queues import Duty
from voice_pipeline.errors import BadInput, Misconfigured, Permanent, Retryable
from voice_pipeline.ports import Match, Parcel
from voice_pipeline.service import Sender, Service
from voice_pipeline.store.outbox import DeliveryRow

AWAY = Retryable("it is down", code="target_unreachable")
LOST = Retryable("no answer", code="no_answer")
WHO: dict[str, str] = {"by": "M. Lee", "why": "asked"}


class Desk:
    """A data folder with two targets: `crm`, and `strict` that waits for approval and matches."""

    def __init__(self, tmp_path: Path, **targets: Any) -> None:
        self.name = tmp_path.name
        given = targets or {"crm": self.target()}
        settings = load_settings(None, data=tmp_path / "data", targets=given)
        self.kit = QuickKit(settings, Duty())
        self.outbox = self.kit.store.outbox
        self.clock = [time.time()]
        self.outbox.clock = lambda: self.clock[0]

    @staticmethod
    def target(at: str = "", **more: Any) -> dict[str, Any]:
        options = {"at": at, **more.pop("options", {})}
        return {"use": "crm:create", "options": options, "before_approval": "send", **more}

    def done(self, *targets: str, body: bytes = b"RIFF", **metadata: str) -> str:
        """Work on a call to its end and return its id."""
        service = Service(self.kit, Duty())
        arrival = service.arrival()
        arrival.write(body)
        row = arrival.finish("a.wav", metadata, Sender(), targets=targets or ("crm",))
        received: Ref[Any] = Ref(row.call, "Received", row.received_sha256 or "")
        run = self.kit.engine.start(received, self.kit.plan(), json.loads(row.targets))
        while not self.kit.engine.finished(run):
            time.sleep(0.02)
        return row.call

    def send(self, later: float = 0.0) -> None:
        """Let time pass, and deliver all that is due then."""
        self.clock[0] += later
        while self.kit.courier.send():
            pass

    def row(self, call: str, target: str = "crm") -> DeliveryRow:
        return [row for row in self.outbox.of(call) if row.target == target][-1]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Callable[..., Desk]]:
    made: list[Desk] = []
    CRMS.clear()

    def make(**targets: Any) -> Desk:
        made.append(Desk(tmp_path, **targets))
        return made[-1]

    yield make
    for one in made:
        one.kit.close()


@pytest.fixture
def crm() -> Iterator[Crm]:
    yield CRMS[""]


def once(fault: Exception) -> Callable[[Parcel], Any]:
    """Return something that fails the first time."""
    faults = [fault]
    return lambda parcel: faults.pop() if faults else None


def test_a_note_arrives_once(desk: Callable[..., Desk]) -> None:
    """Delivered, with the record that it became; sent again, nothing happens."""
    here = desk()
    call = here.done()
    here.send()
    here.send()
    row = here.row(call)
    assert (row.state, row.external_id, row.attempts) == ("delivered", f"rec-{call}", 1)
    (parcel,) = CRMS[""].records[call]
    assert parcel.event == "call.note.created"
    assert parcel.fields["subject"] == "delivery_problem"
    assert "The parcel is late." in parcel.fields["text"]
    assert CRMS[""].finds == 0


def test_what_may_have_got_through_is_looked_for_first(desk: Callable[..., Desk]) -> None:
    """The CRM kept it and its answer was lost: one record, not two."""
    here = desk()
    CRMS[""].after = once(LOST)
    call = here.done()
    here.send()
    assert here.row(call).state == "waiting"
    here.send(later=60)
    assert here.row(call).state == "delivered"
    assert len(CRMS[""].records[call]) == 1
    assert CRMS[""].finds == 1


def test_a_day_without_the_crm_loses_nothing_and_keeps_the_order(
    desk: Callable[..., Desk],
) -> None:
    """It rests with growing pauses, few attempts are made, and all arrive in order."""
    here = desk()
    calls = [here.done(body=f"call {n}".encode()) for n in range(12)]
    CRMS[""].before = lambda parcel: AWAY
    for _ in range(300):
        here.send(later=288)
    assert CRMS[""].calls == []
    assert {here.row(call).state for call in calls} == {"waiting"}
    assert sum(here.row(call).attempts for call in calls) <= 312
    CRMS[""].before = lambda parcel: None
    here.send(later=301)
    here.send(later=1)
    assert CRMS[""].calls == calls


def test_wrong_credentials_stop_the_target_and_lose_nothing(desk: Callable[..., Desk]) -> None:
    """Nobody burns attempts with a wrong password; once mended, `targets resume` sends all."""
    here = desk()
    CRMS[""].before = lambda parcel: Misconfigured("401", code="target_denied")
    calls = [here.done(body=b"1"), here.done(body=b"2")]
    here.send()
    assert CRMS[""].calls == []
    ((_, state, waiting),) = here.kit.desk.states()
    assert (state.code, waiting) == ("target_denied", {"waiting": 2})
    CRMS[""].before = lambda parcel: None
    here.send(later=10)
    assert CRMS[""].calls == []
    here.kit.desk.resume("crm")
    here.send()
    assert sorted(CRMS[""].calls) == sorted(calls)


def test_what_the_crm_refuses_waits_for_a_person_who_replays_it(desk: Callable[..., Desk]) -> None:
    """A dead letter says why in plain words, holds nobody up, and can be sent again."""
    here = desk()
    CRMS[""].before = once(Permanent("the field Subject is missing", code="target_refused"))
    refused, fine = here.done(body=b"1"), here.done(body=b"2")
    here.send()
    row = here.row(refused)
    assert (row.state, row.code, row.reason) == (
        "refused", "target_refused", "the field Subject is missing",
    )  # fmt: skip
    assert here.row(fine).state == "delivered"
    with pytest.raises(BadInput) as raised:
        here.kit.desk.replay(keys=[here.row(fine).key], **WHO)
    assert raised.value.code == "not_replayable"
    with pytest.raises(BadInput):
        here.kit.desk.replay(by="M. Lee", why=" ")
    assert here.kit.desk.replay(**WHO) == 1
    here.send()
    row = here.row(refused)
    assert (row.state, row.by, row.why) == ("delivered", "M. Lee", "asked")


def test_one_note_that_always_fails_does_not_hold_up_the_others(desk: Callable[..., Desk]) -> None:
    """The server fails on it alone: it is tried with growing pauses and given up in the end."""
    here = desk()
    poison = here.done(body=b"1")
    others = [here.done(body=f"{n}".encode()) for n in range(2, 6)]
    broken = Retryable("HTTP 500", code="target_failed")
    CRMS[""].before = lambda parcel: broken if parcel.call == poison else None
    for _ in range(60):
        here.send(later=4000)
        if here.row(poison).state == "refused":
            break
    assert sorted(CRMS[""].calls) == sorted(others)
    row = here.row(poison)
    assert (row.state, row.code) == ("refused", "gave_up")
    assert "HTTP 500" in (row.reason or "")


def test_a_note_waits_for_approval_and_then_goes_with_the_decision(
    desk: Callable[..., Desk],
) -> None:
    """Money, complaints and the like: a person first. The CRM sees who approved."""
    here = desk(crm=Desk.target(before_approval="wait"))
    call = here.done()
    here.send()
    assert here.row(call).state == "unapproved"
    assert CRMS[""].calls == []
    here.kit.reviewing.decide(call, "approve", reason="fine", by="M. Lee")
    here.send()
    (parcel,) = CRMS[""].records[call]
    assert parcel.note["review"]["decision"]["by"] == "M. Lee"
    assert parcel.fields["text"].startswith("Approved by M. Lee.")


def test_a_rejected_note_does_not_leave(desk: Callable[..., Desk]) -> None:
    """Not even when it is replayed."""
    here = desk(crm=Desk.target(before_approval="wait"))
    call = here.done()
    here.kit.reviewing.decide(call, "reject", reason="wrong call", by="M. Lee")
    assert here.row(call).state == "cancelled"
    here.kit.desk.replay(keys=[here.row(call).key], **WHO)
    here.send()
    assert here.row(call).state == "unapproved"
    assert CRMS[""].calls == []


def test_an_edit_changes_the_same_record(desk: Callable[..., Desk]) -> None:
    """The first revision is there; the second goes onto the record that it became."""
    here = desk()
    call = here.done()
    here.send()
    here.kit.reviewing.edit(call, {"urgency": "low"}, reason="not urgent", by="M. Lee")
    here.send()
    first, second = CRMS[""].records[call]
    assert (first.note["urgency"], second.note["urgency"]) == ("high", "low")
    assert (second.event, second.number, second.record) == ("call.note.updated", 2, f"rec-{call}")
    assert here.row(call).external_id == f"rec-{call}"


MATCHES = {"options": {"matches": True}}


@pytest.mark.parametrize(
    ("match", "code"),
    [
        (Match("none", "with this reference"), "no_match"),
        (Match("several", "with this reference"), "several_matches"),
    ],
)
def test_no_certain_customer_no_note(desk: Callable[..., Desk], match: Match, code: str) -> None:
    """A person names the record, and the note goes there."""
    here = desk(crm=Desk.target(**MATCHES))
    CRMS[""].match = lambda parcel: match
    call = here.done()
    here.send()
    row = here.row(call)
    assert (row.state, row.code) == ("unmatched", code)
    assert CRMS[""].calls == []
    with pytest.raises(BadInput, match="assign"):
        here.kit.desk.replay(keys=[row.key], **WHO)
    here.kit.desk.assign(row.key, "cust-9", **WHO)
    here.send()
    assert CRMS[""].records[call][0].customer == "cust-9"
    other = here.done(body=b"other")
    here.send()
    here.kit.desk.assign(here.row(other).key, None, **WHO)
    here.send()
    assert CRMS[""].records[other][0].customer is None


def test_a_difference_from_the_record_is_told_and_not_corrected(desk: Callable[..., Desk]) -> None:
    """What the caller said and the CRM's record disagree: the note goes, with the remark kept."""
    here = desk(crm=Desk.target(**MATCHES))
    CRMS[""].match = lambda parcel: Match("one", "by reference", "cust-1", {"order": "AB-1299"})
    call = here.done()
    here.kit.reviewing.edit(call, {"facts": ["Order AB-1234."]}, reason="heard", by="M. Lee")
    here.send()
    row = here.row(call)
    assert row.state == "delivered"
    assert "AB-1299" in (row.remarks or "") and "AB-1234".casefold() in (row.remarks or "")
    assert CRMS[""].records[call][-1].note["facts"][0]["text"] == "Order AB-1234."


def test_only_allowed_fields_leave(desk: Callable[..., Desk]) -> None:
    """The allow-list holds for the note, the text and the mapping."""
    here = desk(crm=Desk.target(fields=["request_type", "urgency"]))
    call = here.done()
    here.send()
    (parcel,) = CRMS[""].records[call]
    assert set(parcel.note) == {"request_type", "urgency"}
    assert "parcel is late" not in str(parcel)


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{{ note.reason.text }}", "note.reason"),
        ("{{ note['reason'] }}", "note.reason"),
        ("{{ note }}", "one by one"),
        ("{% for k in note %}{{ note[k] }}{% endfor %}", "one by one"),
        ("{{ nothing }}", "no nothing"),
        ("{{ note.urgency", "not a template"),
        ("{{ note.no_such_field }}", "no_such_field"),
    ],
)
def test_a_mapping_that_would_print_what_may_not_leave_is_refused(
    desk: Callable[..., Desk], tmp_path: Path, template: str, said: str
) -> None:
    """It is found when the target is built, before any note."""
    file = tmp_path / "mapping.yaml"
    file.write_text(json.dumps({"Subject": template}))
    here = desk(crm=Desk.target(fields=["request_type", "urgency"], mapping=str(file)))
    with pytest.raises(Misconfigured, match=said) as raised:
        here.kit.check_targets(["crm"])
    assert raised.value.code == "mapping"


def test_a_mapping_for_which_the_note_has_no_value_sends_nothing(
    desk: Callable[..., Desk], tmp_path: Path
) -> None:
    """Half a sentence is no note: it waits for a person, who mends the mapping."""
    file = tmp_path / "mapping.yaml"
    file.write_text('Subject: "{{ note.next_step.text }}"')
    here = desk(crm=Desk.target(mapping=str(file)))
    call = here.done()
    here.send()
    assert (here.row(call).state, here.row(call).code) == ("refused", "mapping")


def test_a_number_in_the_metadata_does_not_slip_out_by_a_mapping(
    desk: Callable[..., Desk], tmp_path: Path
) -> None:
    """What a mapping adds to the verified note is read once more."""
    file = tmp_path / "mapping.yaml"
    file.write_text('Subject: "card 4111 1111 1111 1111 of {{ call }}"')
    here = desk(crm=Desk.target(mapping=str(file)))
    call = here.done()
    here.send()
    assert (here.row(call).state, here.row(call).code) == ("refused", "residual_personal_data")
    assert CRMS[""].calls == []


def test_a_long_text_is_shortened_between_lines_with_a_link(
    desk: Callable[..., Desk], tmp_path: Path
) -> None:
    """A field of 120 characters gets whole words and where the rest is."""
    file = tmp_path / "mapping.yaml"
    file.write_text('subject: "{{ text }}"')
    here = desk(crm=Desk.target(mapping=str(file), link="https://v.example/{call}"))
    call = here.done()
    here.send()
    (parcel,) = CRMS[""].records[call]
    subject = parcel.fields["subject"]
    assert len(subject) <= 120
    assert subject.endswith(f"[the rest: https://v.example/{call}]")
    assert subject.partition("[")[0].strip() in parcel.note["reason"]["text"] + subject


def test_a_preview_shows_what_would_be_sent_and_sends_nothing(desk: Callable[..., Desk]) -> None:
    """Before a target is switched on, people see exactly what it would get."""
    here = desk()
    call = here.done("folder:none")
    shown = here.kit.desk.preview(call, "crm")
    assert "The parcel is late." in shown.requests[0].body
    assert CRMS[""].calls == []
    assert [row.target for row in here.outbox.of(call)] == ["folder:none"]


def test_a_target_that_left_the_settings_keeps_what_waits(desk: Callable[..., Desk]) -> None:
    """Its deliveries wait, the state says why, and they go once it is back."""
    here = desk()
    call = here.done("crm", "gone")
    here.send()
    row = here.row(call, "gone")
    assert (row.state, row.code) == ("waiting", "target")
    assert here.row(call).state == "delivered"


def test_testing_a_target_leaves_nothing_behind(desk: Callable[..., Desk]) -> None:
    """Credentials, mapping, and one marked record that is made, found again and taken away."""
    here = desk()
    assert all(one.good for one in here.kit.desk.test("crm"))
    assert CRMS[""].records == {}
    CRMS[""].before = lambda parcel: Misconfigured("401", code="target_denied")
    assert [one.good for one in here.kit.desk.test("crm")][-1] is False


def test_two_couriers_deliver_each_note_once(desk: Callable[..., Desk]) -> None:
    """Threads and processes may share an outbox."""
    here = desk()
    calls = [here.done(body=f"call {n}".encode()) for n in range(10)]
    threads = [threading.Thread(target=here.send) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    here.send()
    assert sorted(CRMS[""].calls) == sorted(calls)


def test_calls_go_to_the_targets_of_their_tenant_and_queue(desk: Callable[..., Desk]) -> None:
    """Nothing of one tenant reaches another's CRM."""
    here = desk(
        crm=Desk.target(), billing=Desk.target(queues=["billing"]),
        theirs=Desk.target(tenant="acme"), asked=Desk.target(automatic=False),
    )  # fmt: skip
    targets = here.kit.targets
    assert targets.automatic("default", None) == ("crm",)
    assert targets.automatic("default", "billing") == ("billing", "crm")
    assert targets.automatic("acme", "billing") == ("theirs",)


@given(st.text(max_size=300), st.integers(1, 200), st.booleans())
def test_a_shortened_text_keeps_the_limit(text: str, limit: int, linked: bool) -> None:
    """Whatever the text is: never longer than the field, and never changed when it fits."""
    short = shortened(text, limit, "https://v.example/c1" if linked else None, "c1")
    assert len(short) <= limit
    assert short == text if len(text) <= limit else short != text


def test_earlier_calls_of_the_customer_are_a_repeated_contact(desk: Callable[..., Desk]) -> None:
    """Our own calls count, of the same customer and shortly before; others do not."""
    here = desk()
    first = here.done(body=b"1", customer_ref="A-17")
    here.done(body=b"2", customer_ref="B-18")
    third = here.done(body=b"3", customer_ref="A-17")
    register = here.kit.store.register
    assert register.earlier(first, "A-17", 14) == 0
    assert register.earlier(third, "A-17", 14) == 1
    assert register.earlier(third, "A-17", 1e-9) == 0


def test_the_crm_is_asked_for_no_more_than_the_settings_name(tmp_path: Path) -> None:
    """Allow-listed fields, the time of asking, and a CRM that is away holds nothing up."""
    CRMS.clear()
    settings = load_settings(
        None, data=tmp_path / "data", targets={"crm": Desk.target(options={"matches": True})},
        context={"target": "crm", "fields": ["open_tickets", "contract"]},
    )  # fmt: skip
    CRMS[""].match = lambda parcel: Match(
        "one",
        "by reference",
        "c",
        {"open_tickets": "3", "salary": "90000", "contract": "of john smith"},
    )
    with QuickKit(settings, Duty()) as kit:
        consulting = Consulting(kit.store.register, kit.targets, settings, kit.scrub)
        asked = recording({"customer_ref": "A-17"})
        known = consulting.look(asked, 14)
        assert known["found"] == "one"
        assert set(known["fields"]) == {"open_tickets", "contract"}
        assert "smith" not in known["fields"]["contract"]
        assert known["open_tickets"] == 3
        assert known["asked_at"]
        assert consulting.look(recording({}), 14) == {}

        def away(parcel: Parcel) -> Match:
            raise AWAY

        CRMS[""].match = away
        known = consulting.look(asked, 14)
        assert (known["found"], known["code"]) == ("no_answer", "target_unreachable")


def recording(metadata: dict[str, str]) -> Recording:
    return Recording(
        "c1", "", "", Ref("c1", "Audio", ""), 1, 8000, 1.0, "pcm", metadata, "auto", "en",
        (-20.0,), None, 3400.0,
    )  # fmt: skip
