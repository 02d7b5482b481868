"""Peak memory of ingest and transcribe with Whisper's adapter, from two minutes to three hours.

The model is tiny (its weights are 1 MB), so that what the length of a call costs is seen. Every
second is speech: sample calls one after the other, both channels.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import wave
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[2]
RATE = 8000


def hearing(minutes: tuple[int, ...] = (2, 180)) -> dict[str, Any]:
    """Return peak megabytes by length, and what was heard."""
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as place:
        sound = _speech(120)
        for length in minutes:
            path = Path(place) / f"{length}.wav"
            with wave.open(str(path), "wb") as file:
                file.setnchannels(2)
                file.setsampwidth(2)
                file.setframerate(RATE)
                for _ in range(length // 2):
                    file.writeframes(sound)
            done = subprocess.run(
                [sys.executable, __file__, str(path), place],
                capture_output=True, text=True, check=False,
            )  # fmt: skip
            if done.returncode:
                sys.exit(done.stderr)
            words, peak = done.stdout.split()
            found[f"{length} minutes"] = {"words": int(words), "peak_megabytes": float(peak)}
    return found


def _speech(seconds: int) -> bytes:
    """Return so many seconds of two-channel telephone speech, 16 bits."""
    from voice_pipeline.audio import resampled

    pieces, total = [], 0
    for path in sorted((ROOT / "samples" / "audio").glob("*.*")):
        with path.open("rb") as file:
            sound = np.concatenate(list(resampled(file, RATE)), axis=1)
        if sound.shape[0] == 2:
            pieces.append(sound)
            total += sound.shape[1]
        if total >= seconds * RATE:
            break
    joined = np.concatenate(pieces, axis=1)[:, : seconds * RATE]
    return np.ascontiguousarray(np.round(joined.T * 32767).astype("<i2")).tobytes()


def _hear(path: Path, place: Path) -> None:
    """Hear one recording in this process and print words and peak megabytes."""
    sys.path.insert(0, str(ROOT / "tests"))
    import tiny_whisper

    from voice_pipeline import adapters
    from voice_pipeline.codec import decode
    from voice_pipeline.intake import identify, receive
    from voice_pipeline.ports import Transcriber
    from voice_pipeline.stages.ingest import ingest
    from voice_pipeline.stages.transcribe import transcribe
    from voice_pipeline.store import Store

    whisper: Transcriber = adapters.load("transcribers", "faster_whisper").build(
        {"model": str(tiny_whisper.build(place / "model")), "device": "cpu", "beam_size": 1}
    )
    store = Store(place / f"state-{path.stem}")
    call, sha = identify(path, "auto", "en")
    kept = receive(
        store, path, call, sha, metadata={}, agent_channel="auto", language="en",
        scrub=lambda text, identifiers: text,
    )  # fmt: skip
    received = decode(store.shelf.get(kept))
    heard = transcribe(ingest(received, shelf=store.shelf), transcriber=whisper, shelf=store.shelf)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(sum(len(speech.words) for speech in heard.speech), round(peak, 1))


if __name__ == "__main__":
    _hear(Path(sys.argv[1]), Path(sys.argv[2]))
