"""Rows of the register as records: calls, revisions, events, and whose of them may be seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose calls may be seen: one tenant's, of some queues or of all."""

    tenant: str = "default"
    queues: frozenset[str] | None = None  # None: every queue


@dataclass(frozen=True, slots=True)
class CallRow:
    """A call as the register has it; the columns of `calls` without its key."""

    call: str
    received_sha256: str | None
    received_at: float  # seconds since the epoch
    tenant: str
    status: str
    version: int
    plan: str | None
    run: str | None
    attempt: int
    targets: str
    revision: int
    backfill: bool
    name: str | None
    sha256: str | None
    size: int | None
    queue: str | None
    agent: str | None
    team: str | None
    customer_ref: str | None
    call_ref: str | None
    started_at: str | None
    phone_key: str | None
    uploaded_by: str | None
    duplicate_of: str | None
    duration: float | None
    ended_at: float | None
    code: str | None
    detail: str | None
    request_type: str | None
    urgency: str | None
    flags: str | None
    warnings: str | None
    review: str | None
    trace: str | None


@dataclass(frozen=True, slots=True)
class Revision:
    """One way in which a call ended."""

    call: str
    number: int
    plan: str
    run: str
    status: str
    outcome: str  # JSON of the pipeline's Outcome
    made_at: float


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a call."""

    number: int
    tenant: str
    queue: str | None
    type: str
    call: str
    at: float
    data: str  # JSON


@dataclass(frozen=True, slots=True)
class Admission:
    """A recording that was handed in, as it enters the register."""

    call: str
    received_sha256: str
    plan: str
    targets: Sequence[str] = ()
    tenant: str = "default"
    name: str = ""
    sha256: str = ""
    size: int = 0
    metadata: Mapping[str, str] = field(default_factory=dict)
    uploaded_by: str | None = None
    backfill: bool = False
    key: str | None = None  # sha256 of the Idempotency-Key
    fingerprint: str = ""
    once: bool = False  # bytes that the tenant handed in before make no second call
    trace: str | None = None  # W3C traceparent of the upload
