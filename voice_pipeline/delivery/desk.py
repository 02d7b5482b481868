"""What people do about deliveries: look, replay, say whose record it is, call off, try a target.

Each act has somebody's name and reason. Refuses what would send a note twice, or one that a person
has not approved.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from voice_pipeline.codec import build
from voice_pipeline.delivery.packing import Packing
from voice_pipeline.delivery.targets import Target, Targets
from voice_pipeline.delivery.wording import as_text
from voice_pipeline.errors import BadInput, PipelineError
from voice_pipeline.pipeline import Outcome
from voice_pipeline.ports import Checked, Outgoing, Parcel
from voice_pipeline.store import Store
from voice_pipeline.store.outbox import NOBODY, DeliveryRow, TargetRow
from voice_pipeline.store.rows import Scope

REPLAYED = ("refused", "cancelled", "waiting")  # states from which a delivery may be due again
AT_ONCE = 10_000  # deliveries that one replay changes
LONGEST = 500  # letters of a reason
# an invented note, for a target that is tried before there is a call
EXAMPLE: Mapping[str, Any] = {
    "call_id": "test", "status": "done", "urgency": "normal", "summary": [], "facts": [],
    "request_type": {"label": "delivery_problem", "confidence": 0.9, "decision": "auto"},
    "reason": {"text": "Test of voice-pipeline: an invented parcel is late.", "evidence": []},
    "next_step": None, "actions": [], "commitments": [], "missing_information": [], "also": [],
    "outcome": {"value": "unresolved", "evidence": []}, "open_questions": [], "sections": [],
    "cancellation_reason": None, "sentiment": {"start": None, "end": None}, "suggestions": [],
    "route": {"queue": "test", "owner": "test", "priority": "normal", "reasons": []},
    "unverified": [], "escalations": [], "review": {"required": False, "reasons": []},
    "draft": None, "measures": {}, "no_article": None, "provenance": {},
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Shown:
    """What would be sent for a call."""

    target: str
    number: int
    customer: str | None
    requests: Sequence[Outgoing]


class Desk:
    """Deliveries of one data folder, for people."""

    def __init__(
        self, store: Store, targets: Targets, packing: Packing, scrub: Callable[[str], str]
    ) -> None:
        self._store, self._outbox = store, store.outbox
        self._targets, self._packing, self._scrub = targets, packing, scrub

    # ------------------------------------------------------------ deliveries

    def replay(
        self,
        *,
        by: str,
        why: str,
        keys: Sequence[str] = (),
        target: str | None = None,
        scope: Scope | None = None,
    ) -> int:
        """Make refused deliveries due again, at once; return how many.

        Args:
            keys: of these; none named: every refused one in scope, of the target if one is named.

        Raises:
            BadInput: no reason or name, or a key that is not in scope or cannot be replayed.
        """
        by, why = self._checked(by, why)
        for key in keys:
            row = self._outbox.get(key, scope)
            if row.state not in REPLAYED:
                raise BadInput(
                    f"delivery {key} is {row.state}; only what was refused or called off is "
                    "replayed" + (", and for this one a person names the record first: assign"
                                  if row.state == "unmatched" else ""),
                    code="not_replayable",
                )  # fmt: skip
        found = list(keys) or [
            row.key
            for row in self._outbox.find(scope, states=["refused"], target=target, limit=AT_ONCE)
        ]
        fresh = {"state": "waiting", "next_at": 0.0, "code": None, "reason": None}
        return self._outbox.change(
            found, ("delivered", "sending", "superseded"), by=by, why=why, **fresh
        )

    def assign(
        self, key: str, record: str | None, *, by: str, why: str, scope: Scope | None = None
    ) -> DeliveryRow:
        """Say whose record a note goes onto; None: nobody's, it stands for itself.

        Raises:
            BadInput: no such delivery, no reason or name, or it waits for no such word
                (code `not_unmatched`).
        """
        by, why = self._checked(by, why)
        row = self._outbox.get(key, scope)
        if row.state not in ("unmatched", "refused"):
            raise BadInput(
                f"delivery {key} is {row.state}; a record is named for one that is unmatched",
                code="not_unmatched",
            )
        record = " ".join(record.split())[:400] if record is not None else NOBODY
        if not record:
            raise BadInput("name the record as the target does", code="not_unmatched")
        self._outbox.change(
            [key], ("delivered", "sending"), by=by, why=why, customer=record, state="waiting",
            next_at=0.0, code=None, reason=None,
        )  # fmt: skip
        return self._outbox.get(key)

    def cancel(self, key: str, *, by: str, why: str, scope: Scope | None = None) -> DeliveryRow:
        """Call a delivery off; it can be replayed.

        Raises:
            BadInput: no such delivery, no reason or name, or it is there or on its way already
                (code `delivered_already`).
        """
        by, why = self._checked(by, why)
        self._outbox.get(key, scope)
        values = {"state": "cancelled", "code": "called_off", "reason": "a person called it off"}
        if not self._outbox.change([key], ("delivered", "sending"), by=by, why=why, **values):
            raise BadInput(
                "the note is there, or on its way; it cannot be called back from here",
                code="delivered_already",
            )
        return self._outbox.get(key)

    def preview(self, call: str, name: str) -> Shown:
        """Return exactly what would be sent of a call's note; nothing is.

        Raises:
            BadInput: the call has no note (code `no_note`).
            Permanent: it must not leave; see `Packing.pack`.
            Misconfigured: the target.
        """
        target = self._targets.get(name)
        row = self._would_be(call, target)
        earlier = [
            one
            for one in self._outbox.of(call)
            if one.target == name and (one.state == "delivered" or one.attempts)
        ]
        parcel = self._packing.pack(row, target, earlier).parcel
        return Shown(name, parcel.number, parcel.customer, target.connector.preview(parcel))

    # ------------------------------------------------------------ targets

    def pause(self, name: str, *, by: str, why: str) -> None:
        """Send nothing to a target until it is resumed; what is under way ends.

        Raises:
            BadInput: no reason or name.
            Misconfigured: there is no such target.
        """
        by, why = self._checked(by, why)
        self._known(name)
        self._outbox.pause(name, by=by, why=why)

    def resume(self, name: str) -> None:
        """Send to a target again, at once; one that failed is tried without waiting."""
        self._known(name)
        self._outbox.resume(name)

    def states(self) -> list[tuple[str, TargetRow, Mapping[str, int]]]:
        """Return each target of the settings or the outbox: its name, state, and what waits."""
        waiting, rows = self._outbox.waiting(), self._outbox.targets()
        names = {*self._targets.names, *rows, *(name for name, _ in waiting)}
        return [
            (
                name,
                rows.get(name, TargetRow(name)),
                {state: count for (one, state), (count, _) in waiting.items() if one == name},
            )
            for name in sorted(names)
        ]

    def test(self, name: str, *, write: bool = True) -> list[Checked]:
        """Try a target: credentials, rights, fields; a marked record is made and taken away.

        Args:
            write: False: nothing is made there.

        Raises:
            Misconfigured: the target's settings do not fit.
        """
        target = self._targets.get(name)
        found: list[Checked] = []
        try:
            found += target.connector.check()
        except PipelineError as error:
            found.append(Checked("credentials", False, error.message))
        found.append(self._mapping(target))
        if write and all(one.good for one in found):
            found.append(self._record(target))
        return found

    def _mapping(self, target: Target) -> Checked:
        try:
            self._example(target)
        except PipelineError as error:
            return Checked("mapping", False, error.message)
        return Checked("mapping", True, "")

    def _record(self, target: Target) -> Checked:
        receipt = None
        try:
            parcel = self._example(target)
            receipt = target.connector.deliver(parcel)
            again = target.connector.deliver(replace(parcel, first_try=False))
            target.connector.remove(receipt)
        except PipelineError as error:
            if error.code == "not_removed":
                return Checked("record", True, error.message)
            left = f"; the record {receipt.external_id} is still there" if receipt else ""
            return Checked("record", False, error.message + left)
        if again.external_id != receipt.external_id:
            return Checked("record", False, "the same note sent twice made two records")
        return Checked("record", True, f"made, found again and taken away: {receipt.external_id}")

    def _example(self, target: Target) -> Parcel:
        """Return a parcel with an invented note, as the target's mapping makes it."""
        note = {name: EXAMPLE[name] for name in target.settings.fields}
        call = f"test-{secrets.token_hex(4)}"
        link = target.link(call)
        values = {
            "note": note, "call": call, "metadata": {}, "link": link, "number": 1,
            "event": "call.note.created", "customer": None, "text": as_text(note, link),
        }  # fmt: skip
        return Parcel(
            key=secrets.token_hex(16), call=call, number=1, event="call.note.created", note=note,
            fields=target.mapped.fields(values), metadata={}, link=link, test=True,
            at=datetime.now(UTC).isoformat(timespec="seconds"),
        )  # fmt: skip

    # ------------------------------------------------------------ inside

    def _would_be(self, call: str, target: Target) -> DeliveryRow:
        """Return the row that the newest note of a call would have."""
        made = [one for one in self._store.decisions.of(call) if one.kind == "review"]
        for revision in reversed(self._store.register.revisions(call)):
            outcome: Outcome = build(Outcome, json.loads(revision.outcome))
            if outcome.note is not None:
                empty: dict[str, Any] = dict.fromkeys(DeliveryRow.__dataclass_fields__)
                return DeliveryRow(**empty | {
                    "key": "preview", "call": call, "target": target.name, "state": "waiting",
                    "revision": outcome.note.sha256, "note": outcome.note.sha256, "attempts": 0,
                    "created_at": time.time(), "number": 1, "tenant": "", "next_at": 0.0,
                    "decision": made[-1].number if made else 0,
                })  # fmt: skip
        raise BadInput(f"call {call} has no note that could leave", code="no_note")

    def _known(self, name: str) -> None:
        if self._targets.settings(name) is None and ":" not in name:
            self._targets.get(name)  # says which there are

    def _checked(self, by: str, why: str) -> tuple[str, str]:
        by, why = " ".join(by.split()), " ".join(why.split())
        if not by or not why or len(by) > 200 or len(why) > LONGEST:
            raise BadInput(
                f"say why, in at most {LONGEST} letters, and who decides", code="no_reason"
            )
        return by, self._scrub(why)


def delivery_json(row: DeliveryRow) -> dict[str, Any]:
    """Return a delivery as JSON values; no content of the call is in it."""
    return {
        "key": row.key,
        "call_id": row.call,
        "target": row.target,
        "number": row.number,
        "state": row.state,
        "attempts": row.attempts,
        "code": row.code,
        "reason": row.reason,
        "created_at": _time(row.created_at),
        "next_try_at": _time(row.next_at) if row.state == "waiting" and row.next_at else None,
        "delivered_at": row.delivered_at,
        "record": row.external_id,
        "customer": None if row.customer in (None, NOBODY) else row.customer,
        "payload_sha256": row.payload,
        "remarks": json.loads(row.remarks) if row.remarks else [],
        "decided_by": row.by,
        "why": row.why,
    }


def target_json(name: str, row: TargetRow, waiting: Mapping[str, int]) -> dict[str, Any]:
    """Return how a target does as JSON values."""
    state = "paused" if row.paused_by else "failing" if row.failures else "good"
    return {
        "target": name,
        "state": state,
        "waiting": dict(waiting),
        "failures": row.failures,
        "failing_since": _time(row.failing_since) if row.failing_since else None,
        "code": row.code,
        "detail": row.detail,
        "next_try_at": _time(row.rests_until) if row.failures else None,
        "paused_by": row.paused_by,
        "paused_at": _time(row.paused_at) if row.paused_at else None,
        "why": row.why,
    }


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
