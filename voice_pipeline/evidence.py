"""The signed logs of finished calls: made from kept records, the same bytes every time.

Decides which records of a call its log speaks for. Refuses calls that have not finished, and reads
nothing raw: a log can be made as long as the call's key exists.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property

from redaction.log import Signer
from voice_pipeline.codec import plain
from voice_pipeline.domain import CaseNote, Recording, Redaction, Ref, Verification
from voice_pipeline.engine.durable import Engine
from voice_pipeline.errors import Permanent
from voice_pipeline.note import note_json, payload_sha256
from voice_pipeline.pipeline import Outcome
from voice_pipeline.stages.attest import Decided, Released, attest
from voice_pipeline.store import Store


@dataclass(frozen=True, slots=True)
class CallLog:
    """The log of one finished run of one call."""

    call: str
    plan: str  # under which choices the call was worked on
    time: str  # ISO 8601 UTC: when its redaction was verified
    data: bytes  # as redaction_log.jsonl holds it
    policy_sha256: str


@dataclass(frozen=True, slots=True)
class Missing:
    """A call without a log, and why."""

    call: str
    why: str  # erased | unfinished


class Evidence:
    """Makes logs of what a data folder keeps."""

    def __init__(self, store: Store, engine: Engine) -> None:
        self._store, self._engine = store, engine

    @cached_property
    def signer(self) -> Signer:
        return Signer.from_seed(self._store.signing_seed())

    def log(self, outcome: Outcome, plan: str) -> CallLog:
        """Return the log of a finished run.

        Raises:
            Permanent: the call was erased (code `erased`).
        """
        read, call = self._engine.read, outcome.verification.call
        recording: Recording = read(outcome.recording)
        redaction: Redaction = read(outcome.redaction)
        if outcome.audio is not None:  # all that is muted, key tones and fades as well
            redaction = replace(redaction, windows=read(outcome.audio).windows)
        verification: Verification = read(outcome.verification)
        time = _utc(self._store.made_at(outcome.verification))
        data = attest(
            recording,
            redaction,
            verification,
            signer=self.signer,
            time=time,
            released=self._released(outcome.note),
            decided=self._decided(outcome),
            transcriber=self._store.plan(plan)["transcriber"]["made_by"],
        )
        return CallLog(call, plan, time, data, redaction.policy_sha256)

    def logs(self, calls: Collection[str] = ()) -> Iterator[CallLog | Missing]:
        """Return the log of every finished run, by call and plan, and the calls that have none.

        Args:
            calls: only these; none named: every call of the data folder.
        """
        finished: dict[str, list[tuple[str, Outcome]]] = {}
        for call, plan, outcome in self._engine.finished_runs():
            finished.setdefault(call, []).append((plan, outcome))
        for call in sorted(calls or self._store.list_calls()):
            if call not in finished:
                yield Missing(call, "unfinished")
            for plan, outcome in sorted(finished.get(call, ()), key=lambda run: run[0]):
                try:
                    yield self.log(outcome, plan)
                except Permanent as error:
                    if error.code != "erased":
                        raise
                    yield Missing(call, "erased")

    def policies(self) -> Mapping[str, str]:
        """Return the text of every redaction policy that a plan names, by its hash."""
        chosen = (plan["redaction"] for plan in self._store.plans())
        return {part["sha256"]: part["text"] for part in chosen if "text" in part}

    def _decided(self, outcome: Outcome) -> list[Decided]:
        """Return what people decided about this outcome, and what released the call before it."""
        call, text = outcome.recording.call, json.dumps(plain(outcome), sort_keys=True)
        numbers = [
            one.number for one in self._store.register.revisions(call) if one.outcome == text
        ]
        number = max(numbers, default=0)
        return [
            Decided(
                "override" if one.kind == "held" else "review", one.decision, one.by, _utc(one.at)
            )
            for one in self._store.decisions.of(call)
            if one.revision == number or (one.decision == "released" and one.revision < number)
        ]

    def _released(self, note: Ref[CaseNote] | None) -> list[Released]:
        if note is None:
            return []
        rows = [
            row
            for row in self._store.outbox.of(note.call)
            if row.state == "delivered" and row.note == note.sha256
        ]
        if not rows:
            return []
        payload = payload_sha256(note_json(self._engine.read(note)))
        left = [
            Released(
                target=row.target.partition(":")[0],
                target_sha256=hashlib.sha256(row.target.encode()).hexdigest(),
                payload_sha256=row.payload or payload,
                time=_utc(datetime.fromisoformat(row.delivered_at or "1970-01-01").timestamp()),
            )
            for row in rows
        ]
        return sorted(left, key=lambda one: (one.time, one.target, one.target_sha256))


def _utc(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
