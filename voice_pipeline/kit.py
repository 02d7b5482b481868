"""The composition root: settings in, everything built and joined out.

A *plan* is the full set of choices for a run (engines, models, policy, profile), kept under the
hash of its content. A call names its plan, so whoever takes a call over builds the same parts,
and a changed model or policy is a new revision instead of a silent overwrite.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from voice_pipeline import __version__
from voice_pipeline.building import (
    best_transcriber,
    build_analyst,
    build_diarizers,
    build_transcriber,
    chosen,
)
from voice_pipeline.config import Part, Settings
from voice_pipeline.delivery.courier import Courier
from voice_pipeline.delivery.desk import Desk
from voice_pipeline.delivery.packing import Packing
from voice_pipeline.delivery.targets import Targets
from voice_pipeline.domain import CaseNote, Recording
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
from voice_pipeline.knowledge.index import Knowledge, fingerprint
from voice_pipeline.knowledge.library import Library
from voice_pipeline.knowledge.shelf import open_knowledge
from voice_pipeline.opening import build_tracing, open_store
from voice_pipeline.overview import Overview, look
from voice_pipeline.pipeline import Outcome, Stages
from voice_pipeline.policy.load import load_pack
from voice_pipeline.policy.pack import Pack, Words
from voice_pipeline.ports import Embedder, Stage
from voice_pipeline.redactors import build_redactor, planned_redactor
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
        self._stages: dict[str, Stages] = {}
        self._building = threading.Lock()
        self.tracing = build_tracing(settings)
        self.targets = Targets(settings)
        self._good_pack: Pack | None = None
        self.engine = Engine(self.store, self, duty, self.tracing)
        if self.store.register.unplanned():
            self.engine.remember()
        self.evidence = Evidence(self.store, self.engine)
        self.library = Library(self.store.database)
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

    def _knowledge(self, plan: dict[str, Any], pack: Pack) -> Knowledge:
        """Open the articles of a plan, but for those retired or out of date since."""
        chosen = plan.get("knowledge", {"articles": [], "embedder": None})
        part = chosen["embedder"]
        embedder = build_embedder(
            Part(use=part["use"], options=part["options"]) if part is not None else None
        )
        if embedder is not None and embedder.made_by != part["made_by"]:
            raise Misconfigured(
                "the embedding model changed since this call was started; start the call again",
                code="plan_changed",
            )
        articles = self.library.pinned(chosen["articles"], date.today())
        return open_knowledge(articles, self.library, pack, embedder)

    def stages(self, plan: str) -> Stages:
        """Build the stages that a plan names; built once a process, however many calls start."""
        with self._building:
            if plan not in self._stages:
                self._stages[plan] = self._build(self.store.plan(plan))
            return self._stages[plan]

    def _build(self, plan: dict[str, Any]) -> Stages:
        from voice_pipeline.stages.adopt import adopt
        from voice_pipeline.stages.analyse import analyse
        from voice_pipeline.stages.diarize import diarize
        from voice_pipeline.stages.draft import answer
        from voice_pipeline.stages.escalate import escalate
        from voice_pipeline.stages.given_turns import adopt_turns
        from voice_pipeline.stages.ingest import ingest
        from voice_pipeline.stages.mute import Cut, mute
        from voice_pipeline.stages.redact import redact
        from voice_pipeline.stages.release import release as let_go
        from voice_pipeline.stages.replace import replace
        from voice_pipeline.stages.respell import respell
        from voice_pipeline.stages.review import review
        from voice_pipeline.stages.second_listen import SecondListener
        from voice_pipeline.stages.transcribe import transcribe
        from voice_pipeline.stages.understanding import UNDERSTOOD_FLOOR
        from voice_pipeline.stages.verify import verify

        shelf, release = self.store.shelf, plan["release"]
        hears, tells, writes = plan["transcriber"], plan["diarizer"], plan["analyst"]
        pack = self._pack(plan)
        self._good_pack = self._good_pack or pack
        transcriber = build_transcriber(
            self.settings, None, Part(use=hears["use"], options=hears["options"])
        )
        diarizer_for = build_diarizers(self.settings, Part(**tells))
        analyst = build_analyst(
            Part(use=writes["use"], options=writes["options"]), pack, self._embedder(plan)
        )
        redactor = planned_redactor(plan["redaction"])
        redacts = f"{release} {redactor.sha256}"
        cut, again = Cut(**plan["muting"]), plan["second_listen"]
        listener = (
            SecondListener(
                build_transcriber(self.settings, None, Part(use=again["use"])), again["when_deaf"]
            )
            if again
            else None
        )
        judges = f"{release} {plan['policy']['sha256']}"
        knowledge = self._knowledge(plan, pack)

        words = pack.vocabulary
        spells = hashlib.sha256(words.model_dump_json().encode()).hexdigest()[:12]

        def words_of(recording: Recording) -> Words:
            return words.of(recording.metadata.get("queue", ""))

        def hear(recording: Recording) -> Any:
            if recording.transcript is not None:
                return adopt(recording, shelf=shelf)
            return transcribe(
                recording,
                transcriber=transcriber,
                shelf=shelf,
                progress=lambda share: self.store.note_progress(
                    recording.id, "transcribe", min(share, 0.999)
                ),
                hints=words_of(recording).hotwords,
            )

        return Stages(
            ingest=Stage("ingest", lambda received: ingest(received, shelf=shelf), release),
            transcribe=Stage(
                "transcribe", hear, f"{release} {hears['made_by']} {spells}", lane="gpu"
            ),
            diarize=Stage(
                "diarize",
                lambda recording, heard: respell(
                    (adopt_turns if heard.turns else diarize)(
                        recording, heard, diarizer=diarizer_for(recording), shelf=shelf
                    ),
                    words_of(recording),
                    mask=words.profanity == "mask",
                ),
                f"{release} {tells['use']} {tells['options']} {spells}",
            ),
            redact=Stage(
                "redact",
                lambda transcript: redact(
                    transcript, redactor=redactor, key=self.store.hash_key(transcript.call)
                ),
                redacts,
            ),
            replace=Stage(
                "replace",
                lambda said, found: replace(said, found, policy=redactor.policy),
                redacts,
            ),
            mute=Stage(
                "mute",
                lambda recording, found: mute(recording, found, shelf=shelf, cut=cut),
                f"{redacts} {cut}",
            ),
            verify=Stage(
                "verify",
                lambda said, found, text, sound: verify(
                    said,
                    found,
                    text,
                    sound,
                    redactor=redactor,
                    shelf=shelf,
                    floor=UNDERSTOOD_FLOOR,
                    cut=cut,
                    listener=listener,
                ),
                f"{redacts} {cut} {again}",
            ),
            analyse=Stage(
                "analyse",
                lambda recording, text: analyse(recording, text, analyst=analyst),
                f"{judges} {writes['made_by']}",
            ),
            escalate=Stage(
                "escalate",
                lambda recording, text, note: escalate(recording, text, note, pack=pack),
                judges,
            ),
            review=Stage(
                "review",
                lambda recording, text, note, flags: review(
                    recording, text, note, flags, pack=pack
                ),
                judges,
            ),
            draft=Stage(
                "draft",
                lambda text, note: answer(
                    text, note, pack=pack, knowledge=knowledge, redactor=redactor
                ),
                f"{judges} {redactor.sha256} {knowledge.sha256}",
            ),
            release=Stage(
                "release",
                lambda recording, text, note, verified: let_go(
                    recording, text, note, verified, redactor=redactor
                ),
                redacts,
            ),
        )

    def _pack(self, plan: dict[str, Any]) -> Pack:
        where = plan["policy"]["pack"]
        pack = load_pack(Path(where) if where else None)
        if pack.sha256 != plan["policy"]["sha256"]:
            raise Misconfigured(
                "the policy pack changed since this call was started; start the call again",
                code="plan_changed",
            )
        return pack

    def _embedder(self, plan: dict[str, Any]) -> Embedder | None:
        """Build the embedder of the settings: its key has no place in a plan, its name has."""
        embedder = build_embedder(self.settings.embedder)
        if (embedder.made_by if embedder else None) != plan.get("embedder"):
            raise Misconfigured(
                "the embedding model changed since this call was started; start the call again",
                code="plan_changed",
            )
        return embedder

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

    def entry(self, outcome: Outcome) -> Entry:
        """Say what the register should know of a call that has ended, and who has to act on it."""
        known = entry(outcome, self.engine.read)
        if outcome.note is None:
            return known
        note, recording = self.engine.read(outcome.note), self.engine.read(outcome.recording)
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
            self._good_pack = load_pack(self.settings.policy)
        except Misconfigured as error:
            if self._good_pack is None:
                raise
            log.warning("the policy pack has faults; going on with the last good one",
                        extra={"code": error.code})  # fmt: skip
        return self._good_pack

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
