"""How well speech becomes words: error rates on calls whose words are known.

Hears each channel as the pipeline does, normalises both texts, and counts. It reports words
invented where nobody spoke beside words missed, digits apart from the rest, and how well the
understanding estimate knew: error rates alone hide what redaction depends on.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voice_pipeline.domain import Received, Speech
from voice_pipeline.errors import BadInput, Misconfigured, PipelineError
from voice_pipeline.metrics.report import Figure, Report, bootstrap
from voice_pipeline.ports import Transcriber
from voice_pipeline.stages.ingest import ingest
from voice_pipeline.stages.transcribe import transcribe
from voice_pipeline.stages.understanding import UNDERSTOOD_FLOOR
from voice_pipeline.testing import MemoryShelf

DIGITS = frozenset(
    ("zero", "oh", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine",
     "double", "triple")
)  # fmt: skip
_NUMERALS = "zero one two three four five six seven eight nine".split(" ")
_SAME = {"okay": "ok", "alright": "all right", "mister": "mr", "missus": "mrs", "doctor": "dr"}
# Seconds around a true turn within which a word is not invented: synthetic truth is exact, word
# times of recognizers are not.
NEAR = 0.5
# What is read in well-known test recordings: Dickens 1859 and Kennedy 1961, public domain.
READINGS = {
    "two_cities_16k.wav": (
        "it was the best of times it was the worst of times it was the age of wisdom it was the "
        "age of foolishness it was the epoch of belief it was the epoch of incredulity it was the "
        "season of light it was the season of darkness it was the spring of hope it was the winter "
        "of despair we had everything before us we had nothing before us we were all going direct "
        "to heaven we were all going direct the other way in short the period was so far like the "
        "present period that some of its noisiest authorities insisted on its being received for "
        "good or for evil in the superlative degree of comparison only"
    ),
    "jfk.flac": (
        "and so my fellow americans ask not what your country can do for you ask what you can do "
        "for your country"
    ),
}


@dataclass(frozen=True, slots=True)
class _Counts:
    """Word counts of one channel."""

    words: int  # in the truth
    wrong: int  # substituted, deleted, inserted
    digits: int
    digits_wrong: int  # substituted or deleted
    invented: int  # words where nobody spoke
    silence: float  # seconds in which nobody spoke


def normalise(text: str) -> list[str]:
    """Return the words that are compared.

    Lower case; hyphens part words; digits are spelled one by one ("42" is "four two"); punctuation
    goes, apostrophes inside words stay; "okay" is "ok", "alright" is "all right", and titles are
    shortened. Numbers spoken as words are left as they are: "forty two" and "four two" differ.
    """
    plain = text.lower().replace("\u2019", "'").replace("-", " ")
    plain = re.sub(r"\d", lambda digit: f" {_NUMERALS[int(digit[0])]} ", plain)
    words = re.sub(r"[^a-z' ]", " ", plain).split()
    kept = (word.strip("'") for word in words)
    return " ".join(_SAME.get(word, word) for word in kept if word).split()


def evaluate(data: Path, *, transcriber: Transcriber) -> Report:
    """Measure a transcriber on a folder of calls.

    Args:
        data: a folder with truth.jsonl (one line a call: `{id, file, turns: [{channel, text,
            start, end}]}`) and the audio it names; or a plain folder of recordings with known
            words (`*.stm` beside the audio, or one of the public readings we know by name).
        transcriber: the engine to measure.

    Returns:
        WER over all words with a bootstrap interval by call, WER of digit words, words invented
        per minute of silence, and what the understanding estimate would have let pass.

    Raises:
        BadInput: nothing in the folder can be measured.
        Misconfigured: jiwer is not installed.
    """
    rows: list[dict[str, Any]] = []
    counts: dict[str, list[_Counts]] = {}
    notes: list[str] = []
    for call, file, turns in _calls(data):
        if not file.is_file():
            notes.append(f"{call}: {file.name} is not there")
            continue
        try:
            heard, seconds = _heard(call, file, transcriber)
        except PipelineError as error:
            notes.append(f"{call}: {error.code}")
            continue
        for speech in heard:
            said = [turn for turn in turns if len(heard) == 1 or turn["channel"] == speech.channel]
            # where nobody is said to speak all of it is silence; a reading without times has none
            end = max((turn["end"] for turn in turns), default=seconds)
            found = _count(said, speech, end)
            if not found.words and not speech.words and not found.silence:
                continue
            counts.setdefault(call, []).append(found)
            rows.append(
                {
                    "call": call,
                    "channel": speech.channel,
                    "words": found.words,
                    "wer": round(found.wrong / found.words, 4) if found.words else None,
                    "understood": speech.understood,
                    "confidence": speech.confidence,
                    "passes": speech.understood >= UNDERSTOOD_FLOOR,
                }
            )
    if not rows:
        raise BadInput(f"{data}: no call with known words and readable audio; see truth.jsonl")
    return Report(
        suite="asr",
        calls=len(counts),
        figures=tuple(_figures(list(counts.values()), rows)),
        rows=tuple(rows),
        notes=(f"heard by {transcriber.made_by}", transcriber.traits.expectation, *notes),
    )


def _figures(calls: Sequence[list[_Counts]], rows: Sequence[Mapping[str, Any]]) -> Iterator[Figure]:
    def wer(sample: Sequence[list[_Counts]]) -> float:
        every = [count for call in sample for count in call]
        return sum(c.wrong for c in every) / max(1, sum(c.words for c in every))

    def digits(sample: Sequence[list[_Counts]]) -> float:
        every = [count for call in sample for count in call]
        return sum(c.digits_wrong for c in every) / max(1, sum(c.digits for c in every))

    def invented(sample: Sequence[list[_Counts]]) -> float:
        every = [count for call in sample for count in call]
        return 60 * sum(c.invented for c in every) / max(1e-9, sum(c.silence for c in every))

    every = [count for call in calls for count in call]
    yield Figure("wer", wer(calls), sum(c.words for c in every), "words", *bootstrap(calls, wer))
    if number := sum(c.digits for c in every):
        yield Figure("digit_wer", digits(calls), number, "digit words", *bootstrap(calls, digits))
    if seconds := round(sum(c.silence for c in every)):
        yield Figure(
            "invented_per_minute", invented(calls), seconds, "seconds of silence",
            *bootstrap(calls, invented),
        )  # fmt: skip
    measured = [row for row in rows if row["wer"] is not None]
    passed = [row for row in measured if row["passes"]]
    yield Figure("understood_share", len(passed) / max(1, len(measured)), len(measured), "channels")
    if passed:
        worst = max(float(row["wer"]) for row in passed)
        yield Figure("worst_wer_let_pass", worst, len(passed), "channels")


def _calls(data: Path) -> Iterator[tuple[str, Path, list[dict[str, Any]]]]:
    truth = data / "truth.jsonl"
    if truth.is_file():
        for line in truth.read_text("utf-8").splitlines():
            if line.strip():
                call = json.loads(line)
                if call.get("file"):
                    yield call["id"], data / call["file"], call["turns"]
        return
    for path in sorted(data.glob("*.stm")):
        turns = []
        for line in path.read_text("utf-8").splitlines():
            _, _, _, start, end, text = line.split(None, 5)
            turns.append({"channel": 0, "text": text, "start": float(start), "end": float(end)})
        yield path.stem, path.with_suffix(".wav"), turns
    for name, text in READINGS.items():
        if (data / name).is_file():
            yield name, data / name, [{"channel": 0, "text": text, "start": 0.0, "end": 0.0}]


def _heard(call: str, file: Path, transcriber: Transcriber) -> tuple[tuple[Speech, ...], float]:
    """Return what was heard on each channel that is not silent, and the seconds it lasts."""
    data = file.read_bytes()
    shelf = MemoryShelf()
    ref = shelf.put(call, "Audio", data)
    received = Received(call, file.name, ref.sha256, len(data), ref, {}, language="en")
    recording = ingest(received, shelf=shelf)
    heard = transcribe(recording, transcriber=transcriber, shelf=shelf)
    spoken = tuple(speech for speech in heard.speech if speech.active)
    return spoken or heard.speech, recording.duration


def _count(turns: Sequence[Mapping[str, Any]], speech: Speech, end: float) -> _Counts:
    try:
        import jiwer
    except ImportError as error:
        raise Misconfigured(
            "evaluating speech needs jiwer: pip install 'voice-pipeline[dev]'"
        ) from error
    truth = normalise(" ".join(turn["text"] for turn in turns))
    found = normalise(" ".join(word.text for word in speech.words))
    timed = [(turn["start"], turn["end"]) for turn in turns if turn["end"] > turn["start"]]
    spoken = [(start - NEAR, stop + NEAR) for start, stop in timed]
    invented = 0
    if timed or not turns:
        invented = sum(
            not any(a < word.end and b > word.start for a, b in spoken)
            for word in speech.words
            if word.start is not None and word.end is not None
        )
    silence = max(0.0, end - sum(stop - start for start, stop in timed)) if end else 0.0
    if not truth or not found:
        missed = sum(word in DIGITS for word in truth)
        return _Counts(len(truth), len(truth) or len(found), missed, missed, invented, silence)
    result = jiwer.process_words(" ".join(truth), " ".join(found))
    right = {
        place
        for chunk in result.alignments[0]
        if chunk.type == "equal"
        for place in range(chunk.ref_start_idx, chunk.ref_end_idx)
    }
    digits = [place for place, word in enumerate(truth) if word in DIGITS]
    return _Counts(
        words=len(truth),
        wrong=result.substitutions + result.deletions + result.insertions,
        digits=len(digits),
        digits_wrong=sum(place not in right for place in digits),
        invented=invented,
        silence=silence,
    )
