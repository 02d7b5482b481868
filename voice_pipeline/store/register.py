"""The register of calls: what lists, searches and status pages read, and what is still to be done.

One row a call, one row a revision, one event a change. Holds names, codes and redacted metadata;
the redacted text stands in a search index of its own. Whoever reads must say for whom: every
query takes a `Scope`, and refuses to look beyond it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from voice_pipeline.errors import BadInput
from voice_pipeline.store import tallies, texts
from voice_pipeline.store.database import add_new, deciding, single
from voice_pipeline.store.kept import erased, is_kept
from voice_pipeline.store.rows import Admission, CallRow, Event, Revision, Scope
from voice_pipeline.store.tables import calls, events, idempotency, revisions

ERASING = "erasing"  # in place of a run: what is outside this database has not gone yet
FINAL = ("held", "done", "failed", "cancelled", "erased")
METADATA = ("queue", "agent", "team", "customer_ref", "call_ref", "started_at", "phone_key")
FILTERS = (
    "status", "agent", "team", "customer_ref", "call_ref", "request_type", "review", "phone_key",
)  # fmt: skip


def _columns() -> list[sa.Column[Any]]:
    return [calls.c[name] for name in CallRow.__dataclass_fields__]


# Statements of every call, put together once. `this` is the call, so that `call` stays a column.
_THIS = calls.c.call == sa.bindparam("this")
_ROW = sa.select(*_columns()).where(_THIS)
_WAITING = (
    sa.select(*_columns())
    .where(calls.c.status == "received", calls.c.run.is_(None), calls.c.plan.is_not(None))
    .order_by(calls.c.backfill, calls.c.received_at)
)
_ADMIT = (
    calls.update()
    .where(_THIS, calls.c.wrapped_key.is_not(None))
    .values(status="received", run=None, code=None, detail=None, ended_at=None)
    .values(
        {name: sa.bindparam(name) for name in (
            "received_sha256", "received_at", "tenant", "plan", "targets", "name", "sha256", "size",
            "uploaded_by", "backfill", "trace", "duplicate_of", *METADATA,
        )}
    )
)  # fmt: skip
_TELL = sa.text(
    "insert into events (tenant, queue, type, call, at, data) "
    "select tenant, queue, :type, call, cast(:at as double precision), :data from calls "
    "where call = :call"
)


class Register:
    """Rows of calls in one database; safe for several processes at once."""

    def __init__(self, database: sa.Engine) -> None:
        self._database, self._single = database, single(database)

    # ------------------------------------------------------------ coming in

    def admit(self, admission: Admission) -> CallRow:
        """Enter a call whose bytes are kept, with the answer to its idempotency key, at once.

        Returns:
            The call's row; an earlier call's row if the same key came with the same body before,
            or if it is to be there once and its bytes are here already.

        Raises:
            BadInput: the key came with another body before (code `idempotency_conflict`).
            Permanent: the call was erased meanwhile (code `erased`).
        """
        a = admission
        # who asks whether the bytes are here must know that nobody brings them meanwhile
        opened = deciding(self._database, "once") if a.once else self._database.begin()
        with opened as db:
            twin = _twin(db, a.tenant, a.sha256, a.call)
            if a.once and twin is not None:
                return self._row(db, twin)
            if a.key is not None:
                row = {"tenant": a.tenant, "key": a.key, "fingerprint": a.fingerprint,
                       "call": a.call, "at": time.time()}  # fmt: skip
                add_new(db, idempotency, row)
                known = db.execute(
                    sa.select(idempotency.c.call, idempotency.c.fingerprint).where(
                        idempotency.c.tenant == a.tenant, idempotency.c.key == a.key
                    )
                ).one()
                if known.fingerprint != a.fingerprint:
                    raise BadInput(
                        "this Idempotency-Key came with another body before; use a new key for a "
                        "new recording",
                        code="idempotency_conflict",
                    )
                if known.call != a.call:
                    return self._row(db, known.call)
            values = {
                "this": a.call, "received_sha256": a.received_sha256, "received_at": time.time(),
                "tenant": a.tenant, "plan": a.plan, "targets": json.dumps(list(a.targets)),
                "name": a.name[:400], "sha256": a.sha256, "size": a.size,
                "uploaded_by": a.uploaded_by, "backfill": a.backfill, "trace": a.trace,
                "duplicate_of": twin, **{name: _short(a.metadata.get(name)) for name in METADATA},
            }  # fmt: skip
            if not db.execute(_ADMIT, values).rowcount:
                raise erased(a.call)
            self._event(db, "call.received", a.call)
            return self._row(db, a.call)

    def twin(self, tenant: str, sha256: str) -> str | None:
        """Return the tenant's earliest call of a file with these bytes that was not erased."""
        with self._single.connect() as db:
            return _twin(db, tenant, sha256, "")

    def waiting(self, limit: int = 100) -> list[CallRow]:
        """Return calls that were admitted and not yet handed to the engine, live ones first."""
        with self._single.connect() as db:
            return [CallRow(*row) for row in db.execute(_WAITING.limit(limit)).all()]

    def handed_over(self, call: str, run: str, attempt: int) -> bool:
        """Note which run works on an attempt of a call; return whether the call still exists.

        One that waits for a later attempt by now goes on waiting.
        """
        here = (calls.c.call == call) & calls.c.wrapped_key.is_not(None)
        known = sa.case((calls.c.attempt == attempt, run), else_=calls.c.run)
        with self._single.begin() as db:
            return db.execute(calls.update().where(here).values(run=known)).rowcount > 0

    # ------------------------------------------------------------ changing

    def change(self, call: str, event: str, unless: Sequence[str] = (), **values: Any) -> bool:
        """Change a call's row and tell of it; nothing happens in the states of `unless`.

        Returns:
            Whether the row was changed.
        """
        with self._database.begin() as db:
            return self._change(db, call, event, unless, values)

    def end(
        self,
        revision: Revision,
        counts: tallies.Tallies | None = None,
        text: str | None = None,
        also: Callable[[sa.Connection], None] = lambda db: None,
        **values: Any,
    ) -> bool:
        """Keep how a run ended and show it as the call's state; the second time nothing happens.

        Args:
            revision: its `number` is chosen here.
            counts: what is added to the tallies.
            also: what else belongs to it, in the same transaction; not for a call that is past it.
            text: the call's redacted text, by which it is found from now on; None: what was.
            values: columns of the call that the run found out.
        """
        with deciding(self._database, revision.call) as db:
            known = db.scalar(
                sa.select(revisions.c.number).where(
                    revisions.c.call == revision.call, revisions.c.run == revision.run
                )
            )
            if known is not None:
                return False
            if not is_kept(db, revision.call, changing=True):
                return False
            if text is not None:
                texts.put(db, revision.call, text)
            newest = db.scalar(
                sa.select(sa.func.max(revisions.c.number)).where(revisions.c.call == revision.call)
            )
            number = (newest or 0) + 1
            db.execute(
                revisions.insert().values(
                    call=revision.call, number=number, plan=revision.plan, run=revision.run,
                    status=revision.status, outcome=revision.outcome, made_at=revision.made_at,
                )
            )  # fmt: skip
            begun = db.execute(
                sa.select(calls.c.received_at, calls.c.backfill)
                .where(calls.c.call == revision.call)
            ).one()  # fmt: skip
            added = dict(counts or {})
            if revision.status == "done" and number == 1:  # later ones were not uploaded then
                waited = revision.made_at - begun.received_at
                added |= tallies.to_note(waited, backfill=begun.backfill)
            tallies.count(db, added)
            shown = {"status": revision.status, "revision": number, "ended_at": revision.made_at}
            changed = self._change(
                db, revision.call, f"call.{revision.status}", ("erased", "cancelled"),
                values | shown,
            )  # fmt: skip
            if changed:
                also(db)
            return changed

    def change_seen(
        self, db: sa.Connection, row: CallRow, event: str, values: Mapping[str, Any]
    ) -> bool:
        """Change a row that is still as somebody saw it, in a transaction of theirs, and tell."""
        changed = db.execute(
            calls.update()
            .where(calls.c.call == row.call, calls.c.version == row.version)
            .values(version=row.version + 1, **values)
        ).rowcount
        if changed:
            self._event(db, event, row.call, {"revision": row.revision})
        return bool(changed)

    def begin(self, call: str, plan: str, run: str, attempt: int) -> None:
        """A run has taken a call up; a second time, after a crash, nothing changes.

        Nor does it for a run that was overtaken, since the call waits for a later attempt, or for
        one that was killed after it had ended and before the engine knew.
        """
        query = sa.select(calls.c.status, calls.c.attempt).where(calls.c.call == call)
        with self._database.begin() as db:
            row = db.execute(query.with_for_update()).first()
            if row is None or (row.status == "received" and row.attempt > attempt):
                return
            ended = sa.select(revisions.c.number).where(
                revisions.c.call == call, revisions.c.run == run
            )
            if row.status not in ("received", "running") and db.scalar(ended) is not None:
                return
            values = {"status": "running", "plan": plan, "run": run, "code": None, "detail": None,
                      "attempt": max(row.attempt, attempt)}  # fmt: skip
            self._change(db, call, "call.started", ("erased", "cancelled", "running"), values)

    def fail(self, call: str, run: str, code: str, detail: str) -> bool:
        """A run has failed for good."""
        return self.change(
            call, "call.failed", ("erased", "cancelled", "failed"), status="failed", run=run,
            code=code, detail=detail, ended_at=time.time(),
        )  # fmt: skip

    def lost(self, call: str, run: str) -> bool:
        """A run ended and could not say how: show it, unless the call has moved on."""
        with self._database.begin() as db:
            current = db.execute(
                sa.select(calls.c.status, calls.c.run).where(calls.c.call == call)
            ).first()
            if current is None or current.run != run or current.status != "running":
                return False
            values = {
                "status": "failed", "code": "internal", "ended_at": time.time(),
                "detail": "the run ended without a result; run the call again",
            }  # fmt: skip
            return self._change(db, call, "call.failed", FINAL, values)

    def resubmit(self, call: str, plan: str, attempt: int) -> bool:
        """Let a call be handed to the engine again, as that attempt."""
        return self.change(
            call, "call.resubmitted", ("erased",), status="received", plan=plan, run=None,
            attempt=attempt, code=None, detail=None, ended_at=None,
        )  # fmt: skip

    def tell(self, call: str, event: str, **data: Any) -> None:
        """Add an event of a call."""
        with self._database.begin() as db:
            self._lock_events(db)
            if is_kept(db, call):
                self._event(db, event, call, data)

    def tell_in(self, db: sa.Connection, call: str, event: str, data: Mapping[str, Any]) -> None:
        """Add an event of a call in a transaction of the caller's, who knows that it is kept."""
        self._event(db, event, call, data)

    def empty(self, db: sa.Connection, call: str) -> None:
        """Take out of a call's row and events what was said of it, in the erasing transaction.

        Its id, tenant, queue, state and times stay: those who follow the events must learn that it
        is gone, and only those who could see it. `run` says that the erasure has not ended yet.
        """
        stays = ("call", "received_at", "tenant", "queue", "ended_at", "backfill", "revision")
        nothing = {c.name: None for c in calls.columns if c.nullable and c.name not in stays}
        values = nothing | {"status": "erased", "targets": "[]", "run": ERASING}
        db.execute(
            calls.update().where(calls.c.call == call)
            .values(version=calls.c.version + 1, **values)
        )  # fmt: skip
        self._lock_events(db)
        db.execute(events.update().where(events.c.call == call).values(data="{}"))
        self._event(db, "call.erased", call)

    # ------------------------------------------------------------ reading

    def get(self, call: str, scope: Scope | None = None) -> CallRow | None:
        """Return a call's row, if it is in scope; None as the scope: whoever's it is."""
        with self._single.connect() as db:
            row = db.execute(_within(_ROW, scope), {"this": call}).first()
        return CallRow(*row) if row else None

    def find(
        self,
        scope: Scope,
        *,
        filters: Mapping[str, str] | None = None,
        flag: str | None = None,
        queue: str | None = None,
        words: str | None = None,
        since: float | None = None,
        until: float | None = None,
        before: tuple[float, str] | None = None,
        limit: int = 50,
    ) -> list[CallRow]:
        """Return calls in scope, newest first.

        Args:
            filters: column -> value, of FILTERS.
            flag: an escalation category that must have fired.
            queue: only this queue.
            words: words that the redacted text must hold, all of them.
            since: received at or after, seconds since the epoch.
            until: received before.
            before: the place of the row after which to go on (received_at, call).
            limit: at most so many rows.
        """
        query = _within(sa.select(*_columns()), scope, by_words=words is not None)
        for name, value in (filters or {}).items():
            if name not in FILTERS:
                raise BadInput(f"calls have no filter {name}", code="filter")
            query = query.where(calls.c[name] == value)
        if flag is not None:
            query = query.where(calls.c.flags.contains(f",{flag},", autoescape=True))
        if queue is not None:
            query = query.where(calls.c.queue == queue)
        if since is not None:
            query = query.where(calls.c.received_at >= since)
        if until is not None:
            query = query.where(calls.c.received_at < until)
        if words is not None:
            query = query.where(calls.c.call.in_(texts.matching(self._database, words)))
        if before is not None:
            query = query.where(sa.tuple_(calls.c.received_at, calls.c.call) < before)
        query = query.order_by(calls.c.received_at.desc(), calls.c.call.desc()).limit(limit)
        with self._single.connect() as db:
            return [CallRow(*row) for row in db.execute(query).all()]

    def revision(self, call: str, number: int | None = None) -> Revision | None:
        """Return one revision of a call, the newest where no number is named."""
        query = sa.select(revisions).where(revisions.c.call == call)
        if number is not None:
            query = query.where(revisions.c.number == number)
        with self._single.connect() as db:
            row = db.execute(query.order_by(revisions.c.number.desc()).limit(1)).first()
        return Revision(*row) if row else None

    def revisions(self, call: str | None = None) -> list[Revision]:
        """Return the revisions of a call, or of every call, in the order in which they ended."""
        query = sa.select(revisions).order_by(revisions.c.made_at, revisions.c.number)
        if call is not None:
            query = query.where(revisions.c.call == call)
        with self._single.connect() as db:
            return [Revision(*row) for row in db.execute(query).all()]

    def earlier(self, call: str, customer_ref: str, days: float) -> int:
        """Return how many calls with this reference came in the days before this one."""
        with self._database.connect() as db:
            own = db.execute(
                sa.select(calls.c.tenant, calls.c.received_at).where(calls.c.call == call)
            ).first()
            if own is None:
                return 0
            query = sa.select(sa.func.count()).where(
                calls.c.tenant == own.tenant,
                calls.c.customer_ref == customer_ref[:200],
                calls.c.received_at < own.received_at,
                calls.c.received_at >= own.received_at - days * 86_400.0,
                calls.c.call != call,
                calls.c.status.not_in(("failed", "cancelled", "erased")),
            )
            return int(db.scalar(query) or 0)

    def events(self, scope: Scope, after: int = 0, limit: int = 100) -> list[Event]:
        """Return what happened after the event of that number, in order."""
        query = sa.select(events).where(events.c.number > after, events.c.tenant == scope.tenant)
        if scope.queues is not None:
            query = query.where(events.c.queue.in_(sorted(scope.queues)))
        with self._single.connect() as db:
            rows = db.execute(query.order_by(events.c.number).limit(limit)).all()
        return [Event(*row) for row in rows]

    def unplanned(self) -> bool:
        """Say whether a call was neither worked on nor handed over, as far as the register knows.

        Calls of a release that had no register look so, whatever they came to.
        """
        query = sa.select(calls.c.call).where(calls.c.plan.is_(None)).limit(1)
        with self._single.connect() as db:
            return db.scalar(query) is not None

    def counts(self) -> dict[str, int]:
        """Return how many calls are in each state."""
        query = sa.select(calls.c.status, sa.func.count()).group_by(calls.c.status)
        with self._single.connect() as db:
            return {row[0]: row[1] for row in db.execute(query)}

    def counts_of(self, states: Sequence[str]) -> int:
        """Return how many live calls are in one of the states; old recordings wait beside them."""
        query = sa.select(sa.func.count()).where(
            calls.c.status.in_(states), calls.c.backfill.is_(False)
        )
        with self._single.connect() as db:
            return int(db.scalar(query) or 0)

    # ------------------------------------------------------------ inside

    def _change(
        self, db: sa.Connection, call: str, event: str, unless: Sequence[str],
        values: Mapping[str, Any],
    ) -> bool:  # fmt: skip
        changed = db.execute(
            calls.update()
            .where(calls.c.call == call, calls.c.status.not_in(unless))
            .values(version=calls.c.version + 1, **values)
        ).rowcount
        if changed:
            told = {k: v for k, v in values.items() if k in ("status", "code", "revision")}
            if values.get("status") in FINAL:
                tallies.count(db, tallies.ended(values["status"], values.get("code")))
            self._event(db, event, call, told)
        return bool(changed)

    def _event(
        self, db: sa.Connection, event: str, call: str, data: Mapping[str, Any] | None = None
    ) -> None:
        """Add an event in the transaction of the change that it tells of.

        On PostgreSQL numbers are drawn before they become visible: a lock until the commit keeps
        a reader with a cursor from passing one that is still to come.
        """
        self._lock_events(db)
        db.execute(
            _TELL,
            {"type": event, "call": call, "at": time.time(),
             "data": json.dumps(data or {}, sort_keys=True)},
        )  # fmt: skip

    def _lock_events(self, db: sa.Connection) -> None:
        if db.dialect.name == "postgresql":
            db.execute(sa.text("select pg_advisory_xact_lock(7015)"))

    def _row(self, db: sa.Connection, call: str) -> CallRow:
        return CallRow(*db.execute(_ROW, {"this": call}).one())


def _twin(db: sa.Connection, tenant: str, sha256: str, call: str) -> str | None:
    """Return the earliest other call of the tenant with a file of the same bytes."""
    found = db.execute(  # unsorted: SQLite would else walk every call by time
        sa.select(calls.c.received_at, calls.c.call).where(
            calls.c.tenant == tenant,
            calls.c.sha256 == sha256,
            calls.c.call != call,
            calls.c.status != "erased",
        )
    ).all()
    return str(min(found)[1]) if found else None


def _within(
    query: sa.Select[Any], scope: Scope | None, *, by_words: bool = False
) -> sa.Select[Any]:
    """Narrow a query to a scope.

    Args:
        by_words: the few calls that hold some words are looked up; without a hint SQLite would
            walk all calls of the tenant instead.
    """
    if scope is None:
        return query
    tenant: sa.ColumnElement[str] = calls.c.tenant
    query = query.where((tenant.concat("") if by_words else tenant) == scope.tenant)
    if scope.queues is not None:
        query = query.where(calls.c.queue.in_(sorted(scope.queues)))
    return query


def _short(value: str | None) -> str | None:
    return value[:200] if value else None
