"""Calls made of synthetic voices, with exact truth: who says which words when, on which line.

Decides how turns follow each other: pauses, interruptions, short "yes" inside a turn. The same seed
gives the same call. Texts are those of `tests/dialogues.yaml`; all of them are invented. Needs
flite, festival with the voice cmu_us_slt_arctic_hts, and espeak-ng.
"""

from __future__ import annotations

import random
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "samples"))

import sound  # noqa: E402

RATE = 16_000  # Hz, of synthesis
# name -> (sex as heard, how it is made)
VOICES = {
    "rms": ("m", "flite"),
    "awb": ("m", "flite"),
    "kal16": ("m", "flite"),
    "slt": ("f", "flite"),
    "hts": ("f", "festival"),
    "en-us": ("m", "espeak"),
    "en-gb+f4": ("f", "espeak"),
}
SHORT = ("yes", "okay", "right", "thank you", "i see", "no", "sure", "of course")
LEVEL = -24.0  # dBFS RMS of a voice; each call moves every voice by up to 3 dB
NOISE = -62.0  # dBFS RMS, line hiss
LEAD = 0.5  # seconds of hiss before the first word and after the last


@dataclass(frozen=True)
class Said:
    """One turn: who, on which line, what, and where it lies."""

    who: int
    line: int
    text: str
    voice: str
    start: float  # seconds, first sound
    end: float


@dataclass(frozen=True)
class Call:
    """Every line by itself, clean, and its turns."""

    lines: NDArray[np.float64]  # shape (lines, samples), range -1..1, at RATE
    turns: tuple[Said, ...]
    levels: tuple[float, ...]  # dBFS per person

    @property
    def overlapped(self) -> float:
        """Seconds in which at least two people speak."""
        marks = np.zeros((len(self.levels), round(self.lines.shape[1] / RATE * 100) + 1), bool)
        for turn in self.turns:
            marks[turn.who, round(turn.start * 100) : round(turn.end * 100)] = True
        return float((marks.sum(axis=0) > 1).sum() / 100)


@cache
def texts() -> tuple[str, ...]:
    """Return what people say: lines without personal data, of at least four words."""
    found = []
    for dialogue in yaml.safe_load((ROOT / "tests" / "dialogues.yaml").read_text("utf-8")):
        for turn in dialogue["turns"]:
            said = turn.split(": ", 1)[1]
            if "[" not in said and len(said.split()) >= 4 and re.fullmatch(r"[a-z' ]+", said):
                found.append(said)
    return tuple(dict.fromkeys(found))


@cache
def speak(voice: str, text: str) -> NDArray[np.float64]:
    """Return the words as this voice says them: 16 kHz, silence around them cut off."""
    if VOICES[voice][1] != "espeak":
        return sound.speak(text, sound.Voice(voice))
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "said.wav"
        subprocess.run(
            ["espeak-ng", "-v", voice, "-s", "165", "-w", str(out), text],
            check=True, capture_output=True,
        )  # fmt: skip
        from scipy.io import wavfile
        from scipy.signal import resample_poly

        rate, pcm = wavfile.read(out)
    wave = resample_poly(pcm.astype(np.float64) / 32768, RATE, rate)
    loud = np.flatnonzero(np.abs(wave) > sound.TRIM * np.abs(wave).max())
    return np.asarray(wave[loud[0] : loud[-1] + 1])


def order(people: int, turns: int, draw: random.Random) -> list[int]:
    """Return who speaks in which order: 0 the agent, 1 the customer, 2 a second agent, 3 a fourth.

    A transfer: the second agent takes the first one's place halfway. A fourth person comes in for
    the last third, beside the customer.
    """
    who = []
    for at in range(turns):
        agent = 2 if people > 2 and at >= turns // 2 else 0
        customer = 3 if people > 3 and at >= 2 * turns // 3 and draw.random() < 0.6 else 1
        who.append(0 if people == 1 else agent if at % 2 == 0 else customer)
    return who


def make_call(voices: Sequence[str], seed: int, *, turns: int = 16, overlap: float = 0.0) -> Call:
    """Return a call of these voices.

    Args:
        voices: one a person; the first and third are on line 0, the others on line 1.
        seed: of texts, pauses and levels.
        turns: how many.
        overlap: share of turns that begin before the one before has ended, or lie inside it.
    """
    draw = random.Random(f"{seed} {voices} {turns}")
    said = [(LEAD, LEAD, -1)]  # start, end, who
    placed: list[Said] = []
    waves: list[NDArray[np.float64]] = []
    for who in order(len(voices), turns, draw):
        text = draw.choice(texts())
        before = said[-1]
        cuts_in = bool(placed) and who != before[2] and draw.random() < overlap
        inside = cuts_in and draw.random() < 0.5 and before[1] - before[0] > 2.0
        if inside:
            text = draw.choice(SHORT)
        wave = speak(voices[who], text)
        length = len(wave) / RATE
        if inside:
            start = before[0] + draw.uniform(0.3, 0.6) * (before[1] - before[0])
        elif cuts_in:
            start = before[1] - min(draw.uniform(0.4, 1.2), 0.8 * (before[1] - before[0]))
        else:
            start = max(end for _, end, _ in said) + draw.uniform(0.2, 0.9)
        if any(w == who and start < end for _, end, w in said):  # nobody talks over himself
            start = max(end for _, end, _ in said) + draw.uniform(0.2, 0.9)
        said.append((start, start + length, who))
        if inside:  # the turn goes on behind it
            said[-1], said[-2] = said[-2], said[-1]
        placed.append(Said(who, who % 2, text, voices[who], start, start + length))
        waves.append(wave)
    levels = tuple(LEVEL + draw.uniform(-3, 3) for _ in voices)
    lines = np.zeros((2, round((max(turn.end for turn in placed) + LEAD) * RATE) + 1))
    for turn, wave in zip(placed, waves, strict=True):
        scale = 10 ** (levels[turn.who] / 20) / np.sqrt(np.mean(wave**2))
        at = round(turn.start * RATE)
        lines[turn.line, at : at + len(wave)] += scale * wave
    return Call(lines, tuple(sorted(placed, key=lambda turn: turn.start)), levels)


def telephone(lines: NDArray[np.float64], seed: int) -> NDArray[np.int16]:
    """Return the lines at 8 kHz in the telephone band, with hiss, through mu-law."""
    hiss = np.random.default_rng(seed)
    narrow = np.stack([sound.narrow(line) for line in lines])
    narrow += hiss.normal(0, 10 ** (NOISE / 20), narrow.shape)
    pressed = np.sign(narrow) * np.log1p(255 * np.minimum(np.abs(narrow), 1)) / np.log(256)
    steps = np.round(pressed * 127) / 127
    again = np.sign(steps) * np.expm1(np.abs(steps) * np.log(256)) / 255
    return (again.clip(-0.999, 0.999) * 32767).round().astype(np.int16)


def wav(samples: NDArray[np.int16], rate: int) -> bytes:
    """Return a RIFF file of samples, shape (channels, n)."""
    import io
    import wave

    target = io.BytesIO()
    with wave.open(target, "wb") as file:
        file.setnchannels(samples.shape[0])
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.ascontiguousarray(samples.T).astype("<i2").tobytes())
    return target.getvalue()


@cache
def word_times(voice: str, text: str) -> tuple[tuple[float, float], ...] | None:
    """Return each word's time in seconds: forced alignment of a clean voice with its own text.

    None where the aligner's dictionary lacks a word, or it does not find its way through.
    """
    decoder = _aligner()
    if any(decoder.lookup_word(word) is None for word in text.split()):
        return None
    wave = speak(voice, text)
    for room in (0.0, 0.2):  # a last sound may need room, or be lost in it
        padded = np.concatenate([wave, np.zeros(round(room * RATE))])
        decoder.set_align_text(text)
        decoder.start_utt()
        pcm = (padded / np.abs(wave).max() * 16000).astype("<i2")
        decoder.process_raw(pcm.tobytes(), no_search=False, full_utt=True)
        decoder.end_utt()
        found = tuple(
            (part.start_frame * 0.01, (part.end_frame + 1) * 0.01)
            for part in decoder.seg() or ()
            if not part.word.startswith(("<", "[", "+"))
        )
        if len(found) == len(text.split()):
            return found
    return None


@cache
def _aligner() -> Any:
    import pocketsphinx

    return pocketsphinx.Decoder(lm=None, loglevel="FATAL", beam=1e-120, pbeam=1e-120)
