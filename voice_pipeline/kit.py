"""The composition root: settings in, everything built and joined out.

A *plan* is the full set of choices for a run (engines, models, policy, profile), kept under the
hash of its content. A call names its plan, so whoever takes a call over builds the same parts,
and a changed model or policy is a new revision instead of a silent overwrite.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from functools import cached_property
from types import TracebackType
from typing import Any, Self

from voice_pipeline import __version__
from voice_pipeline.assembly import Assembly
from voice_pipeline.building import (
    best_transcriber,
    build_analyst,
    build_transcriber,
    chosen,
)
from voice_pipeline.config import Part, Settings
from voice_pipeline.delivery.context import Consulting
from voice_pipeline.delivery.courier import Courier
from voice_pipeline.delivery.desk import Desk
from voice_pipeline.delivery.packing import Packing
from voice_pipeline.delivery.targets import Targets
from voice_pipeline.domain import CaseNote, Recording, Ref
from voice_pipeline.embedding import build_embedder
from voice_pipeline.engine.durable import Engine, Entry
from voice_pipeline.engine.queues import Duty
from voice_pipeline.entries import entry
from voice_pipeline.erasing import Erasing
from voice_pipeline.errors import Misconfigured, Permanent
from voice_pipeline.escalating.desk import EscalationDesk
from voice_pipeline.escalating.keeper import Keeper
from voice_pipeline.escalating.raising import raised
from voice_pipeline.evidence import Evidence
from voice_pipeline.knowledge.index import fingerprint
from voice_pipeline.knowledge.library import Library
from voice_pipeline.opening import build_tracing, open_store
from voice_pipeline.overview import Overview, look
from voice_pipeline.phones import phone_key
from voice_pipeline.pipeline import Outcome, Stages
from voice_pipeline.policy.load import load_pack
from voice_pipeline.policy.pack import Pack
from voice_pipeline.redactors import build_redactor
from voice_pipeline.results import CallResult
from voice_pipeline.reviewing import Reviewing
from voice_pipeline.scrub import Scrubber
from voice_pipeline.store.outbox import Wish

log = logging.getLogger(__name__)


class Kit:
    """One data folder with its engine, and the parts that plans name."""

    def __init__(self, settings: Settings, duty: Duty | None = None) -> None:
        """
        Args:
            settings: what everything is built from.
            duty: which queues this process works off; None: its own calls only.
        """
        self.settings = settings
        self.store = open_store(settings)
        self.tracing = build_tracing(settings)
        self.targets = Targets(settings)
        self.library = Library(self.store.database)
        self._assembly = Assembly(
            settings, self.store, self.library,
            Consulting(self.store.register, self.targets, settings, self.scrub),
        )  # fmt: skip
        # from here on runs of an earlier process may go on
        self.engine = Engine(self.store, self, duty, self.tracing)
        if self.store.register.unplanned():
            self.engine.remember()
        self.evidence = Evidence(self.store, self.engine)
        self.erasing = Erasing(self.store, self.engine, lambda text: self.scrub(text, False))
        self.erasing.finish()
        self.reviewing = Reviewing(
            self.store,
            self.engine,
            lambda text: self.scrub(text, False),
            lambda label: load_pack(self.settings.policy).kind(label) is not None,
        )
        packing = Packing(self.store, self.engine.read, self.reviewing.note_json, self._numbers)
        self.desk = Desk(self.store, self.targets, packing, lambda text: self.scrub(text, False))
        self.escalating = EscalationDesk(
            self.store.escalations, lambda text: self.scrub(text, False)
        )
        self.keeper = Keeper(
            self.store, self.targets, lambda: self._current_pack().notify, self.engine.executor
        )
        self.courier = Courier(
            self.store.outbox, self.targets, packing, self.engine.executor,
            lambda call, event, code: self.store.register.tell(call, event, code=code),
            self.tracing,
        )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self, drain: int = 0) -> None:
        """Stop; running calls get `drain` seconds to end, the rest go on with whoever comes."""
        self.courier.stop()
        self.keeper.stop()
        self.engine.close(drain)
        self.targets.close()
        self.store.close()

    # ------------------------------------------------------------ plans

    def plan(self, *, transcriber: str | None = None, diarizer: str | None = None) -> str:
        """Fix the choices for a run and return the plan's name.

        Raises:
            Misconfigured: a part is missing, or an option does not fit.
        """
        settings = self.settings
        hears = chosen(settings.transcriber, transcriber)
        if hears.use == "auto":
            hears = Part(use=best_transcriber(settings), options=hears.options)
        tells = chosen(settings.diarizer, diarizer)
        pack, redactor = load_pack(settings.policy), build_redactor(settings.redaction)
        embedder = build_embedder(settings.embedder)
        return self.store.keep_plan(
            {
                "release": __version__,
                "transcriber": _described(hears, build_transcriber(settings, None, hears).made_by),
                "diarizer": tells.model_dump(),
                "analyst": _described(
                    settings.analyst, build_analyst(settings.analyst, pack, embedder).made_by
                ),
                "embedder": embedder.made_by if embedder else None,
                "redaction": {
                    "profile": settings.redaction,
                    "sha256": redactor.policy.sha256,
                    "text": redactor.policy.text,
                    "redactor": redactor.sha256,
                },
                "muting": settings.muting.model_dump(),
                "second_listen": _second_listen(settings, hears),
                "policy": {
                    "pack": str(settings.policy) if settings.policy else None,
                    "id": pack.id,
                    "version": pack.version,
                    "sha256": pack.sha256,
                },
                "knowledge": self._knowledge_plan(),
            }
        )

    def _knowledge_plan(self) -> dict[str, Any]:
        """Pin the articles that may be found today; another approval is another plan."""
        articles = self.library.usable(date.today())
        part = self.settings.embedder if articles else None
        embedder = build_embedder(part)
        return {
            "articles": [[article.id, article.version] for article in articles],
            "sha256": fingerprint(articles, embedder),
            "embedder": _described(part, embedder.made_by) if part and embedder else None,
        }

    def stages(self, plan: str) -> Stages:
        """Build the stages that a plan names; built once a process, however many calls start."""
        return self._assembly.stages(plan)

    # ------------------------------------------------------------ results and deliveries

    def result(self, outcome: Outcome, plan: str) -> CallResult:
        """Read everything that is known of a finished call."""
        read = self.engine.read
        chosen = self.store.plan(plan)
        recording: Recording = read(outcome.recording)
        verification = read(outcome.verification)
        redaction = read(outcome.redaction)
        released = outcome.status == "done"
        return CallResult(
            call=recording.id,
            status=outcome.status,
            recording=recording,
            redaction=redaction,
            verification=verification,
            transcript=read(outcome.transcript) if released and outcome.transcript else None,
            audio=read(outcome.audio) if released and outcome.audio else None,
            note=self.reviewing.note(outcome.note) if released and outcome.note else None,
            escalations=(read(outcome.escalations) if released and outcome.escalations else None),
            versions={
                "voice_pipeline": chosen["release"],
                "plan": plan,
                "transcriber": chosen["transcriber"]["made_by"],
                "analyst": chosen["analyst"]["made_by"],
                "redaction": {k: v for k, v in chosen["redaction"].items() if k != "text"},
                "policy": chosen["policy"],
                "knowledge": _knowledge_version(chosen),
            },
            timings={
                s.stage: round(s.seconds, 3)
                for s in self.store.progress(recording.id)
                if s.seconds is not None
            },
            log=self.evidence.log(outcome, plan).data,
            transcript_sha256=outcome.transcript.sha256 if outcome.transcript else None,
            received_at=self.store.made_at(outcome.recording),
            verified_at=self.store.made_at(outcome.verification),
        )

    def notes(self) -> Iterator[CaseNote]:
        """Yield the newest released note of each call that is still kept."""
        newest = {call: outcome for call, _, outcome in self.engine.finished_runs()}
        for outcome in newest.values():
            if outcome.status == "done" and outcome.note is not None:
                try:
                    yield self.engine.read(outcome.note)
                except Permanent as error:
                    if error.code != "erased":
                        raise

    def entry(self, outcome: Outcome, read: Callable[[Ref[Any]], Any]) -> Entry:
        """Say what the register should know of a call that has ended, and who has to act on it."""
        known = entry(outcome, read)
        if outcome.note is None:
            return known
        note, recording = read(outcome.note), read(outcome.recording)
        row = self.store.register.get(recording.id)
        arrived = row.received_at if row is not None else time.time()
        found = raised(
            note, recording, self._current_pack(), arrived=arrived,
            backfill=row is not None and row.backfill,
        )  # fmt: skip
        return replace(known, raised=found)

    def _current_pack(self) -> Pack:
        """Return today's pack, or the last good one while somebody is changing its files."""
        try:
            self._assembly.good_pack = load_pack(self.settings.policy)
        except Misconfigured as error:
            if self._assembly.good_pack is None:
                raise
            log.warning("the policy pack has faults; going on with the last good one",
                        extra={"code": error.code})  # fmt: skip
        return self._assembly.good_pack

    def check_targets(self, targets: Sequence[str]) -> None:
        """Refuse targets that cannot be built, before the first call."""
        for target in targets:
            self.targets.get(target)

    def wishes(self, targets: Sequence[str], entry: Entry) -> list[Wish]:
        return self.targets.wishes(targets, review=entry.values.get("review") == "required")

    def return_deliveries(self) -> int:
        """Give back what processes that are gone had in hand; return how many."""
        outbox, book = self.store.outbox, self.store.escalations
        holding = outbox.holders() | book.holders()
        gone = [who for who in holding if not self.engine.alive(who)]
        return sum(outbox.release(who) + book.release(who) for who in gone)

    def _numbers(self, text: str) -> Sequence[str]:
        from voice_pipeline.stages.release import hard_labels

        return sorted(hard_labels(text, build_redactor(self.settings.redaction)))

    def overview(self) -> Overview:
        """Return what goes on in the whole service."""
        return look(self.store.database, self.engine.database, self.store.root)

    # ------------------------------------------------------------ upkeep

    @cached_property
    def _scrubber(self) -> Scrubber:
        return Scrubber(build_redactor(self.settings.redaction))

    def scrub(self, text: str, identifiers: bool) -> str:
        """Return a name or metadata value without personal data."""
        return self._scrubber(text, identifiers)

    def phone_key(self, number: str) -> str:
        """Return the key of a phone number; raises as `phones.phone_key`."""
        return phone_key(number, self.store.signing_seed(), self.settings.phone_country)

    def with_phone_key(self, metadata: Mapping[str, str]) -> dict[str, str]:
        """Return metadata with the key of its `phone` in place of the number.

        Raises:
            BadInput: it is no phone number (code `meta`).
        """
        known = dict(metadata)
        if (number := known.pop("phone", None)) is not None:
            known["phone_key"] = self.phone_key(number)
        return known

    def purge(self) -> int:
        """Destroy what is older than the policy allows; return how many recordings.

        What killed processes left half-written goes with it.
        """
        return self.erasing.purge(load_pack(self.settings.policy).retention)


def _second_listen(settings: Settings, hears: Part) -> dict[str, Any] | None:
    """Return who listens again: another engine than the first where one is here, else the same."""
    if settings.second_listen == "off":
        return None
    use = best_transcriber(settings)
    if use == hears.use:
        use = "pocketsphinx"
    made_by = build_transcriber(settings, None, Part(use=use)).made_by
    return {"use": use, "made_by": made_by, "when_deaf": settings.second_listen}


def _knowledge_version(plan: dict[str, Any]) -> dict[str, Any]:
    """Return which articles a result may have used: a hash and a count, not the list."""
    chosen = plan.get("knowledge", {"articles": [], "sha256": None})
    return {"articles": len(chosen["articles"]), "sha256": chosen["sha256"]}


def _described(part: Part, made_by: str) -> dict[str, Any]:
    return {"use": part.use, "options": part.options, "made_by": made_by}
