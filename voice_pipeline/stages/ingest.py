"""The bytes of a recording to facts about it: decoded once, start to end, and kept nowhere.

Decides what the recording is (length, levels, bandwidth) and what is wrong with its channels, as
warnings that later stages obey. Refuses what is empty or no audio.
"""

from __future__ import annotations

from voice_pipeline.audio import Decoder, Measurement, Sound
from voice_pipeline.audio.layout import SILENT
from voice_pipeline.audio.measure import CLIPPED_SHARE
from voice_pipeline.domain import Received, Recording, Warning
from voice_pipeline.ports import Shelf

# Bleed below this is heard by nobody; muting reaches it all the same. dB
HEARD = -50.0


def ingest(received: Received, *, shelf: Shelf) -> Recording:
    """Decode a recording once and say what it is.

    Args:
        received: what was handed in.
        shelf: where its bytes are.

    Returns:
        Facts and warnings: `truncated_audio damaged_audio extra_channels no_speech dual_mono
        silent_channel bleed clipped`.

    Raises:
        BadInput: `empty_file`, `unsupported_audio`, or `damaged_audio` where nothing decodes.
    """
    with shelf.open(received.audio) as file:
        decoder = Decoder(file)
        measurement = Measurement(decoder.rate, decoder.channels)
        for block in decoder:
            measurement.add(block)
    sound = measurement.end()
    return Recording(
        id=received.call,
        sha256=received.sha256,
        name=received.name,
        audio=received.audio,
        channels=decoder.channels,
        rate=decoder.rate,
        duration=decoder.duration,
        codec=decoder.codec,
        metadata=received.metadata,
        agent_channel=received.agent_channel,
        language=received.language,
        levels=sound.levels,
        bleed=sound.bleed,
        bandwidth=sound.bandwidth,
        warnings=(*decoder.damage, *_doubts(sound)),
        transcript=received.transcript,
    )


def _doubts(sound: Sound) -> list[Warning]:
    found = []
    silent = [channel for channel, level in enumerate(sound.levels) if level <= SILENT]
    if len(silent) == len(sound.levels):
        found.append(Warning("no_speech", "Nobody is heard on this recording."))
    elif sound.twins:
        found.append(
            Warning("dual_mono", "All channels carry the same; speakers are told apart by voice.")
        )
    else:
        found += [
            Warning("silent_channel", f"Nobody speaks on channel {channel}.") for channel in silent
        ]
    if sound.bleed is not None and sound.bleed > HEARD:
        found.append(
            Warning(
                "bleed",
                f"One side is heard on another at {sound.bleed:.0f} dB; muting reaches all sides.",
            )
        )
    for channel, share in enumerate(sound.clipped):
        if share > CLIPPED_SHARE:
            found.append(
                Warning(
                    "clipped",
                    f"Channel {channel} was recorded too loud ({share:.1%} at full scale).",
                )
            )
    return found
