"""Render a redaction as audio: silence in every window, everything else as it was.

Decides nothing about what is personal except key tones, which only the audio shows and which are
muted as card data. Streams from the shelf to the shelf; writes no tag and no chunk of the original.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from redaction import audio as sound
from redaction.keys import key_tones, key_windows
from redaction.windows import WIDE_PAD, merge
from voice_pipeline.audio import FlacWriter, blocks
from voice_pipeline.domain import Audio, Recording, RedactedAudio, Redaction, Ref, Window
from voice_pipeline.ports import Shelf


def mute(recording: Recording, redaction: Redaction, *, shelf: Shelf) -> RedactedAudio:
    """Write the recording as FLAC with silence in every window.

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
        for block in sound.mute(blocks(raw), rate, windows):
            flac.write(block)
    muted = sum((w.end - w.start) * (len(w.channels) or channels) for w in windows)
    return RedactedAudio(blob.ref, rate, channels, samples / rate, muted, entries)


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
