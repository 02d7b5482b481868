"""A note as plain text, for systems that take a text: made of the fields that may leave, no more.

Decides the order in which a person reads it. Refuses nothing: what is not there is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any


def as_text(note: Mapping[str, Any], link: str | None) -> str:
    """Return the note as lines of plain text.

    Args:
        note: fields of note.json; those that may not leave are not in it.
        link: leads to the evidence.
    """
    lines = [*_warned(note), *_head(note), *_flags(note), *_body(note), *_letter(note)]
    if link:
        lines += ["", f"Evidence: {link}"]
    return "\n".join(lines).strip() + "\n"


def _warned(note: Mapping[str, Any]) -> Iterator[str]:
    review = note.get("review") or {}
    decision = review.get("decision")
    if decision:
        yield f"{decision['decision'].capitalize()} by {decision['by']}."
        yield ""
    elif review.get("required"):
        yield f"NOT YET APPROVED: {_listed(review.get('reasons') or ())}"
        yield ""


def _head(note: Mapping[str, Any]) -> Iterator[str]:
    if reason := note.get("reason"):
        yield f"Reason: {reason['text']}"
    if step := note.get("next_step"):
        due = step.get("due") or step.get("due_text")
        yield f"Next step: {step['text']}" + (f" (due {due})" if due else "")
    facts = []
    if kind := note.get("request_type"):
        sure = "" if kind.get("decision") == "auto" else " (to be confirmed)"
        facts.append(f"Type: {_words(kind['label'])}{sure}")
    if note.get("urgency"):
        facts.append(f"urgency: {note['urgency']}")
    if outcome := note.get("outcome"):
        facts.append(f"outcome: {outcome['value']}")
    if route := note.get("route"):
        facts.append(f"queue: {route['queue']}")
    if facts:
        yield "; ".join(facts)


def _flags(note: Mapping[str, Any]) -> Iterator[str]:
    if flags := note.get("escalations"):
        yield ""
        yield "Flags:"
        for flag in flags:
            yield f"- {_words(flag['category'])} ({flag['severity']}): {flag['why']}"
            yield from (f"    \"{quote['quote']}\" (turn {quote['turn']})"
                        for quote in flag.get("evidence", ())[:2])  # fmt: skip


def _body(note: Mapping[str, Any]) -> Iterator[str]:
    for name, title in (
        ("summary", "Summary"), ("facts", "Facts"), ("actions", "Done"),
        ("commitments", "Promised"), ("open_questions", "Open questions"),
    ):  # fmt: skip
        if claims := note.get(name):
            yield ""
            yield f"{title}:"
            yield from (f"- {claim['text']}{_turns(claim)}" for claim in claims)
    if missing := note.get("missing_information"):
        yield ""
        yield f"Missing: {_listed(missing)}"


def _letter(note: Mapping[str, Any]) -> Iterator[str]:
    if draft := note.get("draft"):
        yield ""
        yield "Draft of an answer, approved:"
        yield str(draft["text"])


def _turns(claim: Mapping[str, Any]) -> str:
    turns = sorted({quote["turn"] for quote in claim.get("evidence", ())})
    return f" (turn {', '.join(map(str, turns[:3]))})" if turns else ""


def _words(label: str) -> str:
    return label.replace("_", " ")


def _listed(words: Sequence[str]) -> str:
    return ", ".join(_words(word) for word in words)


def shortened(text: str, limit: int, link: str | None, call: str) -> str:
    """Return a text within a target's limit: whole lines or words, then where the rest is.

    Args:
        limit: characters.
        link: leads to the rest; None: the call's id does.
    """
    if len(text) <= limit:
        return text
    more = f"[the rest: {link}]" if link else f"[the rest: call {call}]"
    if len(more) > limit // 2:
        more = "…"
    room = limit - len(more) - 1
    if room < 1:
        return more[:limit]
    kept = text[: room + 1]
    for sign in ("\n", " "):
        place = kept.rfind(sign)
        if place > room // 2:
            return f"{kept[:place].rstrip()}{sign}{more}"
    return f"{text[:room]} {more}"
