"""What follows from the flags of a call that has ended: whose they are, and by when.

Times count from the end of the call where its start is known, else from its arrival. Refuses to
wake anybody over a recording from the past.
"""

from __future__ import annotations

from datetime import datetime, timedelta, tzinfo

from voice_pipeline.domain import CaseNote, Escalation, Recording
from voice_pipeline.policy.notify import Notify, seconds
from voice_pipeline.policy.pack import Pack
from voice_pipeline.store.escalated import Raised


def raised(
    note: CaseNote, recording: Recording, pack: Pack, *, arrived: float, backfill: bool
) -> tuple[Raised, ...]:
    """Return what a call raises.

    Args:
        note: as released.
        recording: with the call's metadata and length.
        pack: says who is who, and which days and hours are worked.
        arrived: when the recording came, seconds since the epoch.
        backfill: it is an old recording.
    """
    began = recording.metadata.get("started_at", "")
    ended = _ended(began, recording.duration, arrived, pack.notify.calendar.zone)
    return tuple(_raised(flag, pack, ended, backfill=backfill) for flag in note.escalations)


def _raised(flag: Escalation, pack: Pack, ended: float, *, backfill: bool) -> Raised:
    queue, due = flag.action.get("queue"), flag.action.get("due")
    told = tuple(flag.action.get("notify") or ())
    owner = told[0] if told else pack.queue_owner(queue or "") or pack.rule_owner(flag.rule)
    owner = owner or pack.queue_owner(pack.routing.fallback)
    due_at = pack.notify.calendar.due_at(due, ended) if due else None
    historical = backfill or bool(flag.action.get("historical"))
    first = None
    if due_at is not None and not historical:
        first = _first(flag.category, due_at, ended, pack.notify)
    return Raised(
        rule=flag.rule, version=flag.version, category=flag.category, severity=flag.severity,
        owner=owner, people=told or (owner,), due_at=due_at, notice_at=first,
        historical=historical,
    )  # fmt: skip


def _first(category: str, due: float, ended: float, notify: Notify) -> float:
    """Return when somebody is first told: in time, so before the quiet hours in which it is due."""
    ahead, calendar = seconds(notify.remind_before), notify.calendar
    first = max(ended, due - ahead)
    if not notify.ignores_quiet(category) and calendar.next_allowed(first) > due:
        first = max(ended, calendar.quiet_since(first) - ahead)
    return first


def _ended(began: str, duration: float, arrived: float, zone: tzinfo) -> float:
    """Return when a call ended; a date alone, or a time that cannot be right, says nothing."""
    if "T" not in began.upper() and " " not in began.strip():
        return arrived
    try:
        start = datetime.fromisoformat(began.strip())
        if start.tzinfo is None:
            start = start.replace(tzinfo=zone)
        ended = (start + timedelta(seconds=duration)).timestamp()
    except (ValueError, OverflowError):
        return arrived
    return ended if 0 < ended <= arrived else arrived
