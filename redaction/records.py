"""The records of redaction: timed words in, findings and mute windows out.

Times are float seconds from the start of the recording, positions are word indexes within a
turn, turns count from 0. A record never holds more of a call than its fields say: a `Finding`
names a place and a reason, never the value that stands there.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Word:
    """One word as it was heard."""

    text: str
    start: float | None  # seconds; None where the engine gave no time (muting then widens)
    end: float | None  # seconds, not before start
    confidence: float | None = None  # 0..1, the engine's own; None where it has none


@dataclass(frozen=True, slots=True)
class Turn:
    """What one speaker said without being taken over, in order."""

    speaker: str
    words: tuple[Word, ...]
    channel: int = 0  # audio channel the words were heard on
    # the same speech in the engine's other forms (lexical, written, alternates): never shown, but
    # what is found in one is gone from all
    forms: tuple[tuple[Word, ...], ...] = ()
    # seconds: where the whole turn lies, from a source that times turns and not (all) words; None
    # where the words' own times say it
    start: float | None = None
    end: float | None = None

    @property
    def text(self) -> str:
        return " ".join(word.text for word in self.words)


@dataclass(frozen=True, slots=True)
class Finding:
    """Personal data in words `first` to `last` (exclusive) of one turn."""

    label: str  # one of redaction.LABELS, or an organisation's own
    turn: int
    first: int
    last: int
    score: float  # 0..1
    detector: str  # the family that found it: numbers, letters, names, presidio, ...
    rule: str  # the rule inside the detector, for example "card.asked"
    reason: str  # one sentence without the value
    start: float | None = None  # seconds; None: cannot be placed in time, so its turn is muted
    end: float | None = None
    group: int = 0  # equal for findings that are one value, spoken in pieces; 0: stands alone


@dataclass(frozen=True, slots=True)
class Window:
    """Audio that is muted: [start, end) seconds on these channels."""

    start: float
    end: float
    channels: tuple[int, ...]  # channel indexes; empty: every channel
    reason: str  # finding | span_without_time | open_question | bleed | unheard_speech


@dataclass(frozen=True, slots=True)
class Mark:
    """What a log may say of one finding's value without saying it."""

    action: str  # what was done: placeholder | last_four
    digits: int | None = None  # how many it has; None: none, or not even that may be said
    value_hmac: str | None = None  # keyed hash, hexadecimal; see redaction.hashes


@dataclass(frozen=True, slots=True)
class Redaction:
    """One set of findings and what it means for the audio: two renderings cannot disagree."""

    findings: tuple[Finding, ...]
    windows: tuple[Window, ...]  # sorted by start, merged, padded
    profile: str  # precise | balanced | paranoid
    policy: str  # id of the redaction policy
    policy_sha256: str
    warnings: tuple[str, ...] = ()  # codes, for example span_without_time
    # for the log
    marks: tuple[Mark, ...] = ()  # one a finding, in their order; empty: not made
    key_id: str | None = None  # of the key of the marks' hashes
    suppressed: tuple[Finding, ...] = ()  # recognised and left to stand: why is their `reason`
    policy_version: int = 0
    threshold: float = 0.0  # 0..1: findings below were not used
    detectors: tuple[str, ...] = ()  # what found, with versions
