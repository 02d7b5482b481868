"""Strange and broken recordings through `process`: each gives a result or a code, no traceback."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import line_sounds
import numpy as np
import pytest
from command import run
from numpy.typing import NDArray
from recordings import AGENT, CUSTOMER, conversation, encode, noise, say, wav


def float_wav(samples: NDArray[np.float32], rate: int) -> bytes:
    """Return a RIFF file of 32-bit floats, which can hold what is no number."""
    data = np.ascontiguousarray(samples.T).astype("<f4").tobytes()
    width = len(samples) * 4
    form = b"".join(
        part.to_bytes(size, "little")
        for part, size in ((3, 2), (len(samples), 2), (rate, 4), (rate * width, 4), (width, 2),
                           (32, 2))
    )  # fmt: skip
    size = len(data).to_bytes(4, "little")
    body = b"WAVEfmt " + (16).to_bytes(4, "little") + form + b"data" + size + data
    return b"RIFF" + len(body).to_bytes(4, "little") + body


def strange() -> dict[str, bytes]:
    """Return one recording of each kind, by name."""
    call = conversation(pairs=1)[0]
    broken = (call / 32768).astype(np.float32)
    broken[:, 1000:1100], broken[0, 5000], broken[1, 5001] = np.nan, np.inf, -np.inf
    eight = np.zeros((8, call.shape[1]), np.int16)
    eight[2], eight[5] = call
    agent = say("rms", AGENT[0])
    three = np.concatenate([say(voice, CUSTOMER[0]) for voice in ("slt", "awb", "kal16")])
    return {
        "three-on-one-side.wav": wav(
            np.stack([np.pad(agent, (0, len(three))), np.pad(three, (len(agent), 0))])
        ),
        "one-side.wav": wav(np.stack([call[0], np.zeros_like(call[0])])),
        "one-sample.wav": wav(np.array([[5]], np.int16)),
        "zeros.wav": wav(np.zeros((2, 32000), np.int16)),
        "direct-current.wav": wav(np.full((2, 32000), 9000, np.int16)),
        "no-numbers.wav": float_wav(np.full((1, 16000), np.nan, np.float32), 16000),
        "some-no-numbers.wav": float_wav(broken, 16000),
        "studio.wav": wav(say("slt", CUSTOMER[0], 96000)[None], 96000),
        "eight.wav": wav(eight),
        "twelve.wav": wav(np.concatenate([call, np.zeros((10, call.shape[1]), np.int16)])),
        "hold.wav": wav(line_sounds.telephone(line_sounds.band(12, 3))[None], 8000),
        "ringing.wav": wav(
            line_sounds.telephone(line_sounds.cadence(9, (440, 480), 2, 4))[None], 8000
        ),
        "two-rates.mp3": encode(call[:1], 16000, "mp3", "libmp3lame")
        + encode(say("slt", CUSTOMER[1], 8000)[None], 8000, "mp3", "libmp3lame"),
        "two-rates.aac": encode(call[:1], 16000, "adts", "aac")
        + encode(say("slt", CUSTOMER[1], 8000)[None], 8000, "adts", "aac"),
    }


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    """Process all of them at once; result and note by file name."""
    folder = tmp_path_factory.mktemp("strange")
    for name, data in strange().items():
        (folder / name).write_bytes(data)
    out = tmp_path_factory.mktemp("out")
    done = run("process", folder, "--out", out, "--transcriber", "pocketsphinx",
               "--language", "en", "--jobs", "2", timeout=900)  # fmt: skip
    assert "Traceback" not in done.stderr
    assert done.returncode in (0, 5), done.stderr
    found = {}
    for path in out.glob("*/result.json"):
        result = json.loads(path.read_text())
        note = json.loads((path.parent / "note.json").read_text())
        codes = {warning["code"] for warning in result["warnings"]}
        found[result["source"]["name"]] = {**result, "note": note, "codes": codes}
    return found


@pytest.mark.slow
def test_every_strange_recording_has_a_result(results: Mapping[str, Any]) -> None:
    """None is lost, none stops the others."""
    assert set(results) == set(strange())
    assert {result["status"] for result in results.values()} <= {"done", "held"}


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    ["one-sample.wav", "zeros.wav", "direct-current.wav", "no-numbers.wav", "hold.wav",
     "ringing.wav"],
)  # fmt: skip
def test_nobody_speaks(results: Mapping[str, Any], name: str) -> None:
    """Silence, a stuck converter, NaN, music and ringing are calls without speech, not held."""
    assert results[name]["status"] == "done"
    assert results[name]["note"]["status"] == "no_summary:no_speech"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "code"),
    [("one-side.wav", "silent_channel"), ("eight.wav", "extra_channels"),
     ("twelve.wav", "extra_channels"), ("hold.wav", "hold_music"), ("ringing.wav", "line_tones")],
)  # fmt: skip
def test_it_is_said(results: Mapping[str, Any], name: str, code: str) -> None:
    """What is strange about a recording is in its warnings."""
    assert code in results[name]["codes"]


@pytest.mark.slow
def test_hold_time_is_measured(results: Mapping[str, Any]) -> None:
    """The note of a call knows for how long music was played; of others it says nothing."""
    assert results["hold.wav"]["note"]["measures"]["hold_seconds"] == pytest.approx(12, abs=1.5)
    assert "hold_seconds" not in results["studio.wav"]["note"].get("measures", {})


@pytest.mark.slow
def test_channels_and_length_are_kept(results: Mapping[str, Any]) -> None:
    """Eight channels stay eight; a stream that changes its rate is as long as both parts."""
    assert results["eight.wav"]["source"]["channels"] == 8
    assert results["twelve.wav"]["source"]["channels"] == 8
    both = len(conversation(pairs=1)[0][0]) / 16000 + len(say("slt", CUSTOMER[1], 8000)) / 8000
    for name in ("two-rates.mp3", "two-rates.aac"):
        assert results[name]["source"]["duration"] == pytest.approx(both, abs=0.5)


@pytest.mark.slow
def test_ten_broken_files_of_a_hundred_stop_nobody(tmp_path: Path) -> None:
    """Ninety calls get their results; each broken file gets one line with a code; exit 3."""
    calls = tmp_path / "calls"
    calls.mkdir()
    for number in range(90):
        hiss = noise(1600, -40.0, seed=number)[None].astype(np.int16)
        (calls / f"call-{number:03}.wav").write_bytes(wav(hiss))
    whole = wav(noise(16000, -40.0)[None].astype(np.int16))
    names = []
    for number in (1, 2):  # two of a kind are no copies of one another, but for the empty ones
        rest = bytes([number]) * 4
        broken = {"empty": b"", "text": b"not audio at all " * 40 + rest,
                  "header": whole[:20] + rest, "format": whole[:13] + rest,
                  "no-data": wav(np.zeros((number, 0), np.int16))}  # fmt: skip
        for name, data in broken.items():
            names.append(calls / f"broken-{number}-{name}.wav")
            names[-1].write_bytes(data)
    good = sorted(calls.glob("call-*.wav"))
    done = run("process", *good, *names, "--out", tmp_path / "out", "--jobs", "8", timeout=900)
    assert done.returncode == 3, done.stderr
    assert "Traceback" not in done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 10
    for path in names:
        assert sum(path.name in line for line in lines) == 1
    assert all(line.endswith(")") and "(internal)" not in line for line in lines), lines
    assert len(list((tmp_path / "out").glob("*/result.json"))) == 90
