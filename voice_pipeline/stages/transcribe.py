"""A recording to words, channel by channel, with an honest estimate of how well it was heard.

Decides the language, feeds the engine in bounded batches, and joins what comes back, less the words
that nobody can have said. It refuses to guess in a language that the engine does not know: such a
call comes out empty and marked, and is held later on.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from redaction.records import Word
from voice_pipeline.audio import Survey, listen, survey
from voice_pipeline.domain import Heard, Recording, Segment, SegmentSpeech, Speech, Warning
from voice_pipeline.ports import Progress, Shelf, Transcriber
from voice_pipeline.stages.doubt import about_sounds, about_words, without_inventions
from voice_pipeline.stages.plausible import plausible
from voice_pipeline.stages.replace import timed
from voice_pipeline.stages.understanding import estimate

RATE = 16000  # Hz, of segments
# Audio that is handed to the engine at once: enough to fill a GPU's batch, 15 MB of samples.
BATCH_SECONDS = 240.0
# Below this a detected language is a guess (the threshold of Whisper's own detection).
SURE_LANGUAGE = 0.5
# Seconds of speech on a channel from which on its own language counts: Whisper mistakes a word or
# two in another language for a call in it.
LEAST_OF_A_LANGUAGE = 3.0
ASSUMED = "en"
UNKNOWN = "und"  # ISO 639-2, undetermined: there are no redaction rules for it


def transcribe(
    recording: Recording,
    *,
    transcriber: Transcriber,
    shelf: Shelf,
    progress: Progress = lambda share: None,
    hints: Sequence[str] = (),
) -> Heard:
    """Hear a recording.

    Args:
        recording: what ingest found out.
        transcriber: the engine; its traits are obeyed.
        shelf: where the recording's bytes are.
        progress: called with the finished share, 0..1.
        hints: words to expect on this call.

    Returns:
        Speech of every channel, also of silent ones. Music and tones are not listened to: they are
        in `sounds`, and in `active` where they stand out, so that they are muted like all that
        nobody understood. Warnings: `no_speech language_unsupported language_assumed
        language_differs language_doubtful heard_by audio_left_the_house hold_music line_tones
        invented_words doubtful_words`.

    Raises:
        BadInput: the bytes do not decode.
        Misconfigured: the engine's model is missing or does not load.
        Retryable: the engine ran out of a resource.
    """
    asked = spoken_language(recording, transcriber)
    with shelf.open(recording.audio) as file:
        found = survey(file, recording)
        channels = [_Channel(number, found) for number in range(recording.channels)]
        segments = (replace(part, hints=tuple(hints)) for part in listen(file, recording, found))
        able = _knows(transcriber, asked)
        fit = (segment for segment in segments if _fit(segment, channels, able))
        _hear(fit, channels, recording, transcriber, asked, progress)
    progress(1.0)
    language, assumed = _decided(recording, transcriber, asked, channels)
    spoken = any(found.speech)
    warnings = [Warning("heard_by", transcriber.traits.expectation)]
    if able and transcriber.traits.sends_audio_away and any(c.spans for c in channels):
        warnings.append(
            Warning("audio_left_the_house", f"The raw audio was sent to {transcriber.made_by}.")
        )
    warnings += about_sounds(found.sounds)
    if not spoken:
        warnings.append(Warning("no_speech", "Nobody is heard on this recording."))
    elif not _knows(transcriber, language):
        warnings.append(
            Warning(
                "language_unsupported",
                f"{transcriber.name} does not know the language of this call.",
            )
        )
    elif not transcriber.traits.detects_language and not plausible(
        [word for channel in channels for word in channel.words], language
    ):
        warnings.append(
            Warning(
                "language_doubtful",
                "What was heard does not read like the language it was heard in: another "
                "language, or sound too bad to tell.",
            )
        )
        language = UNKNOWN
    elif assumed:
        warnings.append(
            Warning(
                "language_assumed",
                "Nobody said which language this is; what was heard reads like the assumed one.",
            )
        )
    by_channel = [channel.language(language, asked, transcriber) for channel in channels]
    if len(set(by_channel)) > 1:
        warnings.append(
            Warning(
                "language_differs",
                "Channels differ in language: "
                + ", ".join(f"{number} {code}" for number, code in enumerate(by_channel)),
            )
        )
    warnings += about_words(
        sum(channel.dropped for channel in channels),
        [mark for channel in channels for mark in channel.marks],
    )
    known = {warning.code for warning in recording.warnings}
    return Heard(
        speech=tuple(
            channel.joined(code, transcriber)
            for channel, code in zip(channels, by_channel, strict=True)
        ),
        transcriber=transcriber.made_by,
        warnings=tuple(warning for warning in warnings if warning.code not in known),
        sounds=found.sounds,
    )


def spoken_language(recording: Recording, transcriber: Transcriber) -> str | None:
    """Return the language to hear in, ISO 639-1, or None: the engine is to tell.

    What was asked for comes first, then the engine's own ear, then the metadata, then English.
    """
    if recording.language != "auto":
        return _primary(recording.language)
    if transcriber.traits.detects_language:
        return None
    named = recording.metadata.get("language", "")
    return _primary(named) if named.strip() and named != "auto" else ASSUMED


def batches(segments: Iterable[Segment], seconds: float) -> Iterator[list[Segment]]:
    """Yield the segments in lists of at most so many seconds of audio, or of one segment."""
    batch: list[Segment] = []
    held = 0.0
    for segment in segments:
        length = len(segment.samples) / RATE
        if batch and held + length > seconds:
            yield batch
            batch, held = [], 0.0
        batch.append(segment)
        held += length
    if batch:
        yield batch


@dataclass(slots=True)
class _Channel:
    """What has been heard of one channel so far."""

    number: int
    survey: Survey
    words: list[Word] = field(default_factory=list)
    dropped: int = 0  # words that nobody can have said
    marks: list[str] = field(default_factory=list)  # the engine's doubts, one entry a segment each
    spans: list[tuple[float, float]] = field(default_factory=list)  # all that was listened to
    spoken: list[tuple[float, float]] = field(default_factory=list)  # ... that the engine heard
    languages: dict[str, float] = field(default_factory=lambda: defaultdict(float))  # seconds
    sure: float = 0.0  # seconds weighted by the confidence in their language

    def add(self, segment: Segment, speech: SegmentSpeech | None) -> None:
        length = len(segment.samples) / RATE
        span = (segment.offset, segment.offset + length)
        self.spans.append(span)
        if speech is None:
            self.spoken.append(span)
            return
        kept = without_inventions(speech.words, segment.voiced, segment.hints)
        self.dropped += len(speech.words) - len(kept)
        self.marks += speech.marks
        if kept or "no_speech" not in speech.marks:
            self.spoken.append(span)
            sure = speech.language_confidence
            self.languages[speech.language] += length
            self.sure += length * (1.0 if sure is None else sure)
        self.words.extend(timed(word) for word in kept)

    def language(self, call: str, asked: str | None, transcriber: Transcriber) -> str:
        """Return this channel's own language where the engine is sure of it, else the call's."""
        told = sum(self.languages.values())
        if asked is not None or not transcriber.traits.detects_language or not self.words:
            return call
        if told < LEAST_OF_A_LANGUAGE or self.sure / told < SURE_LANGUAGE:
            return call
        return max(sorted(self.languages), key=lambda code: self.languages[code])

    def joined(self, language: str, transcriber: Transcriber) -> Speech:
        # what the engine says is no speech (noise) need not be understood; but a channel of
        # nothing else is not thereby understood
        understanding = estimate(
            self.words,
            self.spoken or self.spans,
            language=language,
            calibration=transcriber.traits.calibration,
            has_confidence=transcriber.traits.word_confidence,
        )
        return Speech(
            channel=self.number,
            words=tuple(self.words),
            language=language,
            made_by=transcriber.made_by,
            active=self.survey.active[self.number],
            understood=understanding.share,
            confidence=understanding.confidence,
        )


def _fit(segment: Segment, channels: Sequence[_Channel], able: bool) -> bool:
    """Return whether the engine is to hear a segment; else it counts as speech not understood."""
    fit = able and segment.voiced != ()
    if not fit:
        channels[segment.channel].add(segment, None)
    return fit


def _hear(
    segments: Iterable[Segment],
    channels: Sequence[_Channel],
    recording: Recording,
    transcriber: Transcriber,
    language: str | None,
    progress: Progress,
) -> None:
    done = 0.0
    for batch in batches(segments, BATCH_SECONDS):
        # segments come by start time: where the last one ends is how far we are
        reached = (batch[-1].offset + len(batch[-1].samples) / RATE) / max(recording.duration, 1e-3)

        def part(share: float, start: float = done, end: float = min(1.0, reached)) -> None:
            progress(start + (end - start) * share)

        for segment, speech in zip(
            batch, transcriber.transcribe(batch, language=language, progress=part), strict=True
        ):
            channels[segment.channel].add(segment, speech)
        done = max(done, min(1.0, reached))


def _decided(
    recording: Recording,
    transcriber: Transcriber,
    asked: str | None,
    channels: Sequence[_Channel],
) -> tuple[str, bool]:
    """Return the call's language and whether it is no more than an assumption."""
    if asked is not None:
        named = recording.language != "auto" or recording.metadata.get("language", "").strip()
        return asked, not named
    heard: dict[str, float] = defaultdict(float)
    for channel in channels:
        for code, seconds in channel.languages.items():
            heard[code] += seconds
    if not heard:
        return ASSUMED, True
    language = max(sorted(heard), key=lambda code: heard[code])
    sure = sum(channel.sure for channel in channels) / sum(heard.values())
    return language, sure < SURE_LANGUAGE


def _knows(transcriber: Transcriber, language: str | None) -> bool:
    known = transcriber.traits.languages
    return language is None or known is None or language in known


def _primary(language: str) -> str:
    """Return the ISO 639-1 part of `en`, `en-GB`, `en_US`."""
    return language.strip().lower().replace("_", "-").split("-")[0]
