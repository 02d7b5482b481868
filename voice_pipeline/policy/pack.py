"""The records of a policy pack: what its files may say, and nothing else.

Every key that is not named here is an error, so a typo cannot switch a rule off.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from voice_pipeline.domain import Severity
from voice_pipeline.policy.notify import Notify
from voice_pipeline.policy.strict import Name, Sentence, Strict
from voice_pipeline.spoken.phrases import parse

_DUE = re.compile(r"at once|\d{1,4} (minutes?|hours?|days?|working days?)")


def _is_phrase(text: str) -> str:
    parse(text)
    return text


def _is_due(text: str) -> str:
    if not _DUE.fullmatch(text):
        raise ValueError("due is `at once`, or a number of minutes, hours, days or working days")
    return text


PhraseText = Annotated[str, AfterValidator(_is_phrase)]
Share = Annotated[float, Field(ge=0, le=1)]
Priority = Literal["low", "normal", "high", "urgent"]
ReviewReason = Name


class Manifest(Strict):
    """pack.yaml"""

    id: Sentence
    version: int = Field(ge=1)
    owner: Sentence
    description: str = ""


class Thresholds(Strict):
    """thresholds.yaml: every number that a rule or a gate compares with."""

    # largest refund, in the currency of the call, that needs nobody's approval
    refund_limit: float = Field(ge=0)
    # the two gates of an automatic request type
    auto_confidence: Share
    auto_similarity: Share
    # below this the caller's intent counts as unclear
    unclear_below: Share
    # below this mean word confidence the whole call is doubtful
    min_word_confidence: Share
    # so many calls of one customer within so many days before this one are a repeated contact
    repeat_contacts: float = Field(2, ge=1)
    repeat_days: float = Field(14, gt=0)


class Retention(Strict):
    """retention.yaml"""

    raw_audio_days: int = Field(ge=0)  # days the encrypted original is kept
    # days after which a call is erased whole, with a receipt; None: kept until somebody asks
    results_days: int | None = Field(None, ge=1)


class Signal(Strict):
    """Phrases whose presence is a fact for rules."""

    id: Name
    about: Sentence
    speaker: Literal["customer", "agent", "any"] = "any"
    where: Literal["anywhere", "opening", "closing"] = "anywhere"
    # only within the two turns after a match of that other signal
    answers: Name | None = None
    phrases: tuple[PhraseText, ...] = Field(min_length=1)
    # a match that overlaps one of these does not count
    unless: tuple[PhraseText, ...] = ()


class When(Strict):
    all: tuple[str, ...] = ()
    any: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _not_empty(self) -> When:
        if not self.all and not self.any:
            raise ValueError("has neither `all` nor `any` conditions")
        return self


class Action(Strict):
    queue: Name | None = None  # None: the flag does not move the call
    due: Annotated[str, AfterValidator(_is_due)] | None = None
    notify: tuple[str, ...] = ()


class Example(Strict):
    """A short dialogue, and what the note and the metadata say where the rule looks at them."""

    turns: tuple[str, ...] = Field(min_length=1)  # "speaker: text"
    metadata: Mapping[str, str] = {}
    note: Mapping[str, Any] = {}  # outcome, request_type, request_confidence ...

    @model_validator(mode="before")
    @classmethod
    def _from_list(cls, value: Any) -> Any:
        return {"turns": value} if isinstance(value, list | tuple) else value

    @model_validator(mode="after")
    def _spoken_by_someone(self) -> Example:
        for turn in self.turns:
            speaker, colon, text = turn.partition(":")
            if not colon or not text.strip() or " " in speaker.strip():
                raise ValueError("each turn of an example is `speaker: text`")
        return self


class Examples(Strict):
    match: tuple[Example, ...] = Field(min_length=1)
    no_match: tuple[Example, ...] = Field(min_length=1)


class Rule(Strict):
    """One escalation rule. All rules are always evaluated."""

    id: Name
    version: int = Field(ge=1)
    owner: Sentence
    category: Name
    severity: Severity
    when: When
    why: Sentence  # may name facts in braces: {refund_amount}
    action: Action
    examples: Examples


class Required(Strict):
    """Something that a request of a type cannot be worked on without."""

    name: Sentence  # as a person would ask for it
    phrases: tuple[PhraseText, ...] = ()  # said on the call ...
    kinds: tuple[Literal["reference", "money", "date"], ...] = ()  # ... or a value of this kind
    labels: tuple[str, ...] = ()  # ... or redacted under this label

    @model_validator(mode="after")
    def _can_be_found(self) -> Required:
        if not (self.phrases or self.kinds or self.labels):
            raise ValueError("says by no phrase, kind or label when it was given")
        return self


class RequestKind(Strict):
    """One request type of the taxonomy."""

    label: Name
    title: Sentence
    queue: Name
    urgency: Priority = "normal"
    # another type that the call also speaks for is preferred
    gives_way: bool = False
    # false: a person decides, however sure the classifier is
    automatic: bool = True
    cues: tuple[PhraseText, ...] = ()
    required: tuple[Required, ...] = ()
    examples: tuple[Sentence, ...] = Field(min_length=3)


class Taxonomy(Strict):
    request_types: tuple[RequestKind, ...] = Field(min_length=2)

    @property
    def phrasings(
        self,
    ) -> tuple[tuple[str, ...], tuple[str, ...], tuple[tuple[str, str], ...]]:
        """How people ask, over all types: the texts, the label of each, and the labels' titles."""
        pairs = [(text, kind.label) for kind in self.request_types for text in kind.examples]
        return (
            tuple(text for text, _ in pairs),
            tuple(label for _, label in pairs),
            tuple((kind.label, kind.title) for kind in self.request_types),
        )


class Queue(Strict):
    id: Name
    owner: Sentence


class ReviewRule(Strict):
    reason: ReviewReason
    when: When


class Routing(Strict):
    queues: tuple[Queue, ...] = Field(min_length=1)
    fallback: Name  # queue of a call whose request type a person must decide
    priority: Mapping[Severity, Priority]
    precedence: tuple[Name, ...]  # categories, most important first, among equal severities
    review: tuple[ReviewRule, ...]


class NoteSection(Strict):
    """A part of the note that an organisation asks for."""

    id: Name
    title: Sentence
    # only on calls of these types; empty: on all
    request_types: tuple[Name, ...] = ()
    # claims of these kinds; with phrases only those whose turn holds one
    kinds: tuple[
        Literal["facts", "amounts", "dates", "references", "actions", "commitments", "questions"],
        ...,
    ] = ()
    # without kinds: every sentence that holds one
    phrases: tuple[PhraseText, ...] = ()
    speaker: Literal["customer", "agent", "any"] = "any"
    most: int = Field(default=3, ge=1, le=20)  # claims

    @model_validator(mode="after")
    def _picks_something(self) -> NoteSection:
        if not (self.kinds or self.phrases):
            raise ValueError("says neither by kind nor by phrase what belongs in it")
        return self


class Urgency(Strict):
    """Words of the caller that make a call more urgent, whatever it is about."""

    level: Literal["high", "urgent"]
    phrases: tuple[PhraseText, ...] = Field(min_length=1)
    unless: tuple[PhraseText, ...] = ()


class NoteForm(Strict):
    """note.yaml: what a note shows and how much of it. A pack without one has these defaults."""

    length: Literal["short", "normal", "long"] = "normal"
    # how the customer sounds in words; off where the law or a works agreement forbids it
    sentiment: Literal["on", "off"] = "on"
    urgency: tuple[Urgency, ...] = ()
    sections: tuple[NoteSection, ...] = ()


def _slots(*wanted: str) -> AfterValidator:
    """Return the check that a text has exactly these slots in braces."""

    def check(text: str) -> str:
        if sorted(re.findall(r"{(.*?)}", text)) != sorted(wanted) or not text.strip():
            needed = " and ".join(f"{{{slot}}}" for slot in wanted) or "no slot"
            raise ValueError(f"has {needed} and nothing else in braces")
        return text.strip()

    return AfterValidator(check)


_Short = Annotated[str, Field(max_length=1000)]
Plain = Annotated[_Short, _slots()]
QuoteLine = Annotated[_Short, _slots("quote")]
ArticleLine = Annotated[_Short, _slots("title", "passage")]

# A sentence with one of these promises something, whoever wrote it.
PROMISES = (
    "i|we|they will|shall",
    "agent|team|company|bank|somebody|someone|technician will|shall",
    "you will get|receive|have|hear|find",
    "i|we am|are going_to",
    "will be refunded|credited|repaid|replaced|fixed|repaired|there|sent",
    "promis*",
    "guarant*",
    "compensat*",
    "entitled_to",
    "rest_assured",
    "refund|credit|reimburse|repay you",
)

DRAFT_TEXTS = (
    "opening", "reason", "done", "we_promised", "you_promised", "article", "closing",
)  # fmt: skip


class Drafts(Strict):
    """drafts.yaml: the approved language of draft replies, and who gets none."""

    version: int = Field(ge=1)
    locale: Annotated[str, Field(pattern=r"^[a-z]{2}(-[A-Z]{2})?$")]
    max_length: int = Field(ge=200, le=20_000)  # characters of the whole letter
    most_done: int = Field(ge=0, le=10)
    most_articles: int = Field(ge=0, le=5)
    # under one of these flags, or for one of these types, a person writes from the start
    none_when_flags: tuple[Name, ...]
    none_for_types: tuple[Name, ...]
    opening: Plain
    bodies: Mapping[Name, Plain]  # by request type; `default` for the rest
    reason: QuoteLine
    done: QuoteLine
    we_promised: QuoteLine
    you_promised: QuoteLine
    article: ArticleLine
    closing: Plain
    promises: tuple[PhraseText, ...] = PROMISES
    banned: tuple[PhraseText, ...] = ()  # never in a letter
    tone: tuple[PhraseText, ...] = ()  # does not sound like us


class Words(Strict):
    """Words that callers and agents say and a recognizer does not know."""

    # names of products, places and agents, as they are to be written
    hotwords: tuple[Sentence, ...] = ()
    # what is heard -> how it is to be written
    spellings: Mapping[str, Sentence] = {}


class Vocabulary(Strict):
    """vocabulary.yaml: what to expect on a call. A pack without one has these defaults."""

    # keep: what was said stands there, since abuse is evidence. mask: it is written [PROFANITY]
    profanity: Literal["keep", "mask"] = "keep"
    every_queue: Words = Words()
    queues: Mapping[Name, Words] = {}  # more for the calls of one queue (metadata `queue`)

    def of(self, queue: str) -> Words:
        """Return the words of one queue's calls, those of every queue among them."""
        own = self.queues.get(queue.strip().lower(), Words())
        return Words(
            hotwords=tuple(dict.fromkeys((*self.every_queue.hotwords, *own.hotwords))),
            spellings={**self.every_queue.spellings, **own.spellings},
        )


class Prompt(Strict):
    """prompts/*.md: what a language model is told; never anything that was said on a call."""

    id: Name
    version: int = Field(ge=1)
    text: Annotated[str, Field(min_length=1)]  # $slots are filled in code
    sha256: str  # of the file


class Pack(Strict):
    """A whole policy pack, checked. `sha256` is over all its files."""

    path: Path
    sha256: str
    manifest: Manifest
    taxonomy: Taxonomy
    routing: Routing
    thresholds: Thresholds
    retention: Retention
    signals: tuple[Signal, ...]
    rules: tuple[Rule, ...]
    note: NoteForm = NoteForm()
    drafts: Drafts | None = None  # None: this organisation wants no drafts
    vocabulary: Vocabulary = Vocabulary()
    notify: Notify = Notify()
    prompts: tuple[Prompt, ...] = ()

    def __hash__(self) -> int:
        return hash(self.sha256)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Pack) and other.sha256 == self.sha256

    @property
    def id(self) -> str:
        return self.manifest.id

    @property
    def version(self) -> int:
        return self.manifest.version

    def queue_owner(self, queue: str) -> str:
        return next((found.owner for found in self.routing.queues if found.id == queue), "")

    def rule_owner(self, rule: str) -> str:
        return next((found.owner for found in self.rules if found.id == rule), "")

    def kind(self, label: str) -> RequestKind | None:
        return next((kind for kind in self.taxonomy.request_types if kind.label == label), None)

    def prompt(self, name: str) -> Prompt | None:
        return next((prompt for prompt in self.prompts if prompt.id == name), None)
