"""What of a note leaves: made into a parcel from a released revision, and looked through once more.

Decides which fields, and that a draft goes only once a person has approved it. Refuses a note that
was not released, one that still waits for approval, and texts that hold a number which the verified
note does not.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from voice_pipeline.codec import build
from voice_pipeline.delivery.targets import Target
from voice_pipeline.delivery.wording import as_text
from voice_pipeline.domain import Recording, RedactedTranscript, Ref
from voice_pipeline.errors import Permanent
from voice_pipeline.note import payload_sha256
from voice_pipeline.pipeline import Outcome
from voice_pipeline.ports import Parcel
from voice_pipeline.store import Store
from voice_pipeline.store.outbox import NOBODY, DeliveryRow
from voice_pipeline.store.rows import Revision

APPROVED = ("approved", "edited")
BLANK = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class Packed:
    """A parcel, and what whoever sends it must know."""

    parcel: Parcel
    payload: str  # sha256 of the note as it leaves
    speakers: frozenset[str]


class Packing:
    """Makes parcels from what one data folder keeps."""

    def __init__(
        self,
        store: Store,
        read: Callable[[Ref[Any]], Any],
        note: Callable[[Ref[Any], Revision, int], dict[str, Any]],
        numbers: Callable[[str], Sequence[str]],
    ) -> None:
        """
        Args:
            store: what is kept.
            read: reads a record.
            note: a note as JSON as it stood after a decision: its name, revision, the decision.
            numbers: the kinds of numbers in a text for which it must not leave.
        """
        self._store, self._read, self._note = store, read, note
        self._numbers = lru_cache(maxsize=1024)(lambda text: tuple(numbers(text)))

    def pack(self, row: DeliveryRow, target: Target, earlier: Sequence[DeliveryRow]) -> Packed:
        """Return the parcel of a delivery.

        Args:
            row: the delivery.
            target: where it goes.
            earlier: deliveries of the call to the same target before it.

        Raises:
            Permanent: the note was not released (code `not_released`), waits for approval
                (code `unapproved`), holds a number (code `residual_personal_data`), was erased
                (code `erased`), or the mapping does not fit it (code `mapping`).
        """
        revision, outcome = self._released(row)
        assert outcome.note is not None
        whole = self._note(outcome.note, revision, row.decision)
        self._check_approved(whole, target)
        note = {name: whole[name] for name in target.settings.fields if name in whole}
        if "draft" in note and not target.by_hand and _decision(whole) not in APPROVED:
            note["draft"] = None
        recording: Recording = self._read(outcome.recording)
        metadata = {
            name: recording.metadata[name]
            for name in (recording.metadata if target.by_hand else target.settings.metadata)
            if name in recording.metadata
        }
        link = target.link(row.call)
        before = [one for one in earlier if one.state == "delivered"]
        event = "call.note.updated" if before else "call.note.created"
        number = len(before) + 1
        text = as_text(note, link)
        values = {
            "note": note, "call": row.call, "metadata": metadata, "link": link, "event": event,
            "number": number, "customer": _customer(row, before), "text": text,
        }  # fmt: skip
        fields = target.mapped.fields(values)
        self._look_through(fields, metadata, [text.strip(), link or "", *_strings(note)])
        parcel = Parcel(
            key=row.key, call=row.call, number=number, event=event, note=note, fields=fields,
            metadata=metadata, link=link, customer=_customer(row, before),
            at=datetime.fromtimestamp(row.created_at, UTC).isoformat(timespec="seconds"),
            record=before[-1].external_id if before else None,
            first_try=row.attempts <= 1 and not any(one.attempts for one in earlier),
        )  # fmt: skip
        return Packed(parcel, payload_sha256(note), self._speakers(target, outcome))

    def _released(self, row: DeliveryRow) -> tuple[Revision, Outcome]:
        """Return the revision that released exactly this note."""
        for revision in reversed(self._store.register.revisions(row.call)):
            outcome: Outcome = build(Outcome, json.loads(revision.outcome))
            if outcome.note is not None and outcome.note.sha256 == (row.note or row.revision):
                if outcome.status != "done":
                    break
                return revision, outcome
        raise Permanent("this note was never released, or was erased", code="not_released")

    def _check_approved(self, note: Mapping[str, Any], target: Target) -> None:
        review = note.get("review") or {}
        waits = target.settings.before_approval == "wait" and review.get("required")
        if waits and _decision(note) not in APPROVED:
            raise Permanent("a person has to approve this note first", code="unapproved")

    def _look_through(
        self, fields: Mapping[str, str], metadata: Mapping[str, str], known: Sequence[str]
    ) -> None:
        """Read what the mapping added to texts that were verified as they are."""
        verified = sorted({BLANK.sub(" ", text) for text in known if len(text) > 3}, key=len)
        for name, text in [*fields.items(), *metadata.items()]:
            rest = BLANK.sub(" ", text)
            for one in reversed(verified):
                rest = rest.replace(one, " ")
            rest = BLANK.sub(" ", rest).strip()
            if any(sign.isalnum() for sign in rest) and self._numbers(rest):
                raise Permanent(
                    f"the field {name} would hold a number that was not verified; look at the "
                    "mapping and the call's metadata",
                    code="residual_personal_data",
                )

    def _speakers(self, target: Target, outcome: Outcome) -> frozenset[str]:
        if not target.connector.traits.matches or outcome.transcript is None:
            return frozenset()
        transcript: RedactedTranscript = self._read(outcome.transcript)
        return frozenset(turn.speaker for turn in transcript.turns)


def _customer(row: DeliveryRow, before: Sequence[DeliveryRow]) -> str | None:
    """Return the customer's record: as a person said, or as it was matched the first time."""
    said = row.customer or next((one.customer for one in before if one.customer), None)
    return None if said == NOBODY else said


def _decision(note: Mapping[str, Any]) -> str | None:
    """Return what a person decided about the note, or None."""
    return ((note.get("review") or {}).get("decision") or {}).get("decision")


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _strings(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _strings(inner)
