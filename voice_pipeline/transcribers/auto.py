"""Chooses the engine: Whisper where a model is present and verified, else the download-free one.

Looks at local files alone. It never fetches a model, and never takes one that nobody vouched for.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from voice_pipeline import adapters, catalogue
from voice_pipeline.ports import Transcriber


class Options(BaseModel):
    """What an operator may set."""

    model_config = ConfigDict(extra="forbid")

    models_dir: Path | None = Field(None, description="folder of downloaded models")


def create(options: Options) -> Transcriber:
    """Build the chosen engine with its defaults."""
    chosen = adapters.load("transcribers", choose(options.models_dir))
    built: Transcriber = chosen.build(offer={"models_dir": options.models_dir})
    return built


def choose(models_dir: Path | None) -> str:
    """Return the name of the transcriber to use on this machine."""
    whisper = any(
        entry.rank and catalogue.verify(entry.name, models_dir).ok for entry in catalogue.models()
    )
    return "faster_whisper" if whisper else "pocketsphinx"
