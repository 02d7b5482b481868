"""Hears English with pocketsphinx: nothing to download, and honest about what that costs.

The package's own acoustic and language model, our telephone adaptation for narrow-band segments,
native word times and posteriors. A segment's result depends on that segment alone. It refuses
other languages, and masks profanity that was more likely guessed than said.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from voice_pipeline import catalogue
from voice_pipeline.domain import Samples, Segment, SegmentSpeech, Word
from voice_pipeline.errors import Misconfigured, Retryable
from voice_pipeline.ports import Progress, TranscriberTraits
from voice_pipeline.spoken.profanity import is_profane

MODEL = "pocketsphinx-en-us"
ADAPTATION = "en-us-telephone"
FRAME = 0.01  # seconds, pocketsphinx's frame shift
RATE = 16000  # Hz
SHORTEST = 0.1  # seconds; less holds no phone of this model (three states of a frame or more)

UNCLEAR = "[unclear]"  # stands for a masked word: its time is kept, so it can still be muted
# A profane word counts as said only with a posterior that almost none of this engine's errors
# reach, in a segment that was heard well. The bundled language model was trained on broadcast and
# web text and guesses such words in noise.
SAID_POSTERIOR = 0.99
SAID_SEGMENT = 0.85  # mean posterior of the segment's words

# Mean posterior, weighted by duration, against the share of right words (1 - WER): isotonic
# regression, drawn as lines, over 122 channels (50 minutes of speech): eight synthetic voices (wide
# band, telephone with and without the adaptation, noise at 15 and 5 dB), the sample calls, human
# readings, a human telephone call, four foreign languages. The estimate is off by 0.09 on average.
# Few of them are human: models/cards/pocketsphinx-en-us.md has the table.
CALIBRATION = (
    (0.15, 0.0), (0.25, 0.15), (0.35, 0.27), (0.45, 0.40), (0.55, 0.64), (0.65, 0.82),
    (0.75, 0.88), (0.85, 0.93), (1.0, 1.0),
)  # fmt: skip

EXPECTATION = (
    "Heard by the download-free recognizer (demo quality, English only): expect it to miss every "
    "third word of real people and most of a real telephone call; such calls are held. "
    "Install a Whisper model for production."
)


class Options(BaseModel):
    """What an operator may set."""

    model_config = ConfigDict(extra="forbid")

    adaptation: bool = Field(True, description="use the telephone adaptation on narrow-band speech")
    profanity: Literal["mask", "keep"] = Field(
        "mask", description="mask: profanity that was hardly heard becomes [unclear]"
    )
    fast: bool = Field(
        False, description="leave out the second search pass: 1.4 times as fast, a little worse"
    )


def create(options: Options) -> Pocketsphinx:
    """Build the adapter; decoders are loaded on first use (0.6 s each).

    Raises:
        Misconfigured: the bundled model or the adaptation is missing or changed.
    """
    if not catalogue.present(MODEL):
        raise Misconfigured("pocketsphinx's English model is missing: pip install pocketsphinx")
    adaptation = catalogue.artefact(ADAPTATION) if options.adaptation else None
    return Pocketsphinx(options, catalogue.place(MODEL), adaptation)


class Pocketsphinx:
    """The adapter. One decoder a band, used by one thread at a time."""

    name = "pocketsphinx"
    traits = TranscriberTraits(
        languages=frozenset({"en"}),
        detects_language=False,
        word_confidence=True,
        sends_audio_away=False,
        expectation=EXPECTATION,
        calibration=CALIBRATION,
    )

    def __init__(self, options: Options, model: Path, adaptation: Path | None) -> None:
        self._options = options
        self._model = model
        self._adaptation = adaptation
        self._decoders: dict[str, Any] = {}
        self._one_at_a_time = threading.Lock()

    @property
    def made_by(self) -> str:
        extras = [
            *(["telephone"] if self._adaptation else []),
            *(["fast"] if self._options.fast else []),
            *(["unmasked"] if self._options.profanity == "keep" else []),
        ]
        return "+".join([f"pocketsphinx {version('pocketsphinx')} en-us", *extras])

    def transcribe(
        self, segments: Sequence[Segment], *, language: str | None, progress: Progress
    ) -> list[SegmentSpeech]:
        """Transcribe the segments one by one; see `ports.Transcriber`."""
        if language not in (None, "en"):
            raise Misconfigured(
                "pocketsphinx knows English only; install a Whisper model",
                code="language_unsupported",
            )
        total = sum(len(segment.samples) for segment in segments) or 1
        done = 0
        heard = []
        with self._one_at_a_time:
            for segment in segments:
                heard.append(self._hear(segment))
                done += len(segment.samples)
                progress(done / total)
        return heard

    def _hear(self, segment: Segment) -> SegmentSpeech:
        if len(segment.samples) < SHORTEST * RATE:
            return SegmentSpeech((), "en", marks=("too_short",))
        decoder = self._decoder(segment.band)
        pcm = to_pcm(segment.samples)
        decoder.reinit_feat()  # else the noise estimate of the segment before leaks into this one
        decoder.start_utt()
        decoder.process_raw(pcm.tobytes(), no_search=False, full_utt=True)
        decoder.end_utt()
        words = tuple(
            word for part in decoder.seg() or () if (word := _word(part, segment)) is not None
        )
        if self._options.profanity == "keep":
            return SegmentSpeech(words, "en")
        masked = mask_unlikely(words)
        marks = ("unlikely_word",) if masked != words else ()
        return SegmentSpeech(masked, "en", marks=marks)

    def _decoder(self, band: str) -> Any:
        adapted = band == "telephone" and self._adaptation is not None
        key = "telephone" if adapted else "wide"
        if key not in self._decoders:
            self._decoders[key] = self._load(self._adaptation if adapted else None)
        return self._decoders[key]

    def _load(self, adaptation: Path | None) -> Any:
        import pocketsphinx

        settings = {
            "hmm": str(self._model / "en-us"),
            "lm": str(self._model / "en-us.lm.bin"),
            "dict": str(self._model / "cmudict-en-us.dict"),
            "fwdflat": not self._options.fast,
            "loglevel": "FATAL",
        }
        if adaptation is not None:
            settings["mllr"] = str(adaptation)
        try:
            return pocketsphinx.Decoder(pocketsphinx.Config(**settings))
        except RuntimeError as error:
            raise Misconfigured(
                "pocketsphinx could not load its English model: reinstall it "
                "(pip install --force-reinstall pocketsphinx)"
            ) from error
        except MemoryError as error:
            raise Retryable("not enough memory to load pocketsphinx's model") from error


def to_pcm(samples: Samples) -> NDArray[np.int16]:
    """Return 16-bit samples with one step of dither, the same for the same length.

    Digital silence has no spectrum: on it the engine repeats scores of the segment before, and has
    put words with a posterior of 1 into it.
    """
    dither = np.random.default_rng(0).integers(-1, 2, len(samples))
    return np.clip(np.rint(samples * 32767) + dither, -32768, 32767).astype("<i2")


def mask_unlikely(words: tuple[Word, ...]) -> tuple[Word, ...]:
    """Replace profanity that was more likely guessed than said; times stay, confidence is 0."""
    if not words:
        return words
    mean = sum(word.confidence or 0.0 for word in words) / len(words)
    return tuple(
        Word(UNCLEAR, word.start, word.end, 0.0)
        if is_profane(word.text)
        and ((word.confidence or 0.0) < SAID_POSTERIOR or mean < SAID_SEGMENT)
        else word
        for word in words
    )


def _word(part: Any, segment: Segment) -> Word | None:
    """Translate one piece of the engine's answer; fillers (<sil>, [NOISE], ++UH++) are no words."""
    if part.word.startswith(("<", "[", "+")):
        return None
    return Word(
        text=part.word.partition("(")[0],  # "the(2)" is a second pronunciation of "the"
        start=round(segment.offset + part.start_frame * FRAME, 3),
        end=round(segment.offset + (part.end_frame + 1) * FRAME, 3),
        confidence=min(1.0, max(0.0, float(part.prob))),
    )
