"""Bytes of a recording to samples: streaming, deterministic, exactly as s16.

Decides which containers are opened (a fixed list: none that can name other files or hosts) and
what is wrong with a file. Refuses what holds no audio; what is damaged is decoded as far as it
goes, and said so. Tags, chunks beside the audio and file names are never looked at.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from io import SEEK_END, SEEK_SET
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from voice_pipeline.audio.convert import Resampler, to_s16
from voice_pipeline.audio.header import promised
from voice_pipeline.domain import Warning
from voice_pipeline.errors import BadInput

# Demuxers that may open a file. Playlists (hls, concat, dash ...) are left out on purpose: they
# name other files and hosts, and what was handed in must never make us read those.
CONTAINERS = (
    "wav,w64,aiff,au,caf,flac,mp3,aac,ogg,mov,mp4,m4a,3gp,matroska,webm,avi,flv,asf,"
    "mpeg,mpegts,amr,amrnb,amrwb,voc,wv,ape,tta,ac3,eac3,nist"
)
MOST_CHANNELS = 8  # what FLAC can keep; channels beyond these are dropped, with a warning
BLOCK = 32768  # samples: frames are gathered to blocks of at least this many
# A container that promises this much more than there is, in seconds and as a share, was cut;
# encoder padding and rounded durations stay below (AAC pads up to 2 x 1024 samples).
MISSING_SECONDS = 0.15
MISSING_SHARE = 0.01
# First bytes of audio containers: a file that starts so and does not open is damaged audio,
# any other file is no audio.
MAGIC = (b"RIFF", b"RF64", b"FORM", b".snd", b"caff", b"fLaC", b"ID3", b"OggS", b"#!AMR",
         b"\x1aE\xdf\xa3", b"riff", b"FLV", b"\x30\x26\xb2\x75", b"\xff\xfb", b"\xff\xf3",
         b"\xff\xf1", b"wvpk")  # fmt: skip
MAGIC_AT_4 = (b"ftyp", b"moov", b"mdat")


@dataclass(frozen=True, slots=True)
class Probe:
    """What the container says about its first audio track."""

    codec: str  # for example pcm_mulaw
    rate: int  # Hz
    channels: int
    duration: float | None  # seconds, as promised; None where nothing is promised


class Decoder:
    """One pass over a recording's samples; iterate once, then ask what was wrong.

    Raises:
        BadInput: `empty_file`, `unsupported_audio` or `damaged_audio`; on opening, or on
            iterating when nothing at all could be decoded.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._container, self._stream = _open(file)
        context = self._stream.codec_context
        self.rate: int = int(self._stream.rate or context.sample_rate)
        self._wide: int = int(self._stream.channels)  # channels in the file
        self.channels: int = min(self._wide, MOST_CHANNELS)
        self.codec: str = str(context.name)
        self.promised: float | None = promised(self._container, self._stream, file)
        self.samples = 0  # decoded so far, per channel
        self.failed = 0  # packets that did not decode, not counting a cut end
        self.cut = False  # the stream ended inside a packet
        self._resamplers: dict[int, Resampler] = {}

    @property
    def duration(self) -> float:
        """Seconds decoded so far."""
        return self.samples / self.rate

    @property
    def damage(self) -> tuple[Warning, ...]:
        """What the finished pass found wrong with the file."""
        found = []
        missing = (self.promised or 0.0) - self.duration
        if self.cut or missing > max(MISSING_SECONDS, MISSING_SHARE * self.duration):
            promise = f" of {self.promised:.1f} s promised" if missing > MISSING_SECONDS else ""
            found.append(
                Warning(
                    "truncated_audio",
                    f"The file ends early: {self.duration:.1f} s{promise} could be decoded.",
                )
            )
        if self.failed:
            found.append(
                Warning("damaged_audio", f"{self.failed} pieces of the file do not decode.")
            )
        if self._wide > 2:
            kept = (
                "each is heard by itself"
                if self._wide == self.channels
                else (f"the first {self.channels} are kept")
            )
            found.append(
                Warning("extra_channels", f"The recording has {self._wide} channels; {kept}.")
            )
        return tuple(found)

    def __iter__(self) -> Iterator[NDArray[np.int16]]:
        held: list[NDArray[np.int16]] = []
        size = 0
        with self._container:
            for piece in self._pieces():
                held.append(piece)
                size += piece.shape[1]
                if size >= BLOCK:
                    self.samples += size
                    yield np.concatenate(held, axis=1)
                    held, size = [], 0
        if size:
            self.samples += size
            yield np.concatenate(held, axis=1)
        if not self.samples:
            if self.failed or self.cut:
                raise BadInput(
                    "nothing in this file decodes; export it again", code="damaged_audio"
                )
            raise BadInput("the file holds no samples; hand in a recording", code="empty_file")

    def _pieces(self) -> Iterator[NDArray[np.int16]]:
        bad = 0  # packets failing in a row: only with good ones after them are they damage
        rate = self.rate
        for frames in self._frames():
            if frames is None:
                bad += 1
                continue
            for frame in frames:
                if not frame.samples:
                    continue
                self.failed, bad = self.failed + bad, 0
                piece = self._fit(to_s16(frame))
                if int(frame.sample_rate) != rate:
                    yield from self._flush(rate)
                    rate = int(frame.sample_rate)
                yield piece if rate == self.rate else self._resampler(rate).add_s16(piece)
        yield from self._flush(rate)
        self.cut = bad > 0

    def _frames(self) -> Iterator[list[Any] | None]:
        """Yield the frames of each packet, None for a packet that does not decode."""
        from av.error import FFmpegError

        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except FFmpegError:  # the container breaks off here
                yield None
                return
            try:
                yield packet.decode()
            except FFmpegError:
                yield None

    def _resampler(self, rate: int) -> Resampler:
        if rate not in self._resamplers:
            self._resamplers[rate] = Resampler(rate, self.rate, self.channels)
        return self._resamplers[rate]

    def _flush(self, rate: int) -> Iterator[NDArray[np.int16]]:
        if rate in self._resamplers:
            yield self._resamplers.pop(rate).end_s16()

    def _fit(self, block: NDArray[np.int16]) -> NDArray[np.int16]:
        """Return the block with the recording's channel count (a stream may change it midway)."""
        have = block.shape[0]
        if have == self.channels:
            return block
        if have == 1:
            return np.repeat(block, self.channels, axis=0)
        if self.channels == 1:
            mixed: NDArray[np.int16] = np.mean(block, axis=0, keepdims=True).astype(np.int16)
            return mixed
        fitted = np.zeros((self.channels, block.shape[1]), dtype=np.int16)
        kept = min(have, self.channels)
        fitted[:kept] = block[:kept]
        return fitted


def probe(file: BinaryIO) -> Probe:
    """Read the header of a recording.

    Args:
        file: seekable; left at an undefined place.

    Raises:
        BadInput: `empty_file`, `unsupported_audio` (not audio) or `damaged_audio` (audio whose
            header is cut or broken).
    """
    container, stream = _open(file)
    with container:
        return Probe(
            codec=str(stream.codec_context.name),
            rate=int(stream.rate),
            channels=min(int(stream.channels), MOST_CHANNELS),
            duration=promised(container, stream, file),
        )


def blocks(file: BinaryIO) -> Iterator[NDArray[np.int16]]:
    """Yield the samples as s16, shape (channels, n), at the recording's own rate.

    The same bytes give the same samples, every time; memory does not grow with length.

    Raises:
        BadInput: `empty_file`, `unsupported_audio`, or `damaged_audio` where nothing decodes.
    """
    yield from Decoder(file)


def resampled(file: BinaryIO, rate: int) -> Iterator[NDArray[np.float32]]:
    """Yield the samples of `blocks` at another rate, shape (channels, n), range -1..1.

    Sample i of the result stands at i / rate seconds of the recording: there is no delay.

    Raises:
        BadInput: as `blocks`.
    """
    decoder = Decoder(file)
    if decoder.rate == rate:
        for block in decoder:
            yield block.astype(np.float32) / np.float32(32768)
        return
    resampler = Resampler(decoder.rate, rate, decoder.channels)
    for block in decoder:
        piece = resampler.add(block.astype(np.float32) / np.float32(32768))
        if piece.shape[1]:
            yield piece
    piece = resampler.end()
    if piece.shape[1]:
        yield piece


class _Nameless:
    """A file without a name: the name must not decide how bytes are read."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def read(self, size: int) -> bytes:
        return self._file.read(size)

    def seek(self, offset: int, whence: int = SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()


def _open(file: BinaryIO) -> tuple[Any, Any]:
    import av
    from av.error import FFmpegError

    if file.seek(0, SEEK_END) == 0:
        raise BadInput("the file is empty; hand in a recording", code="empty_file")
    file.seek(0)
    head = file.read(16)
    file.seek(0)
    options = {"format_whitelist": CONTAINERS, "protocol_whitelist": "none"}
    try:
        container = av.open(_Nameless(file), options=options, metadata_errors="ignore")
    except FFmpegError as error:
        if head.startswith(MAGIC) or head[4:8] in MAGIC_AT_4:
            raise BadInput(
                "the audio's header is cut or broken; export the recording again",
                code="damaged_audio",
            ) from error
        raise BadInput(
            "this is not audio; hand in wav, mp3, ogg, opus, m4a, flac, webm or mp4",
            code="unsupported_audio",
        ) from error
    stream = next(iter(container.streams.audio), None)
    if stream is None:
        container.close()
        raise BadInput("the file has no audio track", code="unsupported_audio")
    if not stream.rate or not stream.channels or stream.codec_context is None:
        container.close()
        raise BadInput(
            "the audio track names no rate or channels, or a codec that is not known here",
            code="damaged_audio",
        )
    return container, stream
