"""Decisions of people about notes and held calls: who, when, why, and what it changed.

A decision and the change of the call's row are one transaction, and the row must be as the person
saw it. Refuses to decide twice. Texts are redacted before they come here; edits are sealed blobs.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy as sa

from voice_pipeline.domain import Ref
from voice_pipeline.errors import BadInput
from voice_pipeline.store.database import deciding
from voice_pipeline.store.kept import check_kept
from voice_pipeline.store.outbox import Outbox
from voice_pipeline.store.register import Register
from voice_pipeline.store.rows import CallRow
from voice_pipeline.store.tables import decisions, results

Kind = Literal["review", "held"]


@dataclass(frozen=True, slots=True)
class Decision:
    """One decision, as kept."""

    number: int
    call: str
    revision: int  # that was decided on
    kind: Kind
    decision: str  # approved rejected edited | released rerun discarded
    by: str
    at: float  # seconds since the epoch
    reason: str  # redacted
    sha256: str | None  # of the NoteEdit or Verification record that came of it


class Decisions:
    """The decisions of one data folder. Safe for several processes at once."""

    def __init__(self, database: sa.Engine, register: Register, outbox: Outbox) -> None:
        self._database, self._register, self._outbox = database, register, outbox

    def add(
        self,
        row: CallRow,
        kind: Kind,
        decision: str,
        *,
        by: str,
        reason: str,
        sha256: str | None = None,
        values: Mapping[str, Any],
        instead: tuple[Ref[Any], Ref[Any]] | None = None,
    ) -> int:
        """Keep a decision, change the call's row and tell of both; return its number.

        Args:
            row: the call as the person saw it.
            kind: about its note, or about a call that is held.
            decision: what was decided; `call.DECISION` is the event.
            by: who decides.
            reason: redacted.
            sha256: of the record that came of it.
            values: columns of the call's row that change.
            instead: a record that a stage gave, and the one that it gives from now on, on the
                very same inputs.

        Raises:
            BadInput: the call has changed since (code `call_moved`), or no stage gave the record
                (code `not_releasable`).
            Permanent: it was erased (code `erased`).
        """
        kept = {
            "call": row.call, "revision": row.revision, "kind": kind, "decision": decision,
            "by": by, "at": time.time(), "reason": reason, "sha256": sha256,
        }  # fmt: skip
        with deciding(self._database, row.call) as db:
            check_kept(db, row.call, changing=True)
            (number,) = db.execute(decisions.insert().values(kept)).inserted_primary_key or (0,)
            if instead is not None and not _give_instead(db, *instead):
                raise BadInput(
                    f"what held call {row.call} is no longer kept; run it again instead",
                    code="not_releasable",
                )
            if not self._register.change_seen(db, row, f"call.{decision}", values):
                raise BadInput(
                    f"call {row.call} has changed meanwhile; look at it again", code="call_moved"
                )
            if kind == "review":
                self._outbox.follow(db, row.call, decision, int(number))
        return int(number)

    def of(self, call: str) -> list[Decision]:
        """Return the decisions about a call, oldest first."""
        query = sa.select(decisions).where(decisions.c.call == call)
        with self._database.connect() as db:
            return [Decision(*row) for row in db.execute(query.order_by(decisions.c.number)).all()]


def _give_instead(db: sa.Connection, old: Ref[Any], new: Ref[Any]) -> bool:
    same = (results.c.call == old.call) & (results.c.sha256 == old.sha256)
    changed = db.execute(
        results.update().where(same & (results.c.kind == old.kind)).values(sha256=new.sha256)
    )
    return changed.rowcount > 0
