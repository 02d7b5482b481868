"""Who speaks when, by channel: every channel is one speaker, or the few whose voices differ.

Right for recordings with a side for each party, and as good as the recording: bleed was left out
before anything was heard. Refuses nothing; on a mono recording it finds one speaker.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import replace
from typing import BinaryIO

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from voice_pipeline.audio.activity import FRAME
from voice_pipeline.diarizers._listening import Active, find_voices, measure_activity
from voice_pipeline.diarizers._voices import MOST_SPEAKERS
from voice_pipeline.domain import Heard, Recording, SpeakerSpan, Speech


class Options(BaseModel):
    """How many people a side may have."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    most: int = Field(
        default=1,
        ge=1,
        le=MOST_SPEAKERS,
        description="people told apart by their voices on each channel: 2 finds a call handed to "
        "another agent, or two customers on one telephone",
    )


class Channels:
    """The diarizer for recordings that keep their parties apart."""

    name = "channels"

    def __init__(self, options: Options) -> None:
        self._options = options

    def diarize(
        self, recording: Recording, heard: Heard, audio: AbstractContextManager[BinaryIO]
    ) -> tuple[SpeakerSpan, ...]:
        """Return the active stretches of each channel; `audio` is opened to compare voices only."""
        if self._options.most == 1:
            found = [
                SpeakerSpan(speech.channel, start, end, speech.channel)
                for speech in heard.speech
                for start, end in speech.active
            ]
        else:
            with audio as file:
                found = self._by_voice(file, recording, heard)
        return tuple(sorted(found, key=lambda span: (span.start, span.speaker)))

    def _by_voice(self, file: BinaryIO, recording: Recording, heard: Heard) -> list[SpeakerSpan]:
        found: list[SpeakerSpan] = []
        for speech in heard.speech:
            spans = find_voices(
                file,
                [speech.channel],
                _spoken(speech, measure_activity(file, [speech.channel])),
                wanted=None,
                most=self._options.most,
                channel=speech.channel,
            )
            before = max((span.speaker for span in found), default=-1) + 1
            found += [replace(span, speaker=span.speaker + before) for span in spans]
        return found


def create(options: Options) -> Channels:
    return Channels(options)


def _spoken(speech: Speech, active: Active) -> Active:
    """Return the active frames of a channel that are its own: not bleed, not gated."""
    own = np.zeros_like(active)
    for start, end in speech.active:
        own[round(start / FRAME) : round(end / FRAME)] = True
    return active & own
