"""Reads who promised what until when, in the words in which it was promised."""

from __future__ import annotations

import re

from voice_pipeline.analysts._cues import cues
from voice_pipeline.analysts._quotes import after, asks, begins, index_of, turn_of, without_repeats
from voice_pipeline.analysts._reading import Reader
from voice_pipeline.domain import Commitment
from voice_pipeline.spoken.dates import Due, dues
from voice_pipeline.spoken.phrases import Match
from voice_pipeline.spoken.support import promises
from voice_pipeline.spoken.words import Token, vocabulary

_PUT_RIGHT = re.compile(r"(?:no )?(?:sorry|wait|rather|i mean|correction) (?!for|about|to|again)\w")
_CORRECTS = vocabulary("no sorry actually rather mean wait correction")
LEAD_IN = 1  # words between a time and the promise that it leads into


def commitments(reader: Reader, but: frozenset[int]) -> tuple[Commitment, ...]:
    """Return who promised what until when."""
    found: dict[tuple[int, str], Commitment] = {}
    for who, phrases in (
        ("agent", cues().promised),
        ("customer", cues().customer_promised),
    ):
        for match in reader.said(phrases, "agent" if who == "agent" else "customer", but):
            quote, inside = reader.call.sentence(match.first, match.last)
            if (
                asks(quote.quote)
                or not promises(quote.quote)
                or not _is_promise(reader, match, inside)
            ):
                continue
            due = _due(reader, match, inside)
            words = [word.text for word in reader.call.turn(quote.turn).words]
            due_text = (
                " ".join(words[inside[due.first].word : inside[due.last].word + 1]) if due else ""
            )
            what = " ".join(words[match.first.word : inside[-1].word + 1]).rstrip(".,;!")
            key = (quote.turn, quote.quote)
            nobodys = reader.call.side(reader.call.turn(quote.turn)) == "unknown"
            if key in found and (found[key].due_text or not due):
                continue
            found[key] = Commitment(
                text=f"{reader.name(quote.turn, who.title())}: {quote.quote}",
                evidence=(quote,),
                who="unknown" if nobodys else who,
                what=what,
                due=due.on if due else None,
                due_text=due_text.rstrip(".,;!"),
            )
    promised = sorted(found.values(), key=lambda promise: reader.call.place[turn_of(promise)])
    return tuple(without_repeats(promised))


def _is_promise(reader: Reader, match: Match, inside: list[Token]) -> bool:
    rest = " ".join(token.text for token in after(inside, match.last)[:5])
    texts = [token.text for token in inside]
    if "if" in texts[: max(0, index_of(inside, match.first))][-6:]:
        return False
    dated = _due(reader, match, inside) is not None
    if match.last.text not in ("will", "shall", "to", "sure"):
        return dated or match.last.text in ("call", "letter", "refund", "replacement")
    empty = any(
        f"{rest} ".startswith(words.replace("_", " ") + " ") for words in cues().no_promise.split()
    )
    if match.first.text in ("it", "you") and not dated:
        return any(
            rest.startswith(verb)
            for verb in ("receive", "get", "hear", "be refunded", "be credited")
        )
    return bool(rest) and (dated or not empty)


def _due(reader: Reader, match: Match, inside: list[Token]) -> Due | None:
    """Return when a promise falls due: a point named behind it, or one that leads into it.

    "On Friday I will call" is due on Friday; "I see your payment of the third, we will look" is not
    due on the third.
    """
    points = dues(inside, reader.today)
    start = index_of(inside, match.first)
    after = [due for due in points if due.last >= start]
    behind = next(iter(after), None)
    for due in after[1:]:  # "by the first, no sorry, the third": the last version counts
        if behind and _CORRECTS & {token.text for token in inside[behind.last + 1 : due.first]}:
            behind = due
    if behind and _PUT_RIGHT.match(" ".join(token.text for token in inside[behind.last + 1 :])):
        return None  # put right in words that name no time we can read: no date is better
    leading = (
        due for due in points if start - due.last - 1 <= LEAD_IN and begins(inside, due.first)
    )
    return behind or next(leading, None)
