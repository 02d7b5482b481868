"""Escalations as people act on them, and the notices that tell them: who, when, how often, done?

A row is made in the transaction that ends a call, a notice in the one that decides to send it, and
sent afterwards: whoever is killed in between sends it later, and nobody sends it twice. Holds
names of the policy, codes and times; refuses to act on what a person has resolved.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from voice_pipeline.errors import BadInput, Permanent
from voice_pipeline.store.database import add_new, deciding
from voice_pipeline.store.escalated import (
    Count,
    EscalationRow,
    NoticeRow,
    Raised,
    Standing,
    Step,
)
from voice_pipeline.store.kept import check_kept
from voice_pipeline.store.register import Register
from voice_pipeline.store.rows import Scope
from voice_pipeline.store.tables import calls, escalations, notices

GONE = "no_longer_raised"  # a newer revision of the call does not raise it
DECIDING = "escalations"  # one decides about notices at a time
AHEAD = (
    60.0  # seconds; a notice further in the future than that was sent before the clock went back
)
# The words of indexes.
OPEN = sa.text("state = 'open'")
UNRESOLVED = sa.text("state <> 'resolved'")
REFUSED = "escalations.state = 'open' and notices.state = 'refused'"
UNDER_WAY = sa.text("state in ('waiting', 'sending')")


class EscalationBook:
    """The escalations of one database. Safe for several processes at once."""

    def __init__(
        self, database: sa.Engine, register: Register, clock: Callable[[], float] = time.time
    ) -> None:
        self._database, self._register, self.clock = database, register, clock

    # ------------------------------------------------------------ a call ends

    def follow(self, db: sa.Connection, call: str, raised: Sequence[Raised]) -> None:
        """Bring a call's rows up to what its newest revision raises, in the ending transaction.

        What a person has acknowledged or resolved stays so; what is no longer raised is closed,
        with an event that says so.
        """
        of_call = db.execute(
            sa.select(calls.c.tenant, calls.c.queue, calls.c.revision).where(calls.c.call == call)
        ).one()
        known = {(row.rule, row.category): row for row in self._of(db, call)}
        for one in raised:
            row = known.pop((one.rule, one.category), None)
            values = {
                "version": one.version, "severity": one.severity, "owner": one.owner,
                "people": json.dumps(list(one.people)), "due_at": one.due_at,
                "historical": one.historical, "revision": of_call.revision,
                "tenant": of_call.tenant, "queue": of_call.queue,
            }  # fmt: skip
            if row is not None and row.code != GONE:
                if row.state == "open" and not row.notices:
                    values["next_at"] = one.notice_at
                self._set(db, row.id, values)
                continue
            fresh = {
                "state": "open", "code": None, "level": 0, "here": 0, "level_at": None,
                "opened_at": self.clock(), "next_at": one.notice_at, "resolved_at": None,
                "acknowledged_by": None, "acknowledged_at": None, "acknowledge_reason": None,
            }  # fmt: skip
            if row is not None:
                self._set(db, row.id, values | fresh)
            else:
                made = {"id": _hash(call, one.rule, one.category), "call": call, "rule": one.rule,
                        "category": one.category, "notices": 0}  # fmt: skip
                db.execute(escalations.insert().values(values | fresh | made))
            self._tell(db, _hash(call, one.rule, one.category), "opened")
        for row in known.values():
            if row.state != "resolved":
                self._set(db, row.id, {"state": "resolved", "code": GONE, "next_at": None,
                                       "resolved_at": self.clock()})  # fmt: skip
                self._call_off(db, row.id)
                self._tell(db, row.id, "resolved", code=GONE)

    # ------------------------------------------------------------ notices

    def due(self, limit: int) -> list[EscalationRow]:
        """Return open escalations whose next notice is due, or was sent in a future that is not.

        The second is so when a clock that was ahead was put right.
        """
        now = self.clock()
        e = escalations.c
        query = sa.select(*_columns()).where(
            OPEN, (e.next_at <= now) | (e.next_at.is_not(None) & (e.last_at > now + AHEAD))
        )
        with self._database.connect() as db:
            return [_row(row) for row in db.execute(query.order_by(e.next_at).limit(limit))]

    def step(self, row: EscalationRow, step: Step) -> bool:
        """Decide about an escalation's next notice, and write it down before it is sent.

        What waits for the same target and was not sent yet gives way to it.

        Args:
            row: the escalation as it was looked at.
            step: what follows.

        Returns:
            Whether that came about: not if anybody did something about it meanwhile.
        """
        now = self.clock()
        try:
            with deciding(self._database, DECIDING) as db:
                check_kept(db, row.call)
                values: dict[str, Any] = {"next_at": step.next_at, "last_at": row.last_at}
                if step.ways:
                    up = step.level != row.level
                    values |= {
                        "level": step.level, "notices": row.notices + 1, "last_at": now,
                        "here": 1 if up else row.here + 1,
                        "level_at": now if up or row.level_at is None else row.level_at,
                    }  # fmt: skip
                elif row.last_at is not None:  # no moment of a future that is none any more
                    values["last_at"] = min(row.last_at, now)
                    values["level_at"] = min(row.level_at or now, now)
                e = escalations.c
                seen = (e.id == row.id) & (e.state == "open") & (e.notices == row.notices)
                same = seen & (e.level == row.level) & (e.next_at == row.next_at)
                if not db.execute(escalations.update().where(same).values(values)).rowcount:
                    return False
                for way in step.ways:
                    self._put_in(db, row, step, way, now)
                if step.ways and step.level > row.level:
                    self._tell(db, row.id, "raised_a_level")
        except Permanent:  # erased meanwhile
            return False
        return True

    def _put_in(
        self, db: sa.Connection, row: EscalationRow, step: Step, way: str, now: float
    ) -> None:
        n, number = notices.c, row.notices + 1
        older = (n.escalation == row.id) & (n.target == way) & (n.state == "waiting")
        db.execute(notices.update().where(older).values(state="superseded"))
        add_new(db, notices, {
            "key": _hash(row.id, str(step.level), str(number), way), "escalation": row.id,
            "call": row.call, "level": step.level, "number": number, "target": way,
            "kind": step.kind, "names": json.dumps(list(step.names)), "state": "waiting",
            "attempts": 0, "made_at": now, "next_at": now,
        })  # fmt: skip

    def claim(self, who: str, *, lease: float, limit: int) -> list[NoticeRow]:
        """Take notices that are to be sent now, oldest first; each has one attempt more.

        Args:
            who: id of the executor that takes them.
            lease: seconds after which others may take what did not end.
            limit: at most so many.
        """
        now, n = self.clock(), notices.c
        ready = ((n.state == "waiting") & (n.next_at <= now)) | (
            (n.state == "sending") & (n.leased_until < now)
        )
        query = sa.select(*_notice_columns()).where(UNDER_WAY, ready).order_by(n.made_at)
        with self._database.connect() as db:
            if not db.execute(query.limit(1)).first():
                return []
        with deciding(self._database, DECIDING) as db:
            found = [NoticeRow(*row) for row in db.execute(query.limit(limit))]
            taken = []
            for row in found:
                values = {"state": "sending", "attempts": row.attempts + 1, "leased_by": who,
                          "leased_until": now + lease}  # fmt: skip
                db.execute(notices.update().where(n.key == row.key).values(values))
                taken.append(NoticeRow(**_plain(row) | values))
            return taken

    def sent(self, row: NoticeRow) -> bool:
        """Keep that a notice is there. Returns whether the lease was still ours."""
        return self._end(row, state="sent", sent_at=self.clock(), code=None, reason=None)

    def put_off(self, row: NoticeRow, until: float, code: str | None, reason: str | None) -> bool:
        """Send a notice later, unless it was called off meanwhile. Returns as `sent`."""
        return self._end(row, state="waiting", next_at=until, code=code, reason=reason)

    def refuse(self, row: NoticeRow, code: str, reason: str) -> bool:
        """Give a notice up; the next one is tried anew. Returns as `sent`."""
        return self._end(row, state="refused", code=code, reason=reason)

    def call_off(self, row: NoticeRow) -> bool:
        """Drop a notice that nobody needs any more. Returns as `sent`."""
        return self._end(row, state="cancelled")

    def release(self, who: str) -> int:
        """Give back what an executor that is gone had in hand; return how many."""
        mine = (notices.c.state == "sending") & (notices.c.leased_by == who)
        with self._database.begin() as db:
            return db.execute(
                notices.update().where(UNDER_WAY, mine).values(state="waiting", next_at=0.0)
            ).rowcount

    def holders(self) -> set[str]:
        """Return the executors that have notices in hand."""
        query = sa.select(notices.c.leased_by).where(UNDER_WAY, notices.c.state == "sending")
        with self._database.connect() as db:
            return {str(who) for who in db.scalars(query.distinct()) if who}

    def _end(self, row: NoticeRow, **values: Any) -> bool:
        n = notices.c
        ours = (
            (n.key == row.key)
            & (n.state == "sending")
            & (n.leased_by == row.leased_by)
            & (n.attempts == row.attempts)
        )
        ended = {"leased_by": None, "leased_until": None, **values}
        with self._database.begin() as db:
            return db.execute(notices.update().where(ours).values(ended)).rowcount > 0

    # ------------------------------------------------------------ people

    def acknowledge(self, escalation: str, *, by: str, why: str) -> bool:
        """Keep that somebody sees to it: nobody is told of it any more.

        Returns:
            Whether it was open.
        """
        values = {"acknowledged_by": by, "acknowledged_at": self.clock(), "acknowledge_reason": why}
        return self._act(escalation, ("open",), "acknowledged", values)

    def resolve(self, escalation: str, *, by: str, why: str) -> bool:
        """Keep that it is done with. Returns whether it was not yet."""
        values = {"resolved_by": by, "resolved_at": self.clock(), "resolve_reason": why}
        return self._act(escalation, ("open", "acknowledged"), "resolved", values)

    def _act(
        self, escalation: str, states: Sequence[str], state: str, values: Mapping[str, Any]
    ) -> bool:
        row = self.get(escalation)
        with deciding(self._database, DECIDING) as db:
            check_kept(db, row.call)
            e = escalations.c
            changed = db.execute(
                escalations.update()
                .where(e.id == escalation, e.state.in_(states))
                .values(state=state, next_at=None, **values)
            ).rowcount
            if changed:
                self._call_off(db, escalation)
                self._tell(db, escalation, state)
            return bool(changed)

    # ------------------------------------------------------------ looking

    def get(self, escalation: str, scope: Scope | None = None) -> EscalationRow:
        """Return one escalation.

        Raises:
            BadInput: there is none of that id in scope (code `not_found`).
        """
        found = self.find(scope, escalation=escalation, limit=1)
        if not found:
            raise BadInput(
                "no escalation has this id; `escalations list` shows them", code="not_found"
            )
        return found[0]

    def find(
        self,
        scope: Scope | None,
        *,
        states: Sequence[str] = (),
        equal: Mapping[str, str] | None = None,
        escalation: str | None = None,
        overdue: bool = False,
        after: tuple[float, str] | None = None,
        limit: int = 50,
    ) -> list[EscalationRow]:
        """Return escalations in scope, oldest first.

        Args:
            states: only in these; none named: all.
            equal: column -> value: call, category, severity, owner.
            escalation: the id of the only one that is wanted.
            overdue: only those whose time is over and that nobody has acknowledged.
            after: the place of the row after which to go on (opened_at, id).
        """
        e = escalations.c
        query = sa.select(*_columns())
        if scope is not None:
            query = query.where(e.tenant == scope.tenant)
            if scope.queues is not None:
                query = query.where(e.queue.in_(sorted(scope.queues)))
        for name, value in (equal or {}).items():
            query = query.where(e[name] == value)
        if escalation is not None:
            query = query.where(e.id == escalation)
        if states:
            query = query.where(e.state.in_(states))
        if overdue:
            query = query.where(OPEN, e.historical.is_(False), e.due_at < self.clock())
        if after is not None:
            query = query.where(sa.tuple_(e.opened_at, e.id) > after)
        with self._database.connect() as db:
            rows = db.execute(query.order_by(e.opened_at, e.id).limit(limit)).all()
        return [_row(row) for row in rows]

    def notices(self, escalation: str) -> list[NoticeRow]:
        """Return what people were told, or are to be told, of an escalation, in order."""
        query = sa.select(*_notice_columns()).where(notices.c.escalation == escalation)
        with self._database.connect() as db:
            return [
                NoticeRow(*row)
                for row in db.execute(query.order_by(notices.c.number, notices.c.target))
            ]

    def standing(self) -> Standing:
        """Return how many stand open, and how many of them are overdue."""
        e, now = escalations.c, self.clock()
        counts = (
            sa.select(e.state, e.category, e.severity, sa.func.count())
            .where(UNRESOLVED, e.historical.is_(False))
            .group_by(e.state, e.category, e.severity)
        )
        due = sa.and_(OPEN, e.historical.is_(False), e.due_at < now)
        late = (
            sa.select(e.state, e.category, e.severity, sa.func.count(), sa.func.min(e.due_at))
            .where(due)
            .group_by(e.state, e.category, e.severity)
        )
        n = notices.c
        unsent = sa.select(sa.func.count()).where(UNDER_WAY, n.code.is_not(None))
        newest = (n.escalation == e.id) & (n.number == e.notices) & sa.text(REFUSED)
        refused = sa.select(sa.func.count()).where(newest)
        with self._database.connect() as db:
            found = [Count(*row) for row in db.execute(counts)]
            overdue = db.execute(late).all()
            failing = (db.scalar(unsent) or 0) + (db.scalar(refused) or 0)
        since = min((row[4] for row in overdue), default=now)
        return Standing(found, [Count(*row[:4]) for row in overdue], now - since, failing)

    # ------------------------------------------------------------ inside

    def _of(self, db: sa.Connection, call: str) -> list[EscalationRow]:
        query = sa.select(*_columns()).where(escalations.c.call == call)
        return [_row(row) for row in db.execute(query)]

    def _set(self, db: sa.Connection, escalation: str, values: Mapping[str, Any]) -> None:
        db.execute(escalations.update().where(escalations.c.id == escalation).values(dict(values)))

    def _call_off(self, db: sa.Connection, escalation: str) -> None:
        waits = (notices.c.escalation == escalation) & (notices.c.state == "waiting")
        db.execute(notices.update().where(waits).values(state="cancelled"))

    def _tell(self, db: sa.Connection, escalation: str, what: str, **more: Any) -> None:
        (row,) = [
            _row(r)
            for r in db.execute(sa.select(*_columns()).where(escalations.c.id == escalation))
        ]
        told = {
            "escalation": escalation, "rule": row.rule, "category": row.category,
            "severity": row.severity, "revision": row.revision, "level": row.level, **more,
        }  # fmt: skip
        self._register.tell_in(db, row.call, f"escalation.{what}", told)


def _hash(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def _columns() -> list[sa.Column[Any]]:
    return [escalations.c[name] for name in EscalationRow.__dataclass_fields__]


def _notice_columns() -> list[sa.Column[Any]]:
    return [notices.c[name] for name in NoticeRow.__dataclass_fields__]


def _row(row: sa.Row[Any]) -> EscalationRow:
    return EscalationRow(**row._mapping)


def _plain(row: NoticeRow) -> dict[str, Any]:
    return {name: getattr(row, name) for name in row.__dataclass_fields__}
