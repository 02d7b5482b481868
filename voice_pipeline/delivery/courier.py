"""Sends what is in the outbox: looks whose record it is, writes once, and says how it ended.

Decides when to try again: a target that is away rests, with growing pauses, and gets one delivery
to try; no slot sleeps meanwhile. Refuses to go on where settings or credentials are wrong; whatever
is not certain waits for a person.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

from sqlalchemy.exc import SQLAlchemyError

from voice_pipeline.delivery.guard import differences, doubt
from voice_pipeline.delivery.packing import Packed, Packing
from voice_pipeline.delivery.targets import Target, Targets
from voice_pipeline.errors import Misconfigured, PipelineError, Retryable
from voice_pipeline.store.outbox import OPEN, DeliveryRow, Outbox, State
from voice_pipeline.tracing import Tracing

log = logging.getLogger(__name__)

AT_ONCE = 8  # deliveries of one process
LEASE = 300.0  # seconds; a process that dies is known sooner
LOOK = 0.5  # seconds between looks at the outbox
DAY = 86_400.0  # seconds
LONGEST_REST = 300.0  # seconds that a target which is away rests at most, if it does not ask
WRONG_REST = 900.0  # seconds between tries while settings or credentials are wrong
FIRST_WAIT, LONGEST_WAIT = 5.0, 3600.0  # seconds until one delivery is tried again
AWAY = ("target_unreachable", "target_busy")  # of the whole target, whatever is sent
MOST_ATTEMPTS = 30  # of one delivery, where the target answers others


class Courier:
    """Delivers for one process; many may work on one outbox."""

    def __init__(
        self,
        outbox: Outbox,
        targets: Targets,
        packing: Packing,
        who: str,
        tell: Callable[[str, str, str], None],
        tracing: Tracing,
    ) -> None:
        """
        Args:
            outbox: what is to be delivered.
            targets: where to.
            packing: makes parcels.
            who: id of this process's executor.
            tell: adds an event of a call: call, event, code.
            tracing: makes spans.
        """
        self._outbox, self._targets, self._packing = outbox, targets, packing
        self._who, self._tell, self._tracing = who, tell, tracing
        self._stop = threading.Event()

    # ------------------------------------------------------------ working

    def send(self, calls: Collection[str] | None = None, limit: int = AT_ONCE) -> int:
        """Deliver what is due now, one after the other; return how many were tried.

        Args:
            calls: only of these; None: of all.
            limit: at most so many.
        """
        rows = self._claim(limit, calls)
        for row in rows:
            self.deliver(row)
        return len(rows)

    def settle(self, call: str, names: Collection[str], patience: float) -> None:
        """Deliver a call's notes to these targets here, and wait a while for those that fail.

        Args:
            patience: seconds.
        """
        end = time.monotonic() + patience
        while True:
            while self.send([call]):
                pass
            left = [one for one in self._outbox.of(call)
                    if one.target in names and one.state in OPEN]  # fmt: skip
            if not left or time.monotonic() > end:
                return
            time.sleep(LOOK / 5)

    def work(self) -> None:
        """Deliver until `stop` is called: eight at once, none sleeping."""
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="deliver") as pool:
            active: set[Future[None]] = set()
            while not self._stop.is_set():
                active = {one for one in active if not one.done()}
                found: Sequence[DeliveryRow] = ()
                try:
                    found = self._claim(AT_ONCE - len(active), None)
                except (PipelineError, SQLAlchemyError) as error:  # the database restarts
                    log.warning("the outbox cannot be read: %s", type(error).__name__)
                active |= {pool.submit(self.deliver, row) for row in found}
                if not found or len(active) >= AT_ONCE:
                    self._stop.wait(LOOK if not found else LOOK / 20)

    def stop(self) -> None:
        """Take up nothing more; what is under way ends."""
        self._stop.set()

    def deliver(self, row: DeliveryRow) -> None:
        """Deliver one claimed row, and keep how it ended. Raises nothing that can be known."""
        try:
            with self._tracing.span("deliver", call=row.call):
                self._deliver(row)
        except (PipelineError, SQLAlchemyError) as error:
            # the database does not answer: its lease runs out, and somebody looks first
            log.warning("a delivery could not be kept: %s", type(error).__name__)

    # ------------------------------------------------------------ one delivery

    def _deliver(self, row: DeliveryRow) -> None:
        try:
            target = self._targets.get(row.target)
        except Misconfigured as error:
            self._wrong(row, error)
            return
        try:
            earlier = [
                one
                for one in self._outbox.of(row.call)
                if one.target == row.target and one.number < row.number
            ]
            packed = self._packing.pack(row, target, earlier)
            self._write(row, target, packed)
        except Misconfigured as error:
            self._wrong(row, error)
        except Retryable as error:
            self._later(row, error, target.settings.give_up_days * DAY)
        except PipelineError as error:
            state: State = "unapproved" if error.code == "unapproved" else "refused"
            self._outbox.set_aside(row, state, error.code, error.message)
            self._report(row, state, error.code)

    def _write(self, row: DeliveryRow, target: Target, packed: Packed) -> None:
        parcel, connector = packed.parcel, target.connector
        receipt = None
        if not parcel.first_try:  # an earlier attempt may have got through
            receipt = connector.find(parcel)
        remarks: list[str] = []
        asks = connector.traits.matches and parcel.record is None and row.customer is None
        if receipt is None and asks:
            match = connector.match(parcel)
            if (why := doubt(match, packed.speakers)) is not None:
                self._outbox.set_aside(row, "unmatched", why.code, why.reason)
                self._report(row, "unmatched", why.code)
                return
            remarks = differences(parcel.note, match.known)
            parcel = replace(parcel, customer=match.customer)
        if receipt is None:
            receipt = connector.deliver(parcel)
        kept = self._outbox.done(
            row, receipt, payload=packed.payload, remarks=remarks, customer=parcel.customer
        )
        log.info(
            "note delivered" if kept else "note delivered, after its lease had ended",
            extra={"call": row.call},
        )
        if remarks:
            self._report(row, "differs", "record_differs")

    def _later(self, row: DeliveryRow, error: Retryable, give_up: float) -> None:
        failures = 1 + self._outbox.failures(row.target)
        age = self._outbox.clock() - row.created_at
        worn = error.code not in AWAY and row.attempts >= MOST_ATTEMPTS
        if age > give_up or worn:
            reason = f"given up after {row.attempts} attempts: {error.message}"
            self._outbox.set_aside(row, "refused", "gave_up", reason)
            self._report(row, "refused", "gave_up")
            return
        rest = error.after if error.after is not None else _rest(failures)
        wait = 0.0 if error.code in AWAY else _wait(row.attempts)
        self._outbox.put_off(row, error.code, error.message, wait=wait, rest=rest)
        log.warning("not delivered yet", extra={"call": row.call, "code": error.code})

    def _wrong(self, row: DeliveryRow, error: Misconfigured) -> None:
        """Settings or credentials are wrong: nothing goes there until somebody has mended them."""
        self._outbox.put_off(row, error.code, error.message, wait=0.0, rest=WRONG_REST)
        log.error("target is misconfigured", extra={"call": row.call, "code": error.code})

    def _report(self, row: DeliveryRow, state: str, code: str) -> None:
        log.warning("delivery waits for a person", extra={"call": row.call, "code": code})
        self._tell(row.call, f"delivery.{state}", code)

    def _claim(self, limit: int, calls: Collection[str] | None) -> list[DeliveryRow]:
        if limit < 1:
            return []
        return self._outbox.claim(
            self._who, lease=LEASE, limit=limit, rates=self._targets.rates(), only=calls
        )


def _rest(failures: int) -> float:
    """Return seconds of rest after so many failures in a row: doubling, with jitter."""
    return float(min(LONGEST_REST, 2.0 ** min(failures - 1, 10)) * random.uniform(0.5, 1.0))


def _wait(attempts: int) -> float:
    """Return seconds until a delivery that failed by itself is tried again."""
    return float(min(LONGEST_WAIT, FIRST_WAIT * 3.0 ** min(attempts - 1, 8))) * random.uniform(
        0.5, 1.0
    )
