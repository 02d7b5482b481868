"""Hear the redacted audio once more, with other ears, and look for numbers in what is heard.

Decides whether a second recognizer finds a number in what is about to leave that the first hearing
did not account for. Refuses to take silence for proof: the same ears must recognise an unmuted
piece of the call, else they were deaf, and a deaf listener has not passed anything.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from redaction.windows import extent
from voice_pipeline.audio import resampled
from voice_pipeline.domain import (
    Finding,
    Received,
    RedactedAudio,
    RedactedTranscript,
    Ref,
    Segment,
    Transcript,
    Turn,
    Warning,
    Word,
)
from voice_pipeline.ports import Shelf, Transcriber
from voice_pipeline.stages.ingest import ingest
from voice_pipeline.stages.redact import Redactor
from voice_pipeline.stages.transcribe import transcribe

RATE = 16000  # Hz, of segments
LONGEST_CONTROL = 20.0  # seconds: enough words to tell, few enough to hear twice
AROUND = 0.3  # seconds of sound kept on either side of the control
# Share of the control's words that must be heard again. Two engines agree on two thirds of the
# words of a call that either understands; on noise they agree on next to nothing.
CONTROL_SHARE = 0.4
PAUSE = 1.2  # seconds of silence that end a turn
NEAR = 0.5  # seconds: two engines place the same word this far apart at most
KNOWN_SHARE = 0.7  # of a finding's words that the redacted text holds at the same place


@dataclass(frozen=True, slots=True)
class SecondListener:
    """Who listens again, and what a deaf listener means."""

    transcriber: Transcriber
    when_deaf: Literal["note", "hold"] = "note"


def listen_again(
    transcript: Transcript,
    text: RedactedTranscript,
    audio: RedactedAudio,
    *,
    listener: SecondListener,
    redactor: Redactor,
    labels: frozenset[str],
    shelf: Shelf,
) -> tuple[str, tuple[Warning, ...]]:
    """Return what the second hearing has shown, and reasons to hold the call.

    Args:
        transcript: the first hearing; a piece of it is the control.
        text: what of it is about to leave: numbers in it were judged already.
        audio: the muted recording that is about to leave.
        listener: the second ears.
        redactor: looks for numbers in what they heard.
        labels: the kinds of findings that count.
        shelf: where both recordings are kept.

    Raises:
        PipelineError: the audio is gone, or the engine does not answer.
    """
    by = listener.transcriber.made_by
    control = choose_control(transcript.turns)
    if control is None and listener.when_deaf == "hold" and any(t.words for t in transcript.turns):
        return f"deaf: no piece has times, by {by}", (
            Warning("second_listen_deaf", "no piece of the call has times to serve as a control"),
        )
    if control is None or transcript.audio is None or audio.blob is None:
        return f"nothing to listen to, by {by}", ()
    known, heard = _recognised(transcript, control, listener.transcriber, shelf)
    if heard < CONTROL_SHARE * known:
        reasons = (
            Warning("second_listen_deaf", "the second recognizer did not hear the control piece"),
        )
        return f"deaf: {heard} of {known} control words, by {by}", (
            reasons if listener.when_deaf == "hold" else ()
        )
    muted: Ref[Any] = audio.blob
    received = Received(
        transcript.call, "", muted.sha256, 0, muted, {}, language=transcript.language
    )
    again = transcribe(ingest(received, shelf=shelf), transcriber=listener.transcriber, shelf=shelf)
    turns = [turn for speech in again.speech for turn in cut(speech.words, speech.channel)]
    new = [
        finding.label
        for finding in redactor.find(turns)
        if finding.label in labels and not _known(turns[finding.turn], finding, text)
    ]
    what = f"{heard} of {known} control words, {len(new)} numbers heard, by {by}"
    if not new:
        return what, ()
    kinds = ", ".join(sorted(set(new)))
    return what, (
        Warning("second_listen_heard", f"a second recognizer hears in the muted audio: {kinds}"),
    )


def choose_control(turns: Sequence[Turn]) -> Turn | None:
    """Return the turn with most timed words, cut to the longest control; None where none is.

    A turn that is timed as a whole serves, too, where it is no longer than that.
    """
    best: tuple[Word, ...] = ()
    channel = 0
    whole: tuple[float, float] | None = None
    for turn in turns:
        where = extent(turn)
        if where is None:
            continue
        limit = where[0] + LONGEST_CONTROL
        words = tuple(
            w for w in turn.words if w.start is not None and w.end is not None and w.end <= limit
        )
        stated = not words and where[1] <= limit
        words = turn.words if stated else words
        if len(words) > len(best):
            best, channel, whole = words, turn.channel, where if stated else None
    if not best:
        return None
    return Turn("control", best, channel, (), *(whole or (None, None)))


def cut(words: Sequence[Word], channel: int) -> Iterable[Turn]:
    """Yield one channel's words in turns that part at long pauses."""
    begun: list[Word] = []
    for word in words:
        last = begun[-1].end if begun else None
        if last is not None and word.start is not None and word.start - last > PAUSE:
            yield Turn("unknown", tuple(begun), channel)
            begun = []
        begun.append(word)
    if begun:
        yield Turn("unknown", tuple(begun), channel)


def _recognised(
    transcript: Transcript, control: Turn, transcriber: Transcriber, shelf: Shelf
) -> tuple[int, int]:
    """Return how many words the control has, and how many of them are heard again, unmuted."""
    assert transcript.audio is not None
    start, end = extent(control) or (0.0, 0.0)
    start, end = max(0.0, start - AROUND), end + AROUND
    first, last, at = round(start * RATE), round(end * RATE), 0
    pieces = []
    with shelf.open(transcript.audio) as file:
        for block in resampled(file, RATE):
            low, high = max(0, first - at), min(block.shape[1], last - at)
            if low < high:
                pieces.append(block[min(control.channel, len(block) - 1), low:high])
            at += block.shape[1]
            if at >= last:
                break
    samples = np.concatenate(pieces) if pieces else np.zeros(0, dtype=np.float32)
    segment = Segment(transcript.call, control.channel, start, samples)
    (speech,) = transcriber.transcribe(
        [segment], language=transcript.language, progress=lambda share: None
    )
    known = Counter(_plain(control.words))
    return known.total(), (known & Counter(_plain(speech.words))).total()


def _near(begin: float | None, finish: float | None, start: float, end: float) -> bool:
    """Whether something said from `begin` to `finish` lies at or near a place."""
    return begin is not None and finish is not None and begin < end + NEAR and start - NEAR < finish


def _known(turn: Turn, finding: Finding, text: RedactedTranscript) -> bool:
    """Whether the redacted text holds these words at the same place: it was judged as text."""
    words = turn.words[finding.first : finding.last]
    start, end = extent(Turn("", words)) or (0.0, 0.0)
    there = Counter(
        _plain(
            word
            for other in text.turns
            for word in other.words
            if _near(word.start, word.end, start, end)
            or (word.start is None and _near(other.start, other.end, start, end))
        )
    )
    said = Counter(_plain(words))
    return (said & there).total() >= KNOWN_SHARE * said.total()


def _plain(words: Iterable[Word]) -> list[str]:
    bare = ("".join(c for c in word.text.casefold() if c.isalnum()) for word in words)
    return [word for word in bare if word]
