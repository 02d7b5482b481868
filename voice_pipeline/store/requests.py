"""Erasures as they were asked for: proposed, refused or done, with their receipts. Names no person.

A customer is kept as a keyed hash: enough to find the calls that came meanwhile, and to say later
that this customer's calls were erased, for whoever knows the reference.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy as sa

from voice_pipeline.errors import BadInput
from voice_pipeline.store.tables import calls, erasures

PURPOSE = b"voice-pipeline customer of an erasure 1\n"
State = Literal["proposed", "done", "refused"]


@dataclass(frozen=True, slots=True)
class Erasure:
    """One erasure that somebody asked for."""

    id: str
    tenant: str
    asked: str  # JSON: {"calls": [id, ...]} or {"customer_hmac": hash}
    reason: str  # redacted
    asked_by: str
    at: float  # seconds since the epoch
    approved_by: str | None
    ended_at: float | None
    state: State
    receipt: str | None  # signed JSON, once it is done


class Requests:
    """The erasures of one data folder."""

    def __init__(self, database: sa.Engine, seed: bytes) -> None:
        """
        Args:
            database: where the rows are.
            seed: 32-byte secret of the data folder; the hashes of customers are keyed with it.
        """
        self._database = database
        self._key = hmac.digest(seed, PURPOSE, "sha256")

    def add(
        self, tenant: str, *, calls: Sequence[str], customer: str | None, reason: str, by: str
    ) -> Erasure:
        """Keep that somebody asks for an erasure."""
        asked = {"customer_hmac": self._hmac(customer)} if customer else {"calls": list(calls)}
        row = Erasure(
            secrets.token_hex(8), tenant, json.dumps(asked), reason, by, time.time(), None, None,
            "proposed", None,
        )  # fmt: skip
        values = {name: getattr(row, name) for name in Erasure.__dataclass_fields__}
        with self._database.begin() as db:
            db.execute(erasures.insert().values(values))
        return row

    def get(self, erasure: str, tenant: str | None = None) -> Erasure:
        """Return an erasure.

        Raises:
            BadInput: none has this id in this tenant (code `not_found`).
        """
        query = sa.select(erasures).where(erasures.c.id == erasure)
        if tenant is not None:
            query = query.where(erasures.c.tenant == tenant)
        with self._database.connect() as db:
            row = db.execute(query).first()
        if row is None:
            raise BadInput("no erasure has this id", code="not_found")
        return Erasure(*row)

    def every(self, tenant: str | None = None) -> list[Erasure]:
        """Return every erasure, oldest first."""
        query = sa.select(erasures).order_by(erasures.c.at)
        if tenant is not None:
            query = query.where(erasures.c.tenant == tenant)
        with self._database.connect() as db:
            return [Erasure(*row) for row in db.execute(query).all()]

    def end(self, erasure: str, state: State, *, by: str | None, receipt: str | None) -> Erasure:
        """Keep what came of an erasure; whoever is first has said it."""
        with self._database.begin() as db:
            db.execute(
                erasures.update()
                .where(erasures.c.id == erasure, erasures.c.state == "proposed")
                .values(state=state, approved_by=by, receipt=receipt, ended_at=time.time())
            )
        return self.get(erasure)

    def calls(self, erasure: Erasure) -> list[str]:
        """Return the calls that an erasure means now: a customer's may have become more."""
        asked: dict[str, Any] = json.loads(erasure.asked)
        if "calls" in asked:
            return list(asked["calls"])
        with self._database.connect() as db:
            theirs = (calls.c.tenant == erasure.tenant) & calls.c.customer_ref.is_not(None)
            refs = db.scalars(sa.select(calls.c.customer_ref).where(theirs).distinct())
            ref = next((r for r in refs if self._hmac(r) == asked["customer_hmac"]), None)
            found = sa.select(calls.c.call).where(theirs, calls.c.customer_ref == ref)
            return list(db.scalars(found.order_by(calls.c.received_at)))

    def _hmac(self, customer: str) -> str:
        return hmac.new(self._key, customer.encode(), hashlib.sha256).hexdigest()
