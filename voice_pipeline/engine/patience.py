"""Trying again, and stopping: what a run asks itself between its stages.

Tries a `Retryable` again after growing pauses. Refuses to go on with a run that was stopped.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TypeVar

import sqlalchemy as sa

from voice_pipeline.errors import Permanent, Retryable
from voice_pipeline.store.database import single

T = TypeVar("T")

PAUSES = (0.5, 2.0)  # seconds before the second and third attempt of a stage
# a database that restarts is no fault of the stage, nor is what it gave lost: most of a minute
STORAGE_PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0, 8.0, 8.0, 8.0)
STOPPED = "cancelled"  # code of a run that ends because somebody stopped it
# A stage that took longer may have missed that its call was stopped and started again meanwhile.
LONG = 0.1  # seconds

# DBOS's own table; a query of ours is no step of the run
_STATE = "select status from {table} where workflow_uuid = :run"


def patiently(do: Callable[[], T], pauses: Sequence[float] = PAUSES) -> T:
    """Do something, again after each pause while it raises Retryable; the last one passes.

    While it is the storage that does not answer, the pauses are STORAGE_PAUSES.
    """
    waits, storage = list(pauses), list(STORAGE_PAUSES)
    while True:
        try:
            return do()
        except Retryable as error:
            left = storage if error.code == "storage" else waits
            if not left:
                raise
            time.sleep(left.pop(0))


class Watch:
    """Says whether a run may go on."""

    def __init__(self, journal: sa.Engine, run: str, attempt: int, *, queued: bool) -> None:
        """
        Args:
            journal: the engine's database.
            run: its name.
            attempt: its number; a call that waits for a later one is no longer this run's.
            queued: the register's row is its work order, so what the row says goes.
        """
        self._journal, self._run = single(journal), run
        self._attempt, self._queued = attempt, queued
        table = (
            "dbos.workflow_status" if journal.dialect.name == "postgresql" else "workflow_status"
        )
        self._state = sa.text(_STATE.format(table=table))

    def row(self, status: str, attempt: int) -> None:
        """Look at the call as the register had it when a stage's result was entered.

        Raises:
            Permanent: it was stopped, or waits for a later attempt (code `cancelled`).
        """
        overtaken = status == "received" and attempt > self._attempt
        if self._queued and (status == "cancelled" or overtaken):
            raise stopped()

    def ask(self) -> None:
        """Ask the engine's journal.

        Raises:
            Permanent: the run was stopped, or is forgotten (code `cancelled`).
        """
        if patiently(self._look) in (None, "CANCELLED"):
            raise stopped()

    def _look(self) -> str | None:
        try:
            with self._journal.connect() as db:
                found: str | None = db.scalar(self._state, {"run": self._run})
                return found
        except sa.exc.DBAPIError:
            raise Retryable("the engine's database does not answer", code="storage") from None


def stopped() -> Permanent:
    return Permanent("the work on the call was stopped", code=STOPPED)
