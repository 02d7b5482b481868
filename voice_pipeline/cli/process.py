"""`process`: recordings to result folders, with a bar per call, whatever happens to the process."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import typer
from sqlalchemy.exc import SQLAlchemyError

from voice_pipeline.cli import exit_code, show
from voice_pipeline.config import load_settings
from voice_pipeline.domain import Received, Ref
from voice_pipeline.errors import Misconfigured, PipelineError
from voice_pipeline.intake import (
    AgentChannel,
    Source,
    check_metadata,
    find_recordings,
    identify,
    parse_metadata,
    receive,
)
from voice_pipeline.kit import Kit
from voice_pipeline.pairing import Transcripts, read_transcript
from voice_pipeline.results import CallResult, write_results
from voice_pipeline.ways_in.containers import unpack

POLL = 0.05  # seconds between looks at running calls
ARRIVED = ("delivered", "superseded")
PATIENCE = 3.0  # seconds in which a delivery that fails is tried again
RECOVER_EVERY = 1.0  # seconds between looks for dead processes
HELD = 5
IMPORTED = "imported"  # the transcriber of calls whose transcript was made elsewhere


@dataclass(frozen=True, slots=True)
class Request:
    """What the command line asked for."""

    paths: tuple[Path, ...]
    out: Path
    data: Path | None = None
    config: Path | None = None
    transcriber: str | None = None
    transcript: Path | None = None  # made elsewhere: a file for one recording, a folder for many
    diarizer: str | None = None
    agent_channel: AgentChannel = "auto"
    language: str = "auto"
    meta: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    jobs: int | None = None
    as_json: bool = False


@dataclass(slots=True)
class Job:
    """One call on its way."""

    path: Path
    call: str
    received: Ref[Received]
    run: str
    outcome_known: bool = False


@dataclass(slots=True)
class Tally:
    """What the command has to tell at its end."""

    results: list[tuple[Path, CallResult, Path]] = field(default_factory=list)
    faults: list[tuple[Path, PipelineError]] = field(default_factory=list)
    twice: list[Path] = field(default_factory=list)
    undelivered: list[tuple[str, str]] = field(default_factory=list)  # target, reason
    unapproved: list[tuple[str, str]] = field(default_factory=list)  # target, call
    skipped: int = 0

    def code(self) -> int:
        """Return the exit code: misconfiguration, then bad input, then held calls."""
        codes = {exit_code(error) for _, error in self.faults}
        if self.undelivered:
            codes.add(4)
        if any(result.status == "held" for _, result, _ in self.results):
            codes.add(HELD)
        return next((code for code in (4, 3, 1, HELD) if code in codes), 0)


def run(request: Request) -> int:
    """Process the recordings and return the exit code."""
    metadata = parse_metadata(request.meta)
    settings = load_settings(request.config, data=request.data, jobs=request.jobs)
    if "data" not in settings.model_fields_set:
        settings = settings.model_copy(update={"data": request.out / ".state"})
    _check_out(request.out)
    found = find_recordings(request.paths, leave_out=request.out, vcons=request.transcript is None)
    tally = Tally(faults=list(found.faults), skipped=found.skipped)
    for path, fault in found.faults:
        show.fault(path, fault)
    made_elsewhere = _made_elsewhere(request, len(found.files))
    with _stoppable(), disk_faults(settings.data), Kit(settings) as kit:
        kit.purge()
        plan = kit.plan(
            transcriber=IMPORTED if made_elsewhere else request.transcriber,
            diarizer=request.diarizer,
        )
        kit.check_targets(request.targets)
        metadata = kit.with_phone_key(metadata)
        shift = _Shift(kit, plan, request, metadata, tally, settings.jobs, made_elsewhere)
        shift.work(deque(found.files))
    show.report(tally, request, plan=plan)
    return tally.code()


def _made_elsewhere(request: Request, recordings: int) -> Transcripts | None:
    """Return where transcripts made elsewhere are; usage that cannot be meant ends the command."""
    if request.transcript is None:
        return None
    if request.transcriber not in (None, IMPORTED):
        raise typer.BadParameter(
            "with --transcript nothing is heard: leave out --transcriber", param_hint="--transcript"
        )
    found = Transcripts(request.transcript)
    if recordings > 1 and not found.many:
        raise typer.BadParameter(
            f"one transcript, but {recordings} recordings: name one recording, or a folder with a "
            "transcript for each",
            param_hint="--transcript",
        )
    return found


class _Shift:
    """Works off a queue of files, a few at a time."""

    def __init__(
        self,
        kit: Kit,
        plan: str,
        request: Request,
        metadata: dict[str, str],
        tally: Tally,
        jobs: int,
        transcripts: Transcripts | None = None,
    ) -> None:
        self._kit, self._plan, self._request = kit, plan, request
        self._metadata, self._tally, self._jobs = metadata, tally, jobs
        self._transcripts = transcripts
        self._known: dict[str, Path] = {}

    def work(self, files: deque[Path]) -> None:
        active: list[Job] = []
        looked = 0.0
        with show.progress(len(files), quiet=self._request.as_json) as bars:
            while files or active:
                while files and len(active) < self._jobs:
                    if (job := self._begin(files.popleft())) is not None:
                        active.append(job)
                for job in list(active):
                    bars.update(job.call, job.path.name, self._kit.store.progress(job.call))
                    if self._settle(job):
                        active.remove(job)
                        bars.finish(job.call)
                if time.monotonic() - looked > RECOVER_EVERY:
                    self._kit.engine.recover()
                    looked = time.monotonic()
                time.sleep(POLL)

    def _begin(self, path: Path) -> Job | None:
        kit, request, named = self._kit, self._request, path
        try:
            transcript = None
            if self._transcripts is not None:
                named = self._transcripts.beside(path)
                transcript = read_transcript(named)
                named = path
            source, known, side = self._opened(path)
            call, sha = identify(source, side, request.language, transcript)
            if call in self._known:
                self._tally.twice.append(path)
                return None
            self._known[call] = path
            received = kit.store.received(call)
            busy = kit.engine.find(call, self._plan) in ("SUCCESS", "PENDING", "ENQUEUED")
            if received is None or not busy:
                received = receive(
                    kit.store,
                    source,
                    call,
                    sha,
                    metadata=known,
                    agent_channel=side,
                    language=request.language,
                    scrub=kit.scrub,
                    transcript=transcript,
                )
            run_name = kit.engine.start(received, self._plan, request.targets)
        except PipelineError as error:
            self._fail(named, error)
            return None
        return Job(path, call, received, run_name)

    def _opened(self, path: Path) -> tuple[Source, dict[str, str], AgentChannel]:
        """Return a recording, what is known of it, and which side is the agent."""
        side = self._request.agent_channel
        if not path.is_file():
            return path, self._metadata, side
        try:
            with path.open("rb") as file:
                inside = unpack(file, path.name, self._kit.settings)
        except OSError:
            return path, self._metadata, side  # whoever reads it next says what is wrong
        if inside is None:
            return path, self._metadata, side
        known = check_metadata({**inside.metadata, **self._metadata})
        return inside, known, inside.agent_channel if side == "auto" else side

    def _settle(self, job: Job) -> bool:
        """Finish a job that has ended; return whether it has."""
        kit = self._kit
        if not kit.engine.finished(job.run):
            return False
        try:
            outcome = kit.engine.outcome(job.run)
        except PipelineError as error:
            if kit.engine.again(job.run, error):
                job.run = kit.engine.start(job.received, self._plan, self._request.targets)
                return False
            self._fail(job.path, error)
            return True
        if self._request.targets:
            kit.courier.settle(job.call, self._request.targets, PATIENCE)
        result = kit.result(outcome, self._plan)
        try:
            folder = write_results(self._request.out, result, kit.store.shelf)
        except Misconfigured as error:
            self._fail(job.path, error)
            return True
        self._tally.results.append((job.path, result, folder))
        for row in kit.store.outbox.of(job.call):
            if row.target not in self._request.targets or row.state in ARRIVED:
                continue
            if row.state == "unapproved":
                self._tally.unapproved.append((row.target, row.call))
            else:
                self._tally.undelivered.append((row.target, row.reason or "no answer yet"))
        return True

    def _fail(self, path: Path, error: PipelineError) -> None:
        self._tally.faults.append((path, error))
        show.fault(path, error)


def _check_out(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Misconfigured(
            f"{out}: cannot be made ({error.strerror or type(error).__name__}); "
            "name a folder you may write to with --out",
            code="output",
        ) from error
    if not os.access(out, os.W_OK | os.X_OK):
        raise Misconfigured(
            f"{out}: cannot be written; name a folder you may write to with --out", code="output"
        )


@contextmanager
def disk_faults(data: Path) -> Iterator[None]:
    """Say in plain words that the data folder's database could not be written."""
    try:
        yield
    except SQLAlchemyError as error:
        raise Misconfigured(
            f"{data}: the data folder cannot be written ({type(error).__name__}); "
            "make room on its disk and run the same command again",
            code="storage",
        ) from error


@contextmanager
def _stoppable() -> Iterator[None]:
    """End at once on Ctrl-C or SIGTERM: what was finished is kept, the rest resumes next time."""

    def stop(_signal: int, _frame: Any) -> None:
        print("stopped; run the same command again to go on", file=sys.stderr, flush=True)
        os._exit(130)  # stages run in threads that would hold the process until they are done

    before = {s: signal.signal(s, stop) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
