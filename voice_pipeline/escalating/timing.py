"""When the next notice of an escalation is due, to whom, and when it goes up a level. No clock.

Before the due time a reminder, at the due time, then again and again; up a level when nobody has
acknowledged in time. However late one looks, one notice follows: what was missed is not made up.
"""

from __future__ import annotations

import json

from voice_pipeline.policy.notify import Notify, seconds
from voice_pipeline.store.escalated import EscalationRow, Kind, Step

LOOK_AGAIN = 3600.0  # seconds, where nobody could be told


def next_step(row: EscalationRow, notify: Notify, now: float) -> Step:
    """Say what follows for an open escalation at a moment.

    Args:
        row: the escalation.
        notify: who is told, and when.
        now: seconds since the epoch.
    """
    levels = notify.levels(json.loads(row.people))
    if row.due_at is None or row.historical:
        return Step(None, row.level)
    if not levels:
        return Step(now + LOOK_AGAIN, row.level)
    free = notify.ignores_quiet(row.category)
    if row.last_at is not None and row.last_at > now:  # told before the clock was put back
        return Step(_allowed(now + seconds(notify.repeat_every), notify, free=free), row.level)
    allowed = _allowed(now, notify, free=free)
    if allowed > now:
        return Step(allowed, row.level)
    if not row.notices and now > row.due_at + seconds(notify.stale_after):
        return Step(None, row.level)
    level, here, since = min(row.level, len(levels) - 1), row.here, row.level_at
    rise = _rise(since, row.due_at, notify)
    if here and level + 1 < len(levels) and now >= rise:
        level, here, since = level + 1, 0, None
    if here >= notify.most_notices:
        later = rise if level + 1 < len(levels) else None
        return Step(later, level)
    to = levels[level]
    since = since if since is not None else now
    following = _following(row.due_at, since, notify, now, top=level + 1 == len(levels))
    last = here + 1 >= notify.most_notices and level + 1 == len(levels)
    return Step(
        None if last else _allowed(following, notify, free=free),
        level,
        _kind(row, now),
        to.names,
        to.ways,
    )


def _following(due: float, since: float, notify: Notify, now: float, *, top: bool) -> float:
    """Return when to look next after a notice that is sent now."""
    if now < due:
        return due
    again = now + seconds(notify.repeat_every)
    rise = _rise(since, due, notify)
    return again if top or rise <= now else min(again, rise)


def _rise(since: float | None, due: float, notify: Notify) -> float:
    """Return when a level's time to acknowledge is over."""
    return max(due, since if since is not None else due) + seconds(notify.acknowledge_within)


def _kind(row: EscalationRow, now: float) -> Kind:
    assert row.due_at is not None
    if now < row.due_at:
        return "reminder"
    told = row.last_at is not None and row.last_at >= row.due_at
    return "overdue" if told else "due"


def _allowed(at: float, notify: Notify, *, free: bool) -> float:
    return at if free else notify.calendar.next_allowed(at)
