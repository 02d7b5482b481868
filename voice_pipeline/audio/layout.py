"""Which channels of a recording are heard, and on which ones a voice can be heard.

The one place that decides whether a recording counts as mono. Decides from the facts that the
ingest stage found; refuses to look at samples again.
"""

from __future__ import annotations

from voice_pipeline.domain import Recording

SILENT = -100.0  # dBFS: `Recording.levels` of a channel on which nobody speaks is below


def listened(recording: Recording) -> tuple[int, ...]:
    """Return the channels that are transcribed: of a dual-mono recording only the loudest."""
    loudest = max(range(recording.channels), key=lambda channel: recording.levels[channel])
    if _has(recording, "dual_mono"):
        return (loudest,)
    return tuple(range(recording.channels))


def is_mono(recording: Recording) -> bool:
    """Return whether everybody is on one channel, so that voices must be told apart by sound.

    So it is with one channel, with channels that all carry the same, and with a stereo file of
    which one side is silent (a mono recording on one side, or a call of which one side is lost;
    which of them, only the voices can tell).
    """
    if recording.channels == 1 or _has(recording, "dual_mono"):
        return True
    return sum(level > SILENT for level in recording.levels) <= 1


def audible_on(recording: Recording, channel: int) -> tuple[int, ...]:
    """Return every channel on which what is said on `channel` can be heard.

    Muting must reach all of them. Dual-mono carries everything everywhere; where one side is
    heard on another at all, every channel counts.
    """
    if _has(recording, "dual_mono") or recording.bleed is not None:
        return tuple(range(recording.channels))
    return (channel,)


def _has(recording: Recording, code: str) -> bool:
    return any(warning.code == code for warning in recording.warnings)
