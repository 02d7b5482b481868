"""Hears with Whisper through faster-whisper (CTranslate2): a GPU where there is one, else the CPU.

Segments of many calls share one batch; word times are the model's own. It refuses to fetch
anything: a model is a local folder, whose bytes were verified if it came from the catalogue.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from voice_pipeline import catalogue
from voice_pipeline.domain import Samples, Segment, SegmentSpeech, Word
from voice_pipeline.errors import Misconfigured, Retryable
from voice_pipeline.ports import Progress, TranscriberTraits
from voice_pipeline.transcribers._hallucination import (
    LOOPING,
    LOW_LOGPROB,
    doubt_loops,
    doubt_outside,
    is_not_speech,
    loops,
)

RATE = 16000  # Hz
WINDOW = 30.0  # seconds, Whisper's input; a longer segment is heard piece by piece
# Pieces of a batch lie this far apart on one clock, in seconds: exact in binary, and so far that
# the library's tidying of word times at pauses never looks at the piece before.
SLOT = 64.0
SHORTEST = 0.05  # seconds; less than two frames of the encoder
NEEDED = ("model.bin", "config.json", "tokenizer.json")
# Silero's defaults but for the pause that ends speech (500 ms: what users of this library settled
# on against text in near-silence).
PAUSE_MS = 500
# Length of repeated n-grams that a second try forbids; longer than card and phone number groups.
SECOND_TRY_NGRAM = 6
LANGUAGE_SAMPLES = 3  # longest pieces of a call whose language is asked for

_Result = tuple[tuple[Word, ...], tuple[str, ...]]  # words and marks of one piece


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
    batch_size: int = Field(8, ge=1, le=128, description="pieces of 30 s decoded at once")
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
    for file, pin in catalogue.read_pins(folder).items():
        if not (folder / file).is_file() or catalogue.sha256(folder / file) != pin:
            raise Misconfigured(f"{folder}: {file} is not the file that {catalogue.PINS} names")
    return f"{folder.name} {catalogue.sha256(folder / 'model.bin')[:12]}"


@dataclass(frozen=True, slots=True)
class _Piece:
    """At most 30 s of one segment."""

    segment: int  # position in the list that was handed in
    start: float  # seconds into the segment
    samples: Samples


class FasterWhisper:
    """The adapter. One model, used by one thread at a time."""

    name = "faster_whisper"

    def __init__(self, options: Options, folder: Path, label: str) -> None:
        self._options = options
        self._folder = folder
        self._label = label
        self._one_at_a_time = threading.Lock()

    @property
    def made_by(self) -> str:
        extra = "" if self._options.vad else " no-vad"
        return f"faster-whisper {version('faster-whisper')} {self._label}{extra}"

    @cached_property
    def traits(self) -> TranscriberTraits:
        many = bool(self._model.model.is_multilingual)
        return TranscriberTraits(
            languages=frozenset(self._model.supported_languages),
            detects_language=many,
            word_confidence=True,
            sends_audio_away=False,
            expectation=f"Heard by Whisper ({self._label}) on this machine.",
        )

    def transcribe(
        self, segments: Sequence[Segment], *, language: str | None, progress: Progress
    ) -> list[SegmentSpeech]:
        """Transcribe segments of many calls in shared batches; see `ports.Transcriber`."""
        with self._one_at_a_time:
            if language is not None and language not in self._model.supported_languages:
                raise Misconfigured(
                    f"{self._label} does not know this language; choose another model",
                    code="language_unsupported",
                )
            speech = [self._activity(segment.samples) for segment in segments]
            pieces = [
                piece
                for index, segment in enumerate(segments)
                if speech[index]
                for piece in _cut(index, segment.samples)
            ]
            languages = self._languages(segments, pieces, language)
            grouped: dict[str, list[_Piece]] = defaultdict(list)
            for piece in pieces:
                grouped[languages[segments[piece.segment].call][0]].append(piece)

            heard: dict[int, dict[float, _Result]] = defaultdict(dict)  # by start of the piece
            done = 0
            for code, mine in sorted(grouped.items()):
                for batch in _batches(mine, self._options.batch_size):
                    for piece, result in zip(batch, self._decode(batch, code), strict=True):
                        offset = segments[piece.segment].offset + piece.start
                        found = _words(result, offset, len(piece.samples))
                        heard[piece.segment][piece.start] = found
                    done += len(batch)
                    progress(done / len(pieces))
        progress(1.0)
        return [
            _joined(
                segment,
                speech[index],
                [found for _, found in sorted(heard[index].items())],
                *languages[segment.call],
            )
            for index, segment in enumerate(segments)
        ]

    @cached_property
    def _model(self) -> Any:
        import ctranslate2
        import faster_whisper

        gpu = ctranslate2.get_cuda_device_count() > 0
        device = self._options.device
        if device == "auto":
            device = "cuda" if gpu else "cpu"
        elif device == "cuda" and not gpu:
            raise Misconfigured(
                "device = cuda, but CTranslate2 sees no CUDA device; set device = auto, or install "
                "the CUDA libraries that CTranslate2 names"
            )
        compute = self._options.compute_type
        if compute == "auto":
            compute = "float16" if device == "cuda" else "int8"
        try:
            return faster_whisper.WhisperModel(
                str(self._folder),  # a folder that exists: the library asks no hub
                device=device,
                compute_type=compute,
                cpu_threads=self._options.threads,
                local_files_only=True,
            )
        except (RuntimeError, ValueError) as error:
            if "out of memory" in str(error):
                raise Retryable("not enough memory to load the model", code="no_memory") from error
            raise Misconfigured(
                f"{self._folder}: the model does not load on {device} as {compute}; "
                "see `voice-pipeline doctor`"
            ) from error

    def _activity(self, samples: Samples) -> tuple[tuple[float, float], ...]:
        """Return where Silero hears speech, seconds into the segment."""
        if len(samples) < SHORTEST * RATE:
            return ()
        if not self._options.vad:
            return ((0.0, len(samples) / RATE),)
        from faster_whisper.vad import VadOptions, get_speech_timestamps

        found = get_speech_timestamps(samples, VadOptions(min_silence_duration_ms=PAUSE_MS))
        return tuple((span["start"] / RATE, span["end"] / RATE) for span in found)

    def _languages(
        self, segments: Sequence[Segment], pieces: Sequence[_Piece], language: str | None
    ) -> dict[str, tuple[str, float | None]]:
        """Return language and confidence per call: one language a call, heard on its longest."""
        only = None if self._model.model.is_multilingual else "en"
        known = language or only
        if known is not None:
            return {segment.call: (known, None) for segment in segments}
        mine: dict[str, list[_Piece]] = defaultdict(list)
        for piece in pieces:
            mine[segments[piece.segment].call].append(piece)
        found: dict[str, tuple[str, float | None]] = {
            segment.call: ("en", 0.0) for segment in segments
        }
        for call, own in mine.items():
            votes: dict[str, float] = defaultdict(float)
            longest = sorted(own, key=lambda piece: -len(piece.samples))[:LANGUAGE_SAMPLES]
            for piece in longest:
                _, _, shares = self._model.detect_language(audio=piece.samples)
                for code, share in shares:
                    votes[code] += share / len(longest)
            best = max(votes, key=lambda code: (votes[code], code))
            found[call] = (best, round(votes[best], 4))
        return found

    def _decode(self, pieces: Sequence[_Piece], language: str) -> list[list[Any]]:
        """Return the library's segments per piece; loops get a second try."""
        first = self._generate(pieces, language)
        again = [index for index, result in enumerate(first) if _is_looping(result)]
        if again:
            second = self._generate(
                [pieces[index] for index in again],
                language,
                no_repeat_ngram_size=SECOND_TRY_NGRAM,
            )
            for index, result in zip(again, second, strict=True):
                if not _is_looping(result):
                    first[index] = result
        return first

    def _generate(
        self, pieces: Sequence[_Piece], language: str, **settings: Any
    ) -> list[list[Any]]:
        from faster_whisper import BatchedInferencePipeline

        clock = np.zeros(int((len(pieces) + 1) * SLOT * RATE), np.float32)
        clips = []
        for index, piece in enumerate(pieces):
            start = (index + 1) * SLOT
            at = int(start * RATE)
            clock[at : at + len(piece.samples)] = piece.samples
            clips.append({"start": start, "end": start + len(piece.samples) / RATE})
        size = len(pieces)
        while True:
            try:
                found, _ = BatchedInferencePipeline(self._model).transcribe(
                    clock,
                    language=language,
                    clip_timestamps=clips,
                    batch_size=size,
                    beam_size=self._options.beam_size,
                    temperature=0.0,
                    condition_on_previous_text=False,
                    word_timestamps=True,
                    vad_filter=False,  # done before: `_activity`
                    **settings,
                )
                results: list[list[Any]] = [[] for _ in pieces]
                for segment in found:
                    results[int(segment.seek / 100 / SLOT) - 1].append(segment)
                return results
            except RuntimeError as error:
                if "out of memory" not in str(error).lower():
                    raise
                if size == 1:
                    raise Retryable("the GPU has too little memory", code="no_memory") from error
                size //= 2


def _cut(index: int, samples: Samples) -> Iterator[_Piece]:
    step = int(WINDOW * RATE)
    for at in range(0, len(samples), step):
        part = samples[at : at + step]
        if len(part) >= SHORTEST * RATE:
            yield _Piece(index, at / RATE, part)


def _batches(pieces: list[_Piece], size: int) -> Iterator[list[_Piece]]:
    """Yield pieces of like length together, so that a batch ends together."""
    by_length = sorted(pieces, key=lambda piece: len(piece.samples))
    for at in range(0, len(by_length), size):
        yield by_length[at : at + size]


def _is_looping(result: Sequence[Any]) -> bool:
    return any(
        segment.compression_ratio > LOOPING or loops(segment.text.split()) for segment in result
    )


def _words(result: Sequence[Any], offset: float, length: int) -> _Result:
    """Translate the library's segments of one piece; times become those of the recording."""
    words: list[Word] = []
    marks: list[str] = []
    for segment in result:
        if is_not_speech(segment.no_speech_prob, segment.avg_logprob):
            marks.append("hallucination")
            continue
        if segment.avg_logprob < LOW_LOGPROB:
            marks.append("low_logprob")
        base = int(segment.seek / 100 / SLOT) * SLOT
        for word in segment.words or ():
            text = word.word.strip()
            if text:
                start = min(max(float(word.start) - base, 0.0), length / RATE)
                end = min(max(float(word.end) - base, start), length / RATE)
                words.append(
                    Word(
                        text,
                        round(offset + start, 3),
                        round(offset + end, 3),
                        min(1.0, max(0.0, float(word.probability))),
                    )
                )
    if _is_looping(result):
        marks.append("repetition")
    return tuple(words), tuple(marks)


def _joined(
    segment: Segment,
    speech: Sequence[tuple[float, float]],
    pieces: Sequence[_Result],
    language: str,
    language_confidence: float | None,
) -> SegmentSpeech:
    if not speech:
        return SegmentSpeech((), language, language_confidence, ("no_speech",))
    words = tuple(word for own, _ in pieces for word in own)
    marks = {mark for _, own in pieces for mark in own}
    spans = [(segment.offset + start, segment.offset + end) for start, end in speech]
    placed = doubt_outside(words, spans)
    if placed != words:
        marks.add("words_in_silence")
    doubted = doubt_loops(placed) if "repetition" in marks else placed
    return SegmentSpeech(doubted, language, language_confidence, tuple(sorted(marks)))
