"""Escalations as records: what a call raises, what stands open, what people are told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["reminder", "due", "overdue"]


@dataclass(frozen=True, slots=True)
class Raised:
    """A flag of a call that has ended, with what follows from it. Times are seconds, epoch."""

    rule: str
    version: int
    category: str
    severity: str
    owner: str  # who has to see to it, as the policy names them
    people: tuple[str, ...] = ()  # who is told first
    due_at: float | None = None  # None: the rule gives no time
    notice_at: float | None = None  # when they are first told; None: never
    historical: bool = False  # its time was over before it came here


@dataclass(frozen=True, slots=True)
class EscalationRow:
    """One escalation; the columns of `escalations`. Times are seconds since the epoch."""

    id: str
    call: str
    rule: str
    version: int
    category: str
    severity: str
    owner: str
    people: str  # JSON list
    revision: int
    tenant: str
    queue: str | None
    opened_at: float
    due_at: float | None
    historical: bool
    state: Literal["open", "acknowledged", "resolved"]
    code: str | None
    level: int
    notices: int
    here: int
    level_at: float | None
    last_at: float | None
    next_at: float | None
    acknowledged_by: str | None
    acknowledged_at: float | None
    acknowledge_reason: str | None
    resolved_by: str | None
    resolved_at: float | None
    resolve_reason: str | None


@dataclass(frozen=True, slots=True)
class NoticeRow:
    """One notice for one target; the columns of `notices`."""

    key: str
    escalation: str
    call: str
    level: int
    number: int
    target: str
    kind: Kind
    names: str  # JSON list
    state: Literal["waiting", "sending", "sent", "superseded", "cancelled", "refused"]
    attempts: int
    made_at: float
    next_at: float
    leased_by: str | None
    leased_until: float | None
    sent_at: float | None
    code: str | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class Step:
    """What the keeper decided about an escalation: a notice, or only when to look again."""

    next_at: float | None  # None: no further notice
    level: int = 0
    kind: Kind = "due"
    names: tuple[str, ...] = ()
    ways: tuple[str, ...] = ()  # targets; none: nothing is sent now


@dataclass(frozen=True, slots=True)
class Count:
    """How many are in one state, of one kind."""

    state: str
    category: str
    severity: str
    number: int


@dataclass(frozen=True, slots=True)
class Standing:
    """How escalations stand; those of old recordings are left out."""

    counts: Sequence[Count]  # of those that are not resolved
    late: Sequence[Count]  # of them, those whose time is over and that nobody has acknowledged
    oldest: float  # seconds for which the oldest of those has been late
    failing: int  # newest notices that were tried and are not there, or were refused

    @property
    def overdue(self) -> int:
        return sum(one.number for one in self.late)
