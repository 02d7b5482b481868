"""Runs `pipeline.understand` durably: each stage once, each result kept, a dead process replaced.

DBOS knows which calls are under way, where, and what was started for them (names only); our own
memo keeps each stage's sealed result under call, stage, version and inputs, and a run that begins
anew finds it there. Refuses to put content into the journal.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from typing import Any, Protocol

import sqlalchemy as sa
from dbos import DBOS, SetEnqueueOptions, SetWorkflowID

from voice_pipeline.codec import build, plain
from voice_pipeline.domain import Received, Ref
from voice_pipeline.engine.executors import Executor
from voice_pipeline.engine.forgetting import forget_runs
from voice_pipeline.engine.heartbeats import Heartbeats
from voice_pipeline.engine.hush import hush
from voice_pipeline.engine.journal import JournalSerializer
from voice_pipeline.engine.memo import FORGOTTEN, Held, Memo
from voice_pipeline.engine.naming import (
    OPEN,
    attempt,
    lane_name,
    newest,
    parts,
    run_name,
    runs_of,
)
from voice_pipeline.engine.patience import (
    STOPPED,
    STORAGE_PAUSES,
    Watch,
    patiently,
    stopped,
)
from voice_pipeline.engine.queues import CALLS, RUN, Duty, Lanes, register
from voice_pipeline.engine.running import DurableRun
from voice_pipeline.errors import BadInput, Permanent, PipelineError
from voice_pipeline.pipeline import Outcome, Stages, understand
from voice_pipeline.ports import Stage
from voice_pipeline.store import Store
from voice_pipeline.store.escalated import Raised
from voice_pipeline.store.outbox import Wish
from voice_pipeline.store.rows import Revision
from voice_pipeline.tracing import Tracing

log = logging.getLogger(__name__)

# Ours, not the default hash of the code: a deploy must not strand the calls in flight. It grows
# when the order of steps in a run changes; `adopt` then starts the older runs anew, and whatever
# stages they had finished are not repeated.
APPLICATION_VERSION = "3"
MAX_RECOVERIES = 20  # a call that keeps killing its process is given up after so many
POLL = 0.1  # seconds
ENDED = ["SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"]
PRUNED_AT_ONCE = 1000
MAX_REMAKES = 6  # as many raw records as can have been forgotten upstream, and one


class Workshop(Protocol):
    """Makes the parts that a plan names; the composition root is one."""

    def stages(self, plan: str) -> Stages: ...

    def wishes(self, targets: Sequence[str], entry: Entry) -> Sequence[Wish]:
        """Say what goes into the outbox for a call that is done."""

    def entry(self, outcome: Outcome, read: Callable[[Ref[Any]], Any]) -> Entry:
        """Say what the register should know of a call that has ended.

        Args:
            read: returns a kept record.
        """


@dataclass(frozen=True, slots=True)
class Entry:
    """What lists and searches know of a call that has ended."""

    values: Mapping[str, Any]  # columns of the register
    text: str | None  # redacted, to be searched; None: nothing may be found
    counts: Mapping[tuple[str, str], float] = field(default_factory=dict)  # for the tallies
    raised: Sequence[Raised] | None = None  # escalations; None: those that stand are left alone


class Engine:
    """Starts calls, brings back those of dead processes, and says how they ended."""

    def __init__(
        self,
        store: Store,
        workshop: Workshop,
        duty: Duty | None = None,
        tracing: Tracing | None = None,
    ) -> None:
        """
        Args:
            store: where results are kept.
            workshop: makes the stages.
            duty: which queues this process works off; None: it runs its own calls only.
            tracing: makes spans; None: nobody does.
        """
        self._store, self._workshop, duty = store, workshop, duty or Duty()
        self._tracing = tracing or Tracing()
        self.memo = Memo(store, self._tracing, lambda stage, point: self.reached(stage, point))
        self.register = store.register
        with store.setup_lock():
            self._executor = Executor(store.root / "executors")
            self.database = store.engine_database()
            self._many = self.database.dialect.name != "sqlite"  # machines
            self.heartbeats = Heartbeats(
                store.database, self._executor.id, duty.queues, duty.dead_after
            )
            if self._many or duty.beats:
                self.heartbeats.start(self.recover)
            hush()
            DBOS(
                config={
                    "name": "voice-pipeline",
                    "system_database_engine": self.database,
                    "serializer": JournalSerializer(),
                    "executor_id": self._executor.id,
                    "application_version": APPLICATION_VERSION,
                    "log_level": "CRITICAL",
                    "enable_otlp": False,
                    "use_listen_notify": False,
                    "notification_listener_polling_interval_sec": POLL,
                }
            )
            DBOS.listen_queues([name for name in duty.queues if name in RUN])

            # DBOS cannot decorate bound methods, hence the closures.
            @DBOS.workflow(name="call", max_recovery_attempts=MAX_RECOVERIES)
            def call(
                received: Ref[Received],
                plan: str,
                targets: Sequence[str],
                lanes: Mapping[str, Any] | None = None,
            ) -> Outcome:
                return self._work(received, plan, targets, lanes or {})

            @DBOS.workflow(name="stage", max_recovery_attempts=MAX_RECOVERIES)
            def stage(plan: str, name: str, refs: Sequence[Ref[Any]]) -> Ref[Any]:
                do: Stage[Any] = getattr(patiently(lambda: self._workshop.stages(plan)), name)
                held = patiently(lambda: self.memo.held(refs[0].call))
                return patiently(lambda: self.memo.do(do, refs, held))

            self._call, self._stage = call, stage
            DBOS.launch()
            hush()
            if duty.queues:
                register(duty.limits)

    # ------------------------------------------------------------ for callers

    def find(self, call: str, plan: str) -> str | None:
        """Return the engine's state of a call under a plan (PENDING, SUCCESS, ...) or None."""
        found = newest(run_name(call, plan))
        return found.status if found else None

    def start(self, received: Ref[Received], plan: str, targets: Sequence[str] = ()) -> str:
        """Start a call here, or join the run that exists, and return the run's name.

        A run that failed is started anew (kept stages are not repeated); one that has finished
        only gets the deliveries it does not have yet.
        """
        name = run_name(received.call, plan)
        found = newest(name)
        if found is not None:
            run = found.workflow_id
            if found.status == "SUCCESS":
                outcome: Outcome = DBOS.retrieve_workflow(run).get_result()
                if outcome.note is not None:
                    wishes = self._workshop.wishes(
                        targets, self._workshop.entry(outcome, self.read)
                    )
                    self._store.outbox.put_in(received.call, wishes, outcome.note.sha256)
                return run
            if found.status in OPEN:
                if found.app_version == APPLICATION_VERSION:
                    return run
                DBOS.cancel_workflow(run)  # of an older release, which nobody will go on with
            name = run_name(received.call, plan, attempt(run) + 1)
        with SetWorkflowID(name):
            DBOS.start_workflow(self._call, received, plan, list(targets))
        return name

    def submit(
        self,
        received: Ref[Received],
        plan: str,
        targets: Sequence[str],
        number: int,
        lanes: Lanes,
    ) -> str:
        """Put a call's attempt of that number into the queue, once, and return the run's name."""
        name = run_name(received.call, plan, number)
        with SetWorkflowID(name), SetEnqueueOptions(priority=lanes.priority):
            DBOS.enqueue_workflow(CALLS, self._call, received, plan, list(targets), lanes.plain())
        return name

    def start_again(
        self, received: Ref[Received], plan: str, targets: Sequence[str], number: int
    ) -> str:
        """Start a call's attempt of that number here, once, and return the run's name."""
        with SetWorkflowID(run_name(received.call, plan, number)):
            return DBOS.start_workflow(self._call, received, plan, list(targets)).workflow_id

    def cancel(self, run: str) -> None:
        """Stop a run before its next stage; what it was doing ends and is dropped."""
        rows = DBOS.list_workflows(
            workflow_id_prefix=lane_name(run, ""), load_input=False, load_output=False
        )
        DBOS.cancel_workflows([run, *[row.workflow_id for row in rows]])

    def erase(self, call: str) -> int:
        """Stop and forget the runs of a call; a stage under way ends, and the store refuses it."""
        return forget_runs(call, 5 * POLL)

    def remains(self, call: str) -> int:
        """Return how many runs of a call the journal still has."""
        return len(runs_of(call))

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
        for row in self.register.revisions():
            yield row.call, row.plan, build(Outcome, json.loads(row.outcome))

    def again(self, run: str, error: PipelineError) -> bool:
        """Say whether a failed run should be started again at once.

        That is so when a stage changed and its raw input had been destroyed: each attempt makes
        one forgotten record anew, from the raw audio if that is still kept.
        """
        return error.code == FORGOTTEN and attempt(run) < MAX_REMAKES

    def recover(self) -> int:
        """Take over the calls of processes that died; safe to call often.

        On one machine a dead process is known by its released file lock, at once; on many by a
        heartbeat that is late.
        """
        count = self._executor.recover_dead(self._take_over)
        if self._many:
            rows = DBOS.list_workflows(status="PENDING", load_input=False, load_output=False)
            working = {row.executor_id for row in rows if row.executor_id}
            dead = working - self.heartbeats.living() - {self._executor.id}
            count += sum(self._take_over(executor) for executor in dead)
            self.heartbeats.bury(dead)
        return count

    def adopt(self) -> int:
        """Start the waiting runs of older releases anew under this one; return how many."""
        count = 0
        for row in DBOS.list_workflows(name="call", status=list(OPEN), load_output=False):
            if row.app_version == APPLICATION_VERSION or not row.input:
                continue
            if row.status == "PENDING" and self.alive(row.executor_id or ""):
                continue
            received, plan, targets, *rest = row.input["args"]
            self.cancel(row.workflow_id)
            lanes = Lanes.build(rest[0] if rest else {})
            self.submit(received, plan, targets, attempt(row.workflow_id) + 1, lanes)
            count += 1
        return count + self._adopt_deliveries()

    def _adopt_deliveries(self) -> int:
        """Put the deliveries that an older release had in its journal into the outbox."""
        rows = DBOS.list_workflows(name="deliver", status=list(OPEN), load_output=False)
        for row in rows:
            if row.input:
                note, target = row.input["args"]
                self._store.outbox.put_in(note.call, [Wish(target)], note.sha256)
            DBOS.cancel_workflow(row.workflow_id)
        return len(rows)

    @property
    def executor(self) -> str:
        """The id of this process as others see it."""
        return self._executor.id

    def alive(self, executor: str) -> bool:
        """Say whether the process of that id still works."""
        if self._many:
            return executor in self.heartbeats.living()
        return self._executor.alive(executor)

    def redo(self, call: str, stage: str) -> None:
        """Forget what a stage and those after it gave for a call; the next run does them anew.

        Raises:
            BadInput: there is no such stage (code `unknown_stage`).
        """
        names = [one.name for one in fields(Stages)]
        if stage not in names:
            raise BadInput(
                f"there is no stage {stage}; there are {', '.join(names)}", code="unknown_stage"
            )
        self._store.forget_results(call, names[names.index(stage) :])

    def settle_lost(self) -> int:
        """Mark calls as failed whose run ended without a word, and return how many."""
        rows = DBOS.list_workflows(
            name="call",
            status=["ERROR", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"],
            load_input=False,
            load_output=False,
            sort_desc=True,
            limit=1000,
        )
        return sum(self.register.lost(parts(row.workflow_id)[0], row.workflow_id) for row in rows)

    def prune(self, before: float) -> int:
        """Drop the history of runs that ended before a time (seconds since the epoch).

        What they came to stays in the register. Returns how many.
        """
        until = datetime.fromtimestamp(before, UTC).isoformat()
        rows = DBOS.list_workflows(
            status=ENDED,
            completed_before=until,
            load_input=False,
            load_output=False,
            limit=PRUNED_AT_ONCE,
        )
        DBOS.delete_workflows([row.workflow_id for row in rows])
        return len(rows)

    def remember(self) -> int:
        """Enter what calls of an older release came to into the register; return how many."""
        known = {row.run for row in self.register.revisions()}
        runs = [
            row
            for row in DBOS.list_workflows(name="call", status="SUCCESS", load_input=False)
            if row.workflow_id not in known
        ]
        for row in runs:
            if isinstance(row.output, Outcome):
                at = (row.completed_at or 0) / 1000
                self._ended(row.output, row.workflow_id, at, fresh=False)
        return len(runs)

    def close(self, drain: int = 0) -> None:
        """Stop. Runs that have not finished go on in the next process that recovers them.

        Args:
            drain: seconds to let running ones come to their end; no new ones are taken up.
        """
        DBOS.destroy(destroy_registry=True, workflow_completion_timeout_sec=drain)
        self._tracing.close()
        self.heartbeats.stop()
        self.database.dispose()
        self._executor.close()

    # ------------------------------------------------------------ inside a run

    def _work(
        self,
        received: Ref[Received],
        plan: str,
        targets: Sequence[str],
        lanes: Mapping[str, Any],
    ) -> Outcome:
        """Run the pipeline and keep in the register how it went. Every write can be repeated."""
        call, run = received.call, str(DBOS.workflow_id)
        number = attempt(run)
        patiently(lambda: self.register.begin(call, plan, run, number), STORAGE_PAUSES)
        log.info("call taken up", extra={"call": call})
        seen = lanes or self._tracing.on
        row = patiently(lambda: self.register.get(call)) if seen else None
        if lanes and row is not None and row.status == "cancelled":  # between row and queue
            raise stopped()
        if row is not None and lanes:
            self._tracing.waited("queue calls", row.received_at, lambda: row.trace, call=call)
        watch = Watch(self.database, run, number, queued=bool(lanes))
        held = patiently(lambda: self.memo.held(call, watch))
        try:
            with self._tracing.span("call", lambda: row.trace if row else None, call=call):
                under_way = self._run(held, watch, plan, Lanes.build(lanes))
                outcome = understand(
                    received, under_way, patiently(lambda: self._workshop.stages(plan))
                )
                watch.ask()  # nothing calls a delivery back
        except PipelineError as error:
            log.warning("call failed", extra={"call": call, "code": error.code})
            if lanes and self.again(run, error):
                patiently(lambda: self.register.resubmit(call, plan, number + 1))
            elif error.code != STOPPED:
                code, why = error.code, error.message
                patiently(lambda: self.register.fail(call, run, code, why))
            raise
        self._ended(outcome, run, time.time(), targets, held)
        return outcome

    def _run(self, held: Held, watch: Watch, plan: str, lanes: Lanes) -> DurableRun:
        return DurableRun(
            self.memo,
            held,
            watch,
            lanes,
            elsewhere=lambda stage, refs: self.in_lane(plan, stage, refs, lanes.priority),
            forget=self.forget,
        )

    def _ended(
        self,
        outcome: Outcome,
        run: str,
        at: float,
        targets: Sequence[str] = (),
        held: Held | None = None,
        fresh: bool = True,
    ) -> None:
        """Keep how a run ended, what is to be delivered and, if `fresh`, who has to act."""
        entry = patiently(
            lambda: self._workshop.entry(outcome, lambda ref: self.memo.read(ref, held))
        )
        entry = entry if fresh else replace(entry, raised=None)
        call, plan = parts(run)
        text = json.dumps(plain(outcome), sort_keys=True)
        revision = Revision(call, 0, plan, run, outcome.status, text, at)
        patiently(
            lambda: self.register.end(
                revision,
                entry.counts,
                entry.text,
                lambda db: self._put_out(db, outcome, targets, entry),
                **entry.values,
            ),
            STORAGE_PAUSES,
        )
        log.info(f"call {outcome.status}", extra={"call": call, "code": entry.values.get("code")})

    def _put_out(
        self, db: sa.Connection, outcome: Outcome, targets: Sequence[str], entry: Entry
    ) -> None:
        if outcome.note is not None:
            wishes = self._workshop.wishes(targets, entry)
            self._store.outbox.add(db, outcome.note.call, wishes, outcome.note.sha256)
            if entry.raised is not None:
                self._store.escalations.follow(db, outcome.note.call, entry.raised)

    def forget(self, refs: Sequence[Ref[Any]]) -> None:
        self.reached("forget", "before")
        self._store.forget(refs)

    def read(self, ref: Ref[Any]) -> Any:
        return self.memo.read(ref)

    def reached(self, stage: str, point: str) -> None:
        """Named points of a stage's life; the crash tests end the process at each of them."""

    def in_lane(self, plan: str, stage: Stage[Any], refs: Sequence[Ref[Any]], priority: int) -> Any:
        """Have a stage done by the workers of its lane, and wait for it."""
        name = lane_name(str(DBOS.workflow_id), stage.name)
        with self._tracing.span(f"queue {stage.lane}", call=refs[0].call, stage=stage.name):
            with SetWorkflowID(name), SetEnqueueOptions(priority=priority):
                handle = DBOS.enqueue_workflow(
                    stage.lane, self._stage, plan, stage.name, list(refs)
                )
            return handle.get_result(polling_interval_sec=POLL)

    def _take_over(self, executor: str) -> int:
        taken = len(DBOS._recover_pending_workflows([executor]))
        if taken:
            self._store.count({("takeovers", ""): float(taken)})
            log.warning("runs of a worker that is gone were taken over: %d", taken)
        return taken
