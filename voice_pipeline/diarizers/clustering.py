"""Who speaks when on one channel, by the sound of voices, with nothing to download.

Decides how many people speak, one to four, and who of them when: spectral statistics of 1.5 s
windows are clustered, then every 10 ms is assigned by a model of each voice. Refuses speech at the
same time: one of the speakers gets it.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import BinaryIO

from pydantic import BaseModel, ConfigDict, Field

from voice_pipeline.audio import is_mono, listened
from voice_pipeline.diarizers._listening import find_voices, measure_activity
from voice_pipeline.diarizers._voices import MOST_SPEAKERS
from voice_pipeline.domain import Heard, Recording, SpeakerSpan


class Options(BaseModel):
    """How many people may be told apart."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    speakers: int | None = Field(
        default=None, ge=1, le=MOST_SPEAKERS, description="people on the call; empty: by the sound"
    )
    most: int = Field(
        default=MOST_SPEAKERS,
        ge=1,
        le=MOST_SPEAKERS,
        description="people found where that is empty",
    )


class Clustering:
    """The diarizer for recordings with everybody on one channel."""

    name = "clustering"

    def __init__(self, options: Options) -> None:
        self._options = options

    def diarize(
        self, recording: Recording, heard: Heard, audio: AbstractContextManager[BinaryIO]
    ) -> tuple[SpeakerSpan, ...]:
        """Return who speaks when, numbered in the order in which they first speak."""
        mixed = listened(recording) if is_mono(recording) else range(recording.channels)
        with audio as file:
            active = measure_activity(file, mixed)
            return find_voices(
                file, mixed, active, wanted=self._options.speakers, most=self._options.most
            )


def create(options: Options) -> Clustering:
    return Clustering(options)
