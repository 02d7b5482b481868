"""Render a redaction as audio: silence or a tone in every window, everything else as it was.

Decides nothing about what is personal except key tones, which only the audio shows and which are
muted as card data. Streams from the shelf to the shelf; writes no tag and no chunk of the original.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from redaction import audio as sound
from redaction.keys import key_tones, key_windows
from redaction.windows import WIDE_PAD, merge
from voice_pipeline.audio import FlacWriter, blocks
from voice_pipeline.domain import Audio, Recording, RedactedAudio, Redaction, Ref, Window
from voice_pipeline.ports import Shelf


@dataclass(frozen=True, slots=True)
class Cut:
    """How muted audio sounds."""

    fill: sound.Fill = "silence"
    fade: float = 0.0  # seconds over which sound goes out before a window and comes back after it


SILENCE = Cut()


def mute(
    recording: Recording, redaction: Redaction, *, shelf: Shelf, cut: Cut = SILENCE
) -> RedactedAudio:
    """Write the recording as FLAC with silence, or a tone, in every window.

    Returns:
        The muted recording. Its `windows` are all that differs from the original: those of the
        redaction, those of key tones, and the fades around both; every other sample is the same.

    Raises:
        BadInput: the recording cannot be decoded.
        Permanent: the recording is gone, or decodes to another length a second time.
    """
    rate, channels = recording.rate, recording.channels
    windows, samples, entries = muted_windows(recording.audio, rate, redaction, shelf)
    with (
        shelf.open(recording.audio) as raw,
        shelf.create(recording.id, "RedactedAudio") as blob,
        FlacWriter(blob, rate, channels, samples=samples) as flac,
    ):
        for block in sound.mute(blocks(raw), rate, windows, fill=cut.fill, fade=cut.fade):
            flac.write(block)
    muted = sum((w.end - w.start) * (len(w.channels) or channels) for w in windows)
    duration = samples / rate
    declared = tuple(
        replace(w, start=max(0.0, w.start - cut.fade), end=min(duration, w.end + cut.fade))
        for w in windows
    )
    return RedactedAudio(blob.ref, rate, channels, duration, muted, entries, declared)


def muted_windows(
    audio: Ref[Audio], rate: int, redaction: Redaction, shelf: Shelf
) -> tuple[tuple[Window, ...], int, int]:
    """Return the windows of a redaction with those of key tones, the samples per channel that
    were decoded, and the number of key entries found. Verification asks again and must agree.
    """
    counter = _Counter()
    with shelf.open(audio) as raw:
        tones = key_tones(counter.count(blocks(raw)), rate)
    found = redaction.windows + key_windows(tones, WIDE_PAD)
    return merge(found, counter.samples / rate, counter.channels), counter.samples, len(tones)


class _Counter:
    def __init__(self) -> None:
        self.samples = 0  # per channel
        self.channels = 1

    def count(self, stream: Iterable[NDArray[np.int16]]) -> Iterator[NDArray[np.int16]]:
        for block in stream:
            self.channels = block.shape[0]
            self.samples += block.shape[1]
            yield block
