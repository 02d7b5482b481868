"""Find personal data in a transcript, and say which audio it makes unfit to be heard.

Decides one set of findings and one set of mute windows from them; everything later renders these
two. Refuses to trust what was not heard: untimed findings, answers without the number that was
asked for, and speech without words are muted whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from redaction import Policy
from redaction.asked import Question, open_intervals, questions, unanswered
from redaction.edges import beside_numbers
from redaction.hashes import HashKey
from redaction.language import load_language
from redaction.reading import marks
from redaction.redactor import Look, apart
from redaction.widen import NUMBER_LABELS, answers, widen
from redaction.windows import extent, unplaced, windows
from voice_pipeline import __version__
from voice_pipeline.domain import Finding, Redaction, Transcript, Turn

# Seconds: a turn up to this long is muted whole when a number is in it. Real people dictated ten
# digits and "my number is" in up to 9 s.
WHOLE_TURN = 12.0
SUPPORTED = frozenset({"en"})  # ISO 639-1: languages for which there is a pack of spoken forms


class Redactor(Protocol):
    """Finds personal data in turns; `redaction.Redactor` is one."""

    @property
    def policy(self) -> Policy: ...

    @property
    def detectors(self) -> tuple[str, ...]: ...

    def find(self, turns: Sequence[Turn]) -> tuple[Finding, ...]: ...

    def look(self, turns: Sequence[Turn]) -> Look: ...


def redact(transcript: Transcript, *, redactor: Redactor, key: HashKey | None = None) -> Redaction:
    """Return what must go, in word coordinates and in time.

    Args:
        transcript: what was heard.
        redactor: finds personal data under its policy.
        key: of this call's keyed hashes, by which the log can tell equal values; None: no hashes.
    """
    look = redactor.look(transcript.turns)
    findings = widen(transcript.turns, look.findings)
    asked = asked_for(transcript, findings)
    open_ended = unanswered(asked, transcript.turns, transcript.active)
    findings = answers(transcript.turns, open_ended, findings)
    muted = windows(
        transcript.turns,
        findings,
        transcript.duration,
        transcript.channels,
        separate=transcript.separate,
        active=transcript.active,
        held=open_intervals(asked)
        + tuple((q.start, q.end) for q in open_ended)
        + number_turns(transcript, findings)
        + beside_numbers(transcript.turns, findings, transcript.active, transcript.channels),
    )
    codes = ["unanswered_number_question"] * len(open_ended)
    codes += ["span_without_time"] * min(1, unplaced(transcript.turns, findings))
    codes += ["unheard_speech"] * any(w.reason == "unheard_speech" for w in muted)
    policy = redactor.policy
    noted = marks(
        transcript.turns,
        findings,
        policy,
        load_language(policy.language),
        key=key,
        asked=frozenset(question.label for question in asked),
    )
    return Redaction(
        findings,
        muted,
        policy.profile,
        policy.id,
        policy.sha256,
        tuple(codes),
        marks=noted,
        key_id=key.id if key and any(mark.value_hmac for mark in noted) else None,
        suppressed=apart(look.suppressed, findings),
        policy_version=policy.version,
        threshold=policy.threshold,
        detectors=(f"redaction {__version__}", *redactor.detectors),
    )


def number_turns(
    transcript: Transcript, findings: Sequence[Finding]
) -> tuple[tuple[float, float], ...]:
    """Return the extents of short turns that hold a number: they are muted whole.

    A recognizer that got most digits of a turn right has often got its edges wrong.
    """
    spoken = {f.turn for f in findings if f.label in NUMBER_LABELS}
    extents = (extent(transcript.turns[turn]) for turn in sorted(spoken))
    return tuple(e for e in extents if e is not None and e[1] - e[0] <= WHOLE_TURN)


def asked_for(transcript: Transcript, findings: Sequence[Finding]) -> tuple[Question, ...]:
    """Return the questions for numbers; none in a language without a pack (verify holds those)."""
    language = language_of(transcript)
    if language not in SUPPORTED:
        return ()
    return questions(transcript.turns, findings, language=language)


def language_of(transcript: Transcript) -> str:
    """Return the ISO 639-1 code of `en`, `en-GB`, `en_US`."""
    return transcript.language.lower().replace("_", "-").split("-")[0]
