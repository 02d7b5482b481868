"""The pyannote diarizer: its refusals everywhere, its pipeline where pyannote.audio imports.

The second half runs on a tiny local pipeline and is skipped, with the reason, where the extra is
not installed or does not import: `make test-pyannote` makes an environment for it.
"""

from __future__ import annotations

import importlib.util
import socket
import subprocess
import sys
import textwrap
import time
import warnings
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from recordings import OneBlob, recording, wav

from voice_pipeline import adapters
from voice_pipeline.config import quiet_dependencies
from voice_pipeline.diarizers import pyannote
from voice_pipeline.domain import Heard, SpeakerSpan
from voice_pipeline.errors import Misconfigured

ROOT = Path(__file__).parents[1]
INSTALLED = importlib.util.find_spec("pyannote.audio") is not None
quiet_dependencies()

# ---------------------------------------------------------------- refusals, everywhere


@pytest.mark.skipif(INSTALLED, reason="pyannote.audio is installed here")
def test_without_the_extra_it_says_what_to_install() -> None:
    """Nothing is imported and nothing is guessed: one sentence says what to install."""
    with pytest.raises(Misconfigured, match=r"pip install 'voice-pipeline\[pyannote\]'"):
        adapters.load("diarizers", "pyannote").build({})


def test_a_library_that_does_not_import_is_said(tmp_path: Path) -> None:
    """A torch that does not fit the machine is a sentence with a page to read, no traceback."""
    library = tmp_path / "library" / "pyannote" / "audio"
    library.mkdir(parents=True)
    (library / "__init__.py").write_text("raise OSError('libcuda.so: not here')")
    (tmp_path / "library" / "torch.py").write_text("")
    folder = layout(tmp_path / "model")
    code = f"""
        import sys
        sys.path[:0] = [{str(tmp_path / "library")!r}, {str(ROOT)!r}]
        from voice_pipeline.diarizers import pyannote
        from voice_pipeline.errors import Misconfigured
        try:
            pyannote.create(pyannote.Options(model={str(folder)!r}))._pipeline
        except Misconfigured as error:
            print(error)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True
    )
    assert "does not import (OSError)" in done.stdout
    assert "docs/speakers.md" in done.stdout


@pytest.mark.parametrize(
    "options",
    [
        {"speakers": 2, "most": 3},
        {"least": 3, "most": 2},
        {"speakers": 0},
        {"device": "gpu"},
        {"token": "hf_secret"},
    ],
)
def test_options_that_do_not_fit_are_refused(options: dict[str, Any]) -> None:
    """Contradictions and unknown keys stop at start-up, and no value is repeated."""
    with pytest.raises(Misconfigured) as refused:
        adapters.load("diarizers", "pyannote").build(options)
    assert "hf_secret" not in str(refused.value)


def layout(folder: Path, **parts: str) -> Path:
    named = {part: f"$model/{part}" for part in ("segmentation", "embedding", "plda")} | parts
    for value in named.values():
        if value.startswith("$model/"):
            (folder / value.removeprefix("$model/")).mkdir(parents=True, exist_ok=True)
    lines = "".join(f"    {part}: {value}\n" for part, value in named.items())
    (folder / "config.yaml").write_text(f"pipeline:\n  name: x\n  params:\n{lines}")
    return folder


def test_parts_that_would_be_fetched_are_refused(tmp_path: Path) -> None:
    """A configuration that names a hub is no local pipeline."""
    folder = layout(tmp_path, embedding="pyannote/wespeaker-voxceleb-resnet34-LM")
    with pytest.raises(Misconfigured, match="embedding must be"):
        pyannote.check_config(folder)


def test_a_missing_part_is_named(tmp_path: Path) -> None:
    """Half a download is said to be one."""
    folder = layout(tmp_path)
    (folder / "plda").rmdir()
    with pytest.raises(Misconfigured, match="plda/ is missing"):
        pyannote.check_config(folder)


@pytest.mark.parametrize("text", ["", "- a", "pipeline: 3", "{", "\x00"])
def test_a_configuration_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    """Whatever lies in config.yaml, the answer is a sentence."""
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(Misconfigured, match=r"not the configuration|must be"):
        pyannote.check_config(tmp_path)


def test_changed_bytes_are_refused(tmp_path: Path) -> None:
    """A file that is not what SHA256SUMS says is not unpickled."""
    folder = layout(tmp_path)
    (folder / "segmentation" / "pytorch_model.bin").write_bytes(b"other")
    (folder / "SHA256SUMS").write_text(f"{'0' * 64}  segmentation/pytorch_model.bin\n")
    with pytest.raises(Misconfigured, match="is not the file"):
        pyannote.find_pipeline(pyannote.Options(model=str(folder)))


@pytest.mark.parametrize(
    "model", ["pyannote-community-1", "pyannote/speaker-diarization-community-1", "no/such"]
)
def test_a_pipeline_that_is_not_here_says_how_to_get_it(tmp_path: Path, model: str) -> None:
    """A name or hub id is looked for in the folder of models alone."""
    with pytest.raises(Misconfigured, match="models pull pyannote-community-1"):
        pyannote.find_pipeline(pyannote.Options(model=model, models_dir=tmp_path))


# ---------------------------------------------------------------- the real library


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not INSTALLED:
        pytest.skip("pyannote.audio is not installed: make test-pyannote")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import tiny_pyannote
    except (ImportError, OSError) as error:
        pytest.skip(f"pyannote.audio does not import here: {error}")
    folder: Path = tiny_pyannote.build(tmp_path_factory.mktemp("models") / "community-1")
    return folder


def listen(folder: Path, channels: int = 1, **options: Any) -> tuple[SpeakerSpan, ...]:
    sound = np.random.default_rng(1).normal(0, 3000, (channels, 6 * 8000))
    sound[:, 20000:28000] = 0
    data = wav(sound.clip(-32768, 32767).astype(np.int16), 8000)
    tells = adapters.load("diarizers", "pyannote").build({"model": str(folder), **options})
    found: tuple[SpeakerSpan, ...] = tells.diarize(
        recording(data), Heard((), "none"), OneBlob(data).open(recording(data).audio)
    )
    return found


@pytest.fixture
def attempts(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Record and refuse whatever wants to leave this process."""
    seen: list[str] = []

    def refuse(*arguments: Any, **_: Any) -> Any:
        seen.append(str(arguments))
        raise OSError("no network in this test")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "connect_ex", refuse)
    monkeypatch.setattr(socket.socket, "sendto", refuse)
    yield seen


def flush() -> None:
    from pyannote.audio.telemetry import metrics

    time.sleep(0.6)  # the exporter's own delay is half a second
    metrics.provider.force_flush(3000)


def test_a_local_pipeline_gives_spans(tiny: Path) -> None:
    """Spans lie inside the recording, in order, one person at a time, numbered as they come."""
    spans = listen(tiny)
    assert spans
    assert [s.start for s in spans] == sorted(s.start for s in spans)
    assert all(0 <= s.start < s.end <= 6.01 for s in spans)
    assert all(a.end <= b.start + 1e-6 for a, b in pairwise(spans))
    firsts = list(dict.fromkeys(s.speaker for s in spans))
    assert firsts == list(range(len(firsts)))
    assert listen(tiny, channels=2)


def test_the_number_of_people_is_obeyed(tiny: Path) -> None:
    """One person asked for is one found; at most two are at most two."""
    assert {s.speaker for s in listen(tiny, speakers=1)} == {0}
    assert len({s.speaker for s in listen(tiny, least=1, most=2)}) <= 2


def test_nothing_leaves_even_where_telemetry_is_asked_for(
    tiny: Path, attempts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Loading and running send nothing, although the environment switches telemetry on."""
    monkeypatch.setenv("PYANNOTE_METRICS_ENABLED", "1")
    assert listen(tiny)
    flush()
    assert attempts == []


def test_the_guard_would_see_telemetry(tiny: Path, attempts: list[str]) -> None:
    """The proof has teeth: with telemetry on, the same guard records an attempt to report."""
    from pyannote.audio import Pipeline
    from pyannote.audio.telemetry import set_telemetry_metrics

    set_telemetry_metrics(True)
    try:
        Pipeline.from_pretrained(tiny)
        flush()
    finally:
        set_telemetry_metrics(False)
    assert attempts


def test_silence_and_scraps_have_no_speakers(tiny: Path) -> None:
    """A recording without sound, or of one sample, ends in nothing, not in an error."""
    tells = adapters.load("diarizers", "pyannote").build({"model": str(tiny)})
    for sound in (np.zeros((1, 8000), np.int16), np.full((1, 1), 5, np.int16)):
        data = wav(sound, 8000)
        found = tells.diarize(
            recording(data), Heard((), "none"), OneBlob(data).open(recording(data).audio)
        )
        assert all(span.end > span.start for span in found)


def test_a_device_that_is_not_there_is_said(tiny: Path) -> None:
    """A missing GPU stops with a sentence."""
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device here")
    with pytest.raises(Misconfigured, match="torch sees no such device"):
        listen(tiny, device="cuda:3")


def test_a_broken_checkpoint_is_said(tiny: Path, tmp_path: Path) -> None:
    """Bytes that are no checkpoint stop with a sentence."""
    import shutil

    folder = tmp_path / "broken"
    shutil.copytree(tiny, folder)
    (folder / "segmentation" / "pytorch_model.bin").write_bytes(b"nothing")
    with pytest.raises(Misconfigured, match="does not load"):
        listen(folder)
