"""Small readings of a quoted sentence: is it a question, a repeat, a redacted answer?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from voice_pipeline.domain import Claim, Commitment, Evidence
from voice_pipeline.spoken.numbers import is_numeric
from voice_pipeline.spoken.words import Token, vocabulary

NOBODY = "Unknown speaker"  # under this name a statement stands whose speaker nobody knows
FEWEST_WORDS = 4  # fewer words are no statement but a greeting or an answer
_PEOPLE = ("Caller", "Customer", "Agent", NOBODY)
_IRREGULAR = vocabulary(
    "sent put made taken written paid given set reset done spoken begun told found cut "
    "built drawn sold bought left"
)
_NO_ACTION = vocabulary(
    "noticed received needed wanted tried asked expected looked checked heard called "
    "promised mentioned offered found told spoken left"
)
_RUN_UP = vocabulary("and so okay ok now well um uh then alright right but oh thanks yes")
_ASKING = vocabulary(
    "can could will would shall do does did is are have has what which who when where how why"
)


def claim_of(quote: Evidence, who: str) -> Claim:
    return Claim(f"{who}: {quote.quote}", (quote,))


def turn_of(claim: Claim | Commitment) -> int:
    return claim.evidence[0].turn


def is_plain(claim: Claim) -> bool:
    return claim.text.partition(":")[0] in _PEOPLE


def asks(text: str) -> bool:
    """Tell whether a sentence is a question, also one without its mark: "and what is the date"."""
    words = text.lower().replace(",", " ").split()
    opening = next((word for word in words if word not in _RUN_UP), "")
    return text.endswith("?") or (opening in _ASKING and not text.endswith("."))


def begins(inside: Sequence[Token], place: int) -> bool:
    """Tell whether what stands at a place begins its sentence, or follows a run-up alone."""
    return place == 0 or inside[place - 1].text in _RUN_UP


def is_redacted(inside: Sequence[Token]) -> bool:
    """Tell whether a sentence is mostly placeholders: an answer to an identity question."""
    hidden = sum(token.text.startswith("[") for token in inside)
    return hidden > 0 and len(inside) - hidden < FEWEST_WORDS + 1


def is_participle(text: str) -> bool:
    return (text.endswith("ed") or text in _IRREGULAR) and text not in _NO_ACTION


def after(inside: Sequence[Token], last: Token) -> list[Token]:
    return [token for token in inside if token.word > last.word]


def index_of(inside: Sequence[Token], token: Token) -> int:
    return next((place for place, other in enumerate(inside) if other.word >= token.word), 0)


def without_repeats(claims: Iterable[Any]) -> list[Any]:
    """Drop a claim whose quote says what another one's has said already."""
    kept: list[Any] = []
    seen: list[tuple[str, str, frozenset[str]]] = []
    for claim in claims:
        label = claim.text.partition(":")[0]
        quote = claim.evidence[0].quote
        words = frozenset(quote.lower().split())
        value = claim.text.partition(":")[2].partition(". ")[0].strip().lower()
        if any(
            (label == other and value == past)
            or (_same_kind(label, other) and words and len(words & old) / len(words | old) > SAME)
            for other, past, old in seen
        ):
            continue
        seen.append((label, value, words))
        kept.append(claim)
    return kept


SAME = 0.7  # share of words from which two quotes say the same


def _same_kind(a: str, b: str) -> bool:
    return a in _PEOPLE and b in _PEOPLE


def says_something(inside: Sequence[Token]) -> bool:
    """Tell whether a sentence is worth quoting: no courtesy, and no row of bare digits.

    Bare digits are answers to identity questions; where redaction missed one it must not be the
    note that shows it.
    """
    texts = [token.text for token in inside]
    digits = sum(is_numeric(text) for text in texts)
    return 2 * digits < len(texts) and not any(text in _COURTESY for text in texts)


_COURTESY = vocabulary("sorry apologise apologize thank thanks welcome hello goodbye bye spell")
