"""Writes the draft of a reply, or says why a person writes it from the start; suggests articles.

A draft is the pack's own words around verified quotes and passages of approved articles, checked
before it is kept: no promise, amount or day of its own, no banned word, not too long. A draft that
fails is dropped with a code, never the call. Nothing here sends anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from voice_pipeline.claims import fault
from voice_pipeline.domain import (
    CaseNote,
    Claim,
    Commitment,
    Draft,
    RedactedTranscript,
    RedactedTurn,
)
from voice_pipeline.knowledge.article import Audience
from voice_pipeline.knowledge.index import Hit, Knowledge
from voice_pipeline.policy.pack import DRAFT_TEXTS, Drafts, Pack
from voice_pipeline.spoken.statements import new_statement, says
from voice_pipeline.stages.release import Redactor
from voice_pipeline.stages.suggest import fit_hits, questions_of, suggest

MARKUP = re.compile(r"[<>\[\]`{}|“”]|://|www\.", re.IGNORECASE)
ABOUT_AS_GOOD = 0.95  # score against the best for agents; two indexes differ a little
_SLOT = re.compile(r"{(\w+)}")
_PLACEHOLDER = re.compile(r"\[[A-Z][A-Z_0-9]*\]")


class Dropped(Exception):
    """There is no draft; `code` says why: docs/knowledge.md lists them."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a letter with what it rests on."""

    text: str
    sources: tuple[str, ...]
    known: tuple[str, ...]  # texts that may be repeated


def answer(
    transcript: RedactedTranscript,
    note: CaseNote,
    *,
    pack: Pack,
    knowledge: Knowledge,
    redactor: Redactor,
) -> CaseNote:
    """Return the reviewed note with suggestions and, where one may be made, a draft."""
    found, missing = suggest(note, transcript, knowledge=knowledge, redactor=redactor)
    draft, code = None, "drafted"
    try:
        draft = drafted(transcript, note, pack=pack, knowledge=knowledge, redactor=redactor)
    except Dropped as dropped:
        code = f"no_draft:{dropped.code}"
    made = {
        "draft": code,
        "knowledge": {"articles": len(knowledge.articles), "sha256": knowledge.sha256}
        if knowledge
        else None,
    }
    return replace(
        note,
        suggestions=found,
        no_article=missing,
        draft=draft,
        provenance={**note.provenance, **made},
    )


def drafted(
    transcript: RedactedTranscript,
    note: CaseNote,
    *,
    pack: Pack,
    knowledge: Knowledge,
    redactor: Redactor,
) -> Draft:
    """Write the letter of a call.

    Raises:
        Dropped: none may be made, or what was made does not pass its checks.
    """
    rules = pack.drafts
    if code := _forbidden(transcript, note, rules):
        raise Dropped(code)
    assert rules is not None  # _forbidden has seen to it
    turns = {turn.turn: turn for turn in transcript.turns}

    def fit(lines: Iterator[Line]) -> list[Line]:
        return [line for line in lines if fault_of(line.text, line.known, rules) is None]

    told = fit(_told(note, turns, rules))
    done = fit(_done(note, turns, rules))[: rules.most_done]
    promised = list(_promised(note, turns, rules, "agent"))  # all of them, or no letter
    theirs = fit(_promised(note, turns, rules, "customer"))
    cited = fit(_cited(transcript, note, rules, knowledge, redactor))[: rules.most_articles]
    if not (done or promised or cited):
        raise Dropped("nothing_verified")
    lines = [*told, *done, *promised, *theirs, *cited]
    body = rules.bodies.get(_kind(note), rules.bodies["default"])
    text = "\n\n".join([rules.opening, body, *(line.text for line in lines), rules.closing])
    if code := fault_of(text, [source for line in lines for source in line.known], rules):
        raise Dropped(code)
    sources = [f"template:{pack.id}@{pack.version} drafts@{rules.version}"]
    sources += [source for line in lines for source in line.sources]
    return Draft(text, tuple(dict.fromkeys(sources)))


def fault_of(text: str, known: Sequence[str], rules: Drafts) -> str | None:
    """Return why a text may not stand in a letter, as a code; None where every check passes.

    Args:
        known: verified quotes and passages of cited articles; what they state may be repeated.
    """
    if len(text) > rules.max_length:
        return "length"
    if MARKUP.search(_PLACEHOLDER.sub(" ", text.replace("“", "").replace("”", ""))):
        return "markup"
    if says(text, rules.banned):
        return "banned_words"
    if says(text, rules.tone):
        return "tone"
    return new_statement(text, [*_own_words(rules), *known], rules.promises)


def _forbidden(transcript: RedactedTranscript, note: CaseNote, rules: Drafts | None) -> str | None:
    """Return why a person writes from the start, as a code."""
    if rules is None:
        return "no_template"
    if note.status.startswith("no_summary:"):
        return "no_summary"
    raised = {flag.category for flag in note.escalations}
    if standing := next((name for name in rules.none_when_flags if name in raised), None):
        return standing
    if note.request_type.label in rules.none_for_types:
        return note.request_type.label
    if transcript.language.partition("-")[0] != rules.locale.partition("-")[0]:
        return "language"
    return None


def _kind(note: CaseNote) -> str:
    """Return whose body opens the letter: an uncertain request type is not told to a customer."""
    return note.request_type.label if note.request_type.decision == "auto" else "default"


def _told(note: CaseNote, turns: dict[int, RedactedTurn], rules: Drafts) -> Iterator[Line]:
    """Why they called, in their own words; not with a gap where a name or number was."""
    if note.reason is not None and not _PLACEHOLDER.search(note.reason.evidence[0].quote):
        yield from _quoted(note.reason, turns, rules.reason, "customer")


def _done(note: CaseNote, turns: dict[int, RedactedTurn], rules: Drafts) -> Iterator[Line]:
    promised = {quote.quote for promise in note.commitments for quote in promise.evidence}
    for claim in note.actions:
        quote = claim.evidence[0].quote if claim.evidence else ""
        if quote not in promised and not _PLACEHOLDER.search(quote):
            yield from _quoted(claim, turns, rules.done, "agent")


def _promised(
    note: CaseNote, turns: dict[int, RedactedTurn], rules: Drafts, who: str
) -> Iterator[Line]:
    """What a side said it will do, as spoken; a placeholder stays, for a person to fill in."""
    template = rules.we_promised if who == "agent" else rules.you_promised
    said: set[str] = set()
    for promise in note.commitments:
        if promise.who == who and not {quote.quote for quote in promise.evidence} <= said:
            said |= {quote.quote for quote in promise.evidence}
            yield from _quoted(promise, turns, template, who)


def _quoted(
    claim: Claim | Commitment, turns: dict[int, RedactedTurn], template: str, who: str
) -> Iterator[Line]:
    """Yield a line for a claim that holds and that this very side has spoken."""
    if fault(claim, turns, (who,)) is not None:
        return
    sides = {turns[quote.turn].speaker.rstrip("0123456789").rstrip("_") for quote in claim.evidence}
    if sides != {who}:
        return
    quote = " ... ".join(quote.quote for quote in claim.evidence)
    yield Line(
        _filled(template, quote=quote),
        tuple(f"turn:{quote.turn}" for quote in claim.evidence),
        tuple(quote.quote for quote in claim.evidence),
    )


def _cited(
    transcript: RedactedTranscript,
    note: CaseNote,
    rules: Drafts,
    knowledge: Knowledge,
    redactor: Redactor,
) -> Iterator[Line]:
    """What approved articles for customers say; nothing where the request type is uncertain."""
    if note.request_type.decision != "auto" or not knowledge:
        return
    questions = questions_of(note, transcript)

    def hits(audience: Audience) -> list[Hit]:
        return fit_hits(questions, transcript, audience, knowledge=knowledge, redactor=redactor)

    # What answers best may be for agents alone; then the next best is no answer for a customer.
    best = max((hit.score for hit in hits("agent")), default=0.0)
    for hit in hits("customer"):
        if hit.citable and hit.score >= ABOUT_AS_GOOD * best:
            article = hit.article
            yield Line(
                _filled(rules.article, title=article.title, passage=hit.passage.text),
                (f"article:{article.id}@{article.version} sha256:{article.sha256}",),
                (article.title, hit.passage.text),
            )


def _own_words(rules: Drafts) -> list[str]:
    templates = [getattr(rules, name) for name in DRAFT_TEXTS]
    return [_SLOT.sub(" ", text) for text in (*templates, *rules.bodies.values())]


def _filled(template: str, **values: str) -> str:
    """Fill the slots in one pass, so that no value can bring a slot of its own."""
    return _SLOT.sub(lambda slot: values[slot[1]], template)
