"""A recording to stretches of speech, ready for a transcriber.

Decides what is heard at all: activity per channel, other sides' bleed, music and tones left out,
long speech cut at its quietest point. Two passes over the bytes: levels first, then samples; memory
holds 10 ms levels and at most the stretches being cut, whatever the length.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from voice_pipeline.audio.activity import (
    FRAME,
    LevelMeter,
    Levels,
    Spans,
    frame_length,
    gate,
    mark,
    measure_bleed,
    spans,
)
from voice_pipeline.audio.convert import Resampler
from voice_pipeline.audio.decode import Decoder
from voice_pipeline.audio.layout import listened
from voice_pipeline.audio.sounds import SoundMeter, held, voices, without
from voice_pipeline.domain import LineSound, Recording, Segment

RATE = 16000  # Hz, what transcribers take
LONGEST = 28.0  # seconds: recognizers look at 30 s at most
SHORTEST_CUT = 8.0  # seconds: a cut is looked for from here on, so pieces keep context
CUT_SMOOTH = 15  # frames over which the quietest point is looked for
# The highest frequency of telephone speech with room for the slope of filters (ITU-T G.712
# passes 300-3400 Hz; G.711 stops at 4000).
TELEPHONE = 4200.0  # Hz
CONTEXT = 0.02  # seconds of sound beside a stretch while its rate is changed


@dataclass(frozen=True, slots=True)
class Survey:
    """Where what sounds on a recording, channel by channel; from one pass over it."""

    rate: int  # Hz
    levels: Levels
    active: tuple[Spans, ...]  # seconds: all that stands out of the noise, other sides left out
    speech: tuple[Spans, ...]  # ... but for music and tones
    sounds: tuple[LineSound, ...]  # by start time; music too steady to stand out is in here alone
    voices: tuple[Spans, ...]  # seconds that hold a voice, to a quarter of one


@dataclass(frozen=True, slots=True)
class _Stretch:
    channel: int
    start: int  # samples at the recording's rate
    end: int


def survey(file: BinaryIO, recording: Recording) -> Survey:
    """Find out where somebody speaks on a recording, and what else sounds.

    Args:
        file: the recording's bytes, seekable.
        recording: what ingest found out about them.

    Raises:
        BadInput: as `blocks`.
    """
    decoder = Decoder(file)
    meter = LevelMeter(decoder.rate, decoder.channels)
    ear = SoundMeter(decoder.rate, decoder.channels)
    for block in decoder:
        meter.add(block)
        ear.add(block)
    levels, units = meter.end(), ear.end()
    active = _active(levels, decoder.rate, recording)
    heard = listened(recording)
    found = {channel: held(units, channel, recording.duration) for channel in heard}
    return Survey(
        rate=decoder.rate,
        levels=levels,
        active=active,
        speech=tuple(without(own, found.get(channel, ())) for channel, own in enumerate(active)),
        sounds=tuple(
            sorted(
                (
                    LineSound(sound.kind, channel, round(sound.start, 2), round(sound.end, 2))
                    for channel, sounds in found.items()
                    for sound in sounds
                ),
                key=lambda sound: (sound.start, sound.channel),
            )
        ),
        voices=tuple(voices(units, channel) for channel in range(decoder.channels)),
    )


def listen(file: BinaryIO, recording: Recording, found: Survey | None = None) -> Iterator[Segment]:
    """Yield the speech of every channel that is listened to, by start time.

    Args:
        file: the recording's bytes, seekable.
        recording: what ingest found out about them.
        found: its survey; made where it is not given.

    Yields:
        Stretches of at most 30 s with 0.2 s of margin, 16 kHz mono; no music, no tones.

    Raises:
        BadInput: as `blocks`.
    """
    found = found or survey(file, recording)
    rate = found.rate
    frame = frame_length(rate) / rate
    stretches = sorted(
        (
            _Stretch(channel, round(start * rate), round(end * rate))
            for channel, speech in enumerate(found.speech)
            for start, end in cut(speech, found.levels[channel], frame)
        ),
        key=lambda stretch: (stretch.start, stretch.channel),
    )
    for stretch, samples in _cut_out(file, stretches):
        start, end = stretch.start / rate, stretch.end / rate
        yield Segment(
            call=recording.id,
            channel=stretch.channel,
            offset=start,
            samples=samples,
            band="telephone" if recording.bandwidth <= TELEPHONE else "wide",
            voiced=tuple((a, b) for a, b in found.voices[stretch.channel] if a < end and b > start),
        )


def activity(file: BinaryIO, recording: Recording) -> tuple[Spans, ...]:
    """Return where something stands out of the noise, channel by channel, music and tones too.

    Raises:
        BadInput: as `blocks`.
    """
    return survey(file, recording).active


def _active(levels: Levels, rate: int, recording: Recording) -> tuple[Spans, ...]:
    heard = listened(recording)
    active = mark(levels)
    if len(heard) > 1:
        active = gate(levels, active, measure_bleed(levels, active))
    frame = frame_length(rate) / rate
    return tuple(
        spans(own, frame, recording.duration) if channel in heard else ()
        for channel, own in enumerate(active)
    )


def cut(active: Spans, own: Levels, frame: float = FRAME) -> Iterator[tuple[float, float]]:
    """Yield the spans, those over 28 s in pieces that part at the quietest 150 ms."""
    kernel = np.full(CUT_SMOOTH, 1 / CUT_SMOOTH)
    for start, end in active:
        edges = [start]
        while end - edges[-1] > LONGEST:
            first, last = (round((edges[-1] + after) / frame) for after in (SHORTEST_CUT, LONGEST))
            soft = np.convolve(own[first:last], kernel, mode="same")
            # the edges of the smoothed stretch see zeros, which are loud in dB: left out
            inner = soft[CUT_SMOOTH:-CUT_SMOOTH]
            edges.append((first + CUT_SMOOTH + int(inner.argmin())) * frame)
        yield from pairwise([*edges, end])


def _cut_out(
    file: BinaryIO, stretches: list[_Stretch]
) -> Iterator[tuple[_Stretch, NDArray[np.float32]]]:
    """Yield the samples of each stretch at 16 kHz, in the order given (by start)."""
    if not stretches:
        return
    decoder = Decoder(file)
    rate = decoder.rate
    context = round(CONTEXT * rate)
    held: list[NDArray[np.int16]] = []
    begin = position = 0  # samples: where `held` begins and ends
    waiting = iter(stretches)
    stretch: _Stretch | None = next(waiting)
    for block in decoder:
        held.append(block)
        position += block.shape[1]
        while stretch is not None and position >= stretch.end + context:
            yield stretch, _piece(held, begin, stretch, rate, context)
            stretch = next(waiting, None)
        if stretch is None:
            return
        while held and begin + held[0].shape[1] <= stretch.start - context:
            begin += held.pop(0).shape[1]
    while stretch is not None:
        yield stretch, _piece(held, begin, stretch, rate, context)
        stretch = next(waiting, None)


def _piece(
    held: list[NDArray[np.int16]], begin: int, stretch: _Stretch, rate: int, context: int
) -> NDArray[np.float32]:
    left = min(context, stretch.start - begin)
    low, high = stretch.start - left - begin, stretch.end + context - begin
    parts, at = [], 0
    for block in held:
        if at < high and at + block.shape[1] > low:
            parts.append(block[stretch.channel, max(0, low - at) : high - at])
        at += block.shape[1]
    sound: NDArray[np.float32] = np.concatenate(parts).astype(np.float32) / np.float32(32768)
    if rate == RATE:
        return sound[left : left + stretch.end - stretch.start]
    resampler = Resampler(rate, RATE, 1)
    whole: NDArray[np.float32] = np.concatenate(
        [resampler.add(sound[None]), resampler.end()], axis=1
    )[0]
    first = round(left * RATE / rate)
    return whole[first : first + round((stretch.end - stretch.start) * RATE / rate)]
