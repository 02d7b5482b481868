"""Hears with Whisper through faster-whisper (CTranslate2): a GPU where there is one, else the CPU.

Calls that are transcribed at once share one loaded model and its batches; word times are the
model's own. It refuses to fetch anything: a model is a local folder, whose bytes were verified if
it came from the catalogue.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from voice_pipeline import catalogue
from voice_pipeline.domain import Samples, Segment, SegmentSpeech, Word
from voice_pipeline.errors import Misconfigured
from voice_pipeline.ports import Progress, TranscriberTraits
from voice_pipeline.transcribers._engines import Engine, Weights, choose, engine
from voice_pipeline.transcribers._hallucination import doubt_outside
from voice_pipeline.transcribers._listening import Heard, Language, Listener
from voice_pipeline.transcribers._windows import RATE, SHORTEST, Lane, Window, cut, lay_out

NEEDED = ("model.bin", "config.json", "tokenizer.json")
# Silero's defaults but for the pause that ends speech (500 ms: what users of this library settled
# on against text in near-silence).
PAUSE_MS = 500


class Options(BaseModel):
    """What an operator may set."""

    model_config = ConfigDict(extra="forbid")

    model: str | None = Field(
        None,
        description="a folder with a CTranslate2 Whisper model, or a catalogue name such as "
        "whisper-small; default: the best one present",
    )
    models_dir: Path | None = Field(None, description="folder of downloaded models")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="where to compute")
    compute_type: str = Field("auto", description="auto: int8 on the CPU, float16 on CUDA")
    beam_size: int = Field(5, ge=1, le=20, description="hypotheses kept while decoding")
    batch_size: int | None = Field(
        None,
        ge=1,
        le=256,
        description="windows of 30 s decoded at once, of all calls; default: 8 on the CPU, 32 on "
        "CUDA; halved by itself where memory is too small",
    )
    linger: float = Field(
        0.05,
        ge=0,
        le=5,
        description="seconds that a batch which is not full waits for calls under preparation",
    )
    pack: bool = Field(
        False,
        description="hear several short segments of a channel in one window: less work; off until "
        "its word error rate was measured on real weights",
    )
    threads: int = Field(0, ge=0, description="CPU threads; 0: the library decides")
    vad: bool = Field(True, description="leave out segments in which nobody speaks")


def create(options: Options) -> FasterWhisper:
    """Build the adapter; the model is loaded on first use.

    Raises:
        Misconfigured: no such model on this machine, incomplete, or not the pinned bytes.
    """
    folder, label = find_model(options)
    return FasterWhisper(options, folder, label)


def find_model(options: Options) -> tuple[Path, str]:
    """Return the folder of the model to use and how results name it."""
    name = options.model
    if name is not None:
        folder = Path(name).expanduser()
        if folder.is_dir():
            return folder, _checked_folder(folder)
        if "/" in name or "\\" in name:
            raise Misconfigured(
                f"{name}: no such folder; faster_whisper needs a local model folder with "
                f"{', '.join(NEEDED)}, and never fetches one by itself"
            )
        name = name if name.startswith("whisper-") else f"whisper-{name}"
    else:
        name = best_present(options.models_dir)
        if name is None:
            raise Misconfigured(
                f"no Whisper model in {options.models_dir or 'the folder of models'}; "
                "run `voice-pipeline models pull whisper-small`, or set the option `model` "
                "to a folder that holds one",
                code="model_missing",
            )
    verdict = catalogue.verify(name, options.models_dir)
    if not verdict.ok:
        raise Misconfigured(f"model {name}: {verdict.detail}", code="model_missing")
    return catalogue.place(name, options.models_dir), name


def best_present(models_dir: Path | None) -> str | None:
    """Return the best ranked Whisper model that is present and verified."""
    ranked = sorted(
        (entry for entry in catalogue.models() if entry.rank), key=lambda entry: entry.rank
    )
    return next((m.name for m in ranked if catalogue.verify(m.name, models_dir).ok), None)


def _checked_folder(folder: Path) -> str:
    """Return the label of an operator's own folder; its SHA256SUMS is obeyed where there is one."""
    missing = [file for file in NEEDED if not (folder / file).is_file()]
    if missing:
        raise Misconfigured(
            f"{folder}: {', '.join(missing)} is missing; a CTranslate2 Whisper model is needed "
            "(ct2-transformers-converter makes one from a Transformers checkpoint)"
        )
    for file in ("config.json", "tokenizer.json"):
        try:
            json.loads((folder / file).read_text("utf-8"))
        except ValueError as error:
            raise Misconfigured(
                f"{folder}: {file} is damaged or cut off; copy it again", code="model_missing"
            ) from error
    for file, pin in catalogue.read_pins(folder).items():
        if not (folder / file).is_file() or catalogue.sha256(folder / file) != pin:
            raise Misconfigured(f"{folder}: {file} is not the file that {catalogue.PINS} names")
    return f"{folder.name} {catalogue.sha256(folder / 'model.bin')[:12]}"


class FasterWhisper:
    """The adapter; any number of threads may transcribe at once."""

    name = "faster_whisper"

    def __init__(self, options: Options, folder: Path, label: str) -> None:
        self._options = options
        self._folder = folder
        self._label = label
        if options.device == "cuda" or options.compute_type != "auto":
            choose(options.device, options.compute_type)  # a wrong setting stops at start-up

    @property
    def made_by(self) -> str:
        extra = "" if self._options.vad else " no-vad"
        extra += " packed" if self._options.pack else ""
        return f"faster-whisper {version('faster-whisper')} {self._label}{extra}"

    @cached_property
    def traits(self) -> TranscriberTraits:
        decoder = self._engine.decoder
        return TranscriberTraits(
            languages=decoder.languages,
            detects_language=decoder.is_multilingual,
            word_confidence=True,
            sends_audio_away=False,
            expectation=f"Heard by Whisper ({self._label}) on this machine.",
            takes_hints=True,
        )

    def transcribe(
        self, segments: Sequence[Segment], *, language: str | None, progress: Progress
    ) -> list[SegmentSpeech]:
        """Transcribe segments of many calls in shared batches; see `ports.Transcriber`.

        Marks: `no_speech`, `words_in_silence`, `low_logprob`, `repetition`, `resampled` (what was
        heard first failed; this was drawn at a temperature, and may come out otherwise next time).
        """
        engine = self._engine
        if language is not None and language not in engine.decoder.languages:
            raise Misconfigured(
                f"{self._label} does not know this language; choose another model",
                code="language_unsupported",
            )
        if not engine.decoder.is_multilingual:
            language = "en"
        listener = Listener(engine, beam=self._options.beam_size, done=progress)
        heard: dict[int, list[Heard]] = defaultdict(list)
        with engine.batcher.preparing():
            segments = [replace(own, samples=_finite(own.samples)) for own in segments]
            speech = [self._activity(segment.samples) for segment in segments]
            windows = lay_out(cut(segments, [bool(own) for own in speech]), pack=self._options.pack)
            features = [engine.decoder.features(window.samples()) for window in windows]
            hints = [_expected(window, segments) for window in windows]
            for own in listener.hear(windows, features, language, hints):
                heard[own.piece.segment].append(own)
        progress(1.0)
        return [
            _joined(
                segment,
                speech[index],
                sorted(heard[index], key=lambda own: own.piece.start),
                _spoken(segment, listener.languages, language),
            )
            for index, segment in enumerate(segments)
        ]

    @cached_property
    def _engine(self) -> Engine:
        options = self._options
        device, compute_type = choose(options.device, options.compute_type)
        weights = Weights(self._folder.resolve(), device, compute_type, options.threads)
        return engine(weights, most=options.batch_size, linger=options.linger)

    def _activity(self, samples: Samples) -> tuple[tuple[float, float], ...]:
        """Return where Silero hears speech, seconds into the segment."""
        if len(samples) < SHORTEST * RATE:
            return ()
        if not self._options.vad:
            return ((0.0, len(samples) / RATE),)
        from faster_whisper.vad import VadOptions, get_speech_timestamps

        found = get_speech_timestamps(samples, VadOptions(min_silence_duration_ms=PAUSE_MS))
        return tuple((span["start"] / RATE, span["end"] / RATE) for span in found)


def _finite(samples: Samples) -> Samples:
    """Return the samples as silence where they are no number, and within full scale."""
    return np.clip(np.nan_to_num(samples, posinf=0.0, neginf=0.0), -1.0, 1.0).astype(np.float32)


def _expected(window: Window, segments: Sequence[Segment]) -> tuple[str, ...]:
    """Return the words to expect in a window: those of its own call's segments."""
    found = (hint for piece in window.pieces for hint in segments[piece.segment].hints)
    return tuple(dict.fromkeys(found))


def _spoken(segment: Segment, languages: dict[Lane, Language], asked: str | None) -> Language:
    """Return a segment's language; where its channel is silent, that of the call's other side."""
    if asked is not None:
        return Language(asked, None)
    of_call = [found for lane, found in languages.items() if lane.call == segment.call]
    own = languages.get(Lane(segment.call, segment.channel))
    return own or next(iter(of_call), Language("en", 0.0))


def _joined(
    segment: Segment,
    speech: Sequence[tuple[float, float]],
    pieces: Sequence[Heard],
    language: Language,
) -> SegmentSpeech:
    """Return a segment's speech with word times counted from the start of the recording."""
    if not speech:
        return SegmentSpeech((), language.code, language.share, ("no_speech",))
    words = tuple(
        replace(
            word,
            start=round(segment.offset + own.piece.start + word.start, 3),
            end=round(segment.offset + own.piece.start + word.end, 3),
        )
        for own in pieces
        for word in _from_onset(own, speech)
        if word.start is not None and word.end is not None
    )
    marks = {mark for own in pieces for mark in own.marks}
    placed = doubt_outside(
        words, [(segment.offset + start, segment.offset + end) for start, end in speech]
    )
    if placed != words:
        marks.add("words_in_silence")
    return SegmentSpeech(placed, language.code, language.share, tuple(sorted(marks)))


def _from_onset(heard: Heard, speech: Sequence[tuple[float, float]]) -> tuple[Word, ...]:
    """Let the first word begin where speech does: alignment always begins at the window's start."""
    if not heard.words:
        return ()
    first, *rest = heard.words
    assert first.start is not None and first.end is not None
    begins = [
        start - heard.piece.start
        for start, end in speech
        if start - heard.piece.start < first.end and end - heard.piece.start > first.start
    ]
    return (replace(first, start=max([first.start, *begins[:1]])), *rest)
