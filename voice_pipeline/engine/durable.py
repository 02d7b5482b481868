"""Runs `pipeline.understand` durably: each stage once, each result kept, a dead process replaced.

DBOS journals which stage of which call has finished (names only); our own memo keeps the sealed
result under call, stage, version and inputs. Refuses to put content into the journal.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from dbos import DBOS, SetWorkflowID, StepOptions

from voice_pipeline.codec import decode, encode
from voice_pipeline.domain import CaseNote, Received, Ref
from voice_pipeline.engine.executors import Executor
from voice_pipeline.engine.journal import JournalSerializer
from voice_pipeline.errors import Permanent, PipelineError, Retryable
from voice_pipeline.pipeline import Outcome, Stages, understand
from voice_pipeline.ports import Stage
from voice_pipeline.store import Store
from voice_pipeline.store.database import sqlite_engine

# Ours, not the default hash of the code: a deploy must not strand the calls in flight.
APPLICATION_VERSION = "1"
MAX_RECOVERIES = 20  # a call that keeps killing its process is given up after so many
STAGE_ATTEMPTS = 3  # for Retryable errors, with growing pauses
POLL = 0.1  # seconds
OPEN = ("PENDING", "ENQUEUED", "DELAYED")  # DBOS's states of a run that has not ended
FORGOTTEN = "input_forgotten"
MAX_REMAKES = 6  # as many raw records as can have been forgotten upstream, and one


class Workshop(Protocol):
    """Makes the parts that a plan names; the composition root is one."""

    def stages(self, plan: str) -> Stages: ...

    def deliver(self, target: str, note: Ref[CaseNote]) -> None: ...


class Engine:
    """Starts calls, brings back those of dead processes, and says how they ended."""

    def __init__(self, store: Store, workshop: Workshop) -> None:
        self._store, self._workshop = store, workshop
        with store.setup_lock():
            self._executor = Executor(store.root / "executors")
            self._database = sqlite_engine(store.root / "engine.db")
            logging.getLogger("dbos").setLevel(logging.CRITICAL)
            DBOS(
                config={
                    "name": "voice-pipeline",
                    "system_database_engine": self._database,
                    "serializer": JournalSerializer(),
                    "executor_id": self._executor.id,
                    "application_version": APPLICATION_VERSION,
                    "log_level": "CRITICAL",
                    "enable_otlp": False,
                    "use_listen_notify": False,
                    "notification_listener_polling_interval_sec": POLL,
                }
            )

            # DBOS cannot decorate bound methods, hence the closures.
            @DBOS.workflow(name="call", max_recovery_attempts=MAX_RECOVERIES)
            def call(received: Ref[Received], plan: str, targets: Sequence[str]) -> Outcome:
                return understand(
                    received, _DurableRun(self, plan, targets), self._workshop.stages(plan)
                )

            @DBOS.workflow(name="deliver", max_recovery_attempts=MAX_RECOVERIES)
            def deliver(note: Ref[CaseNote], target: str) -> None:
                self.do_delivery(note, target)

            self._call, self._deliver = call, deliver
            DBOS.launch()
            logging.getLogger("dbos").setLevel(logging.CRITICAL)

    # ------------------------------------------------------------ for callers

    def find(self, call: str, plan: str) -> str | None:
        """Return the engine's state of a call under a plan (PENDING, SUCCESS, ...) or None."""
        found = _newest(_name(call, plan))
        return found[1] if found else None

    def start(self, received: Ref[Received], plan: str, targets: Sequence[str] = ()) -> str:
        """Start a call, or join the run that exists, and return the run's name.

        A run that failed is started anew (kept stages are not repeated); one that has finished
        only gets the deliveries it does not have yet.
        """
        name = _name(received.call, plan)
        found = _newest(name)
        if found is not None:
            run, state = found
            if state == "SUCCESS":
                outcome: Outcome = DBOS.retrieve_workflow(run).get_result()
                if outcome.note is not None:
                    self._deliver_rest(outcome.note, targets)
                return run
            if state in OPEN:
                return run
            name = f"{name}-{_attempt(run) + 1}"
        with SetWorkflowID(name):
            DBOS.start_workflow(self._call, received, plan, list(targets))
        return name

    def finished(self, run: str) -> bool:
        status = DBOS.get_workflow_status(run)
        return status is not None and status.status not in OPEN

    def outcome(self, run: str) -> Outcome:
        """Return how a finished run ended.

        Raises:
            PipelineError: the call failed; the class and code say how.
        """
        try:
            result: Outcome = DBOS.retrieve_workflow(run).get_result()
        except PipelineError:
            raise
        except Exception as error:
            raise Permanent(
                f"the run ended without a result ({type(error).__name__}); start it again",
                code="internal",
            ) from error
        return result

    def finished_runs(self) -> Iterator[tuple[str, str, Outcome]]:
        """Return (call, plan, outcome) of every run that ended well, oldest first."""
        for row in DBOS.list_workflows(name="call", status="SUCCESS", load_input=False):
            if isinstance(row.output, Outcome):
                call, _, plan = row.workflow_id.partition("-")[0].partition(".")
                yield call, plan, row.output

    def again(self, run: str, error: PipelineError) -> bool:
        """Say whether a failed run should be started again at once.

        That is so when a stage changed and its raw input had been destroyed: each attempt makes
        one forgotten record anew, from the raw audio if that is still kept.
        """
        return error.code == FORGOTTEN and _attempt(run) < MAX_REMAKES

    def deliveries_finished(self, call: str, targets: Sequence[str]) -> bool:
        names = {_delivery(call, target, "") for target in targets}
        rows = DBOS.list_workflows(name="deliver", workflow_id_prefix=f"{call}.to.")
        return not any(
            row.status in OPEN
            for row in rows
            if any(row.workflow_id.startswith(name) for name in names)
        )

    def recover(self) -> int:
        """Take over the calls of processes on this machine that died; safe to call often."""
        return self._executor.recover_dead(
            lambda executor: len(DBOS._recover_pending_workflows([executor]))
        )

    def close(self) -> None:
        """Stop. Runs that have not finished go on in the next process that recovers them."""
        DBOS.destroy(destroy_registry=True)
        self._database.dispose()
        self._executor.close()

    # ------------------------------------------------------------ inside a run

    def do(self, stage: Stage[Any], refs: Sequence[Ref[Any]]) -> Ref[Any]:
        """Run one stage, or return what it gave before on the same inputs."""
        store, call = self._store, refs[0].call
        key = _memo_key(stage, refs)
        kept = store.result(call, stage.name, key)
        if kept is not None:
            store.note_progress(call, stage.name, 1.0, 0.0)
            return kept
        self.reached(stage.name, "before")
        store.note_progress(call, stage.name, 0.0)
        started = time.perf_counter()
        made = stage.do(*[self._read(ref) for ref in refs])
        self.reached(stage.name, "made")
        ref = store.shelf.put(call, type(made).__name__, encode(made))
        self.reached(stage.name, "stored")
        seconds = time.perf_counter() - started
        store.keep_result(stage.name, key, ref, seconds)
        store.note_progress(call, stage.name, 1.0, seconds)
        return ref

    def do_delivery(self, note: Ref[CaseNote], target: str) -> None:
        DBOS.run_step(_options("deliver"), self._workshop.deliver, target, note)

    def start_deliveries(self, note: Ref[CaseNote], targets: Sequence[str]) -> None:
        for target in targets:
            with SetWorkflowID(_delivery(note.call, target, note.sha256)):
                DBOS.start_workflow(self._deliver, note, target)

    def _deliver_rest(self, note: Ref[CaseNote], targets: Sequence[str]) -> None:
        """Start the deliveries of a finished call that are new, or failed when last tried."""
        for target in targets:
            name = _delivery(note.call, target, note.sha256)
            found = _newest(name)
            if found is not None and (found[1] in OPEN or found[1] == "SUCCESS"):
                continue
            with SetWorkflowID(f"{name}-{_attempt(found[0]) + 1}" if found else name):
                DBOS.start_workflow(self._deliver, note, target)

    def forget(self, refs: Sequence[Ref[Any]]) -> None:
        self.reached("forget", "before")
        self._store.forget(refs)

    def read(self, ref: Ref[Any]) -> Any:
        return decode(self._store.shelf.get(ref))

    def _read(self, ref: Ref[Any]) -> Any:
        if not self._store.shelf.has(ref):
            self._store.invalidate(ref)  # the next attempt makes it anew
            raise Permanent(f"the {ref.kind} of this call is no longer kept", code=FORGOTTEN)
        return self.read(ref)

    def reached(self, stage: str, point: str) -> None:
        """Named points of a stage's life; the crash tests end the process at each of them."""


class _DurableRun:
    """`ports.Run` for one call: every step journaled."""

    def __init__(self, engine: Engine, plan: str, targets: Sequence[str]) -> None:
        self._engine, self._plan, self._targets = engine, plan, targets

    def step(self, stage: Stage[Any], *refs: Ref[Any]) -> Any:
        return DBOS.run_step(_options(stage.name), self._engine.do, stage, refs)

    def look(self, ref: Ref[Any], /) -> Any:
        return self._engine.read(ref)

    def forget(self, *refs: Ref[Any]) -> None:
        DBOS.run_step({"name": "forget"}, self._engine.forget, refs)

    def deliver(self, note: Ref[CaseNote], /) -> None:
        self._engine.start_deliveries(note, self._targets)


def _options(name: str) -> StepOptions:
    return {
        "name": name,
        "retries_allowed": True,
        "max_attempts": STAGE_ATTEMPTS,
        "interval_seconds": 0.5,
        "backoff_rate": 4.0,
        "should_retry": lambda error: isinstance(error, Retryable),
    }


def _memo_key(stage: Stage[Any], refs: Sequence[Ref[Any]]) -> str:
    text = json.dumps([stage.name, stage.version, [[r.kind, r.sha256] for r in refs]])
    return hashlib.sha256(text.encode()).hexdigest()


def _name(call: str, plan: str) -> str:
    return f"{call}.{plan}"


def _delivery(call: str, target: str, revision: str) -> str:
    return f"{call}.to.{hashlib.sha256(target.encode()).hexdigest()[:16]}.{revision[:16]}"


def _attempt(run: str) -> int:
    _, _, number = run.partition("-")
    return int(number or 1)


def _newest(name: str) -> tuple[str, str] | None:
    """Return (run, state) of the newest attempt under this name."""
    rows = [
        row
        for row in DBOS.list_workflows(workflow_id_prefix=name)
        if row.workflow_id.partition("-")[0] == name
    ]
    if not rows:
        return None
    newest = max(rows, key=lambda row: _attempt(row.workflow_id))
    return newest.workflow_id, newest.status
