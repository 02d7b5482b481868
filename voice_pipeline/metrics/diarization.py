"""How well the voices of a mono call are told apart: diarization error rate, with intervals.

Decides nothing about roles. Every call is mixed to one channel first, whatever it has, so this
measures the clustering diarizer; channels need no measuring. Refuses to run without
pyannote.metrics, whose definition of the error rate is the one everybody compares with.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from voice_pipeline.audio import FlacWriter, blocks, probe
from voice_pipeline.diarizers import clustering
from voice_pipeline.domain import Heard, Received, Ref, SpeakerSpan
from voice_pipeline.errors import BadInput, Misconfigured
from voice_pipeline.metrics.report import Figure, Report, bootstrap
from voice_pipeline.stages.ingest import ingest

COLLAR = 0.25  # seconds left out on each side of a boundary, as NIST's evaluations do


@dataclass(frozen=True, slots=True)
class _Errors:
    """Seconds of one call."""

    wrong: float  # missed + false alarm + confused
    confused: float
    total: float  # speech in truth

    def __add__(self, other: _Errors) -> _Errors:
        return _Errors(
            self.wrong + other.wrong, self.confused + other.confused, self.total + other.total
        )


def evaluate(data: Path, *, speakers: int | None = None) -> Report:
    """Measure the clustering diarizer on calls with known turns.

    Args:
        data: folder with truth.jsonl, one line a call: `id`, `file`, `turns` with `speaker`,
            `start`, `end`.
        speakers: tell the diarizer how many people there are; None: it decides.

    Returns:
        Error rates with and without a collar of 0.25 s, with the share that is confusion between
        speakers, beside those of calling everybody one speaker; 95 % intervals by call.

    Raises:
        Misconfigured: pyannote.metrics is not installed.
        BadInput: there is no truth.jsonl, or no call in it has audio.
    """
    _require_metrics()
    calls = [call for call in _truth(data) if call.get("file") and call.get("turns")]
    if not calls:
        raise BadInput(f"{data}: no call with turns and audio; see truth.jsonl")
    diarizer = clustering.create(clustering.Options(speakers=speakers))
    rows = []
    measured: dict[str, list[_Errors]] = {}
    for call in calls:
        mono = _mixed(data / call["file"])
        recording = ingest(_received(mono), shelf=_OneBlob(mono))
        spans = diarizer.diarize(recording, Heard((), "none"), _open(mono))
        one = tuple(SpeakerSpan(0, span.start, span.end) for span in spans)
        row: dict[str, Any] = {"id": call["id"], "speakers": len({s.speaker for s in spans})}
        for name, found in (("clustering", spans), ("one speaker", one)):
            for collar in (0.0, COLLAR):
                errors = _compare(call["turns"], found, collar)
                key = _key(name, collar)
                measured.setdefault(key, []).append(errors)
                row[key] = round(errors.wrong / errors.total, 4) if errors.total else None
        rows.append(row)
    return Report("diarization", len(calls), tuple(_figures(measured)), tuple(rows), NOTES)


NOTES = (
    "every call is mixed to one channel; overlapping speech is scored, and one of two is missed",
    "reference turns include the pauses inside them, which the diarizer fills up to half a second",
)


def _key(name: str, collar: float) -> str:
    return f"DER {name}, " + (f"collar {collar:g} s" if collar else "no collar")


def _figures(measured: Mapping[str, Sequence[_Errors]]) -> Iterator[Figure]:
    for key, errors in measured.items():
        low, high = bootstrap(errors, _rate)
        yield Figure(key, round(_rate(errors), 4), len(errors), "calls", low, high)
        if "one speaker" not in key:
            low, high = bootstrap(errors, _confusion)
            name = key.replace("DER", "speaker confusion")
            yield Figure(name, round(_confusion(errors), 4), len(errors), "calls", low, high)


def _rate(errors: Sequence[_Errors]) -> float:
    whole = sum(errors, _Errors(0.0, 0.0, 0.0))
    return whole.wrong / whole.total if whole.total else 0.0


def _confusion(errors: Sequence[_Errors]) -> float:
    whole = sum(errors, _Errors(0.0, 0.0, 0.0))
    return whole.confused / whole.total if whole.total else 0.0


def _compare(
    turns: Sequence[Mapping[str, Any]], spans: Sequence[SpeakerSpan], collar: float
) -> _Errors:
    from pyannote.core import Annotation, Segment
    from pyannote.metrics.diarization import DiarizationErrorRate

    truth, found = Annotation(), Annotation()
    for place, turn in enumerate(turns):
        truth[Segment(turn["start"], turn["end"]), place] = turn["speaker"]
    for place, span in enumerate(spans):
        found[Segment(span.start, span.end), place] = str(span.speaker)
    # pyannote's collar is the whole width around a boundary
    parts = DiarizationErrorRate(collar=2 * collar)(truth, found, detailed=True)
    confused = float(parts["confusion"])
    wrong = float(parts["missed detection"]) + float(parts["false alarm"]) + confused
    return _Errors(wrong, confused, float(parts["total"]))


def _require_metrics() -> None:
    try:
        import pyannote.metrics  # noqa: F401
    except ImportError as error:
        raise Misconfigured(
            "diarization is measured with pyannote.metrics: pip install 'voice-pipeline[dev]'"
        ) from error


def _truth(data: Path) -> list[dict[str, Any]]:
    path = data / "truth.jsonl"
    if not path.is_file():
        raise BadInput(f"{path} is missing; --data must name a folder with truth.jsonl")
    lines = path.read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines if line.strip()]


# ---------------------------------------------------------------- one call, mixed to mono


def _mixed(path: Path) -> bytes:
    """Return a recording as mono FLAC, the mean of its channels."""
    target = io.BytesIO()
    with path.open("rb") as file:
        rate = probe(file).rate
        with FlacWriter(target, rate, 1) as flac:
            for block in blocks(file):
                flac.write(np.mean(block, axis=0, keepdims=True).astype(np.int16))
    return target.getvalue()


def _received(mono: bytes) -> Received:
    audio: Ref[Any] = Ref("evaluation", "Audio", "")
    return Received("evaluation", "evaluation.flac", "", len(mono), audio, {})


@contextmanager
def _open(mono: bytes) -> Iterator[BinaryIO]:
    yield io.BytesIO(mono)


class _OneBlob:
    """A shelf that holds one recording and takes nothing."""

    def __init__(self, mono: bytes) -> None:
        self._mono = mono

    def open(self, ref: Ref[Any]) -> Any:
        return _open(self._mono)

    def create(self, call: str, kind: str) -> Any:
        raise Misconfigured("an evaluation keeps nothing")
