"""Which channels of a recording are heard, and on which ones a voice can be heard.

The one place that decides whether a recording counts as mono. Decides from the facts that the
ingest stage found; refuses to look at samples again.
"""

from __future__ import annotations

from voice_pipeline.domain import Recording

SILENT = -100.0  # dBFS: `Recording.levels` of a channel on which nobody speaks is below

# Codecs that code every channel by itself, and lossless ones.
INDEPENDENT = ("pcm_", "adpcm_", "gsm", "flac", "alac")


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


def separate(recording: Recording) -> bool:
    """Return whether what is said on one channel can be heard on no other, even when amplified.

    Muting that channel alone is then enough. So it is where no bleed at all was measured and the
    codec keeps channels to themselves; joint-stereo coding leaks one side into the other.
    """
    alone = recording.codec.startswith(INDEPENDENT)
    return alone and recording.bleed is None and not is_mono(recording)


def _has(recording: Recording, code: str) -> bool:
    return any(warning.code == code for warning in recording.warnings)
