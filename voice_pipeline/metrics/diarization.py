"""How well speakers are told apart: diarization error rate and its parts, with intervals.

Decides nothing about roles. Calls are mixed to one channel, whatever they have, and given to the
diarizer for mono; two-channel calls are measured as recorded, too. Refuses to run without
pyannote.metrics, whose definition of the error rate is the one everybody compares with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voice_pipeline.audio import activity, is_mono
from voice_pipeline.diarizers import channels, clustering
from voice_pipeline.domain import Heard, Recording, SpeakerSpan, Speech
from voice_pipeline.errors import BadInput, Misconfigured, PipelineError
from voice_pipeline.metrics.report import Figure, Report, interval
from voice_pipeline.metrics.sound import kept, mixed
from voice_pipeline.metrics.truth import TrueCall, TrueTurn, load_calls
from voice_pipeline.ports import Diarizer
from voice_pipeline.stages.ingest import ingest
from voice_pipeline.testing import MemoryShelf

COLLAR = 0.25  # seconds left out on each side of a boundary, as NIST's evaluations do
COLLARS = (COLLAR, 0.0)
PARTS = ("missed", "false_alarm", "confused")
NOTES = (
    "mono: every call is mixed to one channel; where two people speak at once, one is missed",
    "as recorded: two-channel calls as they are, each channel one speaker; overlaps count",
    "reference turns include the pauses inside them, which are filled up to half a second",
)


@dataclass(frozen=True, slots=True)
class Errors:
    """Seconds of one call, or of several."""

    missed: float = 0.0
    false_alarm: float = 0.0
    confused: float = 0.0
    total: float = 0.0  # speech in the truth; speech of two people at once counts twice

    def __add__(self, other: Errors) -> Errors:
        return Errors(
            self.missed + other.missed,
            self.false_alarm + other.false_alarm,
            self.confused + other.confused,
            self.total + other.total,
        )

    @property
    def rate(self) -> float:
        """Diarization error rate (NIST 2009)."""
        wrong = self.missed + self.false_alarm + self.confused
        return wrong / self.total if self.total else 0.0

    def share(self, part: str) -> float:
        return float(getattr(self, part)) / self.total if self.total else 0.0


def compare(turns: Sequence[TrueTurn], spans: Sequence[SpeakerSpan], collar: float) -> Errors:
    """Compare who speaks when with the truth.

    Args:
        turns: those without times are left out.
        spans: what a diarizer found.
        collar: seconds that do not count on either side of a true boundary.
    """
    from pyannote.core import Annotation, Segment, Timeline
    from pyannote.metrics.diarization import DiarizationErrorRate

    truth, found = Annotation(), Annotation()
    for place, turn in enumerate(turns):
        if turn.start is not None and turn.end is not None:
            truth[Segment(turn.start, turn.end), place] = turn.speaker
    for place, span in enumerate(spans):
        found[Segment(span.start, span.end), place] = str(span.speaker)
    extent = truth.get_timeline().extent() | found.get_timeline().extent()
    # pyannote's collar is the whole width around a boundary
    parts = DiarizationErrorRate(collar=2 * collar)(
        truth, found, uem=Timeline([extent]), detailed=True
    )
    return Errors(
        missed=float(parts["missed detection"]),
        false_alarm=float(parts["false alarm"]),
        confused=float(parts["confusion"]),
        total=float(parts["total"]),
    )


def evaluate(data: Path, *, diarizer: Diarizer | None = None) -> Report:
    """Measure a diarizer on calls with known turns.

    Args:
        data: a folder that `truth.load_calls` understands; turns need `speaker`, `start`, `end`.
        diarizer: the one for mono; None: clustering as shipped.

    Returns:
        Error rates with and without a collar of 0.25 s, whole and by part (missed, false alarm,
        confused), beside those of calling everybody one speaker; how often the number of people
        was right; 95 % intervals by call.

    Raises:
        Misconfigured: pyannote.metrics is not installed.
        BadInput: nothing in the folder can be measured.
    """
    _require_metrics()
    diarizer = diarizer or clustering.create(clustering.Options())
    rows: list[dict[str, Any]] = []
    notes: list[str] = []
    measured: dict[tuple[str, float], list[Errors]] = {}
    for call in load_calls(data, speakers=True):
        if not any(turn.speaker and turn.end for turn in call.turns):
            continue
        if call.audio is None or not call.audio.is_file():
            notes.append(f"{call.id}: its recording is not there")
            continue
        try:
            found = _spans(call, call.audio, diarizer)
        except PipelineError as error:
            notes.append(f"{call.id}: {error.code}")
            continue
        rows.append(_row(call, found, measured, diarizer.name))
    if not rows:
        raise BadInput(f"{data}: no call with turns, times, speakers and readable audio")
    return Report(
        "diarization", len(rows), tuple(_figures(measured, rows)), tuple(rows), (*NOTES, *notes)
    )


def _spans(
    call: TrueCall, audio: Path, diarizer: Diarizer
) -> Mapping[str, tuple[SpeakerSpan, ...]]:
    """Return what is found by each way of telling apart."""
    shelf = MemoryShelf()
    mono = mixed(audio)
    recording = ingest(kept(shelf, call.id, mono), shelf=shelf)
    spans = diarizer.diarize(recording, Heard((), "none"), shelf.open(recording.audio))
    found = {
        diarizer.name: spans,
        "one speaker": tuple(SpeakerSpan(0, span.start, span.end) for span in spans),
    }
    whole = ingest(kept(shelf, call.id, audio.read_bytes()), shelf=shelf)
    if not is_mono(whole):
        found["as recorded"] = _by_channel(whole, shelf)
    return found


def _by_channel(recording: Recording, shelf: MemoryShelf) -> tuple[SpeakerSpan, ...]:
    with shelf.open(recording.audio) as file:
        active = activity(file, recording)
    speech = tuple(
        Speech(channel, (), "en", "none", spans, 1.0, 1.0) for channel, spans in enumerate(active)
    )
    sides = channels.create(channels.Options())
    return sides.diarize(recording, Heard(speech, "none"), shelf.open(recording.audio))


def _row(
    call: TrueCall,
    found: Mapping[str, tuple[SpeakerSpan, ...]],
    measured: dict[tuple[str, float], list[Errors]],
    name: str,
) -> dict[str, Any]:
    row: dict[str, Any] = {
        "call": call.id,
        "speakers": len({turn.speaker for turn in call.turns if turn.speaker}),
        "found": len({span.speaker for span in found[name]}),
    }
    for way, spans in found.items():
        for collar in COLLARS:
            errors = compare(call.turns, spans, collar)
            measured.setdefault((way, collar), []).append(errors)
            row[_key(way, collar)] = round(errors.rate, 4)
            if way == name and collar:
                row |= {part: round(errors.share(part), 4) for part in PARTS}
    return row


def _key(way: str, collar: float) -> str:
    return f"DER {way}, " + (f"collar {collar:g} s" if collar else "no collar")


def _figures(
    measured: Mapping[tuple[str, float], Sequence[Errors]], rows: Sequence[Mapping[str, Any]]
) -> Iterator[Figure]:
    for (way, collar), errors in measured.items():
        yield _figure(_key(way, collar), errors, lambda whole: whole.rate)
        if way != "one speaker":
            for part in PARTS:
                name = f"{part} {_key(way, collar).removeprefix('DER ')}"
                yield _figure(name, errors, _share_of(part))
    right = sum(row["speakers"] == row["found"] for row in rows)
    yield Figure("number of people right", right / len(rows), len(rows), "calls")


def _share_of(part: str) -> Callable[[Errors], float]:
    return lambda whole: whole.share(part)


def _figure(name: str, errors: Sequence[Errors], value: Callable[[Errors], float]) -> Figure:
    def of(sample: Sequence[Errors]) -> float:
        return value(sum(sample, Errors()))

    low, high = interval(errors, of)
    return Figure(name, round(of(errors), 4), len(errors), "calls", low, high)


def _require_metrics() -> None:
    try:
        import pyannote.metrics  # noqa: F401
    except ImportError as error:
        raise Misconfigured(
            "diarization is measured with pyannote.metrics: pip install 'voice-pipeline[dev]'"
        ) from error
