"""Audio in and out: decode, listen, write. The only code that knows audio formats.

`blocks` is the one decoded truth: muting, verification, listening and measuring all start from it.
Nothing here reads a file's name, tags or chunks beside the audio.
"""

from voice_pipeline.audio.convert import Resampler
from voice_pipeline.audio.decode import Decoder, Probe, blocks, probe, resampled
from voice_pipeline.audio.layout import is_mono, listened, separate
from voice_pipeline.audio.listen import Survey, activity, listen, survey
from voice_pipeline.audio.measure import Measurement, Sound
from voice_pipeline.audio.write import FlacWriter

__all__ = [
    "Decoder",
    "FlacWriter",
    "Measurement",
    "Probe",
    "Resampler",
    "Sound",
    "Survey",
    "activity",
    "blocks",
    "is_mono",
    "listen",
    "listened",
    "probe",
    "resampled",
    "separate",
    "survey",
]
