"""Decide whether a redaction may be trusted; anything but yes holds the call.

Compares the two renderings with what was found, sample by sample and word by word, and looks again
for personal data in what is about to leave. Refuses to pass a call that was not understood, is in
a language nobody taught us, or could not be checked.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable, Collection, Iterable, Sequence

from redaction import Policy
from redaction import audio as sound
from redaction.windows import uncovered
from voice_pipeline import codec
from voice_pipeline.audio import blocks
from voice_pipeline.domain import (
    Finding,
    RedactedAudio,
    RedactedTranscript,
    Redaction,
    Transcript,
    Turn,
    Verification,
    Warning,
    Word,
)
from voice_pipeline.errors import PipelineError, Retryable
from voice_pipeline.ports import Shelf
from voice_pipeline.stages.mute import SILENCE, Cut, muted_windows
from voice_pipeline.stages.redact import SUPPORTED, Redactor, asked_for, language_of
from voice_pipeline.stages.replace import redacted_turns
from voice_pipeline.stages.second_listen import SecondListener, listen_again

# A number of these kinds that still stands in the redacted text holds the call.
HARD_LABELS = frozenset({
    "CARD_NUMBER", "CARD_CVV", "CARD_EXPIRY", "SSN", "PHONE", "ACCOUNT_NUMBER", "SORT_CODE",
    "ROUTING_NUMBER", "IBAN", "PIN",
})  # fmt: skip
# PCI DSS 3.3.1: what must not stay after authorisation, not even encrypted.
NEVER_KEPT = frozenset({"CARD_CVV", "PIN"})
# Answers without the number that was asked for: one or two happen ("the same as before"); more
# say that the numbers of this call were not recognised.
MOST_UNANSWERED = 2
# Seconds of speech on a channel below which its understood share says nothing.
SHORTEST_SPEECH = 3.0
# Words this far (seconds) past the end of the audio belong to another recording or clock.
LATEST_WORD = 1.0
# Warnings of earlier stages that say: this is not what was said on this call.
HOLDING = frozenset({"transcript_mismatch"})

# A run of fewer words, or of fewer digits in one word, also stands for prices and dates.
TELLING_WORDS = 4
TELLING_DIGITS = 6

Check = Callable[[], tuple[str, tuple[Warning, ...]]]  # what was found, reasons to hold


def verify(
    transcript: Transcript,
    redaction: Redaction,
    text: RedactedTranscript,
    audio: RedactedAudio,
    *,
    redactor: Redactor,
    shelf: Shelf,
    floor: float,
    languages: frozenset[str] = SUPPORTED,
    cut: Cut = SILENCE,
    listener: SecondListener | None = None,
) -> Verification:
    """Return whether the call may leave, why not, and for exactly which payloads.

    Args:
        transcript: what was heard.
        redaction: what was found in it.
        text: the redacted transcript that is about to leave.
        audio: the muted recording that is about to leave.
        redactor: the active policy's, for the second look.
        shelf: where both recordings are kept.
        floor: least understood share of a channel's speech, 0..1.
        languages: ISO 639-1 codes that the redactor was made for.
        cut: what the muted audio is filled with.
        listener: hears the muted audio once more; None: nobody does.

    Raises:
        Retryable: a part did not answer; nothing has been decided.
    """
    checks: dict[str, Check] = {
        "speech": lambda: _understood(transcript, floor, languages),
        "questions": lambda: _questions(redaction),
        "text": lambda: _text(transcript, redaction, text, redactor.policy),
        "second_look": lambda: _second_look(transcript, redaction, text, redactor),
        "cover": lambda: _cover(transcript, redaction),
        "samples": lambda: _samples(transcript, redaction, audio, shelf, cut),
    }
    if listener is not None:
        checks["second_listen"] = lambda: listen_again(
            transcript, text, audio,
            listener=listener, redactor=redactor, labels=HARD_LABELS, shelf=shelf,
        )  # fmt: skip
    found: dict[str, str] = {}
    reasons: list[Warning] = []
    for name, check in checks.items():
        try:
            found[name], against = check()
        except Retryable:
            raise
        except (PipelineError, ValueError) as error:  # what cannot be checked has not passed
            code = error.code if isinstance(error, PipelineError) else "invalid"
            found[name] = f"not made: {code}"
            against = (Warning("unverified", f"the check '{name}' failed with {code}"),)
        reasons += against
    return Verification(
        passed=not reasons,
        reasons=tuple(reasons),
        checks=found,
        transcript_sha256=hashlib.sha256(codec.encode(text)).hexdigest(),
        audio_sha256=audio.blob.sha256 if audio.blob else "",
        destroy_recording=audio.key_entries > 0 or _must_go(transcript, redaction.findings),
    )


def _understood(
    transcript: Transcript, floor: float, languages: frozenset[str]
) -> tuple[str, tuple[Warning, ...]]:
    spoken = [sum(end - start for start, end in channel) for channel in transcript.active]
    if not any(turn.words for turn in transcript.turns) and not any(spoken):
        return "no speech", ()
    reasons = []
    if not {language_of(transcript), *transcript.languages} <= languages:
        reasons.append(
            Warning("language_unsupported", "there are no redaction rules for this language")
        )
    reasons += [warning for warning in transcript.warnings if warning.code in HOLDING]
    shares = dict(enumerate(transcript.understood))
    for channel, seconds in enumerate(spoken):
        share = shares.get(channel, 0.0)
        if seconds >= SHORTEST_SPEECH and not share >= floor:
            reasons.append(
                Warning(
                    "low_understanding",
                    f"channel {channel}: {share:.0%} of the speech was understood, "
                    f"{floor:.0%} is needed",
                )
            )
    heard = ", ".join(f"{share:.2f}" for share in transcript.understood)
    return f"understood {heard}; floor {floor:.2f}", tuple(reasons)


def _questions(redaction: Redaction) -> tuple[str, tuple[Warning, ...]]:
    count = redaction.warnings.count("unanswered_number_question")
    if count <= MOST_UNANSWERED:
        return f"{count} unanswered", ()
    return f"{count} unanswered", (
        Warning(
            "unanswered_number_question",
            f"{count} questions for a number without a number in the answer",
        ),
    )


def _text(
    transcript: Transcript, redaction: Redaction, text: RedactedTranscript, policy: Policy
) -> tuple[str, tuple[Warning, ...]]:
    """The redacted text is what its findings make of the raw one, and nothing else."""
    expected = redacted_turns(transcript.turns, redaction, policy)
    if text.call == transcript.call and text.turns == expected:
        return f"{len(redaction.findings)} findings replaced", ()
    return "differs", (
        Warning("text_mismatch", "the redacted text is not what the findings make of the call"),
    )


def _second_look(
    transcript: Transcript, redaction: Redaction, text: RedactedTranscript, redactor: Redactor
) -> tuple[str, tuple[Warning, ...]]:
    """Nothing that the policy redacts, and no copy of what it did redact, stands in the text.

    A number is left over when the policy finds it in the redacted call and in its turn alone:
    placeholders take answers away, so that in the call alone a price may look like a late answer,
    and in the turn alone an order number looks like an account. A copy is a run of words, long
    enough to tell, that was redacted as a number elsewhere.
    """
    labels = "|".join(sorted({re.escape(finding.label) for finding in redaction.findings}))
    placeholder = re.compile(rf"\[(?:{labels})(?:_\d{{1,4}})?\]")
    turns = [Turn(turn.speaker, turn.words, turn.channel) for turn in text.turns]
    again = [
        finding
        for finding in redactor.find(turns)
        if finding.label in HARD_LABELS
        and not all(placeholder.fullmatch(w.text) for w in _words_of(turns, finding))
        and any(
            alone.label in HARD_LABELS and alone.first < finding.last and finding.first < alone.last
            for alone in redactor.find([turns[finding.turn]])
        )
    ]
    hidden = {
        words
        for finding in redaction.findings
        if finding.label in HARD_LABELS
        and _telling(words := _plain(_words_of(transcript.turns, finding)))
    }
    copies = sum(_copies(_plain(turn.words), hidden) for turn in turns)
    if not again and not copies:
        return "nothing left", ()
    kinds = ", ".join(sorted({finding.label for finding in again})) or "a copy of a redacted number"
    return f"{len(again)} found again, {copies} copies", (
        Warning("residual_personal_data", f"the redacted text still holds: {kinds}"),
    )


def _cover(transcript: Transcript, redaction: Redaction) -> tuple[str, tuple[Warning, ...]]:
    reasons = []
    missing = uncovered(
        transcript.turns,
        redaction.findings,
        redaction.windows,
        transcript.duration,
        transcript.channels,
        separate=transcript.separate,
    )
    if missing:
        reasons.append(Warning("uncovered_finding", f"{missing} findings are not wholly muted"))
    last = max(
        (w.end for t in transcript.turns for w in t.words if w.end and math.isfinite(w.end)),
        default=0.0,
    )
    if redaction.findings and 0 < transcript.duration < last - LATEST_WORD:
        reasons.append(
            Warning("words_past_end", "the words' times do not fit the length of the audio")
        )
    return f"{len(redaction.findings) - missing} of {len(redaction.findings)} covered", tuple(
        reasons
    )


def _samples(
    transcript: Transcript, redaction: Redaction, audio: RedactedAudio, shelf: Shelf, cut: Cut
) -> tuple[str, tuple[Warning, ...]]:
    """Decode both recordings and compare every sample with the windows."""
    if transcript.audio is None or audio.blob is None:
        return "no audio to compare", (
            Warning("unverified", "one of the two recordings to compare is not there"),
        )
    windows, samples, entries = muted_windows(transcript.audio, audio.rate, redaction, shelf)
    with shelf.open(transcript.audio) as raw, shelf.open(audio.blob) as muted:
        result = sound.check(
            blocks(raw), blocks(muted), audio.rate, windows, fill=cut.fill, fade=cut.fade
        )
    what = (
        f"{result.samples} samples a channel, {result.inside} inside {len(windows)} windows, "
        f"{result.audible} audible, {result.changed} changed, {result.missing} missing, "
        f"{entries} key entries"
    )
    if result.passed and result.samples == samples and entries == audio.key_entries:
        return what, ()
    return what, (
        Warning(
            "audio_mismatch",
            f"{result.audible} samples audible inside mute windows, {result.changed} changed "
            f"outside, {result.missing} missing",
        ),
    )


def _must_go(transcript: Transcript, findings: Sequence[Finding]) -> bool:
    """Whether a card code or PIN was found or asked for."""
    return any(f.label in NEVER_KEPT for f in findings) or any(
        question.label in NEVER_KEPT for question in asked_for(transcript, findings)
    )


def _words_of(turns: Sequence[Turn], finding: Finding) -> tuple[Word, ...]:
    if not 0 <= finding.turn < len(turns):
        return ()
    return turns[finding.turn].words[max(0, finding.first) : finding.last]


def _plain(words: Iterable[Word]) -> tuple[str, ...]:
    """Words as they compare: lower case, letters and digits only."""
    bare = ("".join(c for c in word.text.casefold() if c.isalnum()) for word in words)
    return tuple(word for word in bare if word)


def _telling(words: Sequence[str]) -> bool:
    return len(words) >= TELLING_WORDS or sum(c.isdigit() for w in words for c in w) >= (
        TELLING_DIGITS
    )


def _copies(words: tuple[str, ...], hidden: Collection[tuple[str, ...]]) -> int:
    """How many of the hidden runs stand in these words; linear in words for each length."""
    return sum(
        words[at : at + length] in hidden
        for length in {len(run) for run in hidden}
        for at in range(len(words) - length + 1)
    )
