"""What follows from a call's flags: whose they are, by when, and when somebody is first told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from test_escalations import DAY, MORNING, at

from voice_pipeline import domain as d
from voice_pipeline.escalating.raising import raised
from voice_pipeline.policy.load import load_pack
from voice_pipeline.store.escalated import Raised


def noted(category: str, **action: Any) -> d.CaseNote:
    """An invented note with one flag."""
    flag_ = d.Escalation(
        "rule", 1, category, "high", "why", (), {},
        {"queue": "fraud", "due": "1 working day", "notify": [], **action},
    )  # fmt: skip
    return d.CaseNote(
        "c1", "done", d.RequestType("fraud", 0.9, "auto"), "high", None, (), (), (), (),
        d.CallOutcome("unresolved", ()), (), (), {}, {}, escalations=(flag_,),
    )  # fmt: skip


def taken(**metadata: str) -> d.Recording:
    audio: d.Ref[d.Audio] = d.Ref("c1", "Audio", "0")
    return d.Recording("c1", "0", "a.wav", audio, 1, 8000, 600.0, "pcm", metadata, "auto", "",
                       (-20.0,), None, 3400.0)  # fmt: skip


def of(category: str = "complaint", *, meta: Mapping[str, str] | None = None,
       backfill: bool = False, **action: Any) -> Raised:  # fmt: skip
    pack = load_pack()
    (found,) = raised(noted(category, **action), taken(**(meta or {})), pack,
                      arrived=MORNING, backfill=backfill)  # fmt: skip
    return found


def test_whose_it_is_and_by_when() -> None:
    """Whoever the rule names; else the queue's owner; times from the call's end or its arrival."""
    assert of(notify=["legal counsel", "compliance"]).owner == "legal counsel"
    assert of(notify=["legal counsel", "compliance"]).people == ("legal counsel", "compliance")
    assert of().owner == "fraud team lead"
    assert of(queue=None).owner == "service team lead"
    assert of().due_at == MORNING + DAY
    assert of(due="30 minutes").due_at == MORNING + 1800
    assert of(due=None).due_at is None and of(due=None).notice_at is None
    began = {"started_at": "2026-11-26T07:00:00+00:00"}
    assert of(due="4 hours", meta=began).due_at == at("2026-11-26T11:10")
    for useless in ("2026-11-20", "2027-01-01T00:00:00+00:00", "soon T",
                    "9999-12-31T23:59:59", "0001-01-01T00:00:00"):  # fmt: skip
        assert of(due="at once", meta={"started_at": useless}).due_at == MORNING


def test_what_is_due_in_quiet_hours_is_told_before_them() -> None:
    """Due at 07:10 and quiet until 08:00: the owner hears of it the evening before."""
    began = {"started_at": "2026-11-25T15:00:00+00:00"}
    found = of("complaint", due="16 hours", meta=began)
    assert found.due_at == at("2026-11-26T07:10")
    assert found.notice_at == pytest.approx(at("2026-11-25T18:00"), abs=1)
    safe = of("safety_of_life", due="16 hours", meta=began)
    assert safe.notice_at == at("2026-11-26T05:10")


def test_an_old_recording_raises_history() -> None:
    """By the flag of its metadata or of its upload: a due time, and no notice."""
    for found in (of(historical=True), of(backfill=True)):
        assert found.historical and found.notice_at is None and found.due_at is not None
