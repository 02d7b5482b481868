"""What people do about escalations: say that they see to one, and that it is done with.

Each act has somebody's name and reason, redacted before it is kept. Refuses to act on what is
resolved already.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from voice_pipeline.errors import BadInput
from voice_pipeline.store.escalated import EscalationRow, NoticeRow
from voice_pipeline.store.escalations import EscalationBook
from voice_pipeline.store.rows import Scope

LONGEST = 500  # letters of a reason


class EscalationDesk:
    """Escalations of one data folder, for people."""

    def __init__(self, book: EscalationBook, scrub: Callable[[str], str]) -> None:
        self._book, self._scrub = book, scrub

    def acknowledge(
        self, escalation: str, *, by: str, why: str, scope: Scope | None = None
    ) -> EscalationRow:
        """Keep that somebody sees to an escalation; nobody is told of it any more.

        Raises:
            BadInput: no such escalation in scope (`not_found`), no reason or name (`no_reason`),
                or it is acknowledged or resolved already (`not_open`).
        """
        return self._act(self._book.acknowledge, escalation, by, why, scope)

    def resolve(
        self, escalation: str, *, by: str, why: str, scope: Scope | None = None
    ) -> EscalationRow:
        """Keep that an escalation is done with.

        Raises:
            BadInput: as `acknowledge`; `not_open`: it is resolved already.
        """
        return self._act(self._book.resolve, escalation, by, why, scope)

    def _act(
        self, act: Callable[..., bool], escalation: str, by: str, why: str, scope: Scope | None
    ) -> EscalationRow:
        by, why = " ".join(by.split()), " ".join(why.split())
        if not by or not why or len(by) > 200 or len(why) > LONGEST:
            raise BadInput(
                f"say why, in at most {LONGEST} letters, and who decides", code="no_reason"
            )
        self._book.get(escalation, scope)
        if not act(escalation, by=by, why=self._scrub(why)):
            row = self._book.get(escalation, scope)
            raise BadInput(f"escalation {escalation} is {row.state} already", code="not_open")
        return self._book.get(escalation, scope)


def escalation_json(row: EscalationRow, now: float) -> dict[str, Any]:
    """Return an escalation as JSON values; no content of the call is in it."""
    late = row.due_at is not None and row.due_at < now and not row.historical
    return {
        "id": row.id,
        "call_id": row.call,
        "revision": row.revision,
        "rule": row.rule,
        "version": row.version,
        "category": row.category,
        "severity": row.severity,
        "owner": row.owner,
        "queue": row.queue,
        "state": row.state,
        "code": row.code,
        "opened_at": _time(row.opened_at),
        "due_at": _time(row.due_at),
        "overdue": late and row.state == "open",
        "historical": bool(row.historical),
        "level": row.level,
        "notices": row.notices,
        "last_notice_at": _time(row.last_at),
        "next_notice_at": _time(row.next_at),
        "acknowledged_by": row.acknowledged_by,
        "acknowledged_at": _time(row.acknowledged_at),
        "acknowledge_reason": row.acknowledge_reason,
        "resolved_by": row.resolved_by,
        "resolved_at": _time(row.resolved_at),
        "resolve_reason": row.resolve_reason,
    }


def notice_json(row: NoticeRow) -> dict[str, Any]:
    """Return a notice as JSON values."""
    return {
        "number": row.number,
        "level": row.level,
        "kind": row.kind,
        "names": json.loads(row.names),
        "target": row.target,
        "state": row.state,
        "attempts": row.attempts,
        "made_at": _time(row.made_at),
        "sent_at": _time(row.sent_at),
        "code": row.code,
        "reason": row.reason,
    }


def _time(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
