"""What is known about recordings: truth.jsonl, or the files that lie beside the audio.

Decides which recordings an evaluation has and what was said on them by whom. Refuses a folder with
a line that does not read: figures on part of the data would look like figures on all of it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from voice_pipeline.errors import BadInput

TRUTH = "truth.jsonl"
FAULTS_NAMED = 5
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
class TrueTurn:
    """Somebody says something. What is not known is None or empty."""

    speaker: str
    text: str = field(repr=False)
    channel: int | None
    start: float | None  # seconds
    end: float | None
    names: tuple[tuple[int, int], ...] = ()  # code points of `text` that are people's names


@dataclass(frozen=True, slots=True)
class TrueCall:
    """One recording and what is known about it."""

    id: str
    audio: Path | None  # None: there is no recording
    turns: tuple[TrueTurn, ...] = field(repr=False)
    metadata: Mapping[str, str]


def load_calls(data: Path, *, speakers: bool = False) -> tuple[TrueCall, ...]:
    """Return the calls of a folder.

    Args:
        data: a folder with truth.jsonl, one line a call: `{id, file?, turns: [{speaker?, text?,
            channel?, start?, end?}], pii?: [{turn, start, end, label}], metadata?}`; `file` is
            looked for in the folder, without it `ID.*`. Or a plain folder of recordings with
            `NAME.stm` (words) or `NAME.rttm` (speakers) beside `NAME.wav`, or readings whose words
            we know.
        speakers: who speaks when matters more than words: `.rttm` goes before `.stm`.

    Raises:
        BadInput: no such folder, nothing in it, or lines that do not read; names the first five.
    """
    if not data.is_dir():
        raise BadInput(f"{data}: no such folder; --data names one with {TRUTH}", code="not_found")
    path = data / TRUTH
    calls = _from_lines(path, data) if path.is_file() else tuple(_from_files(data, speakers))
    if not calls:
        raise BadInput(f"{data}: no call in {TRUTH}, and no .stm or .rttm beside recordings")
    return calls


def _from_lines(path: Path, data: Path) -> tuple[TrueCall, ...]:
    calls: dict[str, TrueCall] = {}
    faults: list[str] = []
    try:
        lines = path.read_text("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise BadInput(f"{path}: not UTF-8 at byte {error.start}; write it as UTF-8") from None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            call = _call(json.loads(line), data)
            if call.id in calls:
                raise _Fault("the id was there before")
        except json.JSONDecodeError as error:
            faults.append(f"{path.name}:{number}: not JSON at character {error.pos + 1}")
        except RecursionError:
            faults.append(f"{path.name}:{number}: nested too deeply")
        except _Fault as error:
            faults.append(f"{path.name}:{number}: {error}")
        else:
            calls[call.id] = call
    if faults:
        more = f"; and {len(faults) - FAULTS_NAMED} more" if len(faults) > FAULTS_NAMED else ""
        raise BadInput(f"{path.parent}: {'; '.join(faults[:FAULTS_NAMED])}{more}")
    return tuple(calls.values())


class _Fault(ValueError):
    """What is wrong with a line, without its content."""


def _call(line: Any, data: Path) -> TrueCall:
    if not isinstance(line, dict):
        raise _Fault("a line is an object with `id` and `turns`")
    name, turns, spans = line.get("id"), line.get("turns", []), line.get("pii", [])
    if not isinstance(name, str) or not name:
        raise _Fault("`id` is missing or no text")
    if not isinstance(turns, list) or not isinstance(spans, list):
        raise _Fault("`turns` and `pii` are lists")
    metadata = line.get("metadata") or {}
    if not isinstance(metadata, dict):
        raise _Fault("`metadata` is an object")
    names: dict[int, list[tuple[int, int]]] = {}
    for span in spans:
        if not isinstance(span, dict) or not all(
            isinstance(span.get(key), int) for key in ("turn", "start", "end")
        ):
            raise _Fault("a span of `pii` has whole numbers `turn`, `start`, `end`")
        if span.get("label") == "PERSON":
            names.setdefault(span["turn"], []).append((span["start"], span["end"]))
    return TrueCall(
        id=name,
        audio=_audio(line.get("file"), name, data),
        turns=tuple(_turn(turn, at, tuple(names.get(at, ()))) for at, turn in enumerate(turns)),
        metadata={str(key): str(value) for key, value in metadata.items()},
    )


def _audio(file: Any, name: str, data: Path) -> Path | None:
    if file is not None and not isinstance(file, str):
        raise _Fault("`file` is a path below the folder")
    if file:
        return data / file
    if "/" in name or "\\" in name:
        return None
    beside = sorted(p for p in data.iterdir() if p.stem == name and p.suffix not in NO_AUDIO)
    return beside[0] if len(beside) == 1 else None


NO_AUDIO = (".jsonl", ".json", ".stm", ".rttm", ".txt", ".md", ".vtt", ".srt")


def _turn(turn: Any, at: int, names: tuple[tuple[int, int], ...]) -> TrueTurn:
    if not isinstance(turn, dict):
        raise _Fault(f"turn {at} is no object")
    text, speaker, channel = turn.get("text", ""), turn.get("speaker", ""), turn.get("channel")
    if not isinstance(text, str) or not isinstance(speaker, str):
        raise _Fault(f"turn {at}: `text` and `speaker` are texts")
    if channel is not None and (not isinstance(channel, int) or channel < 0):
        raise _Fault(f"turn {at}: `channel` counts from 0")
    start: Any = turn.get("start")
    end: Any = turn.get("end")
    if start is not None or end is not None:
        if _seconds(start) is None or _seconds(end) is None:
            raise _Fault(f"turn {at}: `start` and `end` are both seconds, or both left out")
        if end < start:
            raise _Fault(f"turn {at} ends before it starts")
    return TrueTurn(speaker, text, channel, _seconds(start), _seconds(end), names)


def _seconds(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) and value >= 0 else None


# ---------------------------------------------------------------- files beside the audio


def _from_files(data: Path, speakers: bool) -> Iterator[TrueCall]:
    names = sorted({path.stem for kind in ("stm", "rttm") for path in data.glob(f"*.{kind}")})
    for name in names:
        words, spans = data / f"{name}.stm", data / f"{name}.rttm"
        if spans.is_file() and (speakers or not words.is_file()):
            turns = tuple(_rttm(spans))
        else:
            turns = tuple(_stm(words))
        yield TrueCall(name, _audio(None, name, data), turns, {})
    for name, text in READINGS.items():
        if (data / name).is_file():
            yield TrueCall(name, data / name, (TrueTurn("", text, 0, None, None),), {})


def _stm(path: Path) -> Iterator[TrueTurn]:
    """Read NIST's segment time marks: file, channel, speaker, start, end, [<label>], words."""
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        if not line.strip() or line.startswith(";;"):
            continue
        fields = line.split(None, 5)
        start, end = _times(fields[3:5], path, number)
        text = fields[5] if len(fields) > 5 else ""
        yield TrueTurn(fields[2], text.removeprefix("<O>").strip(), None, start, end)


def _rttm(path: Path) -> Iterator[TrueTurn]:
    """Read NIST's rich transcription time marks: SPEAKER lines with start and length."""
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        fields = line.split()
        if not fields or fields[0] != "SPEAKER":
            continue
        start, length = _times(fields[3:5], path, number)
        if len(fields) < 8:
            raise BadInput(f"{path}:{number}: a SPEAKER line has at least 8 fields")
        yield TrueTurn(fields[7], "", None, start, start + length)


def _times(fields: list[str], path: Path, number: int) -> tuple[float, float]:
    try:
        first, second = (float(field) for field in fields)
    except ValueError:
        raise BadInput(f"{path}:{number}: fields 4 and 5 are seconds") from None
    return first, second
