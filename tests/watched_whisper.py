"""The faster-whisper adapter as tests use it: on the CPU, and with what it asks its model noted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from voice_pipeline.domain import Samples, Segment, SegmentSpeech
from voice_pipeline.transcribers import faster_whisper
from voice_pipeline.transcribers.faster_whisper import FasterWhisper, Options

RATE = 16000


class Watched:
    """The loaded CTranslate2 model, with what it was asked noted, and room for so many windows."""

    def __init__(self, real: Any, fits: int = 1000) -> None:
        self._real, self.fits = real, fits
        self.encoded: list[int] = []  # windows a pass
        self.settings: list[dict[str, Any]] = []  # of each generate
        self.prompts: list[list[list[int]]] = []  # of each generate, one a window
        self.greedy_says: list[int] | None = None  # tokens instead of what it says unsampled

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def encode(self, features: Any, **settings: Any) -> Any:
        self._room(features)
        self.encoded.append(features.shape[0])
        return self._real.encode(features, **settings)

    def generate(self, encoded: Any, prompts: Any, **settings: Any) -> Any:
        self._room(encoded)
        self.settings.append(settings)
        self.prompts.append(prompts)
        results = self._real.generate(encoded, prompts, **settings)
        if self.greedy_says is None or "sampling_temperature" in settings:
            return results
        return [Replaced(result, self.greedy_says) for result in results]

    def _room(self, features: Any) -> None:
        if features.shape[0] > self.fits:
            raise RuntimeError("CUDA failed with error out of memory")


class Replaced:
    """A result with other tokens."""

    def __init__(self, result: Any, tokens: list[int]) -> None:
        self.sequences_ids = [tokens]
        self.scores, self.no_speech_prob = result.scores, result.no_speech_prob


def ignore(share: float) -> None:
    """Take progress and do nothing."""


def adapter(folder: Path, **options: Any) -> FasterWhisper:
    chosen = {"device": "cpu", "compute_type": "float32", "vad": False, **options}
    return faster_whisper.create(Options(model=str(folder), **chosen))


def hear(
    whisper: FasterWhisper, segments: Sequence[Segment], language: str | None = "en"
) -> list[SegmentSpeech]:
    return whisper.transcribe(segments, language=language, progress=ignore)


def texts(speech: SegmentSpeech) -> list[str]:
    return [word.text for word in speech.words]


def watch(whisper: FasterWhisper, fits: int = 1000) -> Watched:
    model = whisper._engine.decoder._model
    model.model = Watched(model.model, fits)
    watched: Watched = model.model
    return watched


def noise(seconds: float, seed: int = 0) -> Samples:
    quiet = np.random.default_rng(seed).normal(0, 0.05, round(seconds * RATE))
    return quiet.astype(np.float32)
