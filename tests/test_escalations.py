"""Escalations in time: told once, by the due time, up a level, never in the night, and stopped."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from crm import CRMS

from voice_pipeline.config import load_settings
from voice_pipeline.delivery.targets import Targets
from voice_pipeline.errors import BadInput, Misconfigured, Permanent, Retryable
from voice_pipeline.escalating.desk import EscalationDesk
from voice_pipeline.escalating.keeper import Keeper
from voice_pipeline.policy.load import load_pack
from voice_pipeline.policy.notify import Notify
from voice_pipeline.ports import Parcel
from voice_pipeline.store import Store
from voice_pipeline.store.escalated import Count, EscalationRow, NoticeRow, Raised
from voice_pipeline.store.rows import Admission, Revision, Scope

HOUR, DAY = 3600.0, 86_400.0
WHO = {"by": "M. Lee", "why": "seen to"}
OWNERS = {
    "lead": {"ways": ["mail"], "up": "manager"},
    "manager": {"ways": ["chat"], "up": "director"},
    "director": {"ways": ["mail"]},
    "silent": {"up": "manager"},
    "nobody": {},
}


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo("UTC")).timestamp()


MORNING = at("2026-11-26T09:00")  # a Thursday


@dataclass
class Place:
    """A store with a clock that stands still, two ways to tell people, and a keeper."""

    store: Store
    targets: Targets
    time: list[float]
    notify: Notify

    @property
    def keeper(self) -> Keeper:
        return Keeper(self.store, self.targets, lambda: self.notify, "me")

    def raise_(self, call: str = "c1", rule: str = "fraud", **given: Any) -> EscalationRow:
        """End a call, or another revision of it, that raises one flag."""
        self.end(call, [flag(rule, **given)])
        return self.row(call, rule)

    def end(self, call: str, flags: list[Raised] | None) -> None:
        register = self.store.register
        if register.get(call) is None:
            self.store.open_call(call)
            register.admit(Admission(call, "sha", "p", metadata={"queue": "billing"}))
        run = f"{call}.{len(register.revisions(call))}"
        register.end(
            Revision(call, 0, "p", run, "done", "{}", self.time[0]),
            also=lambda db: self.store.escalations.follow(db, call, flags or []),
        )

    def row(self, call: str = "c1", rule: str = "fraud") -> EscalationRow:
        rows = self.store.escalations.find(None, equal={"call": call, "rule": rule})
        return rows[0]

    def pass_(self, seconds: float, every: float = HOUR) -> None:
        """Let time pass, with a look each hour."""
        end = self.time[0] + seconds
        while self.time[0] < end:
            self.time[0] = min(end, self.time[0] + every)
            self.keeper.look()

    def told(self, way: str | None = None) -> list[Parcel]:
        ways = [way] if way else ["mail", "chat"]
        return [one for name in ways for kept in CRMS[name].records.values() for one in kept]

    def kinds(self, way: str | None = None) -> list[str]:
        return [one.fields["kind"] for one in self.told(way)]

    def events(self) -> list[str]:
        found = self.store.register.events(Scope())
        return [one.type for one in found if one.type.startswith("escalation")]


def flag(rule: str = "fraud", **given: Any) -> Raised:
    values = {
        "rule": rule, "version": 1, "category": rule, "severity": "high", "owner": "lead",
        "people": ("lead",), "due_at": MORNING + 4 * HOUR, "notice_at": MORNING + 2 * HOUR,
    }  # fmt: skip
    return Raised(**values | given)


@pytest.fixture
def place(tmp_path: Path, database: str | None) -> Iterator[Place]:
    CRMS.clear()
    made = make(tmp_path, database)
    yield made
    made.store.close()


def make(folder: Path, database: str | None = None, **given: Any) -> Place:
    store, time = Store(folder / "data", database=database), [MORNING]
    store.escalations.clock = lambda: time[0]
    ways = {
        name: {"use": "crm:create", "options": {"at": name, "notices": True},
               "link": "https://voice.example/calls/{call}"}
        for name in ("mail", "chat")
    }  # fmt: skip
    settings = load_settings(None, data=folder / "data", targets=ways)
    return Place(store, Targets(settings), time, notify(**given))


def notify(**given: Any) -> Notify:
    return Notify.model_validate({"owners": OWNERS, **given})


def test_the_owner_is_told_before_the_time_at_the_time_and_again(place: Place) -> None:
    """A reminder, then `due`, then `overdue`, each once however often one looks."""
    row = place.raise_()
    assert (row.state, row.level, row.owner) == ("open", 0, "lead")
    place.pass_(2 * HOUR - 60, every=600)
    assert place.told() == []
    place.pass_(60)
    assert place.kinds() == ["reminder"]
    place.pass_(2 * HOUR, every=60)
    assert place.kinds() == ["reminder", "due"]
    place.pass_(4 * HOUR, every=60)
    assert place.kinds() == ["reminder", "due", "overdue"]
    assert {one.number for one in place.told()} == {1, 2, 3}
    assert len({one.key for one in place.told()}) == 3


def test_a_notice_holds_no_content(place: Place) -> None:
    """Call, category, severity, time and a link: no note, no word of the call."""
    row = place.raise_()
    place.pass_(2 * HOUR)
    (parcel,) = place.told()
    assert (parcel.event, dict(parcel.note), dict(parcel.metadata)) == ("escalation.due", {}, {})
    assert parcel.fields["subject"] == (
        "Due soon: fraud (high), due 2026-11-26T13:00:00+00:00"
    )  # fmt: skip
    assert parcel.link == "https://voice.example/calls/c1"
    assert row.id in parcel.fields["text"] and "c1" in parcel.fields["text"]


def test_nobody_acknowledges_and_it_goes_up_and_up(place: Place) -> None:
    """Lead, manager, director, each with the time to acknowledge; then the director again."""
    place.raise_()
    place.pass_(4 * HOUR + 8 * HOUR - 1)
    assert {one.fields["names"] for one in place.told()} == {"lead"}
    place.pass_(1)
    assert place.row().level == 1
    assert [one.fields["names"] for one in place.told("chat")] == ["manager"]
    place.pass_(8 * HOUR)
    assert place.row().level == 2
    assert place.told("mail")[-1].fields["names"] == "director"
    assert place.events() == ["escalation.opened", *["escalation.raised_a_level"] * 2]
    place.pass_(30 * DAY, every=4 * HOUR)
    row = place.row()
    assert (row.level, row.here, row.next_at) == (2, 12, None)  # from then on it is listed
    assert place.store.escalations.standing().overdue == 1


def test_acknowledged_is_the_end_of_notices(place: Place) -> None:
    """Who, when and why are kept; nobody is told any more, and it stays until it is resolved."""
    row, book = place.raise_(), place.store.escalations
    desk = EscalationDesk(book, lambda text: text.replace("Lee", "[PERSON]"))
    place.pass_(5 * HOUR)
    before = len(place.told())
    place.keeper.decide()  # written down and not yet sent
    row = desk.acknowledge(row.id, by="M. Lee", why="asked Lee")
    assert (row.state, row.acknowledged_by, row.acknowledge_reason) == (
        "acknowledged", "M. Lee", "asked [PERSON]",
    )  # fmt: skip
    place.pass_(10 * DAY)
    assert len(place.told()) == before
    with pytest.raises(BadInput) as raised_:
        desk.acknowledge(row.id, **WHO)
    assert raised_.value.code == "not_open"
    assert desk.resolve(row.id, **WHO).state == "resolved"
    with pytest.raises(BadInput):
        desk.resolve(row.id, **WHO)
    with pytest.raises(BadInput) as raised_:
        desk.resolve(row.id, by="", why="x")
    assert raised_.value.code == "no_reason"
    assert place.events() == ["escalation.opened", "escalation.acknowledged",
                              "escalation.resolved"]  # fmt: skip


def test_what_was_acknowledged_before_it_was_sent_is_called_off(place: Place) -> None:
    """A notice that was written down for somebody who has just answered is dropped."""
    row = place.raise_()
    place.time[0] += 2 * HOUR
    assert place.keeper.decide() == 1
    place.store.escalations.acknowledge(row.id, **WHO)
    assert place.keeper.send() == 0
    assert place.told() == []
    assert [one.state for one in place.store.escalations.notices(row.id)] == ["cancelled"]


def test_nobody_is_woken_but_for_danger_to_life(place: Place) -> None:
    """Quiet hours hold back everything else until the morning, over the weekend too."""
    place.notify = notify(quiet={"from": "20:00", "to": "08:00", "days_off": True},
                          at_any_hour=["fraud"])  # fmt: skip
    place.time[0] = at("2026-11-27T20:30")  # a Friday
    late = {"due_at": place.time[0], "notice_at": place.time[0]}
    for rule in ("complaint", "fraud", "safety_of_life"):
        place.raise_(rule, rule, **late)
    place.keeper.look()
    assert {one.fields["category"] for one in place.told()} == {"fraud", "safety_of_life"}
    place.pass_(3 * DAY, every=HOUR / 2)
    complaints = [one for one in place.told() if one.fields["category"] == "complaint"]
    assert next(one.at for one in complaints) == "2026-11-30T08:00:00+00:00"


def test_a_notice_that_fails_until_the_evening_waits_for_the_morning(place: Place) -> None:
    """Trying again does not wake anybody either."""
    place.notify = notify(quiet={"from": "20:00", "to": "08:00"},
                          owners={"lead": {"ways": ["mail"]}})  # fmt: skip
    place.time[0] = at("2026-11-26T19:59")
    CRMS["mail"].before = lambda parcel: Retryable("down", code="target_unreachable")
    row = place.raise_("c1", "complaint", due_at=place.time[0], notice_at=place.time[0])
    place.keeper.look()
    CRMS["mail"].before = lambda parcel: None
    place.pass_(12 * HOUR, every=600)
    assert place.told() == []
    place.pass_(120, every=60)
    assert place.kinds() == ["overdue"]
    told = place.store.escalations.notices(row.id)
    assert [one.state for one in told] == ["superseded", "sent"]


def test_a_target_that_was_down_gets_one_notice_and_not_all_that_were_missed(
    place: Place,
) -> None:
    """After a day of failing: one notice an escalation and target, the newest."""
    place.notify = notify(owners={"lead": {"ways": ["mail"]}})
    CRMS["mail"].before = lambda parcel: Retryable("down", code="target_unreachable")
    rows = [place.raise_(f"c{n}") for n in range(3)]
    place.pass_(DAY)
    assert place.store.escalations.standing().failing == 3
    CRMS["mail"].before = lambda parcel: None
    place.pass_(600, every=300)
    assert len(place.told()) == 3
    states = [one.state for one in place.store.escalations.notices(rows[0].id)]
    assert states[-1] == "sent" and set(states[:-1]) == {"superseded"}


def test_a_keeper_that_slept_for_days_tells_once(place: Place) -> None:
    """Late ones are sent at once, one each; what was missed is not made up."""
    place.raise_()
    place.time[0] += 6 * DAY
    for _ in range(5):
        place.keeper.look()
    assert place.kinds() == ["due"]


def test_what_is_months_late_when_it_comes_is_only_listed(place: Place) -> None:
    """A pack that is given ways after a year does not send a year's notices."""
    place.raise_()
    place.time[0] += 31 * DAY
    place.keeper.look()
    assert place.told() == []
    assert place.row().next_at is None
    assert place.store.escalations.find(None, overdue=True)


def test_a_clock_that_jumps_sends_nothing_twice_and_stops_nothing(place: Place) -> None:
    """A year ahead and back: the owner is told within the time that notices repeat in."""
    place.raise_()
    place.pass_(5 * HOUR)
    sent = place.kinds()
    place.time[0] += 365 * DAY
    place.keeper.look()
    place.time[0] -= 365 * DAY
    place.keeper.look()
    assert len(place.kinds()) == len(sent) + 1
    place.pass_(5 * HOUR, every=600)
    assert len(place.kinds()) >= len(sent) + 2
    assert len({one.key for one in place.told()}) == len(place.told())
    place.pass_(DAY)
    assert place.row().level == 2


def test_owners_without_a_way_are_passed_over(place: Place) -> None:
    """Somebody who cannot be reached is no dead end: the next above is told; else it is listed."""
    place.raise_("c1", owner="silent", people=("silent",))
    place.raise_("c2", owner="nobody", people=("nobody", "stranger"))
    place.pass_(2 * HOUR)
    assert [(one.call, one.fields["names"]) for one in place.told()] == [("c1", "manager")]
    assert place.row("c2").notices == 0
    place.notify = notify(fallback="director")
    place.pass_(2 * HOUR)
    assert ("c2", "director") in [(one.call, one.fields["names"]) for one in place.told()]


def test_without_ways_nothing_is_sent_and_all_is_listed(place: Place) -> None:
    """The shipped pack: due times, no notices."""
    place.notify = load_pack().notify
    place.raise_()
    place.pass_(2 * DAY)
    assert place.told() == []
    assert place.row().notices == 0
    assert len(place.store.escalations.find(None, overdue=True)) == 1


def test_a_target_that_takes_no_notices_is_said_so(place: Place, tmp_path: Path) -> None:
    """A CRM for notes, an unknown name, a refusal and a pause: the reason stands at the notice."""
    ways = {"notes": {"use": "crm:create", "options": {"at": "notes"}}}
    settings = load_settings(None, data=tmp_path / "data", targets=ways)
    place.targets = Targets(settings)
    place.notify = notify(owners={"lead": {"ways": ["notes", "gone"]}})
    assert place.keeper.unknown_ways() == ["gone"]
    row = place.raise_()
    place.pass_(2 * HOUR)
    told = place.store.escalations.notices(row.id)
    assert {(one.target, one.state, one.code) for one in told} == {
        ("notes", "waiting", "no_notices"), ("gone", "waiting", "target"),
    }  # fmt: skip


def test_refusals_and_pauses(place: Place) -> None:
    """What a target refuses is not tried again; what a person paused waits for them."""
    CRMS["mail"].before = lambda parcel: Permanent("no such channel", code="target_refused")
    row = place.raise_()
    place.pass_(2 * HOUR)
    (one,) = place.store.escalations.notices(row.id)
    assert (one.state, one.code, one.reason) == ("refused", "target_refused", "no such channel")
    assert place.store.escalations.standing().failing == 1
    CRMS["mail"].before = lambda parcel: None
    place.store.outbox.pause("mail", by="lee", why="moving")
    place.pass_(2 * HOUR)
    assert place.told() == []
    place.store.outbox.resume("mail")
    place.pass_(120, every=60)
    assert place.kinds() == ["due"]


def test_a_rerun_closes_what_it_no_longer_raises_and_says_so(place: Place) -> None:
    """Never silently: an event with the reason; what it still raises keeps what people decided."""
    place.end("c1", [flag("fraud"), flag("complaint"), flag("legal_threat")])
    book = place.store.escalations
    book.acknowledge(place.row(rule="complaint").id, **WHO)
    place.pass_(2 * HOUR)
    place.end("c1", [flag("fraud"), flag("complaint", severity="critical")])
    gone, kept = place.row(rule="legal_threat"), place.row(rule="complaint")
    assert (gone.state, gone.code, gone.next_at) == ("resolved", "no_longer_raised", None)
    assert (kept.state, kept.severity, kept.revision) == ("acknowledged", "critical", 2)
    assert place.row().notices == 1
    event = place.store.register.events(Scope())[-1]
    assert event.type == "escalation.resolved"
    assert json.loads(event.data)["code"] == "no_longer_raised"
    place.pass_(3 * DAY)
    assert not [one for one in place.told() if one.fields["category"] == "complaint"]
    place.end("c1", [flag("legal_threat", notice_at=place.time[0], due_at=place.time[0])])
    again = place.row(rule="legal_threat")
    assert (again.state, again.code) == ("open", None)
    number = again.notices
    place.keeper.look()
    assert place.row(rule="legal_threat").notices == number + 1


def test_a_held_rerun_leaves_what_stands(place: Place) -> None:
    """A run that came to no note knows nothing of flags, so it closes none."""
    place.raise_()
    place.store.register.end(Revision("c1", 0, "p", "other", "held", "{}", 1.0))
    assert place.row().state == "open"


def test_old_recordings_wake_nobody(place: Place) -> None:
    """Their due times are kept and marked; they are not overdue, and nobody is told."""
    place.raise_(historical=True, notice_at=None)
    place.pass_(2 * DAY)
    assert place.told() == []
    assert place.row().due_at == MORNING + 4 * HOUR
    standing = place.store.escalations.standing()
    assert (standing.overdue, standing.oldest, list(standing.counts)) == (0, 0.0, [])


def test_what_is_counted(place: Place) -> None:
    """By state, category and severity; overdue and since when."""
    place.raise_("c1")
    place.raise_("c2")
    place.raise_("c3", "complaint", due_at=None, notice_at=None)
    place.store.escalations.acknowledge(place.row("c2").id, **WHO)
    place.time[0] += 6 * HOUR
    standing = place.store.escalations.standing()
    counts = {(one.state, one.category): one.number for one in standing.counts}
    assert counts == {("open", "fraud"): 1, ("acknowledged", "fraud"): 1,
                      ("open", "complaint"): 1}  # fmt: skip
    assert (standing.overdue, standing.oldest) == (1, 2 * HOUR)
    assert list(standing.late) == [Count("open", "fraud", "high", 1)]


def test_each_sees_their_own(place: Place) -> None:
    """Another tenant's or queue's escalations do not exist."""
    row, book = place.raise_(), place.store.escalations
    assert book.get(row.id, Scope(queues=frozenset({"billing"}))).id == row.id
    for scope in (Scope("other"), Scope(queues=frozenset({"claims"}))):
        assert book.find(scope) == []
        with pytest.raises(BadInput):
            book.get(row.id, scope)


def test_an_erased_call_has_no_escalations(place: Place) -> None:
    """Rows and notices go, and a keeper that looked before does nothing after."""
    row, book = place.raise_(), place.store.escalations
    place.time[0] += 2 * HOUR
    keeper = place.keeper
    keeper.decide()
    place.store.erase("c1", "e1")
    assert place.store.eraser.remains("c1") == []
    assert keeper.look() == 0
    assert place.told() == []
    place.raise_("c2")
    keeper.decide()
    (taken,) = book.claim("me", lease=60.0, limit=5)
    place.store.erase("c2", "e2")
    assert not keeper._send(taken, place.notify, {})
    assert place.told() == []
    assert (book.find(None), book.notices(row.id)) == ([], [])


def test_levels_are_who_stands_above_whom() -> None:
    """Those without a way are passed over; a circle ends."""
    found = notify().levels(["silent"])
    assert [one.names for one in found] == [("manager",), ("director",)]
    circle = Notify.model_validate({"owners": {"a": {"ways": ["x"], "up": "b"},
                                               "b": {"ways": ["y"], "up": "a"}}})  # fmt: skip
    assert [one.names for one in circle.levels(["a"])] == [("a",), ("b",)]


def test_a_targets_mistake_is_not_the_notices_end(place: Place) -> None:
    """Credentials that are mended within the quarter of an hour: it arrives."""
    CRMS["mail"].before = lambda parcel: Misconfigured("401", code="target_denied")
    place.raise_()
    place.pass_(2 * HOUR)
    CRMS["mail"].before = lambda parcel: None
    place.pass_(901, every=300)
    assert place.kinds() == ["reminder"]


def test_two_keepers_tell_once(place: Place) -> None:
    """Two processes look at the same moment: one of them decides."""
    place.raise_()
    place.time[0] += 2 * HOUR
    first, second = place.keeper, place.keeper
    (row,) = place.store.escalations.due(10)
    assert first.decide() == 1
    assert second.decide() == 0
    from voice_pipeline.escalating.timing import next_step

    step = next_step(row, place.notify, place.time[0])
    assert not place.store.escalations.step(row, replace(step))
    assert first.send() + second.send() == 1


def test_a_lease_that_ran_out_is_not_ours(place: Place) -> None:
    """A process that hung cannot say how a notice ended that another has sent meanwhile."""
    place.raise_()
    place.time[0] += 2 * HOUR
    place.keeper.decide()
    book = place.store.escalations
    (mine,) = book.claim("me", lease=60.0, limit=5)
    assert book.claim("other", lease=60.0, limit=5) == []
    place.time[0] += 61
    (theirs,) = book.claim("other", lease=60.0, limit=5)
    assert isinstance(theirs, NoticeRow) and theirs.attempts == 2
    assert not book.sent(mine)
    assert book.sent(theirs)
