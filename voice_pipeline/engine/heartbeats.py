"""Who is alive on all machines: each worker is seen every few seconds, or its calls are free.

Time is the database's own, so that machines whose clocks differ agree on who is late. A process
that only slept (SIGSTOP) and lost its calls is fenced by the engine: its late results are dropped.
"""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass

import sqlalchemy as sa

from voice_pipeline.errors import Retryable
from voice_pipeline.store.database import put_row
from voice_pipeline.store.tables import executors

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Worker:
    """A process that works on calls, as status pages show it."""

    id: str
    seen: float  # seconds ago
    started: float  # seconds since the epoch
    host: str
    queues: str


class Heartbeats:
    """Says that this process lives and finds those that do not."""

    def __init__(
        self, database: sa.Engine, executor: str, queues: tuple[str, ...], dead_after: float
    ) -> None:
        self._database, self._executor = database, executor
        self._queues, self._dead_after = queues, dead_after
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, each: Callable[[], object]) -> None:
        """Beat at once, then three times in `dead_after`, and call `each` after every beat."""
        self.beat(first=True)

        def run() -> None:
            while not self._stop.wait(self._dead_after / 3):
                try:
                    self.beat()
                    each()
                except (Retryable, sa.exc.SQLAlchemyError) as error:  # away for now; beat again
                    log.warning("no heartbeat: %s", type(error).__name__)

        self._thread = threading.Thread(target=run, name="heartbeat", daemon=True)
        self._thread.start()

    def beat(self, *, first: bool = False) -> None:
        with self._database.begin() as db:
            now = _now(db)
            if first:
                put_row(
                    db,
                    executors,
                    {"id": self._executor, "seen": now, "started": now,
                     "host": socket.gethostname()[:200], "queues": ",".join(self._queues)},
                )  # fmt: skip
            else:
                db.execute(
                    executors.update().where(executors.c.id == self._executor).values(seen=now)
                )

    def living(self) -> set[str]:
        """Return the ids of the executors that were seen in time."""
        with self._database.begin() as db:
            late = _now(db) - self._dead_after
            return set(db.scalars(sa.select(executors.c.id).where(executors.c.seen >= late)))

    def bury(self, dead: set[str]) -> None:
        """Forget executors whose calls others have taken over."""
        with self._database.begin() as db:
            db.execute(executors.delete().where(executors.c.id.in_(sorted(dead))))

    def stop(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self.bury({self._executor})


def workers(database: sa.Engine) -> list[Worker]:
    """Return the processes that have been seen, the newest first."""
    with database.begin() as db:
        now = _now(db)
        rows = db.execute(sa.select(executors).order_by(executors.c.started.desc())).all()
    return [Worker(r.id, now - r.seen, r.started, r.host, r.queues) for r in rows]


def _now(db: sa.Connection) -> float:
    """Return seconds since the epoch by the database's clock."""
    if db.dialect.name == "postgresql":
        return float(db.scalar(sa.text("select extract(epoch from clock_timestamp())")) or 0.0)
    return float(db.scalar(sa.text("select (julianday('now') - 2440587.5) * 86400.0")) or 0.0)
