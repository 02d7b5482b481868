"""Who speaks when, by pyannote.audio: for mono calls of several people, where torch may be had.

Decides nothing itself: the pipeline's exclusive output (never two people at once) is joined to
words. Refuses to fetch anything, to report its use to anybody, and to read files by name: it takes
samples from memory, and models from a folder whose bytes are pinned.
"""

from __future__ import annotations

import importlib.util
import threading
import warnings
from collections.abc import Mapping
from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, BinaryIO

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from voice_pipeline import catalogue
from voice_pipeline.audio import is_mono, listened, resampled
from voice_pipeline.domain import Heard, Recording, SpeakerSpan
from voice_pipeline.errors import Misconfigured, Retryable

MODEL = "pyannote-community-1"
CONFIG = "config.yaml"
LOCAL = "$model"  # how a pipeline's configuration names the folder that it lies in
RATE = 16_000  # Hz, what its models take
# What the library raises where files are broken, of another version, or name what is not there.
BROKEN = (
    OSError, EOFError, ValueError, LookupError, AttributeError, TypeError, RuntimeError,
    ImportError, UnpicklingError,
)  # fmt: skip
NOT_INSTALLED = (
    "the diarizer pyannote needs its extra: pip install 'voice-pipeline[pyannote]' (brings torch)"
)


class Options(BaseModel):
    """Which pipeline, where, and how many people."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str = Field(
        default=MODEL,
        description="a folder laid out like community-1 (config.yaml, segmentation/, embedding/, "
        "plda/), or the name or hub id of a pipeline that `models pull` has brought",
    )
    models_dir: Path | None = Field(default=None, description="folder of downloaded models")
    device: str = Field(
        default="auto",
        pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$",
        description="auto, cpu, cuda, cuda:1, mps",
    )
    speakers: int | None = Field(
        default=None, ge=1, le=20, description="people on the call; empty: the pipeline decides"
    )
    least: int | None = Field(default=None, ge=1, le=20, description="people on the call at least")
    most: int | None = Field(default=None, ge=1, le=20, description="people on the call at most")

    @model_validator(mode="after")
    def _one_way_to_say_it(self) -> Options:
        if self.speakers is not None and (self.least is not None or self.most is not None):
            raise ValueError("set `speakers`, or `least` and `most`, not both")
        if self.least is not None and self.most is not None and self.least > self.most:
            raise ValueError("`least` is greater than `most`")
        return self


def create(options: Options) -> Pyannote:
    """Build the adapter; torch and the models are loaded on first use.

    Raises:
        Misconfigured: the extra is not installed; no such pipeline on this machine, incomplete,
            not the pinned bytes, or with parts that lie elsewhere.
    """
    if importlib.util.find_spec("pyannote") is None or not importlib.util.find_spec(
        "pyannote.audio"
    ):
        raise Misconfigured(NOT_INSTALLED)
    folder = find_pipeline(options)
    check_config(folder)
    return Pyannote(options, folder)


class Pyannote:
    """The adapter. One pipeline, used by one thread at a time."""

    name = "pyannote"

    def __init__(self, options: Options, folder: Path) -> None:
        self._options = options
        self._folder = folder
        self._one_at_a_time = threading.Lock()

    def diarize(
        self, recording: Recording, heard: Heard, audio: AbstractContextManager[BinaryIO]
    ) -> tuple[SpeakerSpan, ...]:
        """Return who speaks when, numbered in the order in which they first speak.

        Raises:
            Misconfigured: the library or the pipeline does not load.
            Retryable: the device is out of memory.
        """
        mixed = list(listened(recording)) if is_mono(recording) else slice(None)
        with audio as file:
            sound = np.concatenate(
                [block[mixed].mean(axis=0) for block in resampled(file, RATE)]
                or [np.zeros(0, np.float32)]
            ).astype(np.float32)
        if not sound.any():
            return ()
        with self._one_at_a_time:
            found = self._apply(sound)
        numbers: dict[str, int] = {}
        return tuple(
            SpeakerSpan(numbers.setdefault(name, len(numbers)), start, end)
            for start, end, name in sorted(found)
        )

    def _apply(self, sound: Any) -> list[tuple[float, float, str]]:
        import torch

        given = {"waveform": torch.from_numpy(sound)[None], "sample_rate": RATE}
        try:
            with torch.inference_mode(), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # about codecs, which are not used here
                output = self._pipeline(given, **self._people())
        except torch.OutOfMemoryError as error:
            raise Retryable("not enough memory to tell speakers apart", code="no_memory") from error
        alone = getattr(output, "exclusive_speaker_diarization", None)
        if alone is None:
            raise Misconfigured(
                f"{self._folder}: this pipeline has no exclusive output; one laid out like "
                "community-1, for pyannote.audio 4, is needed"
            )
        end = len(sound) / RATE  # short recordings are padded, and something is found in that, too
        return [
            (turn.start, min(turn.end, end), who)
            for turn, _, who in alone.itertracks(yield_label=True)
            if turn.start < end
        ]

    def _people(self) -> Mapping[str, int]:
        wanted = {
            "num_speakers": self._options.speakers,
            "min_speakers": self._options.least,
            "max_speakers": self._options.most,
        }
        return {key: value for key, value in wanted.items() if value is not None}

    @cached_property
    def _pipeline(self) -> Any:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                import torch
                from pyannote.audio import Pipeline
                from pyannote.audio.telemetry import set_telemetry_metrics
        except (ImportError, OSError, RuntimeError) as error:
            raise Misconfigured(
                f"pyannote.audio is installed and does not import ({type(error).__name__}): torch "
                "and torchaudio must be built for the same machine; on one without CUDA see "
                "docs/speakers.md"
            ) from error
        set_telemetry_metrics(False)  # whatever the environment says
        device = self._device(torch)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                pipeline = Pipeline.from_pretrained(self._folder)
                if pipeline is None:
                    raise ValueError("no pipeline")
                return pipeline.to(torch.device(device))
        except torch.OutOfMemoryError as error:
            raise Retryable("not enough memory to load the pipeline", code="no_memory") from error
        except BROKEN as error:
            raise Misconfigured(
                f"{self._folder}: the pipeline does not load ({type(error).__name__}); it must be "
                "one for pyannote.audio 4, laid out like community-1",
                code="model_missing",
            ) from error

    def _device(self, torch: Any) -> str:
        asked = self._options.device
        if asked == "auto":
            return "cuda" if torch.cuda.is_available() else "cpu"
        kind, _, number = asked.partition(":")
        there = {
            "cpu": True,
            "cuda": torch.cuda.is_available() and int(number or 0) < torch.cuda.device_count(),
            "mps": torch.backends.mps.is_available(),
        }[kind]
        if not there:
            raise Misconfigured(f"device = {asked}: torch sees no such device; set device = auto")
        return asked


# ---------------------------------------------------------------- the folder of the pipeline


def find_pipeline(options: Options) -> Path:
    folder = Path(options.model).expanduser()
    if (folder / CONFIG).is_file():
        _check_pins(folder)
        return folder
    if folder.is_dir():
        raise Misconfigured(
            f"{folder}: {CONFIG} is missing; a pipeline laid out like community-1 is needed",
            code="model_missing",
        )
    name = next(
        (entry.name for entry in catalogue.models() if options.model in (entry.name, entry.hub)),
        None,
    )
    if name is None:
        raise Misconfigured(
            f"{options.model}: no such folder, and no pipeline of the catalogue; nothing is "
            f"fetched at run time: `voice-pipeline models pull {MODEL}`, or name a folder",
            code="model_missing",
        )
    verdict = catalogue.verify(name, options.models_dir)
    if not verdict.ok:
        raise Misconfigured(f"model {name}: {verdict.detail}", code="model_missing")
    return catalogue.place(name, options.models_dir)


def _check_pins(folder: Path) -> None:
    """Refuse an operator's own folder that is not what its SHA256SUMS says; .bin files run code."""
    for file, pin in catalogue.read_pins(folder).items():
        if not (folder / file).is_file() or catalogue.sha256(folder / file) != pin:
            raise Misconfigured(f"{folder}: {file} is not the file that {catalogue.PINS} names")


def check_config(folder: Path) -> None:
    """Refuse a pipeline with parts that the library would look for at a hub."""
    import yaml

    try:
        read = yaml.safe_load((folder / CONFIG).read_text("utf-8"))
        parts = read["pipeline"].get("params", {})
    except (yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError, AttributeError) as error:
        raise Misconfigured(
            f"{folder / CONFIG}: not the configuration of a pyannote.audio pipeline"
        ) from error
    for part in ("segmentation", "embedding", "plda"):
        value = parts.get(part)
        if not isinstance(value, str) or not value.startswith(f"{LOCAL}/"):
            raise Misconfigured(
                f"{folder / CONFIG}: {part} must be `{LOCAL}/FOLDER`, a folder beside this file; "
                "anything else would be fetched"
            )
        if not (folder / value.removeprefix(f"{LOCAL}/")).is_dir():
            raise Misconfigured(
                f"{folder}: {value.removeprefix(f'{LOCAL}/')}/ is missing", code="model_missing"
            )
