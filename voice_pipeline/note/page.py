"""A case note as a markdown page: the next step and three sentences on top, then the flags.

Every word that was spoken is escaped: a caller who dictates a link, an image or a heading gets
letters, not markdown. It shows redacted text only and adds no statement of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from voice_pipeline.domain import (
    CaseNote,
    Claim,
    Commitment,
    Escalation,
    Evidence,
    Recording,
    RedactedTranscript,
    Unverified,
    Warning,
)
from voice_pipeline.next_step import first_due

# what GitHub-flavoured markdown or HTML gives a meaning inside a line, bare links included
_SPECIAL = re.compile(r"([\\`*_{}\[\]#!|<>~$&@]|(?<=:)/(?=/)|(?<=www)\.)", re.IGNORECASE)
MARK = "Corrected later"  # how an analyst marks what was taken back
_GAPS = re.compile(r"\n{3,}")
_PLAIN_LABEL = re.compile(r"^(When|Amount|Quantity|Share): ")  # what the value itself shows
# letters without a shape: they hide words and turn the direction of others round
_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]"
)
_OUTCOMES = {
    "resolved": "Resolved",
    "partial": "Partly resolved: something is still to be done",
    "unresolved": "Not resolved",
    "unclear": "Unclear from what was said",
}
_REASONS = {
    "sensitive_data": "sensitive data was involved",
    "account_change": "the account changes",
    "policy_exception": "an exception from policy",
    "financial_impact": "money is involved",
    "complaint": "the customer is dissatisfied",
    "legal": "legal matters came up",
    "unclear_intent": "it is not certain what the customer wants",
    "low_confidence": "the call was understood badly",
    "unverified_claims": "statements could not be verified",
}
_FAULTS = {
    "no_evidence": "cites nothing",
    "turn": "cites a turn that is not there",
    "quote": "was not said in the turn it cites",
    "speaker": "the other side said it",
    "number": "a number was not said there",
    "date": "a date was not said there",
    "reference": "a reference was not said there",
    "name": "a name was not said there",
    "negation": "says the contrary",
    "due": "the time was not said there",
    "no_promise": "no promise was made there",
    "question": "it was only asked",
    "promise": "promises more than was said",
    "wording": "says more than was said",
    "instruction": "somebody spoke to the machine there",
}
_NO_SUMMARY = {
    "no_speech": "nobody speaks on this recording",
    "insufficient_speech": "too little was said, or by one side only",
    "language": "the call, or what was written about it, is in a language that is not read here",
    "unverified": "what the analyst wrote could not be verified",
    "server": "the analyst's server gave no usable answer",
    "quota": "the analyst's quota is used up",
}


def escaped(text: str) -> str:
    """Return spoken text so that markdown renders its letters, in their order, and nothing else."""
    return _SPECIAL.sub(r"\\\1", " ".join(_INVISIBLE.sub("", text).split()))


def clock(seconds: float | None) -> str:
    """Write a time as mm:ss; nothing where none is known."""
    if seconds is None:
        return ""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes:02d}:{rest:02d}"


def note_page(
    note: CaseNote,
    transcript: RedactedTranscript,
    recording: Recording | None,
    warnings: Sequence[Warning],
) -> str:
    """Return the page of one call.

    Args:
        recording: None where only a transcript was handed in.
        warnings: what a reader of the result should know; see docs/codes.md.
    """
    speakers = {turn.turn: turn.speaker for turn in transcript.turns}
    parts = [
        "\n".join(_head(note, transcript, recording, speakers)),
        "\n".join(_flags(note.escalations, speakers)),
        "\n".join(_what(note, speakers)),
        "\n".join(_then(note, speakers)),
        "\n".join(_asked_for(note, speakers)),
        "\n".join(_checks(note)),
        "\n".join(_articles(note)),
        "\n".join(_draft(note)),
        "\n".join(_foot(note, warnings)),
    ]
    return _GAPS.sub("\n\n", "\n\n".join(part for part in parts if part)) + "\n"


def _head(
    note: CaseNote,
    transcript: RedactedTranscript,
    recording: Recording | None,
    speakers: dict[int, str],
) -> Iterator[str]:
    duration = recording.duration if recording else transcript.duration
    facts = [
        f"**{_words(note.request_type.label)}**"
        + (" (to be confirmed)" if note.request_type.decision == "human" else ""),
        f"urgency **{note.urgency}**",
        f"outcome **{note.outcome.value}**",
    ]
    if note.route:
        facts.append(f"to **{escaped(note.route.queue)}** ({escaped(note.route.owner)})")
    yield f"# Call {escaped(note.call)}"
    yield ""
    if not note.status.startswith("no_summary:"):
        yield f"**Next step:** {_next(note, speakers)}"
        yield ""
        step = first_due(note.commitments)
        told = [claim for claim in note.summary if not step or claim.evidence != step.evidence]
        for claim in told:
            yield f"- {_claimed(claim, speakers)}"
        if told:
            yield ""
    yield " · ".join(facts)
    details = [clock(duration) if duration else "", f"{len(transcript.turns)} turns"]
    if recording:
        details.insert(0, escaped(recording.name))
        details.extend(
            f"{escaped(key)} {escaped(value)}"
            for key, value in recording.metadata.items()
            if key in ("call_ref", "agent", "team", "queue", "started_at")
        )
    yield ""
    yield " · ".join(detail for detail in details if detail)


def _next(note: CaseNote, speakers: dict[int, str]) -> str:
    promise = first_due(note.commitments)
    if promise:
        quote = _cited(promise.evidence[0], speakers).removeprefix(f"{promise.who}: ")
        return f"{promise.who}{_due(promise)}: {quote}"
    if note.outcome.value == "resolved":
        return "none; the call ended with everything done"
    if note.missing_information:
        return f"nobody promised one; still needed: {escaped(', '.join(note.missing_information))}"
    return "nobody promised one"


def _flags(flags: Sequence[Escalation], speakers: dict[int, str]) -> Iterator[str]:
    yield "## Flags"
    yield ""
    if not flags:
        yield "None."
        return
    for flag in flags:
        due = flag.action.get("due")
        queue = flag.action.get("queue")
        doing = "; ".join(
            part
            for part in (
                f"queue {queue}" if queue else "",
                f"due {due}" if due else "",
                "an old recording: due no more" if flag.action.get("historical") else "",
            )
            if part
        )
        yield (
            f"- **{escaped(flag.category.replace('_', ' '))}** ({flag.severity}). "
            f"{escaped(flag.why)}" + (f" *{escaped(doing)}*" if doing else "")
        )
        for quote in flag.evidence[:2]:
            yield f"  - {_cited(quote, speakers)}"


def _what(note: CaseNote, speakers: dict[int, str]) -> Iterator[str]:
    yield "## What happened"
    yield ""
    if note.status.startswith("no_summary:"):
        code = note.status.partition(":")[2]
        yield f"No summary: {_NO_SUMMARY.get(code, escaped(code))}."
        return
    shown = {quote.quote for claim in note.summary for quote in claim.evidence}
    if not note.summary:
        yield "Nothing could be quoted as the reason of the call."
    facts = [claim for claim in note.facts if _value(claim) or not _shown(claim, shown)]
    yield from _listed("Facts", facts, speakers)
    actions = [claim for claim in note.actions if not _shown(claim, shown)]
    yield from _listed("Also done on the call" if note.summary else "Done", actions, speakers)
    if note.cancellation_reason:
        yield from _listed("Why they leave", [note.cancellation_reason], speakers)
    yield from _listed("Asked and not answered", note.open_questions, speakers)
    for part in note.sections:
        yield from _listed(part.title, part.claims, speakers)


def _listed(title: str, claims: Sequence[Claim], speakers: dict[int, str]) -> Iterator[str]:
    """List claims under a title, one line a quote: two amounts of one sentence stand together."""
    if not claims:
        return
    yield ""
    yield f"### {escaped(title)}"
    yield ""
    values: dict[Evidence, list[str]] = {}
    worded: dict[Evidence, str] = {}
    for claim in claims:
        if not claim.evidence:
            yield f"- {_claimed(claim, speakers)}"
            continue
        found = values.setdefault(claim.evidence[0], [])
        worded.setdefault(claim.evidence[0], _worded(claim))
        if value := _value(claim):
            found.append(escaped(_PLAIN_LABEL.sub("", value)))
    for quote, found in values.items():
        label = f"**{', '.join(found)}** " if found else worded[quote]
        yield f"- {label}{_cited(quote, speakers)}"


def _claimed(claim: Claim, speakers: dict[int, str]) -> str:
    """Cite a claim with everything it rests on: what was said, and what corrects it."""
    if not claim.evidence:  # by whoever edited the note
        return f"{escaped(claim.text)} (in a person's words)"
    first, *others = (_cited(quote, speakers) for quote in claim.evidence)
    whole = "; corrected: ".join((first, *others)) if "Corrected:" in claim.text else first
    return _worded(claim) + whole


def _shown(claim: Claim, quotes: set[str]) -> bool:
    """Say whether a claim rests on a quote that stands above already."""
    return bool(claim.evidence) and claim.evidence[0].quote in quotes


def _worded(claim: Claim) -> str:
    """Return a statement that is in other words than its quote, ready to stand before it."""
    return "" if claim.evidence[0].quote in claim.text else f"{escaped(claim.text)}: "


def _value(claim: Claim) -> str:
    """Return the value that a typed fact has before its quote; nothing for a plain quote."""
    if not claim.evidence:
        return ""
    value, found, _ = claim.text.partition(f". {claim.evidence[0].quote}")
    if found:
        return value
    return MARK if claim.text.startswith(f"{MARK}:") else ""


def _then(note: CaseNote, speakers: dict[int, str]) -> Iterator[str]:
    yield "## What comes next"
    yield ""
    for promise in note.commitments:
        yield f"- **{promise.who}{_due(promise)}** {_cited(promise.evidence[0], speakers)}"
    yield f"- Outcome: **{_OUTCOMES[note.outcome.value]}**"
    for quote in note.outcome.evidence[:2]:
        yield f"  - {_cited(quote, speakers)}"
    if note.missing_information:
        yield f"- Still needed: {escaped(', '.join(note.missing_information))}"


def _asked_for(note: CaseNote, speakers: dict[int, str]) -> Iterator[str]:
    """What else they wanted, and how they sounded."""
    moods = [
        (when, mood) for when, mood in (("start", note.mood_start), ("end", note.mood_end)) if mood
    ]
    if not note.also and not any(mood.evidence for _, mood in moods):
        return
    yield "## The customer"
    yield ""
    for other in note.also:
        quotes = "; ".join(_cited(quote, speakers) for quote in other.evidence)
        yield f"- Also asked for **{_words(other.label)}**: {quotes}"
    for when, mood in moods:
        quotes = "; ".join(_cited(quote, speakers) for quote in mood.evidence)
        yield f"- Sounds **{mood.value}** at the {when}" + (f": {quotes}" if quotes else "")


def _words(name: str) -> str:
    return escaped(name.replace("_", " "))


def _due(promise: Commitment) -> str:
    if not promise.due_text:
        return ", no date"
    on = f" ({promise.due.isoformat()})" if promise.due else ""
    return f", {escaped(promise.due_text)}{on}"


def _checks(note: CaseNote) -> Iterator[str]:
    if note.review and note.review.required:
        reasons = [_REASONS.get(reason, escaped(reason)) for reason in note.review.reasons]
        yield "## A person must approve"
        yield ""
        yield (
            f"Because {', '.join(reasons)}."
            if reasons
            else "Because a flag of high severity stands."
        )
    if note.route:
        yield ""
        yield f"Routed to **{escaped(note.route.queue)}**, priority {note.route.priority}:"
        yield ""
        yield from (f"- {_words(reason)}" for reason in note.route.reasons)
    if note.unverified:
        yield ""
        yield "### Not verified, do not act on these"
        yield ""
        yield from (f"- *{_why(claim)}:* {escaped(claim.text)}" for claim in note.unverified)


def _why(claim: Unverified) -> str:
    return _FAULTS.get(claim.why, "failed its check")


def _articles(note: CaseNote) -> Iterator[str]:
    """Approved articles that may help; what is missing is said as well."""
    if not note.suggestions and note.no_article is None:
        return
    yield "## Articles that may help"
    yield ""
    if note.no_article is not None:
        yield "No approved article answers this."
    for found in note.suggestions:
        yield (
            f"- **{escaped(found.title)}** ({escaped(found.article)}, version {found.version}): "
            f"{escaped(found.passage)}"
        )


def _draft(note: CaseNote) -> Iterator[str]:
    """The letter that a person may send, line by line, as a quotation."""
    if note.draft is None:
        return
    yield "## Draft reply, not sent"
    yield ""
    for line in note.draft.text.splitlines():
        yield f"> {escaped(line)}".rstrip()
    yield ""
    shown = [source.partition(" ")[0] for source in note.draft.sources]
    yield f"*From {escaped(', '.join(shown))}*"


def _foot(note: CaseNote, warnings: Sequence[Warning]) -> Iterator[str]:
    if warnings:
        yield "## Warnings"
        yield ""
        for warning in warnings:
            yield f"- {escaped(warning.code)}" + (
                f": {escaped(warning.detail)}" if warning.detail else ""
            )
        yield ""
    made = note.provenance
    parts = [str(made.get("analyst", "")), str(made.get("method", ""))]
    if made.get("pack"):
        parts.append(f"policy {made['pack']} {made.get('pack_version', '')}")
    yield f"*{escaped('; '.join(part for part in parts if part))}*"


def _cited(quote: Evidence, speakers: dict[int, str]) -> str:
    at = clock(quote.start)
    place = f"turn {quote.turn}" + (f", {at}" if at else "")
    who = speakers.get(quote.turn, "unknown").replace("_", " ")
    return f"{who}: “{escaped(quote.quote)}” ({place})"
