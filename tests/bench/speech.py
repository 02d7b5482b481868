"""How fast many short calls are heard: one by one, batched per file, across calls, packed.

    python tests/bench/speech.py [--calls N] [--repeats N] [--json FILE]
    python tests/bench/speech.py --gpu [--json FILE]

Every way hears the same segments with the same model and gives the same number of tokens a segment.
Without --gpu: Whisper tiny's shape on one CPU thread, in processor time. With it: the shape of
large-v3-turbo in float16, by the clock. What came out, and what was not
run: docs/performance.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import faster_whisper
import numpy as np
from random_whisper import TINY, TURBO, Shape, build

from voice_pipeline.domain import Segment
from voice_pipeline.transcribers._decoding import Asked, Decoder
from voice_pipeline.transcribers._engines import Engine
from voice_pipeline.transcribers._windows import cut, lay_out

RATE = 16_000
TOKENS = 12  # a segment: four a second of three
PROMPT = 4  # <sot> <language> <task> <notimestamps>


@dataclass(frozen=True)
class Call:
    """Two channels in turn; segments as (start, samples)."""

    name: str
    channels: tuple[tuple[tuple[float, np.ndarray], ...], ...]

    @property
    def seconds(self) -> float:
        """Length of the call: its segments one after the other."""
        return sum(len(sound) / RATE for channel in self.channels for _, sound in channel)

    def segments(self) -> list[Segment]:
        return [
            Segment(self.name, number, start, sound)
            for number, channel in enumerate(self.channels)
            for start, sound in channel
        ]

    def track(self, number: int) -> tuple[np.ndarray, list[dict[str, float]]]:
        """Return a channel as a file would have it, and where its segments are."""
        sound = np.zeros(round(self.seconds * RATE) + RATE, np.float32)
        clips = []
        for start, own in self.channels[number]:
            at = round(start * RATE)
            sound[at : at + len(own)] = own
            clips.append({"start": at / RATE, "end": (at + len(own)) / RATE})
        return sound, clips


@dataclass(frozen=True, slots=True, eq=False)
class Counted(Asked):
    """A window that knows how many segments it holds."""

    segments: int = 1


class FixedLength(Decoder):
    """Gives TOKENS tokens a segment: half of what is allowed is the library's limit of new ones."""

    def longest(self, tasks: Sequence[Asked]) -> int:
        return 2 * TOKENS * max(task.segments for task in tasks if isinstance(task, Counted))


def calls(number: int, seconds: tuple[float, float], segment: tuple[float, float]) -> list[Call]:
    """Return calls of so many seconds, in segments of so many seconds, sides in turn."""
    random = np.random.default_rng(7)
    noise = random.normal(0, 0.05, 60 * RATE).astype(np.float32)
    made = []
    for index in range(number):
        left, at = random.uniform(*seconds), 0.0
        channels: list[list[tuple[float, np.ndarray]]] = [[], []]
        while at < left:
            length = round(random.uniform(*segment) * RATE)
            begin = int(random.integers(0, len(noise) - length))
            side = (len(channels[0]) + len(channels[1])) % 2
            channels[side].append((at, noise[begin : begin + length]))
            at += length / RATE
        made.append(Call(f"call{index}", (tuple(channels[0]), tuple(channels[1]))))
    return made


# ---------------------------------------------------------------- the ways


def per_file(model: Any, some: Sequence[Call], *, batch: int, workers: int, beam: int) -> None:
    """The library's own: each channel of each call for itself, windows of one file in a batch."""

    def hear(call: Call) -> None:
        pipeline = faster_whisper.BatchedInferencePipeline(model)
        for number in (0, 1):
            sound, clips = call.track(number)
            if clips:
                found, _ = pipeline.transcribe(
                    sound, language="en", clip_timestamps=clips, batch_size=batch,
                    beam_size=beam, temperature=0.0, word_timestamps=True, vad_filter=False,
                    max_new_tokens=2 * TOKENS - PROMPT,
                )  # fmt: skip
                for one in found:
                    assert len(one.tokens) == TOKENS

    _each(hear, some, workers)


def across(engine: Engine, some: Sequence[Call], *, jobs: int, beam: int, pack: bool) -> None:
    """Ours: so many calls at once, whose windows share batches."""
    decoder = engine.decoder

    def hear(call: Call) -> None:
        with engine.batcher.preparing():
            segments = call.segments()
            windows = lay_out(cut(segments, [True] * len(segments)), pack=pack)
            asked = [
                Counted(
                    decoder.features(window.samples()), window.seconds, window.spoken, "en", beam,
                    segments=len(window.pieces),
                )
                for window in windows
            ]  # fmt: skip
            for ask, answer in zip(asked, engine.batcher.run(asked), strict=True):
                assert len(answer.tokens) >= TOKENS * ask.segments
                decoder.words(answer)

    _each(hear, some, jobs)


def _each(hear: Callable[[Call], None], some: Sequence[Call], workers: int) -> None:
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(hear, some))


# ---------------------------------------------------------------- on a CPU


def on_cpu(number: int = 3, repeats: int = 3, shape: Shape = TINY) -> dict[str, Any]:
    """Processor seconds of each way, in turn, and their ratio to one by one."""
    some = calls(number, (44.0, 52.0), (1.5, 4.5))
    spent: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as place:
        folder = build(Path(place), shape)
        model = _loaded(folder, "cpu", "int8", 1)
        engine = Engine(FixedLength(model), most=8, linger=0.05)
        ways: dict[str, Callable[[], None]] = {
            "one by one": lambda: per_file(model, some, batch=1, workers=1, beam=1),
            "library, batch 4": lambda: per_file(model, some, batch=4, workers=1, beam=1),
            "library, batch 16": lambda: per_file(model, some, batch=16, workers=1, beam=1),
            "ours, one call at a time": lambda: across(engine, some, jobs=1, beam=1, pack=False),
            "ours, across calls": lambda: across(engine, some, jobs=3, beam=1, pack=False),
            "ours, packed": lambda: across(engine, some, jobs=3, beam=1, pack=True),
        }
        per_file(model, some[:1], batch=1, workers=1, beam=1)  # what is made once is made now
        for _ in range(repeats):
            for name, way in ways.items():
                before = time.process_time()
                way()
                spent.setdefault(name, []).append(round(time.process_time() - before, 2))
                print(name, spent[name][-1], file=sys.stderr, flush=True)
    base = statistics.median(spent["one by one"])
    segments = [own for call in some for own in call.segments()]
    return {
        "calls": len(some),
        "segments": len(segments),
        "windows": {
            str(pack): len(lay_out(cut(segments, [True] * len(segments)), pack=pack))
            for pack in (False, True)
        },
        "audio_seconds": round(sum(call.seconds for call in some), 1),
        "cpu_seconds": spent,
        "times_one_by_one": {
            name: round(base / statistics.median(own), 2) for name, own in spent.items()
        },
    }


# ---------------------------------------------------------------- on a GPU


def on_gpu(
    counts: Sequence[int], tried: int, device: str = "cuda", shape: Shape = TURBO
) -> dict[str, Any]:
    """Audio seconds a second of each way; the library at the best of its settings, found here.

    Args:
        tried: calls on which the library's settings are chosen.
    """
    compute = "float16" if device == "cuda" else "int8"
    every = calls(max(counts), (20.0, 120.0), (1.5, 8.0))
    trial = every[: min(tried, len(every))]
    found: dict[str, Any] = {"calls_seconds": "20-120", "tokens_a_segment": TOKENS, "beam": 5}
    with tempfile.TemporaryDirectory() as place:
        folder = build(Path(place), shape)
        settings: dict[tuple[int, int], float] = {}  # batch and workers: speed on the trial
        for workers in (1, 2, 4):
            model = _loaded(folder, device, compute, 0, workers)
            per_file(model, trial[:2], batch=8, workers=1, beam=5)
            for batch in (4, 8, 16, 32):
                way = partial(per_file, model, batch=batch, workers=workers, beam=5)
                settings[batch, workers] = _speed(trial, way, device)["audio_seconds_a_second"]
        batch, workers = max(settings, key=settings.__getitem__)
        found["library_trial"] = {f"batch {b}, workers {w}": s for (b, w), s in settings.items()}
        found["library_best"] = f"batch {batch}, workers {workers}"
        model = _loaded(folder, device, compute, 0, workers)
        for number in counts:
            way = partial(per_file, model, batch=batch, workers=workers, beam=5)
            found[f"library, {number} calls"] = _speed(every[:number], way, device)
        del model, way  # what it holds on the device is ours now
        for at_once in (1, 2):
            model = _loaded(folder, device, compute, 0, at_once)
            engine = Engine(FixedLength(model), most=32, linger=0.05, at_once=at_once)
            across(engine, trial[:2], jobs=2, beam=5, pack=False)
            for pack in (False, True):
                for number in counts:
                    way = partial(across, engine, jobs=16, beam=5, pack=pack)
                    name = f"ours{' packed' if pack else ''}, {at_once} at once, {number} calls"
                    found[name] = {
                        **_speed(every[:number], way, device),
                        "batch_size_that_fitted": engine.batcher.size.now,
                    }
    return found


def _speed(
    some: Sequence[Call], way: Callable[[Sequence[Call]], None], device: str
) -> dict[str, float]:
    with _watched(device) as samples:
        started = time.perf_counter()
        way(some)
        wall = time.perf_counter() - started
    speed: dict[str, float] = {
        "audio_seconds_a_second": round(sum(call.seconds for call in some) / wall, 1),
        "wall_seconds": round(wall, 2),
    }
    print(speed, file=sys.stderr, flush=True)
    if samples:
        busy, memory = zip(*samples, strict=True)
        speed["gpu_busy_share"] = round(statistics.mean(busy) / 100, 3)
        speed["gpu_peak_megabytes"] = max(memory)
    return speed


@contextmanager
def _watched(device: str) -> Iterator[list[tuple[float, float]]]:
    """Sample (utilization in per cent, memory in MB) of the first GPU all the while."""
    samples: list[tuple[float, float]] = []
    if device != "cuda":
        yield samples
        return
    with subprocess.Popen(
        ["nvidia-smi", "--id=0", "--query-gpu=utilization.gpu,memory.used",
         "--format=csv,noheader,nounits", "--loop-ms=100"],
        stdout=subprocess.PIPE, text=True,
    ) as watcher:  # fmt: skip
        assert watcher.stdout is not None
        lines = watcher.stdout

        def read() -> None:
            for line in lines:
                busy, memory = line.split(",")
                samples.append((float(busy), float(memory)))

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        try:
            yield samples
        finally:
            watcher.terminate()
            reader.join()


def _loaded(folder: Path, device: str, compute: str, threads: int, workers: int = 1) -> Any:
    return faster_whisper.WhisperModel(
        str(folder), device=device, compute_type=compute, cpu_threads=threads,
        num_workers=workers, local_files_only=True,
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gpu", action="store_true", help="large-v3-turbo's shape on CUDA")
    parser.add_argument("--calls", type=int, default=3, help="on the CPU")
    parser.add_argument("--repeats", type=int, default=3, help="on the CPU")
    parser.add_argument("--tried", type=int, default=20, help="calls to choose the library's best")
    parser.add_argument(
        "--counts", type=int, nargs="+", default=[2, 20, 200, 2000], help="on a GPU"
    )
    parser.add_argument("--rehearse", action="store_true", help="the GPU's part, tiny, on the CPU")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    if asked.gpu:
        result = on_gpu(asked.counts, asked.tried)
    elif asked.rehearse:
        small = Shape(1, 1, 64, 2, 80, 3000, ((0, 0),))
        result = on_gpu(asked.counts, asked.tried, device="cpu", shape=small)
    else:
        result = on_cpu(asked.calls, asked.repeats)
    result["machine"] = (
        f"{platform.machine()}, {os.cpu_count()} cores, Python {sys.version.split()[0]}"
    )
    result["date"] = datetime.now(UTC).date().isoformat()
    print(json.dumps(result, indent=2))
    if asked.json:
        asked.json.write_text(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
