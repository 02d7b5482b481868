"""Every figure of docs/figures.md that needs a clock or a memory gauge.

    python tests/bench/run.py [SUITE ...] [--json FILE]   (every suite where none is named)

Timings on a shared machine are noisy: read the ratios. Each run prints its machine and date.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
import wave
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from analysing import analysing
from finding import finding
from hearing import hearing
from speech import on_cpu

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "samples"
RATE = 16_000
SUITES = ("stages", "memory", "decode", "log", "finding", "analysing", "speech", "hearing")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("suites", nargs="*", metavar="SUITE", default=[], help=", ".join(SUITES))
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    report: dict[str, Any] = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {sys.version.split()[0]}",
        "date": datetime.now(UTC).date().isoformat(),
    }
    for suite in asked.suites or SUITES:
        report[suite] = SUITE_OF[suite]()
        print(json.dumps({suite: report[suite]}, indent=2), flush=True)
    if asked.json:
        asked.json.write_text(json.dumps(report, indent=2))


def stages() -> dict[str, Any]:
    """All samples with the download-free engine: where the time goes."""
    with tempfile.TemporaryDirectory() as place:
        out = Path(place)
        started = time.perf_counter()
        done = command("process", SAMPLES, "--out", out, "--json")
        wall = time.perf_counter() - started
        calls = [json.loads(path.read_text()) for path in out.glob("*/result.json")]
    if done.returncode not in (0, 5):
        sys.exit(done.stderr)
    audio = sum(call["source"]["duration"] for call in calls)
    spent: dict[str, float] = {}
    for call in calls:
        for stage, seconds in call["timings"].items():
            spent[stage] = spent.get(stage, 0.0) + seconds
    total = sum(spent.values())
    return {
        "calls": len(calls),
        "held": sum(call["status"] == "held" for call in calls),
        "audio_seconds": round(audio, 1),
        "wall_seconds_per_audio_minute": round(wall / audio * 60, 2),
        "share_of_stage_time": {stage: round(s / total, 4) for stage, s in spent.items()},
        "all_but_transcribe_per_audio_second": round((total - spent["transcribe"]) / audio, 4),
    }


def memory() -> dict[str, Any]:
    """Peak memory of a 10-minute call, and of a 2-hour call with the same ten minutes of speech."""
    speech = _ten_minutes()
    with tempfile.TemporaryDirectory() as place:
        short, long = Path(place) / "short.wav", Path(place) / "long.wav"
        _write(short, speech, silence=0)
        _write(long, speech, silence=110 * 60)
        peaks = {
            name: _peak("process", path, "--out", Path(place) / name)
            for name, path in (("10 minutes", short), ("2 hours", long))
        }
    return {
        "peak_megabytes": peaks,
        "ratio": round(peaks["2 hours"] / peaks["10 minutes"], 3),
    }


def decode() -> dict[str, Any]:
    """Three hours of stereo telephone audio through decode alone."""
    code = (
        "import resource, sys, time; from voice_pipeline.audio import blocks\n"
        "start = time.process_time(); total = 0\n"
        "for block in blocks(open(sys.argv[1], 'rb')): total += block.shape[1]\n"
        "used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024\n"
        "print(total, time.process_time() - start, used)"
    )
    found = {}
    with tempfile.TemporaryDirectory() as place:
        for minutes in (2, 180):
            path = Path(place) / f"{minutes}.wav"
            _noise(path, minutes * 60)
            done = subprocess.run(
                [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True
            )
            samples, seconds, peak = done.stdout.split()
            found[f"{minutes} minutes"] = {
                "samples": int(samples),
                "cpu_seconds": round(float(seconds), 2),
                "peak_megabytes": round(float(peak), 1),
            }
    return found


def log() -> dict[str, Any]:
    """Verify one log of 100,000 records, and an export of 2,000 logs with 50 records each."""
    from redaction.export import write_export
    from redaction.export_verify import verify_export
    from redaction.log import Signer, verify_file, write_log

    at = "2026-01-02T03:04:05+00:00"
    signer = Signer.from_seed(bytes(32))

    def records(call: str, count: int) -> bytes:
        sink = io.BytesIO()
        write_log(
            sink,
            (
                {
                    "event": "redacted", "time": at, "call": call, "tenant": "default",
                    "actor": "voice-pipeline", "mode": "auto", "action": "placeholder",
                    "label": "PHONE", "turn": turn, "first": 0, "last": 10, "start_ms": 1200,
                    "end_ms": 4400, "score": 0.9, "threshold": 0.3, "detector": "numbers",
                    "rule": "phone.asked", "reason": "a number while a question for it is open",
                    "group": 0, "digits": 10, "value_hmac": f"{turn:064x}", "key_id": "0" * 16,
                }
                for turn in range(count)
            ),
            signer,
            time=at,
        )  # fmt: skip
        return sink.getvalue()

    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as place:
        single, archive = Path(place) / "log.jsonl", Path(place) / "export.zip"
        single.write_bytes(records("call", 100_000))
        started = time.process_time()
        logs = ((f"call{n:05d}.plan", records(f"call{n:05d}", 50)) for n in range(2_000))
        with archive.open("wb") as file:
            write_export(file, logs, signer, policies={}, made_by="bench")
        found["write_export_cpu_seconds"] = round(time.process_time() - started, 2)
        for name, check, path in (
            ("log", verify_file, single), ("export", verify_export, archive)
        ):  # fmt: skip
            started = time.process_time()
            verdict = check(path, signer.fingerprint)
            found[f"verify_{name}_cpu_seconds"] = round(time.process_time() - started, 2)
            found[f"{name}_megabytes"] = round(path.stat().st_size / 1e6, 1)
            assert verdict.ok, str(verdict)
            assert verdict.records == 100_000
    return found


SUITE_OF = {
    "stages": stages, "memory": memory, "decode": decode, "log": log, "finding": finding,
    "analysing": analysing, "speech": on_cpu, "hearing": hearing,
}  # fmt: skip


def command(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    entry = [sys.executable, "-m", "voice_pipeline", *map(str, arguments)]
    return subprocess.run(entry, capture_output=True, text=True, check=False)


def _peak(*arguments: str | Path) -> float:
    """Run the command and return its peak resident memory in megabytes."""
    code = (
        "import resource, subprocess, sys\n"
        "done = subprocess.run([sys.executable, '-m', 'voice_pipeline', *sys.argv[1:]],"
        " capture_output=True)\n"
        "assert done.returncode in (0, 5), done.stderr\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return round(float(done.stdout), 1)


def _ten_minutes() -> np.ndarray:
    """Ten minutes of two-channel speech: sample calls one after the other."""
    from voice_pipeline.audio import resampled

    pieces, total = [], 0
    for path in sorted((SAMPLES / "audio").glob("*.*")):
        with path.open("rb") as file:
            sound = np.concatenate(list(resampled(file, RATE)), axis=1)
        if sound.shape[0] == 2:
            pieces.append(sound)
            total += sound.shape[1]
        if total >= 600 * RATE:
            break
    joined = np.concatenate(pieces, axis=1)[:, : 600 * RATE]
    return np.round(joined * 32767).astype("<i2")


def _write(path: Path, speech: np.ndarray, silence: int) -> None:
    """Write the speech in ten pieces with an equal share of `silence` seconds behind each."""
    quiet = np.zeros((silence * RATE // 10, 2), "<i2").tobytes()
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(RATE)
        for piece in np.array_split(speech.T, 10):
            file.writeframes(np.ascontiguousarray(piece).tobytes())
            file.writeframes(quiet)


def _noise(path: Path, seconds: int) -> None:
    random = np.random.default_rng(0)
    minute = random.normal(0, 300, (60 * 8000, 2)).astype("<i2").tobytes()
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(8000)
        for _ in range(seconds // 60):
            file.writeframes(minute)


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    main()
