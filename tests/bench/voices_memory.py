"""Peak memory of the clustering diarizer against the length of the recording: all of it speech.

    python tests/bench/voices_memory.py [MINUTES ...]

Each length runs in a process of its own, on a mono telephone recording of two voices over and over.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import wave
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

from synthetic_calls import make_call, telephone  # noqa: E402

RUN = """
import contextlib, resource, sys, time
from voice_pipeline.diarizers import clustering
from voice_pipeline.domain import Heard, Recording, Ref
path, seconds = sys.argv[1], float(sys.argv[2])
facts = Recording("call", "0" * 64, "call.wav", Ref("call", "Audio", "0" * 64), 1, 8000, seconds,
                  "pcm_s16le", {}, "auto", "en", (-25.0,), None, 3400.0)
began = time.process_time()
spans = clustering.create(clustering.Options()).diarize(facts, Heard((), "none"), open(path, "rb"))
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(len({span.speaker for span in spans}), peak, time.process_time() - began)
"""


def main() -> None:
    sound = telephone(make_call(("rms", "slt"), 1, turns=30).lines.sum(axis=0, keepdims=True), 1)[0]
    with tempfile.TemporaryDirectory() as place:
        for minutes in [float(given) for given in sys.argv[1:]] or [10.0, 120.0]:
            path = Path(place) / "call.wav"
            samples = round(minutes * 60 * 8000)
            with wave.open(str(path), "wb") as file:
                file.setnchannels(1)
                file.setsampwidth(2)
                file.setframerate(8000)
                for at in range(0, samples, len(sound)):
                    file.writeframes(np.ascontiguousarray(sound[: samples - at], "<i2").tobytes())
            done = subprocess.run(
                [sys.executable, "-c", RUN, str(path), str(minutes * 60)],
                capture_output=True, text=True, check=True, cwd=ROOT,
            )  # fmt: skip
            people, peak, seconds = done.stdout.split()
            print(
                json.dumps(
                    {
                        "minutes": minutes,
                        "people": int(people),
                        "peak_megabytes": round(float(peak), 1),
                        "cpu_seconds_per_minute": round(float(seconds) / minutes, 2),
                    }
                ),
                flush=True,
            )


if __name__ == "__main__":
    main()
