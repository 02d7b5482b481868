"""The running service: takes recordings in, hands them to the engine, keeps the house.

A call is acknowledged when its bytes are sealed and its row is committed; from then on the row
itself is the work order, and whoever runs hands it over. Refuses more than it can work off.
"""

from __future__ import annotations

import hashlib
import json
import logging
import secrets
import shutil
import threading
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from sqlalchemy.exc import SQLAlchemyError

from voice_pipeline.codec import encode
from voice_pipeline.domain import Ref
from voice_pipeline.engine.queues import BACKFILL, CRM, LIVE, Duty, Lanes
from voice_pipeline.errors import BadInput, Permanent, PipelineError, Retryable
from voice_pipeline.intake import AgentChannel, check_metadata, received_record
from voice_pipeline.kit import Kit
from voice_pipeline.store.rows import Admission, CallRow

log = logging.getLogger(__name__)

LOOK = 1.0  # seconds between looks for calls that nobody has handed over
GATHER = 0.05  # seconds in which arrivals gather, so that one look finds them
SIDES: tuple[AgentChannel, ...] = ("auto", "left", "right")
DAY = 86_400.0  # seconds
UPKEEP = 60.0  # seconds between rounds of upkeep


class Overloaded(Retryable):
    """Too much is waiting, or the disk is filling: come back later."""

    code = "overloaded"


@dataclass(frozen=True, slots=True)
class Sender:
    """On whose behalf a recording comes."""

    tenant: str = "default"
    by: str | None = None


class Service:
    """One process of the service around one kit."""

    def __init__(self, kit: Kit, duty: Duty) -> None:
        self.kit, self.duty = kit, duty
        self.started = time.time()
        self._plan: str | None = None
        self._wake, self._stop = threading.Event(), threading.Event()
        self._threads = [
            threading.Thread(target=self._dispatch, name="dispatch", daemon=True),
            threading.Thread(target=self._keep_house, name="upkeep", daemon=True),
        ]
        if CRM in duty.queues:
            self._threads.append(
                threading.Thread(target=self.kit.courier.work, name="courier", daemon=True)
            )

    def __enter__(self) -> Self:
        self.plan()  # what is missing is said now, not to the first caller
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._wake.set()
        self.kit.courier.stop()
        for thread in self._threads:
            thread.join()

    # ------------------------------------------------------------ coming in

    def plan(self, *, fresh: bool = False) -> str:
        """Return the plan of calls that come in now; it is looked at anew once a minute."""
        if self._plan is None or fresh:
            self._plan = self.kit.plan()
        return self._plan

    def working(self) -> bool:
        """Say whether the threads that hand calls over and keep house are alive."""
        return all(thread.is_alive() for thread in self._threads)

    def check_room(self, *, backfill: bool = False) -> None:
        """Refuse a recording that could not be kept or not be worked off.

        Args:
            backfill: an old recording, which may wait as long as there is room for its bytes.

        Raises:
            Overloaded: the disk is filling, or too many calls wait.
        """
        limits = self.kit.settings.serve
        free = shutil.disk_usage(self.kit.store.root).free
        if free < limits.disk_reserve:
            raise Overloaded("the disk of the data folder is almost full; try again later")
        if backfill:
            return
        waiting = self.kit.store.register.counts_of(("received", "running"))
        if waiting >= limits.most_waiting:
            raise Overloaded(f"{waiting} calls are waiting already; try again later")

    def arrival(self) -> Arrival:
        """Start to take a recording in."""
        return Arrival(self)

    def wake(self) -> None:
        """Look for calls to hand over now instead of within a second."""
        self._wake.set()

    # ------------------------------------------------------------ changing calls

    def cancel(self, row: CallRow) -> bool:
        """Stop the work on a call that has not ended; return whether there was any."""
        stopped = self.kit.store.register.change(
            row.call,
            "call.cancelled",
            ("held", "done", "failed", "cancelled", "erased"),
            status="cancelled",
            ended_at=time.time(),
        )
        if stopped and row.run is not None:
            self.kit.engine.cancel(row.run)
        return stopped

    def run_again(self, row: CallRow, stage: str | None = None, *, newest: bool = False) -> CallRow:
        """Start a call that has ended once more; what its stages gave before is not repeated.

        Args:
            stage: do this stage and all after it anew.
            newest: with today's policy and models, as a new revision, instead of the call's own.

        Raises:
            BadInput: it has not ended (code `running`), or there is no such stage.
        """
        if row.status not in ("done", "held", "failed", "cancelled"):
            raise BadInput(
                f"call {row.call} is {row.status}; only one that has ended can run again",
                code="running",
            )
        if stage is not None:
            self.kit.engine.redo(row.call, stage)
        plan = self.plan() if newest or row.plan is None else row.plan
        self.kit.store.register.resubmit(row.call, plan, row.attempt + 1)
        self.wake()
        again = self.kit.store.register.get(row.call)
        assert again is not None
        return again

    # ------------------------------------------------------------ inside

    def _dispatch(self) -> None:
        while not self._stop.is_set():
            if self._wake.wait(LOOK):
                self._stop.wait(GATHER)
            self._wake.clear()
            try:
                while not self._stop.is_set() and self.hand_over():
                    pass
            except (PipelineError, SQLAlchemyError) as error:  # looked for again in a second
                log.warning("calls could not be handed over: %s", type(error).__name__)

    def hand_over(self) -> int:
        """Give admitted calls to the engine; return how many. Twice is as good as once."""
        register, engine = self.kit.store.register, self.kit.engine
        lanes = tuple(self.kit.settings.serve.lanes)
        rows = register.waiting()  # live ones first
        rows = [row for row in rows if not row.backfill] or self._allowed(rows)
        for row in rows:
            received: Ref[Any] = Ref(row.call, "Received", row.received_sha256 or "")
            run = engine.submit(
                received,
                row.plan or self.plan(),
                json.loads(row.targets),
                row.attempt,
                Lanes(lanes, BACKFILL if row.backfill else LIVE),
            )
            if not register.handed_over(row.call, run, row.attempt):
                engine.erase(row.call)  # erased since it was found waiting
        return len(rows)

    def _allowed(self, rows: list[CallRow]) -> list[CallRow]:
        """Return the old recordings to hand over now: a few ahead, so that a pause is soon felt."""
        backlog, ahead = self.kit.store.backlog, self.kit.settings.serve.backfill_ahead
        if not rows or backlog.paused() is not None:
            return []
        return rows[: max(0, ahead - backlog.in_hand())]

    def _history(self) -> float:
        days: float = self.kit.settings.serve.history_days
        return days * DAY

    def _keep_house(self) -> None:
        while not self._stop.is_set():
            try:
                self.kit.engine.recover()
                self.kit.return_deliveries()
                if self.duty.queues:
                    self.kit.engine.adopt()
                    self.kit.engine.settle_lost()
                    self.kit.purge()
                    while self.kit.engine.prune(time.time() - self._history()):
                        pass
                self.plan(fresh=True)
            except (PipelineError, SQLAlchemyError, OSError) as error:
                log.warning("upkeep failed: %s", type(error).__name__)
            self._stop.wait(UPKEEP)


class Arrival:
    """A recording on its way in: bytes are sealed as they come, and nothing is kept of half of it.

    Ends with `finish` or `abandon`.
    """

    def __init__(self, service: Service) -> None:
        self._service, self._store = service, service.kit.store
        self.call = secrets.token_hex(10)
        self.size = 0
        self._stack = ExitStack()
        self._store.open_call(self.call)
        self._writer = self._stack.enter_context(
            self._store.shelf.create(self.call, "Audio", checked=False)
        )  # `finish` asks, when it enters the name

    def write(self, data: bytes | memoryview) -> None:
        self.size += self._writer.write(data)

    def abandon(self) -> None:
        """Leave nothing behind."""
        gone = BadInput("the upload was not finished", code="cut_upload")
        self._stack.__exit__(type(gone), gone, None)
        self._store.drop_call(self.call)

    def finish(
        self,
        name: str,
        metadata: Mapping[str, str],
        sender: Sender,
        *,
        key: str | None = None,
        targets: tuple[str, ...] | None = None,
        backfill: bool = False,
        once: bool = False,
    ) -> CallRow:
        """Commit the call and return its row, or the earlier call's with the same key and body.

        Args:
            targets: where the note goes; None: wherever the settings send such calls by
                themselves, and an old recording nowhere.
            once: bytes that the sender's tenant handed in before make no second call: the row of
                the one that there is comes back.

        Raises:
            BadInput: the file is empty, metadata has the wrong form, or the key had another body.
        """
        service, store = self._service, self._store
        try:
            if not self.size:
                raise BadInput("the file is empty; hand in a recording", code="empty_file")
            checked = service.kit.with_phone_key(check_metadata(metadata))
            channel = _side(checked.pop("agent_channel", "auto"))
        except BadInput:
            self.abandon()
            raise
        self._stack.close()
        audio = self._writer.ref
        record = received_record(
            audio,
            name,
            self.size,
            metadata=checked,
            agent_channel=channel,
            language=checked.get("language", "auto").lower(),
            scrub=service.kit.scrub,
        )
        if targets is None:
            automatic = service.kit.targets.automatic(sender.tenant, checked.get("queue"))
            targets = () if backfill else automatic
        received = store.shelf.put(self.call, "Received", encode(record), checked=False)
        body = json.dumps([audio.sha256, channel, sorted(checked.items())])
        admission = Admission(
            call=self.call,
            received_sha256=received.sha256,
            plan=service.plan(),
            targets=targets,
            tenant=sender.tenant,
            name=record.name,
            sha256=audio.sha256,
            size=self.size,
            metadata=record.metadata,
            uploaded_by=sender.by,
            backfill=backfill,
            once=once,
            key=hashlib.sha256(key.encode()).hexdigest() if key is not None else None,
            fingerprint=hashlib.sha256(body.encode()).hexdigest(),
            trace=service.kit.tracing.current(),
        )
        try:
            row = store.register.admit(admission)
        except BadInput:
            store.drop_call(self.call)
            raise
        except Permanent:  # erased before it was there
            store.shelf.delete_call(self.call)
            raise
        if row.call != self.call:
            store.drop_call(self.call)
        service.wake()
        return row


def _side(value: str) -> AgentChannel:
    for side in SIDES:
        if value == side:
            return side
    raise BadInput("metadata: agent_channel is auto, left or right", code="meta")
