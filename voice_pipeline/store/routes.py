"""Corrections of routes: who moved a call where, why and when. Rows are only ever added.

The reason is free text by a person: it is kept sealed with the call's own key and is gone with it.
"""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from voice_pipeline.codec import decode, encode
from voice_pipeline.domain import Ref, RouteChange
from voice_pipeline.errors import BadInput
from voice_pipeline.store import Store
from voice_pipeline.store.database import deciding
from voice_pipeline.store.kept import check_kept
from voice_pipeline.store.tables import route_changes


@dataclass(frozen=True, slots=True)
class Numbered:
    """A kept change with its number."""

    number: int
    change: RouteChange


class RouteChanges:
    """The corrections that one data folder holds."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def add(self, change: RouteChange) -> int:
        """Keep a change and return its number.

        Raises:
            Permanent: the call is not kept here, or was erased (code `erased`).
            BadInput: somebody else moved the call meanwhile (code `route_moved`).
        """
        with self._store.shelf.create(change.call, "RouteChange") as blob:
            blob.write(encode(change))
        row = {
            "call": change.call,
            "before": change.before,
            "after": change.after,
            "by": change.by,
            "at": change.at,
            "undoes": change.undoes,
            "sha256": blob.ref.sha256,
        }
        last = sa.select(route_changes.c.after).where(route_changes.c.call == change.call)
        with deciding(self._store.database, change.call) as db:
            at_last = db.scalar(last.order_by(route_changes.c.number.desc()).limit(1))
            if at_last is not None and at_last != change.before:
                raise BadInput(
                    f"call {change.call} is in {at_last} by now; look at it again",
                    code="route_moved",
                )
            check_kept(db, change.call)
            done = db.execute(route_changes.insert().values(row))
            (number,) = done.inserted_primary_key or (0,)
        return int(number)

    def of(self, call: str) -> list[Numbered]:
        """Return the changes of a call, oldest first.

        Raises:
            Permanent: the call was erased (code `erased`).
        """
        columns = (route_changes.c.number, route_changes.c.sha256)
        where = route_changes.c.call == call
        with self._store.database.connect() as db:
            rows = db.execute(sa.select(*columns).where(where).order_by(columns[0])).all()
        get = self._store.shelf.get
        return [
            Numbered(row.number, decode(get(Ref(call, "RouteChange", row.sha256)))) for row in rows
        ]

    def queues(self) -> dict[str, str]:
        """Return the queue that each corrected call is in now."""
        columns = (route_changes.c.call, route_changes.c.after)
        with self._store.database.connect() as db:
            rows = db.execute(sa.select(*columns).order_by(route_changes.c.number)).all()
        return {row.call: row.after for row in rows}
