"""Voices of a recording as figures: activity first, then the cepstra of active frames.

Decides what of a long recording is kept: at most twenty minutes of frames, evenly thinned, so that
memory stays whatever the length. Refuses to keep samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from voice_pipeline.audio import Decoder, Resampler
from voice_pipeline.audio.activity import FRAME, LevelMeter, frame_length, mark, merge
from voice_pipeline.diarizers._cepstra import RATE, Cepstra
from voice_pipeline.diarizers._voices import Labels, tell_apart
from voice_pipeline.domain import SpeakerSpan

LEAST_RUN = 20  # frames: shorter activity is not clustered, and goes to the likelier voice
PAUSE = 20  # frames: shorter pauses do not end a stretch that is clustered
REST = 50  # frames: shorter pauses do not end a span, as in what is listened to
# Frames of speech that are kept: twenty minutes. Of longer calls every second is, every third, and
# so on, so that memory stays.
MOST_FRAMES = 120_000

Active = NDArray[np.bool_]  # shape (frames,), 10 ms each


def measure_activity(file: BinaryIO, channels: Sequence[int]) -> Active:
    """Return in which 10 ms somebody speaks on any of these channels."""
    file.seek(0)
    decoder = Decoder(file)
    meter = LevelMeter(decoder.rate, decoder.channels)
    for block in decoder:
        meter.add(block)
    active: Active = np.any(mark(meter.end())[list(channels)], axis=0)
    if not len(active):
        return active
    # the grids of levels and cepstra differ where a rate is not divisible by 100
    frame = frame_length(decoder.rate) / decoder.rate
    at = np.arange(int(len(active) * frame / FRAME)) * FRAME / frame
    return active[np.minimum(at.astype(np.int64), len(active) - 1)]


def find_voices(
    file: BinaryIO,
    channels: Sequence[int],
    active: Active,
    *,
    wanted: int | None,
    most: int,
    channel: int | None = None,
) -> tuple[SpeakerSpan, ...]:
    """Return who speaks when, numbered in the order in which they first speak.

    Args:
        file: the recording's bytes, seekable.
        channels: those that are mixed and listened to.
        active: the frames in which somebody speaks.
        wanted: how many people there are; None: as many as sound different, `most` at most.
        channel: what spans say about where it was heard.
    """
    stride = max(1, -(-int(active.sum()) // MOST_FRAMES))
    wanted_frames = np.zeros_like(active)
    wanted_frames[np.flatnonzero(active)[::stride]] = True
    file.seek(0)
    decoder = Decoder(file)
    resampler = Resampler(decoder.rate, RATE, 1)
    cepstra = Cepstra(wanted_frames)
    heard = list(channels)
    for block in decoder:
        mixed: NDArray[np.float32] = block[heard].mean(axis=0, keepdims=True, dtype=np.float32)
        cepstra.add(resampler.add(mixed / np.float32(32768))[0])
    cepstra.add(resampler.end()[0])
    features = cepstra.end()
    times = np.flatnonzero(wanted_frames)[: len(features)]
    runs = _runs(active)
    if not runs or not len(features):
        return ()
    labels = tell_apart(features, times, runs, stride, wanted, most)
    # frames that were left out go with the one before
    at = np.searchsorted(times, np.flatnonzero(active), side="right") - 1
    return _spans(labels[np.maximum(at, 0)], active, channel)


def _runs(active: Active) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(active, prepend=False, append=False)).reshape(-1, 2)
    joined = merge([(float(a), float(b)) for a, b in edges], PAUSE)
    return [(int(a), int(b)) for a, b in joined if b - a >= LEAST_RUN]


def _spans(labels: Labels, active: Active, channel: int | None) -> tuple[SpeakerSpan, ...]:
    """Return spans of the frames in which somebody speaks; `labels` are of those alone."""
    whose = np.full(len(active), -1, dtype=np.int64)
    whose[active] = labels
    found = []
    for voice in range(int(labels.max()) + 1):
        edges = np.flatnonzero(np.diff(whose == voice, prepend=False, append=False))
        for start, end in merge([(float(a), float(b)) for a, b in edges.reshape(-1, 2)], REST):
            found.append(SpeakerSpan(voice, start * FRAME, end * FRAME, channel))
    return tuple(sorted(found, key=lambda span: (span.start, span.speaker)))
