"""What people decide: about notes that need approval, and about calls that are held.

A note is approved, rejected or edited; a held call is released on somebody's responsibility, run
again, or discarded. Refuses decisions without a reason or a name, and those that do not fit the
call's state. A release shows what was redacted, never what was said: nothing raw is opened here.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from voice_pipeline.codec import build, encode
from voice_pipeline.domain import (
    CallOutcome,
    CaseNote,
    Claim,
    Draft,
    NoteEdit,
    Ref,
    RequestType,
    Verification,
    Warning,
)
from voice_pipeline.engine.durable import Engine
from voice_pipeline.errors import BadInput, Permanent
from voice_pipeline.note import note_json
from voice_pipeline.pipeline import Outcome
from voice_pipeline.store import Store
from voice_pipeline.store.decisions import Decision
from voice_pipeline.store.rows import CallRow, Revision

LONGEST_REASON = 500  # letters
LONGEST_TEXT, MOST_TEXTS = 4000, 100  # letters of one statement, statements of one field
RELEASED = "released_by_person"
REVIEWS = {"approve": "approved", "reject": "rejected"}
URGENCIES = ("low", "normal", "high", "urgent")
OUTCOMES = ("resolved", "partial", "unresolved", "unclear")
CLAIMS = ("summary", "facts", "actions")
EDITABLE = (*CLAIMS, "reason", "urgency", "request_type", "outcome", "missing_information", "draft")


class Reviewing:
    """Decisions about the calls of one data folder."""

    def __init__(
        self,
        store: Store,
        engine: Engine,
        scrub: Callable[[str], str],
        known_type: Callable[[str], bool],
    ) -> None:
        """
        Args:
            store: what is kept.
            engine: reads records.
            scrub: redacts what a person wrote.
            known_type: whether the policy has a request type of this label.
        """
        self._store, self._engine = store, engine
        self._scrub, self._known_type = scrub, known_type

    # ------------------------------------------------------------ notes

    def decide(self, call: str, decision: str, *, reason: str, by: str) -> Decision:
        """Approve or reject a note that waits for it.

        Args:
            call: id of the call.
            decision: `approve` or `reject`.
            reason: why, in the person's words.
            by: who decides.

        Raises:
            BadInput: no such call, no reason or name, or nothing waits (code `no_review_waits`).
        """
        row = self._row(call)
        if row.status != "done" or row.review != "required":
            raise BadInput(
                f"the note of call {call} waits for nobody's approval", code="no_review_waits"
            )
        reason, by = self._checked(reason, by)
        done = REVIEWS[decision]
        number = self._store.decisions.add(
            row, "review", done, by=by, reason=reason, values={"review": done}
        )
        return self._decision(call, number)

    def edit(self, call: str, changes: Mapping[str, Any], *, reason: str, by: str) -> Decision:
        """Keep a note as a person wants it; that approves it. The note it was made of stays.

        Args:
            call: id of the call.
            changes: fields of EDITABLE with their new value: a list of texts, a text, or null.
            reason: why.
            by: who decides.

        Raises:
            BadInput: no such call, no note, no reason or name, or a field that is none or does not
                take such a value (code `edit`).
        """
        row = self._row(call)
        revision = self._store.register.revision(call)
        if row.status != "done" or revision is None:
            raise BadInput(f"call {call} has no note that could be edited", code="no_note")
        reason, by = self._checked(reason, by)
        outcome: Outcome = build(Outcome, json.loads(revision.outcome))
        assert outcome.note is not None
        before = self.note(outcome.note)
        after = self._edited(before, changes)
        changed = tuple(name for name in EDITABLE if getattr(before, name) != getattr(after, name))
        if not changed:
            raise BadInput("the note says that already; nothing was changed", code="edit")
        at = datetime.now(UTC).isoformat(timespec="seconds")
        record = NoteEdit(call, outcome.note.sha256, after, changed, by, at)
        kept = self._store.shelf.put(call, "NoteEdit", encode(record))
        values: dict[str, Any] = {
            "request_type": after.request_type.label,
            "urgency": after.urgency,
            "review": "approved" if row.review else None,
        }
        number = self._store.decisions.add(
            row, "review", "edited", by=by, reason=reason, sha256=kept.sha256, values=values
        )
        return self._decision(call, number)

    def note(self, ref: Ref[CaseNote], until: int | None = None) -> CaseNote:
        """Return a note as people left it, or as it was made where nobody edited it.

        Args:
            ref: the note as it was made.
            until: number of the last decision that counts; None: all do.
        """
        for one in reversed(self._store.decisions.of(ref.call)):
            if until is not None and one.number > until:
                continue
            if one.decision == "edited" and one.sha256 is not None:
                edit: NoteEdit = self._engine.read(Ref(ref.call, "NoteEdit", one.sha256))
                if edit.of == ref.sha256:
                    return edit.note
        found: CaseNote = self._engine.read(ref)
        return found

    def note_json(
        self, ref: Ref[CaseNote], revision: Revision, until: int | None = None
    ) -> dict[str, Any]:
        """Return a note as integrations read it, with the last decision about it.

        Args:
            until: as in `note`.
        """
        document = note_json(self.note(ref, until))
        made = [
            one
            for one in self._store.decisions.of(revision.call)
            if one.kind == "review"
            and one.revision == revision.number
            and (until is None or one.number <= until)
        ]
        if made:
            review = document["review"] or {"required": False, "reasons": []}
            document["review"] = review | {"decision": decision_json(made[-1])}
        return document

    # ------------------------------------------------------------ held calls

    def release(self, call: str, *, reason: str, by: str) -> Decision:
        """Let a held call go on as it was redacted; the person answers for that.

        The verdict that held it is set aside for exactly the redaction, text and sound that it
        judged; any other is judged anew. The call then waits to be taken up, like a new one.

        Raises:
            BadInput: no such call, no reason or name, not held (code `not_held`), or what held it
                cannot be set aside (code `not_releasable`).
        """
        row, revision = self._held(call)
        reason, by = self._checked(reason, by)
        outcome: Outcome = build(Outcome, json.loads(revision.outcome))
        verdict: Verification = self._engine.read(outcome.verification)
        mark = Warning(RELEASED, "a person released the call although it was not verified")
        overruled = replace(verdict, passed=True, reasons=(*verdict.reasons, mark))
        kept = self._store.shelf.put(call, "Verification", encode(overruled))
        number = self._store.decisions.add(
            row, "held", "released", by=by, reason=reason, sha256=kept.sha256,
            values=_waiting(row, revision.plan), instead=(outcome.verification, kept),
        )  # fmt: skip
        return self._decision(call, number)

    def rerun(self, call: str, plan: str, *, reason: str, by: str) -> Decision:
        """Let a held call be worked on again under a plan: newer models, another policy.

        Raises:
            BadInput: no such call, no reason or name, or not held (code `not_held`).
        """
        row, _ = self._held(call)
        reason, by = self._checked(reason, by)
        number = self._store.decisions.add(
            row, "held", "rerun", by=by, reason=reason, values=_waiting(row, plan)
        )
        return self._decision(call, number)

    def discard(self, call: str, *, reason: str, by: str) -> Decision:
        """Give a held call up: it counts as failed, and its raw material is destroyed.

        Raises:
            BadInput: no such call, no reason or name, or not held (code `not_held`).
            Permanent: it is under legal hold (code `legal_hold`).
        """
        row, _ = self._held(call)
        reason, by = self._checked(reason, by)
        if numbers := self._store.holds.on(call):
            raise Permanent(
                f"call {call} is under legal hold {numbers[0]}; its recording stays",
                code="legal_hold",
            )
        values = {
            "status": "failed", "code": "discarded", "detail": "a person gave the held call up",
            "ended_at": time.time(),
        }  # fmt: skip
        number = self._store.decisions.add(
            row, "held", "discarded", by=by, reason=reason, values=values
        )
        for kind in ("Audio", "ImportedTranscript"):
            self._store.shelf.delete_kind(call, kind)
        return self._decision(call, number)

    # ------------------------------------------------------------ inside

    def _row(self, call: str) -> CallRow:
        row = self._store.register.get(call)
        if row is None:
            raise BadInput(f"no call has the id {call}", code="not_found")
        if row.status == "erased":
            raise Permanent(f"call {call} was erased", code="erased")
        return row

    def _held(self, call: str) -> tuple[CallRow, Revision]:
        row, revision = self._row(call), self._store.register.revision(call)
        if row.status != "held" or revision is None:
            raise BadInput(
                f"call {call} is {row.status}; only one that is held is decided on",
                code="not_held",
            )
        return row, revision

    def _decision(self, call: str, number: int) -> Decision:
        return next(one for one in self._store.decisions.of(call) if one.number == number)

    def _checked(self, reason: str, by: str) -> tuple[str, str]:
        reason, by = " ".join(reason.split()), " ".join(by.split())
        if not reason or not by or len(reason) > LONGEST_REASON or len(by) > 200:
            raise BadInput(
                f"say why, in at most {LONGEST_REASON} letters, and who decides", code="no_reason"
            )
        return self._scrub(reason), by

    def _edited(self, note: CaseNote, changes: Mapping[str, Any]) -> CaseNote:
        """Return the note with other values; a statement that stays keeps its quotes."""
        if unknown := sorted(set(changes) - set(EDITABLE)):
            raise BadInput(
                f"a note has no field {', '.join(unknown)[:100]} to edit; there are "
                f"{', '.join(EDITABLE)}",
                code="edit",
            )
        values: dict[str, Any] = {}
        for name, value in changes.items():
            if name in CLAIMS:
                values[name] = self._claims(getattr(note, name), _texts(name, value))
            elif name == "missing_information":
                values[name] = tuple(self._scrub(text) for text in _texts(name, value))
            elif name == "reason":
                old = (note.reason,) if note.reason else ()
                new = _texts(name, [value] if value is not None else [])
                values[name] = next(iter(self._claims(old, new)), None)
            elif name == "draft":
                values[name] = self._draft(note, value)
            else:
                values[name] = self._choice(note, name, value)
        return replace(note, **values)

    def _claims(self, old: Sequence[Claim], texts: Sequence[str]) -> tuple[Claim, ...]:
        known = {claim.text: claim for claim in old}
        return tuple(known.get(text) or Claim(self._scrub(text), ()) for text in texts)

    def _draft(self, note: CaseNote, value: Any) -> Draft | None:
        if value is None:
            return None
        (text,) = _texts("draft", [value])
        return Draft(self._scrub(text), note.draft.sources if note.draft else ())

    def _choice(self, note: CaseNote, name: str, value: Any) -> Any:
        if name == "urgency" and value in URGENCIES:
            return value
        if name == "outcome" and value in OUTCOMES:
            same = value == note.outcome.value
            return note.outcome if same else CallOutcome(value, ())
        if name == "request_type" and isinstance(value, str) and self._known_type(value):
            same = value == note.request_type.label
            return note.request_type if same else RequestType(value, 1.0, "human")
        raise BadInput(f"{name}: not one of the values that it may have", code="edit")


def decision_json(one: Decision) -> dict[str, Any]:
    """Return a decision as JSON values."""
    return {
        "number": one.number,
        "revision": one.revision,
        "kind": one.kind,
        "decision": one.decision,
        "by": one.by,
        "at": datetime.fromtimestamp(one.at, UTC).isoformat(timespec="seconds"),
        "reason": one.reason,
    }


def _waiting(row: CallRow, plan: str) -> dict[str, Any]:
    """Return what makes a call wait to be taken up once more."""
    return {
        "status": "received", "plan": plan, "run": None, "attempt": row.attempt + 1, "code": None,
        "detail": None, "ended_at": None,
    }  # fmt: skip


def _texts(name: str, value: Any) -> list[str]:
    good = isinstance(value, list) and len(value) <= MOST_TEXTS
    if not good or not all(isinstance(text, str) and text.strip() for text in value):
        raise BadInput(f"{name}: takes texts, none of them empty", code="edit")
    if any(len(text) > LONGEST_TEXT for text in value):
        raise BadInput(f"{name}: a text is longer than {LONGEST_TEXT} letters", code="edit")
    return list(value)
