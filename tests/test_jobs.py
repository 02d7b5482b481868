"""`process --jobs`: one loaded model, shared batches, and nobody's fault but one's own."""

from __future__ import annotations

import dataclasses
import json
import wave
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest
import tone_whisper
from test_hearing import adapter, watch
from tone_whisper import TONES, said_by, tone

from voice_pipeline.audio.listen import Survey
from voice_pipeline.audio.listen import survey as real
from voice_pipeline.cli.process import Request, run
from voice_pipeline.domain import Recording
from voice_pipeline.stages import transcribe


@pytest.fixture(autouse=True)
def tones_are_voices(monkeypatch: pytest.MonkeyPatch) -> None:
    """The model of these tests hears tones, which the product's ear takes for no voice."""

    def survey(file: BinaryIO, call: Recording) -> Survey:
        found = real(file, call)
        return dataclasses.replace(found, speech=found.active, sounds=(), voices=found.active)

    monkeypatch.setattr(transcribe, "survey", survey)


def recording(path: Path, voice: int, seconds: float) -> Path:
    """Write a mono call: a voice that speaks in two stretches."""
    quiet = np.zeros(16000, np.float32)
    sound = np.concatenate([quiet, tone(voice, seconds), quiet, tone(voice, seconds), quiet])
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(np.round(sound * 32767).astype("<i2").tobytes())
    return path


def processed(
    tmp_path: Path, files: Sequence[Path], jobs: int
) -> tuple[int, dict[str, dict[str, object]], list[int]]:
    """Return exit code, result.json by file name, and the windows of each encoder pass."""
    folder = tone_whisper.build(tmp_path / "model")
    watched = watch(adapter_ := adapter(folder, beam_size=1, linger=0.5))
    config = tmp_path / "settings.toml"
    config.write_text(
        '[transcriber]\nuse = "faster_whisper"\n[transcriber.options]\n'
        f'model = "{folder}"\ndevice = "cpu"\ncompute_type = "float32"\nvad = false\n'
        "beam_size = 1\nlinger = 0.5\n"
    )
    out = tmp_path / "out"
    code = run(Request(tuple(files), out, config=config, jobs=jobs, language="en", as_json=True))
    assert adapter_._engine is not None, "the model stays loaded as long as somebody holds it"
    results = [json.loads(path.read_text()) for path in out.glob("*/result.json")]
    for path in out.glob("*/transcript.json"):
        name = json.loads((path.parent / "result.json").read_text())["source"]["name"]
        voice = int(name[1:].partition("-")[0])
        heard = {
            word["text"]
            for turn in json.loads(path.read_text())["turns"]
            for word in turn["words"]
            if not word["text"].startswith(
                "["
            )  # a run of letters and digits may look like a number
        }
        assert heard <= set(said_by(voice)), f"{name} has words of another call"
    return code, {str(result["source"]["name"]): result for result in results}, watched.encoded


def test_calls_at_once_share_one_model_and_its_batches(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Six calls at once: one model, batches with windows of several calls, broken files apart."""
    files = [recording(tmp_path / f"v{n}-call.wav", n, 1.0 + 0.1 * n) for n in range(6)]
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"RIFF....WAVEfmt nonsense")
    code, results, passes = processed(tmp_path, [*files[:3], broken, *files[3:]], jobs=6)
    assert code == 3
    assert set(results) == {path.name for path in files}
    assert {result["status"] for result in results.values()} <= {"done", "held"}
    assert sum(passes) == 12, "one model heard every window, and each once"
    assert max(passes) > 2, "a call has two windows: more in a pass are another call's"
    assert "broken.wav" in capfd.readouterr().err


@pytest.mark.slow
def test_a_hundred_files_of_which_ten_are_broken(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Ten bad files among a hundred cost ten lines on stderr, and none of the ninety."""
    good = [
        recording(tmp_path / f"v{n % len(TONES)}-{n}.wav", n % len(TONES), 0.8 + 0.01 * n)
        for n in range(90)
    ]
    bad = [tmp_path / f"bad{n}.wav" for n in range(10)]
    for n, path in enumerate(bad):
        path.write_bytes(good[n].read_bytes()[: 20 + n] if n % 2 else bytes([n]) * 5000)
    mixed = [path for n in range(10) for path in (*good[9 * n : 9 * n + 9], bad[n])]
    code, results, passes = processed(tmp_path, mixed, jobs=16)
    assert code == 3
    assert set(results) == {path.name for path in good}
    assert sum(passes) == 180
    errors = capfd.readouterr().err
    assert all(errors.count(f"{path.name}:") == 1 for path in bad)
