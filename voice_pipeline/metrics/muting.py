"""How many digits of real voices stay audible after muting, and what muting costs.

Strings recordings of single digits into card, code, phone and account numbers whose every sample's
time is known, lets the word times be wrong as recognizers get them wrong, redacts, mutes, and
listens sample by sample. Refuses to count a digit as gone that still sounds for 20 ms.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from redaction import audio as sound
from voice_pipeline.audio import resampled
from voice_pipeline.domain import Redaction, Transcript, Turn, Window, Word
from voice_pipeline.errors import BadInput
from voice_pipeline.metrics.report import Figure, Report, proportion
from voice_pipeline.redactors import build_redactor
from voice_pipeline.stages.redact import redact

RATE = 16000  # Hz
NUMERALS = "zero one two three four five six seven eight nine".split()
AUDIBLE = 0.02  # seconds of a digit's own sound from which on it counts as audible
STEP = 0.01  # seconds
QUIET = 30.0  # dB below its loudest step: no part of a digit
LEVEL = 0.08  # RMS of every digit and phrase, so that no speaker counts more
WORD = 0.3  # seconds a carrier word lasts where nobody speaks the carrier
# Quantiles of a recognizer's word times: how late starts and how early ends come (seconds), as
# measured on spoken digits at telephone quality; what lies between is drawn on a line.
LATE = ((0.0, -0.05), (0.5, 0.01), (0.9, 0.085), (0.95, 0.108), (1.0, 0.30))
EARLY = ((0.0, -0.05), (0.5, 0.01), (0.9, 0.093), (0.95, 0.181), (1.0, 0.40))
MISSED = 0.05  # of the digits become no word at all
# What is said around the values. `{n}` stands for so many digits in groups.
CALLS: tuple[tuple[tuple[str, str], ...], ...] = (
    (
        ("agent", "can I take the long card number please"),
        ("customer", "it is {4 4 4 4}"),
        ("agent", "and the three digits on the back please"),
        ("customer", "{3}"),
        ("agent", "thank you that has gone through for you"),
    ),
    (
        ("agent", "what is the best phone number for you"),
        ("customer", "my number is {3 3 4}"),
        ("agent", "lovely thank you what can I do for you today"),
        ("customer", "my account number is {4 4} and I would like to close it"),
        ("agent", "I can do that for you right away then"),
    ),
)
Samples = NDArray[np.float32]
Carrier = Callable[[str, str], Samples]  # (speaker, words) -> 16 kHz speech


@dataclass(frozen=True, slots=True)
class Digit:
    """One spoken digit in a strung call."""

    word: str
    start: float  # seconds: its sound begins
    end: float
    steps: tuple[int, ...]  # 10 ms steps of the call in which it sounds


@dataclass(frozen=True, slots=True)
class Strung:
    """A call made of recordings: two channels, agent and customer."""

    samples: NDArray[np.int16] = field(repr=False)  # shape (2, n), 16 kHz
    turns: tuple[Turn, ...] = field(repr=False)  # with true times
    digits: tuple[Digit, ...] = field(repr=False)

    @property
    def duration(self) -> float:
        return float(self.samples.shape[1] / RATE)


def evaluate(folder: Path, *, profile: str = "balanced", least: int = 300, seed: int = 0) -> Report:
    """Measure muting on real voices with word times as wrong as recognizers make them.

    Args:
        folder: `zero/` to `nine/`, each with recordings of that digit.
        profile: precise, balanced or paranoid.
        least: digits to string; recordings are used again in other orders.
        seed: of the order, the pauses and the errors of times.

    Raises:
        BadInput: a digit has no recording.
    """
    voices, redactor = read_digits(folder), build_redactor(profile)
    draw = random.Random(seed)
    counts: dict[str, int] = {}
    muted: dict[str, float] = {}
    digits = calls = passed = 0
    seconds = 0.0
    while digits < least:
        call = string(CALLS[calls % len(CALLS)], voices, draw)
        heard = misheard(call.turns, draw)
        found = redact(transcript_of(call, heard), redactor=redactor)
        for name, windows in {**baselines(heard, found), "ours": found.windows}.items():
            out = np.concatenate(list(sound.mute([call.samples], RATE, windows)), axis=1)
            counts[name] = counts.get(name, 0) + len(audible(call, out))
            share = np.mean(out[1] == 0) - np.mean(call.samples[1] == 0)
            muted[name] = muted.get(name, 0.0) + float(share) * call.duration
            if name == "ours":
                passed += sound.check([call.samples], [out], RATE, windows).passed
        digits, calls, seconds = digits + len(call.digits), calls + 1, seconds + call.duration
    recordings = sum(len(clips) for words in voices.values() for clips in words.values())
    return Report(
        "redaction audio",
        calls,
        (
            proportion("ours.digits_audible", counts["ours"], digits, "digits of real voices"),
            Figure("ours.bit_check", passed / calls, calls, "calls"),
            Figure("ours.muted", muted["ours"] / seconds, round(seconds), "seconds of the caller"),
        ),
        tuple(_rows(counts, muted, digits, seconds)),
        (
            f"{recordings} recordings by {len(voices)} speakers, profile {profile}, seed {seed}",
            f"audible: more than {1000 * AUDIBLE:.0f} ms of the digit's own sound are left",
            "word times are wrong by quantiles of a real recognizer, "
            f"{MISSED:.0%} of the digits are no word; other words are right",
        ),
    )


def _rows(
    counts: dict[str, int], muted: dict[str, float], digits: int, seconds: float
) -> Iterator[dict[str, Any]]:
    for name, count in counts.items():
        figure = proportion(name, count, digits, "digits")
        yield {
            "muting": name,
            "audible": count,
            "digits": digits,
            "share": count / digits,
            "low": figure.low,
            "high": figure.high,
            "muted": muted[name] / seconds,
        }


def audible(call: Strung, out: NDArray[np.int16]) -> list[Digit]:
    """Return the digits of which more than 20 ms still sound on the caller's channel.

    A step of 10 ms in which one sample is left counts whole.
    """
    step = round(STEP * RATE)
    left = []
    for digit in call.digits:
        loud = sum(bool(out[1, at * step : (at + 1) * step].any()) for at in digit.steps)
        if loud * STEP > AUDIBLE + STEP / 2:
            left.append(digit)
    return left


def baselines(turns: Sequence[Turn], found: Redaction) -> dict[str, tuple[Window, ...]]:
    """Return what simpler ways would mute: the recognised words alone, or each run whole."""
    made: dict[str, tuple[Window, ...]] = {}
    spans = [[*turns[f.turn].words[f.first : f.last]] for f in found.findings]
    for pad in (0.0, 0.1, 0.25):
        words = [(w.start, w.end) for span in spans for w in span]
        runs = [(span[0].start, span[-1].end) for span in spans if span]
        for name, places in (("each word", words), ("run", runs)):
            made[f"{name}, pad {1000 * pad:.0f} ms"] = tuple(
                Window(max(0.0, a - pad), b + pad, (), "finding")
                for a, b in places
                if a is not None and b is not None and a - pad < b + pad
            )
    return made


# ---------------------------------------------------------------- stringing calls


def read_digits(folder: Path) -> dict[str, dict[str, list[Samples]]]:
    """Return recordings by speaker (the name up to the first `_`) and digit, at one loudness."""
    voices: dict[str, dict[str, list[Samples]]] = {}
    for word in NUMERALS:
        files = sorted((folder / word).glob("*.wav"))
        if not files:
            raise BadInput(f"{folder.name}/{word}: no recording of this digit")
        for path in files:
            with path.open("rb") as file:
                samples = np.concatenate(list(resampled(file, RATE)), axis=1)[0]
            speaker = path.stem.partition("_")[0]
            voices.setdefault(speaker, {}).setdefault(word, []).append(_trimmed(samples))
    return {name: words for name, words in voices.items() if len(words) == len(NUMERALS)}


def string(
    lines: Sequence[tuple[str, str]],
    voices: dict[str, dict[str, list[Samples]]],
    draw: random.Random,
    carrier: Carrier | None = None,
) -> Strung:
    """Make a call: one speaker's digits, and phrases that are spoken or, without a carrier, noise.

    Digits in a group are 50-250 ms apart, groups 350-700 ms, as people dictate.
    """
    speaker = voices[draw.choice(sorted(voices))]
    at, turns, digits = 0.5, [], []
    placed: list[tuple[int, float, Samples]] = []
    for who, text in lines:
        side, words = int(who == "customer"), []
        for kind, part in _parts(text):
            if kind == "phrase":
                spoken = carrier(who, part) if carrier else _noise(len(part.split()), draw)
                placed.append((side, at, spoken))
                each = len(spoken) / RATE / len(part.split())
                words += [
                    Word(word, at + each * n, at + each * (n + 0.9), 0.95)
                    for n, word in enumerate(part.split())
                ]
                at += len(spoken) / RATE + draw.uniform(0.1, 0.3)
                continue
            for size in map(int, part.split()):
                for _ in range(size):
                    word = draw.choice(NUMERALS)
                    clip = draw.choice(speaker[word])
                    start = round(at / STEP) * STEP
                    placed.append((side, start, clip))
                    digits.append(_digit(word, start, clip))
                    words.append(Word(word, digits[-1].start, digits[-1].end, 0.8))
                    at = start + len(clip) / RATE + draw.uniform(0.05, 0.25)
                at += draw.uniform(0.3, 0.45)
        turns.append(Turn(who, tuple(words), side))
        at += draw.uniform(0.3, 0.6)
    mixed = np.zeros((2, round((at + 0.5) * RATE)), dtype=np.float32)
    for side, start, samples in placed:
        first = round(start * RATE)
        mixed[side, first : first + len(samples)] += samples
    mixed += np.random.default_rng(draw.randrange(2**32)).normal(0, 1e-4, mixed.shape)
    pcm = np.clip(np.rint(mixed * 32767), -32767, 32767).astype(np.int16)
    pcm[pcm == 0] = 1  # so that a zero is muted and nothing else
    return Strung(pcm, tuple(turns), tuple(digits))


def misheard(turns: Sequence[Turn], draw: random.Random) -> tuple[Turn, ...]:
    """Return the turns as a recognizer would time them; some digits are missing."""
    made = []
    for turn in turns:
        words = []
        for word in turn.words:
            if word.text in NUMERALS and draw.random() < MISSED:
                continue
            start = (word.start or 0.0) + _quantile(LATE, draw.random())
            end = (word.end or 0.0) - _quantile(EARLY, draw.random())
            words.append(Word(word.text, max(0.0, start), max(start + 0.03, end), word.confidence))
        made.append(Turn(turn.speaker, tuple(words), turn.channel))
    return tuple(made)


def transcript_of(call: Strung, turns: tuple[Turn, ...]) -> Transcript:
    """Return what the redact stage is given: these turns on two separate channels."""
    active = tuple(
        tuple(
            (max(0.0, (t.words[0].start or 0.0) - 0.2), (t.words[-1].end or 0.0) + 0.2)
            for t in call.turns
            if t.channel == side
        )
        for side in (0, 1)
    )
    return Transcript(
        call="strung", language="en", turns=turns, transcriber="true words", diarizer="channels",
        understood=(1.0, 1.0), confidence=(0.9, 0.9), active=active, duration=call.duration,
        channels=2, separate=True,
    )  # fmt: skip


def _parts(text: str) -> Iterator[tuple[str, str]]:
    before, brace, rest = text.partition("{")
    if before.strip():
        yield "phrase", before.strip()
    if brace:
        inside, _, after = rest.partition("}")
        yield "digits", inside
        yield from _parts(after)


def _digit(word: str, start: float, clip: Samples) -> Digit:
    loud = np.flatnonzero(_loud(clip))
    first = round(start / STEP)
    return Digit(
        word,
        start + int(loud[0]) * STEP,
        start + (int(loud[-1]) + 1) * STEP,
        tuple(first + int(at) for at in loud),
    )


def _trimmed(samples: Samples) -> Samples:
    loud = np.flatnonzero(_loud(samples))
    step = round(STEP * RATE)
    clip = samples[loud[0] * step : (loud[-1] + 1) * step]
    return _levelled(clip)


def _loud(samples: Samples) -> NDArray[np.bool_]:
    step = round(STEP * RATE)
    whole = len(samples) // step
    power = np.mean(np.square(samples[: whole * step].reshape(whole, step)), axis=1)
    return np.asarray(power > power.max() * 10 ** (-QUIET / 10))


def _levelled(samples: Samples) -> Samples:
    return np.asarray(samples * (LEVEL / math.sqrt(float(np.mean(np.square(samples))))))


def _noise(words: int, draw: random.Random) -> Samples:
    made = np.random.default_rng(draw.randrange(2**32)).normal(0, 1, round(words * WORD * RATE))
    return _levelled(made.astype(np.float32))


def _quantile(points: Sequence[tuple[float, float]], at: float) -> float:
    return float(np.interp(at, [p for p, _ in points], [v for _, v in points]))
