"""Erasing a call from this data folder: its key, its blobs, its rows, its words in the index.

Decides the order, so that nothing which is written meanwhile stays: the key goes first, in the
transaction that removes the rows; then the blobs; whoever comes later finds no key. Refuses calls
under legal hold. What the durable engine keeps is removed by the engine.
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from voice_pipeline.errors import Misconfigured, Permanent
from voice_pipeline.store import texts
from voice_pipeline.store.database import deciding
from voice_pipeline.store.holds import DECIDING, Holds
from voice_pipeline.store.register import ERASING, Register
from voice_pipeline.store.shelf import BlobShelf
from voice_pipeline.store.tables import (
    article_marks,
    calls,
    decisions,
    deliveries,
    draft_edits,
    escalations,
    events,
    idempotency,
    legal_holds,
    notices,
    progress,
    results,
    revisions,
    route_changes,
)

ERASED_FILE = "erasures.jsonl"  # beside the database, so that a restored one can be brought up
# Tables whose rows of a call go whole.
WHOLE = (
    results, progress, deliveries, route_changes, article_marks, draft_edits, revisions,
    idempotency, notices, escalations,
)  # fmt: skip
PAGES = 1000  # of the search index, tidied at once
TIDYING = 1.0  # seconds at most; the rest at the next purge or erasure
BATCH = 500  # ids asked for at once


class Eraser:
    """Removes calls from one data folder. Safe for several processes at once."""

    def __init__(
        self, database: sa.Engine, shelf: BlobShelf, register: Register, holds: Holds, root: Path
    ) -> None:
        self._database, self._shelf, self._register = database, shelf, register
        self._holds, self._file = holds, root / ERASED_FILE

    def contents(self, call: str) -> dict[str, int]:
        """Return what there is of a call: how many blobs of each kind, rows of each table."""
        with self._database.connect() as db:
            rows = self._rows(db, call)
        return rows | self._blobs(call)

    def erase(self, call: str, erasure: str) -> dict[str, int]:
        """Destroy a call and return what it had, as `contents` counts it.

        A call that was erased before is searched for blobs again; that finds none.

        Args:
            call: id of a call.
            erasure: in whose name; noted with the call in the file beside the database.

        Raises:
            Permanent: it is under legal hold (code `legal_hold`).
        """
        with deciding(self._database, DECIDING) as db:
            if numbers := self._holds.numbers(db, call):
                raise Permanent(
                    f"call {call} is under legal hold {numbers[0]}; it stays until that is lifted",
                    code="legal_hold",
                )
            row = db.execute(sa.select(calls.c.wrapped_key).where(calls.c.call == call)).first()
            if row is None:
                raise Permanent(f"call {call} is not kept here", code="erased")
            self._note(call, erasure)
            gone = self._remove_rows(db, call)
            if row.wrapped_key is not None:
                gone["data keys"] = 1
        blobs = self._blobs(call)
        self._shelf.delete_call(call)
        return gone | blobs

    def ended(self, call: str) -> None:
        """Note that nothing is left of a call outside this database either."""
        with self._database.begin() as db:
            db.execute(
                calls.update()
                .where(calls.c.call == call, calls.c.run == ERASING)
                .values(run=None)
            )  # fmt: skip

    def unended(self) -> list[str]:
        """Return calls whose erasure has begun and not ended: a process was killed in between."""
        where = (calls.c.status == "erased") & (calls.c.run == ERASING)
        with self._database.connect() as db:
            return list(db.scalars(sa.select(calls.c.call).where(where)))

    def again(self) -> list[str]:
        """Erase what the file says was erased and the database still has; return those calls.

        That is so after a backup was restored. A hold of the older database does not keep them:
        they had been destroyed.
        """
        found: list[str] = []
        for batch in _batches(sorted(set(self.noted()))):
            here = calls.c.call.in_(batch) & calls.c.wrapped_key.is_not(None)
            with self._database.connect() as db:
                found += db.scalars(sa.select(calls.c.call).where(here)).all()
        for call in found:
            with deciding(self._database, DECIDING) as db:
                self._remove_rows(db, call)
            self._shelf.delete_call(call)
        return found

    def noted(self) -> Iterator[str]:
        """Yield the calls that the file says were erased.

        Raises:
            Misconfigured: the file was damaged (code `erasures_file`).
        """
        if not self._file.is_file():
            return
        for number, line in enumerate(self._file.read_text("utf-8").splitlines(), 1):
            try:
                yield str(json.loads(line)["call"])
            except (ValueError, KeyError, TypeError):
                raise Misconfigured(
                    f"{self._file}: line {number} cannot be read; restore the file, for it says "
                    "which calls must not come back from a backup",
                    code="erasures_file",
                ) from None

    def remains(self, call: str) -> list[str]:
        """Search for what should be gone: rows with content, a key, blobs, files half written."""
        with self._database.connect() as db:
            rows = self._rows(db, call)
            row = db.execute(sa.select(calls).where(calls.c.call == call)).first()
        found = [f"{name}: {count} row(s)" for name, count in rows.items()]
        if row is not None:
            stays = ("received_at", "tenant", "queue", "ended_at", "backfill", "revision", "run",
                     "call", "status", "version", "attempt", "targets")  # fmt: skip
            said = [name for name, value in row._mapping.items() if name not in stays and value]
            found += [f"calls: the column {name} is not empty" for name in said]
            if row.status != "erased":
                found.append("calls: the call is not marked as erased")
        found += [f"{kind}: {count} file(s)" for kind, count in self._blobs(call).items()]
        return found

    def tidy(self, seconds: float = TIDYING) -> bool:
        """Have the database overwrite what erased rows held; return whether it is all done.

        SQLite overwrites rows when they go, but not its log of changes, and its search index keeps
        words of a text, without the text's name, until its parts are merged: both are done here.
        """
        if self._database.dialect.name != "sqlite":
            return True
        ends, merged = time.monotonic() + seconds, False
        with self._database.connect() as db:
            while not merged and time.monotonic() < ends:
                before = _changes(db)
                db.exec_driver_sql(
                    f"insert into call_texts(call_texts, rank) values('merge', -{PAGES})"
                )
                db.commit()
                merged = _changes(db) - before < 2
            busy = db.exec_driver_sql("pragma wal_checkpoint(truncate)").one()[0]
        return merged and not busy

    # ------------------------------------------------------------ inside

    def _remove_rows(self, db: sa.Connection, call: str) -> dict[str, int]:
        """Empty the call's row first: whoever adds to the call waits for it, and is refused."""
        gone = self._rows(db, call)
        customer = db.execute(
            sa.select(calls.c.tenant, calls.c.customer_ref).where(calls.c.call == call)
        ).one()
        self._register.empty(db, call)
        for table in WHOLE:
            db.execute(table.delete().where(table.c.call == call))
        texts.forget(db, call)
        db.execute(
            decisions.update().where(decisions.c.call == call).values(reason="", sha256=None)
        )
        db.execute(
            legal_holds.update()
            .where(legal_holds.c.call == call)
            .values(reason="", release_reason=None)
        )
        self._forget_customer(db, customer.tenant, customer.customer_ref)
        return gone

    def _forget_customer(self, db: sa.Connection, tenant: str, ref: str | None) -> None:
        """With a customer's last call goes the reference from holds that were lifted."""
        theirs = (calls.c.tenant == tenant) & (calls.c.customer_ref == ref)
        if ref is None or db.scalar(sa.select(calls.c.call).where(theirs).limit(1)) is not None:
            return
        lifted = (legal_holds.c.customer_ref == ref) & legal_holds.c.released_at.is_not(None)
        db.execute(
            legal_holds.update()
            .where(lifted, legal_holds.c.tenant == tenant)
            .values(customer_ref=None, reason="", release_reason=None)
        )

    def _rows(self, db: sa.Connection, call: str) -> dict[str, int]:
        """Count the rows of a call that hold something, by table; tables with none are left out."""
        holding = {table.name: table.c.call == call for table in WHOLE}
        where: dict[str, Any] = {
            events.name: (events.c.call == call) & (events.c.data != "{}"),
            decisions.name: (decisions.c.call == call) & (decisions.c.reason != ""),
            legal_holds.name: (legal_holds.c.call == call) & (legal_holds.c.reason != ""),
        }
        tables = {table.name: table for table in (*WHOLE, events, decisions, legal_holds)}
        count = {
            name: db.scalar(
                sa.select(sa.func.count()).select_from(tables[name]).where(condition)
            )
            for name, condition in (holding | where).items()
        }  # fmt: skip
        count["search index"] = texts.count(db, call)
        return {name: number for name, number in sorted(count.items()) if number}

    def _blobs(self, call: str) -> dict[str, int]:
        return {f"blobs {kind}": count for kind, count in self._shelf.kinds(call).items()}

    def _note(self, call: str, erasure: str) -> None:
        """Append ids, and have them on the disk before the rows go."""
        at = datetime.now(UTC).isoformat(timespec="seconds")
        line = json.dumps({"call": call, "erasure": erasure, "at": at}, sort_keys=True)
        handle = os.open(self._file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(handle, "ab") as file:
            file.write(line.encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())


def counted(parts: Sequence[dict[str, int]]) -> dict[str, int]:
    """Return the sum of what several calls had."""
    total: Counter[str] = Counter()
    for part in parts:
        total.update(part)
    return dict(sorted(total.items()))


def _batches(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(ids), BATCH):
        yield ids[start : start + BATCH]


def _changes(db: sa.Connection) -> int:
    return int(db.exec_driver_sql("select total_changes()").scalar_one())
