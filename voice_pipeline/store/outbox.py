"""The outbox: which note is to go where, who has it in hand, when it is tried again, how it ended.

A row is made in the transaction that ends a call or decides about its note, so none is forgotten.
A process takes rows by lease, and only whoever still has the lease may say how it ended. Refuses
to hand out a revision while an earlier one of the same call is under way to the same target.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy as sa

from voice_pipeline.domain import Receipt
from voice_pipeline.errors import BadInput
from voice_pipeline.store.database import add_new, deciding
from voice_pipeline.store.kept import check_kept
from voice_pipeline.store.rows import Scope
from voice_pipeline.store.tables import calls, deliveries, targets

State = Literal[
    "waiting", "sending", "delivered", "refused", "unmatched", "unapproved", "superseded",
    "cancelled",
]  # fmt: skip
OPEN = ("waiting", "sending")
STUCK = ("refused", "unmatched", "unapproved")  # a person has to act
UNDELIVERED = sa.text("state <> 'delivered'")  # the words of an index
NOBODY = "-"  # as the customer: a person said that the note goes onto nobody's record
BURST = 1.0  # seconds' worth of a target's rate that may go at once


@dataclass(frozen=True, slots=True)
class DeliveryRow:
    """One revision of a note for one target."""

    key: str
    call: str
    target: str
    revision: str
    state: State
    attempts: int
    external_id: str | None
    reason: str | None
    created_at: float  # seconds since the epoch
    delivered_at: str | None
    tenant: str
    queue: str | None
    number: int
    note: str | None
    decision: int
    next_at: float
    leased_by: str | None
    leased_until: float | None
    code: str | None
    customer: str | None
    payload: str | None
    remarks: str | None
    by: str | None
    why: str | None


@dataclass(frozen=True, slots=True)
class TargetRow:
    """How a target does."""

    target: str
    paused_by: str | None = None
    paused_at: float | None = None
    why: str | None = None
    failures: int = 0
    code: str | None = None
    detail: str | None = None
    failing_since: float | None = None
    rests_until: float = 0.0
    next_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Wish:
    """A target that a note shall go to, and whether it waits for approval first."""

    target: str
    state: Literal["waiting", "unapproved"] = "waiting"


class Outbox:
    """The deliveries of one database. Safe for several processes at once."""

    def __init__(self, database: sa.Engine, clock: Callable[[], float] = time.time) -> None:
        self._database, self.clock = database, clock

    # ------------------------------------------------------------ putting in

    def add(
        self, db: sa.Connection, call: str, wishes: Sequence[Wish], note: str, decision: int = 0
    ) -> None:
        """Add a note's revision for each target, in a transaction of the caller's.

        What an earlier revision still waits for is superseded; what is under way ends first.

        Args:
            note: sha256 of the CaseNote record.
            decision: number of the decision that made this revision; 0: none did.
        """
        if not wishes:
            return
        owner = db.execute(
            sa.select(calls.c.tenant, calls.c.queue).where(calls.c.call == call)
        ).first()
        revision = note if not decision else _hash(f"{note}+{decision}")
        for wish in wishes:
            mine = (deliveries.c.call == call) & (deliveries.c.target == wish.target)
            last = db.scalar(sa.select(sa.func.max(deliveries.c.number)).where(mine)) or 0
            new = {
                "key": _hash("\n".join((call, wish.target, revision)))[:32],
                "call": call, "target": wish.target, "revision": revision, "state": wish.state,
                "attempts": 0, "created_at": self.clock(), "number": last + 1, "note": note,
                "decision": decision, "tenant": owner.tenant if owner else "default",
                "queue": owner.queue if owner else None,
            }  # fmt: skip
            if add_new(db, deliveries, new) and last:
                db.execute(
                    deliveries.update()
                    .where(mine, deliveries.c.number <= last)
                    .where(deliveries.c.state.in_(("waiting", *STUCK)))
                    .values(state="superseded")
                )

    def put_in(self, call: str, wishes: Sequence[Wish], note: str) -> None:
        """Add what is not there yet for a call that ended earlier; what was refused is due again.

        Raises:
            Permanent: the call was erased (code `erased`).
        """
        with deciding(self._database, call) as db:
            check_kept(db, call)
            rows = self._of(db, call)
            known = {row.target: row for row in rows if row.note == note}
            self.add(db, call, [wish for wish in wishes if wish.target not in known], note)
            again = [
                known[wish.target].key
                for wish in wishes
                if wish.target in known and known[wish.target].state in ("refused", "waiting")
            ]
            db.execute(
                deliveries.update()
                .where(deliveries.c.key.in_(again))
                .values(state="waiting", next_at=0.0)
            )

    def follow(self, db: sa.Connection, call: str, decision: str, number: int) -> None:
        """Send a person's decision about a note after it, in the deciding transaction."""
        newest: dict[str, DeliveryRow] = {row.target: row for row in self._of(db, call)}
        for target, row in newest.items():
            if decision == "rejected" and row.state == "unapproved":
                db.execute(
                    deliveries.update()
                    .where(deliveries.c.key == row.key)
                    .values(state="cancelled", code="rejected", reason="a person rejected the note")
                )
            elif row.state != "cancelled":
                self.add(db, call, [Wish(target)], row.note or row.revision, number)

    # ------------------------------------------------------------ working off

    def claim(
        self,
        who: str,
        *,
        lease: float,
        limit: int,
        rates: Mapping[str, float],
        only: Collection[str] | None = None,
    ) -> list[DeliveryRow]:
        """Take deliveries that are due, oldest first.

        Args:
            who: id of the executor that takes them.
            lease: seconds after which others may take what did not end.
            limit: at most so many.
            rates: deliveries a second that a target takes; one that is not named: any number.
            only: calls whose deliveries are wanted; None: all.

        Returns:
            The rows as they are now, each with one attempt more.
        """
        now = self.clock()
        with self._database.connect() as db:
            if not db.execute(self._due(now, only).limit(1)).first():
                return []
        with deciding(self._database, "outbox") as db:
            states = {row.target: row for row in self._targets(db)}
            shut = [t for t, row in states.items() if _shut(row, now)]
            query = self._due(now, only).where(deliveries.c.target.not_in(shut))
            taken = []
            for found in db.execute(query.limit(limit)).all():
                row = DeliveryRow(*found)
                state = states.get(row.target, TargetRow(row.target))
                if _shut(state, now):
                    continue
                states[row.target] = self._hold(db, state, rates.get(row.target), now, lease)
                values = {
                    "state": "sending", "attempts": row.attempts + 1, "leased_by": who,
                    "leased_until": now + lease,
                }  # fmt: skip
                db.execute(deliveries.update().where(deliveries.c.key == row.key).values(values))
                taken.append(DeliveryRow(**{**_plain(row), **values}))
            return taken

    def _due(self, now: float, only: Collection[str] | None) -> sa.Select[Any]:
        older = deliveries.alias("older")
        earlier = sa.exists().where(
            older.c.call == deliveries.c.call, older.c.target == deliveries.c.target,
            older.c.number < deliveries.c.number, older.c.state.in_(OPEN),
        )  # fmt: skip
        due = ((deliveries.c.state == "waiting") & (deliveries.c.next_at <= now)) | (
            (deliveries.c.state == "sending") & (deliveries.c.leased_until < now)
        )
        query = sa.select(*_columns()).where(UNDELIVERED, due, ~earlier)
        if only is not None:
            query = query.where(deliveries.c.call.in_(only))
        return query.order_by(deliveries.c.created_at, deliveries.c.number)

    def _hold(
        self, db: sa.Connection, state: TargetRow, rate: float | None, now: float, lease: float
    ) -> TargetRow:
        """Use up a slot of the target's rate; one that was failing gets one delivery to try."""
        values: dict[str, float] = {}
        if rate is not None:
            values["next_at"] = max(state.next_at, now) + 1 / rate
        if state.failures:
            values["rests_until"] = now + lease
        if values:
            self._set(db, state.target, values)
        return TargetRow(**{**_plain(state), **values})

    def done(
        self, row: DeliveryRow, receipt: Receipt, *, payload: str, remarks: Sequence[str] = (),
        customer: str | None = None,
    ) -> bool:  # fmt: skip
        """Keep the receipt; the target does well. Returns whether the lease was still ours."""
        values = {
            "state": "delivered", "external_id": receipt.external_id, "delivered_at": receipt.at,
            "reason": None, "code": None, "payload": payload, "customer": customer or row.customer,
            "remarks": json.dumps(list(remarks)) if remarks else None,
        }  # fmt: skip
        return self._settle(row, values, well=True)

    def set_aside(self, row: DeliveryRow, state: State, code: str, reason: str) -> bool:
        """Let it wait for a person; the target does well. Returns as `done`."""
        values = {"state": state, "code": code, "reason": reason}
        return self._settle(row, values, well=True)

    def put_off(
        self, row: DeliveryRow, code: str, reason: str, *, wait: float, rest: float
    ) -> bool:  # fmt: skip
        """Try again later; the target rests. Returns as `done`.

        Args:
            wait: seconds until this delivery is due again.
            rest: seconds in which nothing is sent to the target.
        """
        now = self.clock()
        with self._database.begin() as db:
            state = self._target(db, row.target)
            self._set(db, row.target, {
                "failures": state.failures + 1, "code": code, "detail": reason,
                "failing_since": state.failing_since or now, "rests_until": now + rest,
            })  # fmt: skip
            values = {"state": "waiting", "code": code, "reason": reason, "next_at": now + wait}
            return self._end(db, row, values)

    def release(self, who: str) -> int:
        """Give back what an executor that is gone had in hand; return how many."""
        with self._database.begin() as db:
            mine = (deliveries.c.state == "sending") & (deliveries.c.leased_by == who)
            names = db.scalars(
                sa.select(deliveries.c.target).where(UNDELIVERED, mine).distinct()
            ).all()
            db.execute(targets.update().where(targets.c.target.in_(names)).values(rests_until=0.0))
            return db.execute(
                deliveries.update().where(UNDELIVERED, mine).values(state="waiting", next_at=0.0)
            ).rowcount

    def holders(self) -> set[str]:
        """Return the executors that have deliveries in hand."""
        query = sa.select(deliveries.c.leased_by).where(
            UNDELIVERED, deliveries.c.state == "sending"
        )
        with self._database.connect() as db:
            return {str(who) for who in db.scalars(query.distinct()) if who}

    def _settle(self, row: DeliveryRow, values: Mapping[str, Any], *, well: bool) -> bool:
        with self._database.begin() as db:
            state = self._target(db, row.target)
            # Who claims meanwhile may set a rest after the failures were forgotten.
            if well and (state.failures or state.rests_until):
                self._set(db, row.target, {
                    "failures": 0, "code": None, "detail": None, "failing_since": None,
                    "rests_until": 0.0,
                })  # fmt: skip
            return self._end(db, row, values)

    def _end(self, db: sa.Connection, row: DeliveryRow, values: Mapping[str, Any]) -> bool:
        ours = (
            (deliveries.c.key == row.key)
            & (deliveries.c.state == "sending")
            & (deliveries.c.leased_by == row.leased_by)
            & (deliveries.c.attempts == row.attempts)
        )
        ended = {"leased_by": None, "leased_until": None, **values}
        return db.execute(deliveries.update().where(ours).values(ended)).rowcount > 0

    # ------------------------------------------------------------ people

    def change(
        self,
        keys: Collection[str],
        unless: Collection[str],
        *,
        by: str,
        why: str,
        **values: Any,
    ) -> int:
        """Change deliveries that are in none of the states; return how many."""
        kept = {"by": by[:200], "why": why, **values}
        with self._database.begin() as db:
            return db.execute(
                deliveries.update()
                .where(deliveries.c.key.in_(keys), deliveries.c.state.not_in(unless))
                .values(kept)
            ).rowcount

    def pause(self, target: str, *, by: str, why: str) -> None:
        """Send nothing to a target until it is resumed."""
        with self._database.begin() as db:
            self._set(
                db, target, {"paused_by": by[:200], "paused_at": self.clock(), "why": why}
            )  # fmt: skip

    def resume(self, target: str) -> None:
        """Send to a target again, at once, whatever it failed with before."""
        with self._database.begin() as db:
            self._set(db, target, {
                "paused_by": None, "paused_at": None, "why": None, "rests_until": 0.0,
            })  # fmt: skip

    # ------------------------------------------------------------ looking

    def of(self, call: str) -> list[DeliveryRow]:
        """Return the deliveries of a call, in the order in which they were made."""
        with self._database.connect() as db:
            return self._of(db, call)

    def get(self, key: str, scope: Scope | None = None) -> DeliveryRow:
        """Return one delivery.

        Raises:
            BadInput: there is none of that key in scope (code `not_found`).
        """
        found = self.find(scope, key=key, limit=1)
        if not found:
            raise BadInput("no delivery has this key; `deliveries list` shows them",
                           code="not_found")  # fmt: skip
        return found[0]

    def find(
        self,
        scope: Scope | None,
        *,
        states: Sequence[str] = (),
        target: str | None = None,
        call: str | None = None,
        key: str | None = None,
        after: tuple[float, str] | None = None,
        limit: int = 50,
    ) -> list[DeliveryRow]:
        """Return deliveries in scope, oldest first.

        Args:
            states: only in these; none named: all.
            after: the place of the row after which to go on (created_at, key).
        """
        query = sa.select(*_columns())
        if scope is not None:
            query = query.where(deliveries.c.tenant == scope.tenant)
            if scope.queues is not None:
                query = query.where(deliveries.c.queue.in_(sorted(scope.queues)))
        for column, value in (("target", target), ("call", call), ("key", key)):
            if value is not None:
                query = query.where(deliveries.c[column] == value)
        if states:
            query = query.where(deliveries.c.state.in_(states))
            if "delivered" not in states:
                query = query.where(UNDELIVERED)
        place = sa.tuple_(deliveries.c.created_at, deliveries.c.key)
        if after is not None:
            query = query.where(place > after)
        query = query.order_by(deliveries.c.created_at, deliveries.c.key).limit(limit)
        with self._database.connect() as db:
            return [DeliveryRow(*row) for row in db.execute(query).all()]

    def waiting(self) -> dict[tuple[str, str], tuple[int, float]]:
        """Return (target, state) -> (count, oldest created_at) of what is not delivered."""
        query = (
            sa.select(deliveries.c.target, deliveries.c.state, sa.func.count(),
                      sa.func.min(deliveries.c.created_at))
            .where(UNDELIVERED, deliveries.c.state.in_((*OPEN, *STUCK)))
            .group_by(deliveries.c.target, deliveries.c.state)
        )  # fmt: skip
        with self._database.connect() as db:
            return {(row[0], row[1]): (row[2], row[3]) for row in db.execute(query)}

    def failures(self, target: str) -> int:
        """Return how often a target failed in a row."""
        with self._database.connect() as db:
            return self._target(db, target).failures

    def targets(self) -> dict[str, TargetRow]:
        """Return how each target does that ever failed, was paused, or has a rate."""
        with self._database.connect() as db:
            return {row.target: row for row in self._targets(db)}

    # ------------------------------------------------------------ inside

    def _of(self, db: sa.Connection, call: str) -> list[DeliveryRow]:
        query = sa.select(*_columns()).where(deliveries.c.call == call)
        rows = db.execute(query.order_by(deliveries.c.created_at, deliveries.c.number)).all()
        return [DeliveryRow(*row) for row in rows]

    def _targets(self, db: sa.Connection) -> list[TargetRow]:
        return [TargetRow(*row) for row in db.execute(sa.select(targets)).all()]

    def _target(self, db: sa.Connection, name: str) -> TargetRow:
        row = db.execute(sa.select(targets).where(targets.c.target == name)).first()
        return TargetRow(*row) if row else TargetRow(name)

    def _set(self, db: sa.Connection, name: str, values: Mapping[str, Any]) -> None:
        add_new(db, targets, {"target": name})
        db.execute(targets.update().where(targets.c.target == name).values(dict(values)))


def _shut(row: TargetRow, now: float) -> bool:
    return row.paused_by is not None or row.rests_until > now or row.next_at > now + BURST


def _columns() -> list[sa.Column[Any]]:
    return [deliveries.c[name] for name in DeliveryRow.__dataclass_fields__]


def _plain(row: DeliveryRow | TargetRow) -> dict[str, Any]:
    return {name: getattr(row, name) for name in row.__dataclass_fields__}


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
