"""Stands for whoever made a transcript that was handed in with a recording.

Decides nothing and hears nothing: `process --transcript` names it in the plan, and the adopt stage
reads the file. Refuses to be asked for without one.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict

from voice_pipeline.domain import Segment, SegmentSpeech
from voice_pipeline.errors import Misconfigured
from voice_pipeline.ports import Progress, TranscriberTraits

READING = 1  # version of how files are read: another one gives new results


class Options(BaseModel):
    """There is nothing to set."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Imported:
    """The transcriber of calls that come with their transcript."""

    name = "imported"
    made_by = f"imported {READING}"
    traits = TranscriberTraits(
        languages=None,
        detects_language=False,
        word_confidence=False,
        sends_audio_away=False,
        expectation="Heard elsewhere; a transcript was handed in.",
    )

    def transcribe(
        self, segments: Sequence[Segment], *, language: str | None, progress: Progress
    ) -> list[SegmentSpeech]:
        """Hear nothing.

        Raises:
            Misconfigured: always; this call has no transcript (code `transcript_missing`).
        """
        raise Misconfigured(
            "the transcriber `imported` hears nothing itself: hand in a transcript with "
            "--transcript FILE, or choose another transcriber",
            code="transcript_missing",
        )


def create(options: Options) -> Imported:
    return Imported()
