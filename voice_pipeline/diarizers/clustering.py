"""Who speaks when on one channel, by the sound of voices, with nothing to download.

Decides how many people speak, one to four, and who of them when: spectral statistics of 1.5 s
windows are clustered, then every 10 ms is assigned by a model of each voice. Refuses speech at the
same time: one of the speakers gets it.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from voice_pipeline.audio import Decoder, Resampler, is_mono, listened
from voice_pipeline.audio.activity import FRAME, LevelMeter, frame_length, mark, merge
from voice_pipeline.diarizers._cepstra import RATE, Cepstra, Features
from voice_pipeline.diarizers._voices import MOST_SPEAKERS, Labels, tell_apart
from voice_pipeline.domain import Heard, Recording, SpeakerSpan

LEAST_RUN = 20  # frames: shorter activity is not clustered, and goes to the likelier voice
PAUSE = 20  # frames: shorter pauses do not end a stretch that is clustered
REST = 50  # frames: shorter pauses do not end a span, as in what is listened to
# Frames of speech that are kept: twenty minutes. Of longer calls every second is, every third, and
# so on, so that memory stays.
MOST_FRAMES = 120_000


class Options(BaseModel):
    """How many people may be told apart."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    speakers: int | None = Field(
        default=None, ge=1, le=MOST_SPEAKERS, description="people on the call; empty: by the sound"
    )
    most: int = Field(
        default=MOST_SPEAKERS, ge=1, le=MOST_SPEAKERS,
        description="people to be found at most where `speakers` is empty",
    )  # fmt: skip


class Clustering:
    """The diarizer for recordings with everybody on one channel."""

    name = "clustering"

    def __init__(self, options: Options) -> None:
        self._options = options

    def diarize(
        self, recording: Recording, heard: Heard, audio: AbstractContextManager[BinaryIO]
    ) -> tuple[SpeakerSpan, ...]:
        """Return who speaks when, numbered in the order in which they first speak."""
        with audio as file:
            active = _activity(file, recording)
            stride = max(1, -(-int(active.sum()) // MOST_FRAMES))
            features, times = _sound(file, recording, active, stride)
        runs = _runs(active)
        if not runs or not len(features):
            return ()
        labels = tell_apart(
            features, times, runs, stride, self._options.speakers, self._options.most
        )
        # frames that were left out go with the one before
        at = np.searchsorted(times, np.flatnonzero(active), side="right") - 1
        return _spans(labels[np.maximum(at, 0)], active)


def create(options: Options) -> Clustering:
    return Clustering(options)


def _activity(file: BinaryIO, recording: Recording) -> NDArray[np.bool_]:
    """Return in which 10 ms somebody speaks."""
    file.seek(0)
    decoder = Decoder(file)
    meter = LevelMeter(decoder.rate, decoder.channels)
    for block in decoder:
        meter.add(block)
    active: NDArray[np.bool_] = np.any(mark(meter.end())[_heard(recording, decoder)], axis=0)
    if not len(active):
        return active
    # the grids of levels and cepstra differ where a rate is not divisible by 100
    frame = frame_length(decoder.rate) / decoder.rate
    at = np.arange(int(len(active) * frame / FRAME)) * FRAME / frame
    return active[np.minimum(at.astype(np.int64), len(active) - 1)]


def _sound(
    file: BinaryIO, recording: Recording, active: NDArray[np.bool_], stride: int
) -> tuple[Features, Labels]:
    """Return the cepstra of every `stride`th active frame, and their numbers."""
    wanted = np.zeros_like(active)
    wanted[np.flatnonzero(active)[::stride]] = True
    file.seek(0)
    decoder = Decoder(file)
    heard = _heard(recording, decoder)
    resampler = Resampler(decoder.rate, RATE, 1)
    cepstra = Cepstra(wanted)
    for block in decoder:
        mixed: NDArray[np.float32] = block[heard].mean(axis=0, keepdims=True, dtype=np.float32)
        cepstra.add(resampler.add(mixed / np.float32(32768))[0])
    cepstra.add(resampler.end()[0])
    features = cepstra.end()
    return features, np.flatnonzero(wanted)[: len(features)]


def _heard(recording: Recording, decoder: Decoder) -> list[int]:
    return list(listened(recording)) if is_mono(recording) else list(range(decoder.channels))


def _runs(active: NDArray[np.bool_]) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(active, prepend=False, append=False)).reshape(-1, 2)
    joined = merge([(float(a), float(b)) for a, b in edges], PAUSE)
    return [(int(a), int(b)) for a, b in joined if b - a >= LEAST_RUN]


def _spans(labels: Labels, active: NDArray[np.bool_]) -> tuple[SpeakerSpan, ...]:
    """Return spans of the frames in which somebody speaks; `labels` are of those alone."""
    whose = np.full(len(active), -1, dtype=np.int64)
    whose[active] = labels
    found = []
    for voice in range(int(labels.max()) + 1):
        edges = np.flatnonzero(np.diff(whose == voice, prepend=False, append=False))
        for start, end in merge([(float(a), float(b)) for a, b in edges.reshape(-1, 2)], REST):
            found.append(SpeakerSpan(voice, start * FRAME, end * FRAME))
    return tuple(sorted(found, key=lambda span: (span.start, span.speaker)))
