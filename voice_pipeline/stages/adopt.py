"""A transcript made elsewhere to what was heard: the transcribe stage without a transcriber.

Decides the language, and how much of each channel's speech the transcript accounts for. Refuses to
take it for more than that: speech it does not cover counts as not understood, a language nobody
named must read like the assumed one, and it dies with the raw words.
"""

from __future__ import annotations

from collections.abc import Sequence

from redaction.records import Turn, Word
from redaction.windows import Span, accounted, overlap
from voice_pipeline.audio import activity
from voice_pipeline.domain import Heard, Recording, Speech, Warning
from voice_pipeline.ports import Shelf
from voice_pipeline.stages.fit import fit
from voice_pipeline.stages.likely import reads_like
from voice_pipeline.stages.replace import timed
from voice_pipeline.stages.understanding import MARGINS, estimate
from voice_pipeline.transcripts import UNKNOWN, VendorTranscript, iso, read

ASSUMED = "en"
# Share of a channel's speech that cues without word times must cover to count as all of it: they
# begin and end with the speech, give or take its margins.
FULL_COVER = 0.9


def adopt(recording: Recording, *, shelf: Shelf) -> Heard:
    """Take a transcript instead of hearing a recording.

    Args:
        recording: what ingest found out; `recording.transcript` names the transcript.
        shelf: where the bytes of both are.

    Returns:
        Speech of every channel, and the turns as the transcript has them. Warnings: `heard_by
        transcript_mismatch transcript_times channel_assumed confidence_unknown language_assumed
        no_speech`.

    Raises:
        BadInput: the recording does not decode, or the transcript cannot be read.
        Permanent: the transcript is no longer kept (code `erased`).
    """
    assert recording.transcript is not None, "only calls with a transcript come here"
    with shelf.open(recording.transcript) as file:
        transcript = read(file.read())
    with shelf.open(recording.audio) as sound:
        active = activity(sound, recording)
    fitted = fit(transcript, recording, active)
    turns = tuple(_storable(turn) for turn in fitted.turns)
    language, named = _language(recording, transcript, turns)
    words = [word for turn in turns for word in turn.words]
    sure = any(word.confidence is not None for word in words)
    made_by = f"imported ({transcript.format})"
    warnings = [
        Warning("heard_by", f"Heard elsewhere; a transcript was handed in ({transcript.format})."),
        *fitted.warnings,
    ]
    if words and not sure:
        warnings.append(
            Warning(
                "confidence_unknown",
                "The transcript gives no confidences; how well it was heard is judged by how much "
                "of the speech it covers.",
            )
        )
    if words and not named:
        warnings.append(
            Warning("language_assumed", "Nobody said which language this is; English was assumed.")
        )
    known = {warning.code for warning in recording.warnings}
    if not any(active) and "no_speech" not in known:
        warnings.append(Warning("no_speech", "Nobody is heard on this recording."))
    return Heard(
        speech=tuple(
            _speech(channel, stretches, turns, language, made_by, sure)
            for channel, stretches in enumerate(active)
        ),
        transcriber=made_by,
        warnings=tuple(warnings),
        turns=turns,
    )


def _speech(
    channel: int,
    stretches: Sequence[Span],
    turns: Sequence[Turn],
    language: str,
    made_by: str,
    sure: bool,
) -> Speech:
    mine = [turn for turn in turns if turn.channel == channel]
    words = tuple(word for turn in mine for word in turn.words)
    found = estimate(words, stretches, language=language, has_confidence=sure)
    share = found.share * _cover(mine, stretches)
    return Speech(
        channel=channel,
        words=words,
        language=language,
        made_by=made_by,
        active=tuple(stretches),
        understood=round(share, 4),
        confidence=found.confidence,
    )


def _cover(turns: Sequence[Turn], stretches: Sequence[Span]) -> float:
    """Return how much of the speech untimed words account for, 0..1; 1 where words have times.

    Timed words are measured by `estimate`; it cannot see what cues leave out.
    """
    if not any(_untimed(word) for turn in turns for word in turn.words):
        return 1.0
    speech = sum(max(0.0, end - start - MARGINS) for start, end in stretches)
    if speech <= 0:
        return 1.0
    spans = [
        *((w.start, w.end) for t in turns for w in t.words
          if w.start is not None and w.end is not None),
        *(span for turn in turns for span in accounted(turn, stretches)),
    ]  # fmt: skip
    merged: list[Span] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    covered = sum(overlap(one, other) for one in merged for other in stretches)
    return min(1.0, covered / speech / FULL_COVER)


def _language(
    recording: Recording, transcript: VendorTranscript, turns: Sequence[Turn]
) -> tuple[str, bool]:
    """Return ISO 639-1, and whether anybody named it: the file, the operator or the metadata.

    The file comes first: it is of what was said, whatever was asked for. English that does not read
    like English is no language we know, whoever named it.
    """
    asked = recording.language if recording.language != "auto" else ""
    told = recording.metadata.get("language", "")
    named = next((code for code in map(iso, (transcript.language, asked, told)) if code), "")
    language = named or ASSUMED
    text = [word.text for turn in turns for word in turn.words]
    return (language if reads_like(language, text) else UNKNOWN), bool(named)


def _storable(turn: Turn) -> Turn:
    return Turn(
        turn.speaker,
        tuple(map(timed, turn.words)),
        turn.channel,
        tuple(tuple(map(timed, form)) for form in turn.forms),
        turn.start,
        turn.end,
    )


def _untimed(word: Word) -> bool:
    return word.start is None or word.end is None
