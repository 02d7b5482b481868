"""Builds the stages of a plan: the parts that it names, bound to the store and to each other.

Decides nothing itself: a plan has fixed every choice. Refuses a plan whose policy pack or embedding
model is no longer the one that it names.
"""

from __future__ import annotations

import hashlib
import threading
from datetime import date
from pathlib import Path
from typing import Any

from voice_pipeline.building import build_analyst, build_diarizers, build_transcriber
from voice_pipeline.config import Part, Settings
from voice_pipeline.delivery.context import Consulting
from voice_pipeline.domain import Recording
from voice_pipeline.embedding import build_embedder
from voice_pipeline.errors import Misconfigured
from voice_pipeline.knowledge.index import Knowledge
from voice_pipeline.knowledge.library import Library
from voice_pipeline.knowledge.shelf import open_knowledge
from voice_pipeline.pipeline import Stages
from voice_pipeline.policy.load import load_pack
from voice_pipeline.policy.pack import Pack, Words
from voice_pipeline.ports import Embedder, Stage
from voice_pipeline.redactors import planned_redactor
from voice_pipeline.store import Store


class Assembly:
    """The stages of one data folder's plans; each plan is built once a process."""

    def __init__(
        self, settings: Settings, store: Store, library: Library, consulting: Consulting
    ) -> None:
        self._settings, self._store, self._library = settings, store, library
        self._consulting = consulting
        self._stages: dict[str, Stages] = {}
        self._building = threading.Lock()
        self.good_pack: Pack | None = None  # that was read without a fault, the last one

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
        articles = self._library.pinned(chosen["articles"], date.today())
        return open_knowledge(articles, self._library, pack, embedder)

    def stages(self, plan: str) -> Stages:
        """Build the stages that a plan names; built once a process, however many calls start."""
        with self._building:
            if plan not in self._stages:
                self._stages[plan] = self._build(self._store.plan(plan))
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

        shelf, release = self._store.shelf, plan["release"]
        hears, tells, writes = plan["transcriber"], plan["diarizer"], plan["analyst"]
        pack = self._pack(plan)
        self.good_pack = self.good_pack or pack
        transcriber = build_transcriber(
            self._settings, None, Part(use=hears["use"], options=hears["options"])
        )
        diarizer_for = build_diarizers(self._settings, Part(**tells))
        analyst = build_analyst(
            Part(use=writes["use"], options=writes["options"]), pack, self._embedder(plan)
        )
        redactor = planned_redactor(plan["redaction"])
        redacts = f"{release} {redactor.sha256}"
        cut, again = Cut(**plan["muting"]), plan["second_listen"]
        listener = (
            SecondListener(
                build_transcriber(self._settings, None, Part(use=again["use"])), again["when_deaf"]
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
                progress=lambda share: self._store.note_progress(
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
                    transcript, redactor=redactor, key=self._store.hash_key(transcript.call)
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
                lambda recording, text, note: escalate(
                    recording,
                    text,
                    note,
                    pack=pack,
                    consult=lambda one: self._consulting.look(one, pack.thresholds.repeat_days),
                ),
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
        embedder = build_embedder(self._settings.embedder)
        if (embedder.made_by if embedder else None) != plan.get("embedder"):
            raise Misconfigured(
                "the embedding model changed since this call was started; start the call again",
                code="plan_changed",
            )
        return embedder
