"""Legal holds: what must be kept for now. A hold on a call, or on every call of a customer.

Refuses holds without a reason or a name. While one stands, no retention, erasure or discard
touches what it names.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from voice_pipeline.errors import BadInput
from voice_pipeline.store.database import deciding
from voice_pipeline.store.kept import check_kept
from voice_pipeline.store.tables import calls, legal_holds

DECIDING = "erase"  # holds and erasures are decided one after the other


@dataclass(frozen=True, slots=True)
class Hold:
    """One legal hold, as kept."""

    number: int
    tenant: str
    call: str | None
    customer_ref: str | None
    reason: str  # redacted
    by: str
    at: float  # seconds since the epoch
    released_at: float | None  # None: it stands
    released_by: str | None
    release_reason: str | None


class Holds:
    """The legal holds of one data folder. Safe for several processes at once."""

    def __init__(self, database: sa.Engine) -> None:
        self._database = database

    def place(
        self, *, tenant: str, call: str | None, customer: str | None, reason: str, by: str
    ) -> int:
        """Put a call, or a customer's calls, those to come too, under hold; return its number.

        Raises:
            Permanent: the call was erased (code `erased`).
        """
        if (call is None) == (customer is None):
            raise BadInput("name a call, or a customer with --customer, not both", code="hold")
        with deciding(self._database, DECIDING) as db:
            if call is not None:
                check_kept(db, call)
            row = {"tenant": tenant, "call": call, "customer_ref": customer, "reason": reason,
                   "by": by, "at": time.time()}  # fmt: skip
            (number,) = db.execute(legal_holds.insert().values(row)).inserted_primary_key or (0,)
        return int(number)

    def lift(
        self, *, tenant: str, call: str | None, customer: str | None, reason: str, by: str
    ) -> int:
        """Lift every hold that stands on exactly this, and return how many there were."""
        same = (
            legal_holds.c.call == call if call is not None
            else legal_holds.c.customer_ref == customer
        )  # fmt: skip
        with deciding(self._database, DECIDING) as db:
            done = db.execute(
                legal_holds.update()
                .where(
                    same, legal_holds.c.tenant == tenant, legal_holds.c.released_at.is_(None)
                )
                .values(released_at=time.time(), released_by=by, release_reason=reason)
            )  # fmt: skip
        return done.rowcount

    def every(self, tenant: str | None = None, *, standing: bool = True) -> list[Hold]:
        """Return the holds, oldest first: those that stand, or all."""
        query = sa.select(legal_holds).order_by(legal_holds.c.number)
        if tenant is not None:
            query = query.where(legal_holds.c.tenant == tenant)
        if standing:
            query = query.where(legal_holds.c.released_at.is_(None))
        with self._database.connect() as db:
            return [Hold(*row) for row in db.execute(query).all()]

    def on(self, call: str) -> list[int]:
        """Return the numbers of the holds that a call is under."""
        with self._database.connect() as db:
            return self.numbers(db, call)

    def numbers(self, db: sa.Connection, call: str) -> list[int]:
        """Return the same inside a transaction that decides about the call."""
        query = _standing(legal_holds.c.number).where(calls.c.call == call)
        return list(db.scalars(query.order_by(legal_holds.c.number)))

    def calls(self, db: sa.Connection) -> frozenset[str]:
        """Return every call that is under hold."""
        return frozenset(db.scalars(_standing(calls.c.call)))


def _standing(column: sa.Column[Any]) -> sa.Select[Any]:
    """Select from calls joined with the holds that stand on them."""
    named = legal_holds.c.call == calls.c.call
    of_customer = legal_holds.c.customer_ref == calls.c.customer_ref
    same_tenant = legal_holds.c.tenant == calls.c.tenant
    return (
        sa.select(column)
        .select_from(calls.join(legal_holds, same_tenant & (named | of_customer)))
        .where(legal_holds.c.released_at.is_(None))
    )
