"""Who speaks when, by channel: every channel is one speaker.

Right for recordings with a side for each party, and as good as the recording: bleed was left out
before anything was heard. Refuses nothing; on a mono recording it finds one speaker.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import BinaryIO

from pydantic import BaseModel, ConfigDict

from voice_pipeline.domain import Heard, Recording, SpeakerSpan


class Options(BaseModel):
    """There is nothing to set."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Channels:
    """The diarizer for recordings that keep their parties apart."""

    name = "channels"

    def diarize(
        self, recording: Recording, heard: Heard, audio: AbstractContextManager[BinaryIO]
    ) -> tuple[SpeakerSpan, ...]:
        """Return the active stretches of each channel; `audio` is not opened."""
        found = (
            SpeakerSpan(speech.channel, start, end, speech.channel)
            for speech in heard.speech
            for start, end in speech.active
        )
        return tuple(sorted(found, key=lambda span: (span.start, span.speaker)))


def create(options: Options) -> Channels:
    return Channels()
