"""The nouns of the product: frozen records, no I/O.

Time is float seconds from the start of the recording, everywhere. `Audio`, `Speech`, `Heard` and
`Transcript` hold what customers said and may be named only up to the redact stage (a test sees to
it); everything to the right of that stage knows `RedactedTranscript`, which is no kind of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Generic, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from redaction.records import Finding, Redaction, Turn, Window, Word

T_co = TypeVar("T_co", covariant=True)

Samples = NDArray[np.float32]  # one channel, shape (samples,), range -1..1

Severity = Literal["low", "medium", "high", "critical"]
Status = Literal["done", "held", "failed"]


ROLES_UNCERTAIN = "roles_uncertain"  # the warning that agent and customer are a guess


@dataclass(frozen=True, slots=True)
class Ref(Generic[T_co]):
    """The name of a kept record: what travels between stages and may enter a journal."""

    call: str
    kind: str  # class name of the record
    sha256: str  # of the record's plain bytes


@dataclass(frozen=True, slots=True)
class Warning:
    """Something a reader of the result should know; docs/codes.md lists the codes."""

    code: str
    detail: str = ""  # one sentence, never call content


# ---------------------------------------------------------------- what was handed in


@dataclass(frozen=True, slots=True)
class Received:
    """A recording as it was handed in. Name and metadata are redacted before this exists."""

    call: str
    name: str  # base name of the file
    sha256: str  # of the file's bytes
    size: int  # bytes
    audio: Ref[Audio]
    metadata: Mapping[str, str]  # CONTRACTS: call_ref agent team queue customer_ref started_at ...
    agent_channel: Literal["auto", "left", "right"] = "auto"
    language: str = "auto"  # ISO 639-1 or auto
    transcript: Ref[ImportedTranscript] | None = None  # made elsewhere, instead of ours


@dataclass(frozen=True, slots=True)
class Recording:
    """Facts about a call's audio: what decoding it once has shown."""

    id: str  # the call id
    sha256: str  # of the file's bytes
    name: str  # base name of the file, redacted
    audio: Ref[Audio]
    channels: int
    rate: int  # Hz, as recorded
    duration: float  # seconds, decoded
    codec: str  # for example pcm_mulaw
    metadata: Mapping[str, str]
    agent_channel: Literal["auto", "left", "right"]
    language: str
    levels: tuple[float, ...]  # dBFS per channel over its active parts
    bleed: float | None  # dB, how loud one side is on the other; None: mono or not measurable
    bandwidth: float  # Hz, the highest frequency that carries speech: 3400 says telephone
    warnings: tuple[Warning, ...] = ()
    transcript: Ref[ImportedTranscript] | None = None  # made elsewhere, instead of ours


@dataclass(frozen=True, slots=True)
class Audio:
    """Raw: the bytes of a recording, as handed in. Read through `ports.Shelf`, never whole."""


@dataclass(frozen=True, slots=True)
class ImportedTranscript:
    """Raw: the bytes of a transcript made elsewhere, as handed in. Dies with the raw words."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Raw: one stretch of speech on one channel of one call, ready for a transcriber."""

    call: str
    channel: int
    offset: float  # seconds from the start of the recording
    samples: Samples = field(repr=False)  # 16 kHz mono
    band: Literal["wide", "telephone"] = "wide"
    # [start, end) seconds from the start of the recording that hold a voice; None: not looked at
    voiced: tuple[tuple[float, float], ...] | None = None
    # words to expect on this call (names of products and agents); an engine whose traits say
    # `takes_hints` listens for them, others leave them alone
    hints: tuple[str, ...] = ()


# ---------------------------------------------------------------- raw speech (left of redact)


@dataclass(frozen=True, slots=True)
class SegmentSpeech:
    """Raw: what a transcriber made of one segment."""

    words: tuple[Word, ...] = field(repr=False)  # times from the start of the recording
    language: str  # ISO 639-1
    language_confidence: float | None = None  # 0..1; None where the engine cannot tell
    marks: tuple[str, ...] = ()  # doubts: no_speech, repetition, low_logprob, ...


@dataclass(frozen=True, slots=True)
class SpeakerSpan:
    """Somebody speaks: [start, end) seconds; speakers are numbered from 0."""

    speaker: int
    start: float
    end: float
    channel: int | None = None  # None: heard on a mono recording


@dataclass(frozen=True, slots=True)
class LineSound:
    """Something that nobody said: hold music, or a tone of the line."""

    kind: Literal["music", "tone"]
    channel: int
    start: float  # seconds
    end: float


def music_seconds(sounds: Sequence[LineSound]) -> float:
    """Return for how many seconds music is heard, on whichever channels."""
    reached = total = 0.0
    for sound in sorted(sounds, key=lambda sound: sound.start):
        if sound.kind == "music" and sound.end > reached:
            total += sound.end - max(sound.start, reached)
            reached = sound.end
    return round(total, 2)


@dataclass(frozen=True, slots=True)
class Speech:
    """Raw: what was heard on one channel."""

    channel: int
    words: tuple[Word, ...] = field(repr=False)  # in time order
    language: str  # ISO 639-1
    made_by: str  # engine and model, for example "pocketsphinx 5.1.1 en-us+telephone"
    active: tuple[tuple[float, float], ...]  # seconds: where somebody speaks on this channel
    understood: float  # 0..1, share of `active` that became plausible words
    confidence: float  # 0..1, mean word confidence weighted by duration


@dataclass(frozen=True, slots=True)
class Heard:
    """Raw: a whole call as heard, channel by channel."""

    speech: tuple[Speech, ...] = field(repr=False)
    transcriber: str
    warnings: tuple[Warning, ...] = ()
    # as a transcript made elsewhere has them, by start: speakers by its own names, "" where it
    # tells none apart. Empty: the diarize stage makes the turns
    turns: tuple[Turn, ...] = field(default=(), repr=False)
    sounds: tuple[LineSound, ...] = ()  # by start time


@dataclass(frozen=True, slots=True)
class Transcript:
    """Raw: a call as turns of named speakers."""

    call: str
    language: str
    turns: tuple[Turn, ...] = field(repr=False)  # by start time; speakers as CONTRACTS names them
    transcriber: str
    diarizer: str
    # share of active speech per channel that was understood; the redact stage holds on it
    understood: tuple[float, ...]
    confidence: tuple[float, ...]
    active: tuple[tuple[tuple[float, float], ...], ...]  # per channel, seconds
    warnings: tuple[Warning, ...] = ()
    # facts of the recording that decide what is muted; without them muting goes wider
    duration: float = 0.0  # seconds; 0 where only text is known
    channels: int = 1
    separate: bool = False  # nobody is heard on another's channel; else muting reaches all
    audio: Ref[Audio] | None = None  # what the muted audio is verified against
    sounds: tuple[LineSound, ...] = ()
    languages: tuple[str, ...] = ()  # ISO 639-1 of each channel with words, where they differ


# ---------------------------------------------------------------- redacted (right of redact)


@dataclass(frozen=True, slots=True)
class RedactedTurn:
    turn: int  # counts from 0, never renumbered
    speaker: str  # agent customer agent_2 customer_2 system unknown
    channel: int
    start: float | None  # seconds
    end: float | None
    words: tuple[Word, ...]  # a finding is one placeholder word spanning its time

    @property
    def text(self) -> str:
        return " ".join(word.text for word in self.words)


@dataclass(frozen=True, slots=True)
class RedactedTranscript:
    """What everything to the right of the redact stage may read."""

    call: str
    language: str
    turns: tuple[RedactedTurn, ...]
    duration: float  # seconds, of the recording; 0 where only text is known
    transcriber: str = ""
    diarizer: str = ""
    confidence: float = 1.0  # 0..1, mean word confidence of the call
    warnings: tuple[Warning, ...] = ()
    sounds: tuple[LineSound, ...] = ()


@dataclass(frozen=True, slots=True)
class RedactedAudio:
    """The muted recording, kept as FLAC at the recording's own rate and channels."""

    blob: Ref[RedactedAudio] | None  # None inside the blob's own description
    rate: int
    channels: int
    duration: float  # seconds
    muted: float  # seconds of muted audio, summed over channels
    key_entries: int = 0  # runs of telephone key tones, found in the audio and muted as card data
    windows: tuple[Window, ...] = ()  # all that differs from the original: key tones, fades too


@dataclass(frozen=True, slots=True)
class Verification:
    """Whether redaction may be trusted: anything but `pass` holds the call."""

    passed: bool
    reasons: tuple[Warning, ...]  # why not; empty when passed
    checks: Mapping[str, str]  # check -> what it found, for the log
    transcript_sha256: str  # the exact payloads that were verified
    audio_sha256: str
    destroy_recording: bool = False  # card code or PIN found: raw audio must not stay


# ---------------------------------------------------------------- the case note


@dataclass(frozen=True, slots=True)
class Evidence:
    turn: int
    quote: str  # verbatim from the redacted turn
    start: float | None = None
    end: float | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    text: str
    evidence: tuple[Evidence, ...]


@dataclass(frozen=True, slots=True)
class Unverified:
    """A claim that failed a check: shown to people, and used by nothing."""

    text: str
    evidence: tuple[Evidence, ...]
    why: str = ""  # code of the check that failed; docs/codes.md lists them


@dataclass(frozen=True, slots=True)
class Commitment:
    """Somebody promised something."""

    text: str
    evidence: tuple[Evidence, ...]
    who: str  # agent | customer | unknown: nobody knows who said it
    what: str
    due: date | None  # worked out from the call's date; None when there is none or it is unclear
    due_text: str  # as spoken: "by Friday"


@dataclass(frozen=True, slots=True)
class RequestType:
    label: str
    confidence: float  # 0..1
    decision: Literal["auto", "human"]


@dataclass(frozen=True, slots=True)
class OtherRequest:
    """A further thing the caller wanted on the same call."""

    label: str
    confidence: float  # 0..1
    evidence: tuple[Evidence, ...]


@dataclass(frozen=True, slots=True)
class Mood:
    """How the customer sounds in words at one end of the call; never from the voice."""

    value: Literal["positive", "neutral", "negative"]
    evidence: tuple[Evidence, ...]  # empty for neutral


@dataclass(frozen=True, slots=True)
class Section:
    """One part of the note that the organisation's policy pack asks for."""

    id: str
    title: str
    claims: tuple[Claim, ...]


@dataclass(frozen=True, slots=True)
class Concern:
    """A flag that a language model suggests. It can add one where no rule fired, and clear none."""

    category: str
    evidence: tuple[Evidence, ...]


@dataclass(frozen=True, slots=True)
class CallOutcome:
    value: Literal["resolved", "partial", "unresolved", "unclear"]
    evidence: tuple[Evidence, ...]


@dataclass(frozen=True, slots=True)
class Escalation:
    """A rule that fired: which, why, on what evidence, from which inputs."""

    rule: str
    version: int
    category: str
    severity: Severity
    why: str
    evidence: tuple[Evidence, ...]
    inputs: Mapping[str, Any]  # every fact the rule looked at, JSON values
    action: Mapping[str, Any]  # queue, due, notify


@dataclass(frozen=True, slots=True)
class Escalations:
    flags: tuple[Escalation, ...]
    ruleset_sha256: str
    trace: tuple[Mapping[str, Any], ...] = ()  # every rule with every condition, fired or not
    context: Mapping[str, Any] = field(default_factory=dict)  # what was known of the customer


@dataclass(frozen=True, slots=True)
class Route:
    queue: str
    owner: str
    priority: Literal["low", "normal", "high", "urgent"]
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RouteChange:
    """A person's correction of a route. Nothing is overwritten: undoing is another change."""

    call: str
    before: str  # queue that the call was in
    after: str  # queue that it is in now
    by: str  # who decided
    reason: str  # why, redacted
    at: str  # ISO 8601, UTC
    undoes: int | None = None  # number of the change that this one takes back


@dataclass(frozen=True, slots=True)
class Review:
    """Whether a person must approve before anything is acted on, and why."""

    required: bool
    reasons: tuple[str, ...]  # CONTRACTS: sensitive_data account_change ...


@dataclass(frozen=True, slots=True)
class Draft:
    """A letter to the customer that a person may send; nobody has."""

    text: str
    sources: tuple[str, ...]  # turn:NUMBER, article:ID@VERSION sha256:HASH, template:PACK@VERSION
    status: Literal["draft"] = "draft"


@dataclass(frozen=True, slots=True)
class Suggestion:
    """An approved article that may help whoever works on the call."""

    article: str  # id
    version: int
    sha256: str  # of this version of the article
    title: str
    passage: str  # plain text, verbatim from the article
    score: float  # 0..1
    why: str  # vectors | words | exact


@dataclass(frozen=True, slots=True)
class NoArticle:
    """Approved articles were searched and none answers."""

    terms: tuple[str, ...]  # what was asked for, in stems of the redacted text, no names or numbers


@dataclass(frozen=True, slots=True)
class CaseNote:
    """What happened on a call, every statement with the turn it came from."""

    call: str
    status: str  # done, or no_summary:CODE
    request_type: RequestType
    urgency: Literal["low", "normal", "high", "urgent"]
    reason: Claim | None
    summary: tuple[Claim, ...]
    facts: tuple[Claim, ...]
    actions: tuple[Claim, ...]
    commitments: tuple[Commitment, ...]
    outcome: CallOutcome
    missing_information: tuple[str, ...]
    unverified: tuple[Unverified, ...]
    measures: Mapping[str, float]
    provenance: Mapping[str, Any]
    also: tuple[OtherRequest, ...] = ()
    open_questions: tuple[Claim, ...] = ()  # asked by the customer, not answered
    cancellation_reason: Claim | None = None
    mood_start: Mood | None = None  # None: switched off by policy, or nothing to tell it from
    mood_end: Mood | None = None
    sections: tuple[Section, ...] = ()
    concerns: tuple[Concern, ...] = ()  # flags that a language model suggests
    route: Route | None = None  # the review stage sets these three
    escalations: tuple[Escalation, ...] = ()
    review: Review | None = None
    suggestions: tuple[Suggestion, ...] = ()  # the draft stage sets the last three
    no_article: NoArticle | None = None
    draft: Draft | None = None


@dataclass(frozen=True, slots=True)
class NoteEdit:
    """A note as a person left it. The note that was edited stays as it was."""

    call: str
    of: str  # sha256 of that note's record
    note: CaseNote  # redacted anew
    changed: tuple[str, ...]  # names of fields
    by: str
    at: str  # ISO 8601, UTC


# ---------------------------------------------------------------- delivery


@dataclass(frozen=True, slots=True)
class Receipt:
    """Proof that a target took a delivery."""

    target: str
    key: str  # idempotency key: call, target, revision
    external_id: str  # the record's name in the target
    at: str  # ISO 8601, UTC


__all__ = [
    "Audio", "CallOutcome", "CaseNote", "Claim", "Commitment", "Concern", "Draft", "Escalation",
    "Escalations", "Evidence", "Finding", "Heard", "ImportedTranscript", "LineSound", "Mood",
    "NoArticle", "NoteEdit", "OtherRequest", "Receipt", "Received", "Recording", "RedactedAudio",
    "RedactedTranscript", "RedactedTurn", "Redaction", "Ref", "RequestType", "Review", "Route",
    "RouteChange", "Samples", "Section", "Segment", "SegmentSpeech", "Severity", "SpeakerSpan",
    "Speech", "Status", "Suggestion", "Transcript", "Turn", "Unverified", "Verification",
    "Warning", "Window", "Word", "music_seconds",
]  # fmt: skip
