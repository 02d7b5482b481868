"""Looks up approved articles for whoever works on the call, or says that there is none.

Decides what a call asks. Refuses passages in which the redactor finds a number of a person: they
would hold the call when everything is read once more before it leaves.
"""

from __future__ import annotations

from collections.abc import Iterator

from voice_pipeline.domain import CaseNote, NoArticle, RedactedTranscript, Suggestion
from voice_pipeline.knowledge.article import Audience
from voice_pipeline.knowledge.index import Hit, Knowledge
from voice_pipeline.knowledge.terms import STOP, stem
from voice_pipeline.spoken.conversation import Conversation
from voice_pipeline.spoken.numbers import is_numeric
from voice_pipeline.spoken.words import comparable
from voice_pipeline.stages.release import Redactor, hard_labels

MOST = 3  # suggestions: cards with more go unread
FEWEST_WORDS = 4  # fewer are a greeting or an answer
OPENINGS = 3  # turns of the caller that are read where the note has no reason
FACTS = 2  # of the caller, beside the reason
GAP_TERMS = 6
TERM_LETTERS = 4  # shorter words say little about a subject


def suggest(
    note: CaseNote, transcript: RedactedTranscript, *, knowledge: Knowledge, redactor: Redactor
) -> tuple[tuple[Suggestion, ...], NoArticle | None]:
    """Return articles for the agent, best first; NoArticle where articles were searched in vain."""
    questions = questions_of(note, transcript)
    if not knowledge or not questions:
        return (), None
    hits = fit_hits(questions, transcript, "agent", knowledge=knowledge, redactor=redactor)
    if not hits:
        return (), NoArticle(_gap_terms(questions))
    return tuple(
        Suggestion(
            article=hit.article.id,
            version=hit.article.version,
            sha256=hit.article.sha256,
            title=hit.article.title,
            passage=hit.passage.text,
            score=hit.score,
            why=hit.why,
        )
        for hit in hits[:MOST]
    ), None


def fit_hits(
    questions: list[str],
    transcript: RedactedTranscript,
    audience: Audience,
    *,
    knowledge: Knowledge,
    redactor: Redactor,
) -> list[Hit]:
    """Return the hits for one reader that may leave with a call."""
    hits = knowledge.search(questions, audience=audience, locale=transcript.language)
    return [
        hit for hit in hits if not hard_labels(f"{hit.article.title}. {hit.passage.text}", redactor)
    ]


def questions_of(note: CaseNote, transcript: RedactedTranscript) -> list[str]:
    """Return the caller's words that say what is asked, each a question to search with."""
    call = Conversation(transcript)
    found = dict.fromkeys(_asked(note, call))
    if not found:
        turns = [
            turn.text for turn in call.by("customer") if len(call.tokens[turn.turn]) >= FEWEST_WORDS
        ]
        found = dict.fromkeys(turns[:OPENINGS])
    return list(found)


def _asked(note: CaseNote, call: Conversation) -> Iterator[str]:
    if note.reason is not None:
        yield from (quote.quote for quote in note.reason.evidence)
    for other in note.also:
        yield from (quote.quote for quote in other.evidence)
    told = [
        quote.quote
        for claim in note.facts
        for quote in claim.evidence
        if quote.turn in call.place
        and call.side(call.turn(quote.turn)) == "customer"
        and len(quote.quote.split()) >= FEWEST_WORDS
    ]
    yield from told[:FACTS]


def _gap_terms(questions: list[str]) -> tuple[str, ...]:
    """Return what was asked for as stems: no number, no placeholder, nothing that may be a name."""
    found: dict[str, None] = {}
    for text in questions:
        first = True
        for word in text.split():
            plain = comparable(word)
            may_be_name = word[:1].isupper() and not first
            first = word.endswith((".", "?", "!"))
            if may_be_name or is_numeric(word) or not all(p.isalpha() for p in plain):
                continue
            found.update(dict.fromkeys(term for p in plain for term in _telling(p)))
    return tuple(found)[:GAP_TERMS]


def _telling(word: str) -> Iterator[str]:
    if word not in STOP and len(word) >= TERM_LETTERS:
        yield stem(word)
