"""Samples to FLAC, lossless: what went in comes out, sample for sample.

Decides how a redacted recording is kept. Writes no tags, no time stamps and no encoder name, never
seeks (a sealed blob cannot be rewound) and puts nothing on disk by itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from types import TracebackType
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from voice_pipeline.audio.convert import LAYOUTS
from voice_pipeline.errors import Permanent

STREAMINFO_BYTES = 34  # https://www.rfc-editor.org/rfc/rfc9639 section 8.2
SMALLEST_BLOCK = 16  # samples, RFC 9639 section 8.2


class Sink(Protocol):
    """Anything that takes bytes in order."""

    def write(self, data: bytes, /) -> int: ...


class FlacWriter:
    """Writes s16 blocks as FLAC. The header comes first, so it must know how long the audio is.

    Args:
        file: takes the bytes in order; it is neither sought nor closed.
        rate: Hz.
        channels: 1 to 8.
        samples: per channel, where known (for a recording: `round(duration * rate)`): the stream
            is then written as it is made. Without it the compressed stream waits in memory.

    Raises:
        Permanent: on leaving, when other than `samples` samples were written.
    """

    def __init__(self, file: Sink, rate: int, channels: int, *, samples: int | None = None) -> None:
        import av
        from av.codec.context import Flags

        self._file = file
        self._rate = rate
        self._channels = channels
        self._promised = samples
        self._written = 0
        self._waiting: list[bytes] = []
        self._encoder: Any = av.CodecContext.create("flac", "w")
        self._encoder.sample_rate = rate
        self._encoder.layout = LAYOUTS[channels]
        self._encoder.format = "s16"
        self._encoder.flags |= Flags.bitexact.value
        self._encoder.thread_count = 1
        self._encoder.open()
        self._fifo = av.AudioFifo()

    def __enter__(self) -> FlacWriter:
        if self._promised is not None:
            self._file.write(self._header(self._promised))
        return self

    def write(self, block: NDArray[np.int16]) -> None:
        """Add samples, shape (channels, n)."""
        if not block.shape[1]:
            return
        import av

        packed = np.ascontiguousarray(block.T).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(packed, format="s16", layout=LAYOUTS[self._channels])
        frame.sample_rate = self._rate
        frame.pts = None
        self._fifo.write(frame)
        self._written += block.shape[1]
        self._encode(self._fifo.read_many(self._encoder.frame_size))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            return
        rest = self._fifo.read(0, partial=True) if self._written else None
        self._encode([rest] if rest is not None else [])
        self._encode([None])
        if self._promised is None:
            self._file.write(self._header(self._written))
            for data in self._waiting:
                self._file.write(data)
        elif self._promised != self._written:
            raise Permanent(
                f"{self._written} samples were written where {self._promised} were promised",
                code="damaged_audio",
            )

    def _encode(self, frames: Iterable[Any]) -> None:
        for frame in frames:
            for packet in self._encoder.encode(frame):
                data = bytes(packet)
                if not data:
                    continue
                if self._promised is None:
                    self._waiting.append(data)
                else:
                    self._file.write(data)

    def _header(self, samples: int) -> bytes:
        """Return the marker and STREAMINFO; frame sizes and MD5 stay 0, 'not known'."""
        block = max(SMALLEST_BLOCK, int(self._encoder.frame_size))
        facts = (self._rate << 44) | ((self._channels - 1) << 41) | (15 << 36) | samples
        info = block.to_bytes(2, "big") * 2 + bytes(6) + facts.to_bytes(8, "big") + bytes(16)
        return b"fLaC" + bytes([0x80]) + STREAMINFO_BYTES.to_bytes(3, "big") + info
