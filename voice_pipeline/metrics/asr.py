"""How well speech becomes words, and words the right speaker's, on calls whose words are known.

Hears each channel as the pipeline does, normalises both texts, and counts. It reports words
invented where nobody spoke beside words missed, digits and names apart from the rest, and how well
the understanding estimate knew: error rates alone hide what redaction depends on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from redaction.records import Word
from voice_pipeline.audio import is_mono
from voice_pipeline.diarizers import channels, clustering
from voice_pipeline.domain import Heard, Recording, Transcript
from voice_pipeline.errors import BadInput, PipelineError
from voice_pipeline.metrics.alignment import align, distance, match
from voice_pipeline.metrics.report import Report
from voice_pipeline.metrics.sound import kept, mixed
from voice_pipeline.metrics.truth import TrueCall, TrueTurn, load_calls
from voice_pipeline.metrics.word_counts import Counts, figures, slices
from voice_pipeline.ports import Diarizer, Transcriber
from voice_pipeline.stages.diarize import diarize
from voice_pipeline.stages.ingest import ingest
from voice_pipeline.stages.transcribe import transcribe
from voice_pipeline.stages.understanding import UNDERSTOOD_FLOOR
from voice_pipeline.testing import MemoryShelf

DIGITS = frozenset(
    ("zero", "oh", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine",
     "double", "triple")
)  # fmt: skip
ROLES = frozenset(("agent", "customer", "agent_2", "customer_2"))
_NUMERALS = "zero one two three four five six seven eight nine".split(" ")
_SAME = {"okay": "ok", "alright": "all right", "mister": "mr", "missus": "mrs", "doctor": "dr"}
# Seconds around a true turn within which a word is not invented: synthetic truth is exact, word
# times of recognizers are not.
NEAR = 0.5
TELEPHONE = 4200.0  # Hz, as `audio.listen` tells bands apart

DiarizerFor = Callable[[Recording], Diarizer]


def normalise(text: str) -> list[str]:
    """Return the words that are compared.

    Lower case; hyphens part words; digits are spelled one by one ("42" is "four two"); punctuation
    goes, apostrophes inside words stay; "okay" is "ok", "alright" is "all right", and titles are
    shortened. Numbers spoken as words are left as they are: "forty two" and "four two" differ.
    """
    plain = text.lower().replace("\u2019", "'").replace("-", " ")
    plain = re.sub(r"\d", lambda digit: f" {_NUMERALS[int(digit[0])]} ", plain)
    words = re.sub(r"[^a-z' ]", " ", plain).split()
    kept_words = (word.strip("'") for word in words)
    return " ".join(_SAME.get(word, word) for word in kept_words if word).split()


def evaluate(
    data: Path,
    *,
    transcriber: Transcriber,
    diarizer_for: DiarizerFor | None = None,
    mono: bool = False,
) -> Report:
    """Measure a transcriber, and who its words are given to, on a folder of calls.

    Args:
        data: a folder that `truth.load_calls` understands; turns need `text`. With `channel`, words
            are compared channel by channel; with `start` and `end`, invented words are counted;
            with `speaker`, attribution is; with `pii` of label PERSON, names are.
        transcriber: the engine to measure.
        diarizer_for: picks who tells speakers apart; None: channels, and clustering for mono.
        mono: mix every call to one channel first.

    Returns:
        WER, CER, errors on digit words and on names, words invented per minute of silence, cpWER,
        and WER with every role compared with itself, each with a bootstrap interval by call; what
        the understanding estimate would have let pass; the same by slice of the calls.

    Raises:
        BadInput: nothing in the folder can be measured.
    """
    diarizer_for = diarizer_for or _shipped
    rows: list[dict[str, Any]] = []
    calls: list[tuple[Counts, Mapping[str, str]]] = []
    notes: list[str] = []
    for call in load_calls(data):
        if call.turns and not any(turn.text.strip() for turn in call.turns):
            continue  # times alone; a call without a turn is silence from end to end
        if call.audio is None or not call.audio.is_file():
            notes.append(f"{call.id}: its recording is not there")
            continue
        try:
            sound = mixed(call.audio) if mono else call.audio.read_bytes()
            recording, heard, said = _hear(call, sound, transcriber, diarizer_for)
        except PipelineError as error:
            notes.append(f"{call.id}: {error.code}")
            continue
        found = list(_compare(call, recording, heard))
        rows += [row for row, _ in found]
        whole = sum((counts for _, counts in found), _attributed(call, said))
        calls.append((whole, _traits(call, recording)))
    if not rows:
        raise BadInput(f"{data}: no call with known words and readable audio; see truth.jsonl")
    return Report(
        suite="asr",
        calls=len(calls),
        figures=tuple(figures([counts for counts, _ in calls], rows)),
        rows=tuple(rows),
        notes=(
            f"heard by {transcriber.made_by}" + (", calls mixed to one channel" if mono else ""),
            transcriber.traits.expectation,
            *notes,
        ),
        slices=tuple(slices(calls)),
    )


def _shipped(recording: Recording) -> Diarizer:
    if is_mono(recording):
        return clustering.create(clustering.Options())
    return channels.create(channels.Options())


def _hear(
    call: TrueCall, sound: bytes, transcriber: Transcriber, diarizer_for: DiarizerFor
) -> tuple[Recording, Heard, Transcript]:
    shelf = MemoryShelf()
    received = kept(shelf, call.id, sound, language="en", metadata=call.metadata)
    recording = ingest(received, shelf=shelf)
    heard = transcribe(recording, transcriber=transcriber, shelf=shelf)
    said = diarize(recording, heard, diarizer=diarizer_for(recording), shelf=shelf)
    return recording, heard, said


# ---------------------------------------------------------------- words


def _compare(
    call: TrueCall, recording: Recording, heard: Heard
) -> Iterator[tuple[dict[str, Any], Counts]]:
    """Yield a row and counts for every channel that has words or should have."""
    last = 0.0 if call.turns else recording.duration
    end = max((turn.end for turn in call.turns if turn.end is not None), default=last)
    together = is_mono(recording) or any(turn.channel is None for turn in call.turns)
    spoken = [speech for speech in heard.speech if speech.active] or list(heard.speech)
    for channel in (None,) if together else range(recording.channels):
        own = spoken if together else [s for s in heard.speech if s.channel == channel]
        words = sorted((w for s in own for w in s.words), key=lambda word: word.start or 0.0)
        turns = [turn for turn in call.turns if together or turn.channel == channel]
        counts = _count(turns, words, end)
        if not counts.words and not words and not counts.silence:
            continue
        understood = min((speech.understood for speech in own), default=1.0)
        row = {
            "call": call.id,
            "channel": own[0].channel if own else 0,
            "words": counts.words,
            "wer": round(counts.wrong / counts.words, 4) if counts.words else None,
            "understood": understood,
            "confidence": min((speech.confidence for speech in own), default=1.0),
            "passes": understood >= UNDERSTOOD_FLOOR,
        }
        yield row, counts


def _count(turns: Sequence[TrueTurn], words: Sequence[Word], end: float) -> Counts:
    truth, names = _true_words(turns)
    found = normalise(" ".join(word.text for word in words))
    aligned = align(truth, found)
    digits = [place for place, word in enumerate(truth) if word in DIGITS]
    timed = [
        (turn.start, turn.end)
        for turn in turns
        if turn.start is not None and turn.end is not None and turn.end > turn.start
    ]
    invented = 0
    if timed or not turns:
        invented = sum(
            not any(a - NEAR < word.end and b + NEAR > word.start for a, b in timed)
            for word in words
            if word.start is not None and word.end is not None
        )
    letters = " ".join(truth)
    return Counts(
        words=len(truth),
        wrong=aligned.wrong,
        letters=len(letters),
        letters_wrong=distance(letters, " ".join(found)),
        digits=len(digits),
        digits_wrong=sum(place not in aligned.right for place in digits),
        names=len(names),
        names_wrong=sum(place not in aligned.right for place in names),
        invented=invented,
        silence=max(0.0, end - _covered(timed)) if end else 0.0,
    )


def _true_words(turns: Sequence[TrueTurn]) -> tuple[list[str], list[int]]:
    """Return the words of some turns, and the places of those that are people's names."""
    words: list[str] = []
    names: list[int] = []
    for turn in turns:
        at = 0
        for start, end in sorted(turn.names):
            words += normalise(turn.text[at:start])
            name = normalise(turn.text[max(at, start) : end])
            names += range(len(words), len(words) + len(name))
            words += name
            at = max(at, end)
        words += normalise(turn.text[at:])
    return words, names


def _covered(spans: Sequence[tuple[float, float]]) -> float:
    """Return the seconds that spans cover together."""
    total, reached = 0.0, 0.0
    for start, end in sorted(spans):
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total


# ---------------------------------------------------------------- whose words


def _attributed(call: TrueCall, said: Transcript) -> Counts:
    """Count words by speaker: paired as suits best, and role by role."""
    known = [turn for turn in call.turns if turn.speaker]
    if len(known) < len(call.turns):
        return Counts()
    truth: dict[str, list[str]] = {}
    for turn in known:
        truth.setdefault(turn.speaker, []).extend(normalise(turn.text))
    found: dict[str, list[str]] = {}
    for line in said.turns:
        found.setdefault(line.speaker, []).extend(normalise(line.text))
    told = sum(len(words) for words in truth.values())
    wrong, _ = match(truth, found)
    if not set(truth) <= ROLES:
        return Counts(told=told, told_wrong=wrong)
    by_role = sum(
        distance(truth.get(role, ()), found.get(role, ())) for role in sorted({*truth, *found})
    )
    return Counts(told=told, told_wrong=wrong, named=told, named_wrong=by_role)


def _traits(call: TrueCall, recording: Recording) -> Mapping[str, str]:
    """Return what calls are sliced by."""
    return {
        **call.metadata,
        "channels": "mono" if is_mono(recording) else "separate",
        "codec": recording.codec,
        "band": "telephone" if recording.bandwidth <= TELEPHONE else "wide",
        "bleed": "bleed" if recording.bleed is not None else "none",
    }
