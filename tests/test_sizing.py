"""Whether a machine suffices, and what is due in an old recording."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from calls import transcript
from command import run
from hypothesis import given
from hypothesis import strategies as st
from tones import tone

from voice_pipeline.building import build_analyst
from voice_pipeline.config import Part
from voice_pipeline.policy.load import load_pack
from voice_pipeline.stages.escalate import flags_of
from voice_pipeline.store.backlog import Measured
from voice_pipeline.ways_in.estimate import DAY, Speed, span, suffices, told, weigh

LAWYER = [
    "agent: parcels direct how can i help",
    "customer: i have had enough i will take you to court my lawyer will write to you",
    "agent: i am sorry to hear that",
]


@given(st.floats(1, 1e5), st.floats(0.1, 600), st.floats(0.01, 20), st.integers(1, 64))
def test_more_calls_never_suffice_where_fewer_do_not(
    calls: float, minutes: float, work: float, at_once: int
) -> None:
    """The verdict follows the load: twice the calls on the same machine is never better."""
    speed, free = Speed(work, 1, at_once), 10**13
    small = suffices(calls, minutes, speed=speed, free=free, raw_days=7)
    large = suffices(calls * 2, minutes, speed=speed, free=free, raw_days=7)
    assert small.enough or not large.enough
    busy = calls * minutes * 60 * work / at_once / DAY
    assert not (small.enough and busy > 0.71)


def test_what_was_measured_counts_before_what_is_assumed() -> None:
    """Past calls give the figure, and each line says which of the two it is."""
    speed = Speed.of(Measured(10, 600.0, 60.0), 4)
    assert (speed.work, speed.calls) == (0.1, 10) and "measured on 10 calls" in speed.source
    assert "assumed" in Speed.of(Measured(0, 0.0, 0.0), 4).source
    verdict = suffices(100, 5, speed=speed, free=10**12, raw_days=7)
    assert verdict.enough and verdict.lines[-1] == "this machine suffices"
    assert any("measured on 10 calls" in line for line in verdict.lines)


def test_headers_are_weighed(tmp_path: Path) -> None:
    """Length and room come from headers; what is no audio weighs nothing."""
    (tmp_path / "bad.wav").write_text("no")
    load = weigh([tone(tmp_path / "a.wav", seconds=90), tmp_path / "bad.wav", tmp_path / "none"])
    assert (load.files, load.audio, load.guessed) == (3, 90.0, 0)
    assert load.size > 90 * 16_000 and load.muted == 864_000
    assert "1.5 min" in "\n".join(told(load, Speed(1.0, 0, 1), 10**9))
    assert [span(s) for s in (5, 600, 8000, 400_000)] == [
        "about 5 s", "about 10 min", "about 2.2 h", "about 4.6 d",
    ]  # fmt: skip


def test_doctor_answers_for_a_days_calls(tmp_path: Path) -> None:
    """The arithmetic is shown, and the exit code says whether this machine suffices."""
    small = run("--data", tmp_path, "doctor", "--plan", "1", "1")
    assert small.returncode == 0 and "this machine suffices" in small.stdout
    assert "1 calls a day x 1 min" in small.stdout
    large = run("--data", tmp_path, "doctor", "--plan", "1000000", "10", "--json")
    told_so = json.loads(large.stdout)
    assert large.returncode == 1 and not told_so["suffices"]
    assert any(line.startswith("too slow: ") for line in told_so["lines"])
    assert not (tmp_path / "calls.db").exists()
    assert run("doctor", "--plan", "0", "1").returncode == 2


@pytest.mark.parametrize("old", [False, True])
def test_what_is_due_in_an_old_recording_is_due_no_more(old: bool) -> None:
    """Its flags stand, and nobody is told of them."""
    pack, call = load_pack(), transcript(LAWYER)
    note = build_analyst(Part(use="offline"), pack).analyse(call, {})
    metadata = {"historical": "true"} if old else {}
    flags = flags_of(call, note, metadata, pack).flags
    assert "legal_threat" in {flag.category for flag in flags}
    for flag in flags:
        assert flag.action.get("historical", False) is old
        assert not (old and flag.action["notify"])
