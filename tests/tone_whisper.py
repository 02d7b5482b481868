"""Builds a tiny Whisper that says which tone it hears: text depends on the audio, no download.

The first tone makes it say `a0 a1 a2`, the second `b0 b1 b2`; they speak English or German in turn.
One convolution channel listens to one mel bin a tone; a second attention head of the decoder
carries the mean over time to the output, where position and tone together choose the token. The
rest is as in `tiny_whisper`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from ctranslate2.specs.whisper_spec import WhisperSpec
from faster_whisper.feature_extractor import FeatureExtractor
from tiny_whisper import LANGUAGES, Weights, decoder_of, encoder_of, tokenizer_of, zeros

RATE = 16000
VOICES = "abcdefgh"
TONES = (300.0, 500.0, 800.0, 1200.0, 1700.0, 2400.0, 3300.0, 4500.0)  # Hz, a voice each
WORDS = 3
HALF = 32  # hidden positions of each head: time and place in the text; voices
# logits, by weight: what can be said at all, the end, the voice, and the place among one voice's
FOR_SPEECH, FOR_END, FOR_VOICE, FOR_PLACE = 1000.0, 5000.0, 300.0, 20.0


def tone(voice: int, seconds: float) -> Weights:
    """Return the sound of a voice."""
    time = np.arange(round(seconds * RATE)) / RATE
    return (0.5 * np.sin(2 * np.pi * TONES[voice] * time)).astype(np.float32)


def said_by(voice: int) -> list[str]:
    """Return what the model says when it hears that voice."""
    return [f"{VOICES[voice]}{number}" for number in range(WORDS)]


def language_of(voice: int) -> str:
    """Return the language that is detected for a voice."""
    return "de" if voice % 2 else "en"


def build(folder: Path) -> Path:
    """Write a model folder that faster-whisper loads."""
    width = 2 * HALF
    words = [word for voice in range(len(TONES)) for word in said_by(voice)]
    tokenizer = tokenizer_of(words, True)
    vocabulary = [
        token for token, _ in sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    ]
    spec = WhisperSpec(1, 2, 1, 2)
    encoder_of(spec.encoder, width, 12, 0)
    decoder_of(spec.decoder, width, len(vocabulary))
    times = zeros(1500, width)
    times[np.arange(1500), np.minimum(np.arange(1500) // 12, HALF - 1)] = 1.0
    spec.encoder.position_encodings.encodings = times
    filters = FeatureExtractor().mel_filters
    for voice, frequency in enumerate(TONES):
        loudest = int(np.argmax(filters[:, round(frequency / (RATE / 400))]))
        spec.encoder.conv1.weight[HALF + voice, loudest, 1] = 1.0
        spec.encoder.conv2.weight[HALF + voice, HALF + voice, 1] = 1.0
    cross = spec.decoder.layer[0].attention
    place, voices = zeros(width, width), zeros(width, width)
    place[np.arange(HALF), np.arange(HALF)] = 1.5
    voices[np.arange(HALF, width), np.arange(HALF, width)] = 1.0
    cross.linear[0].weight = place  # the second head asks nothing: it hears all of the window
    cross.linear[1].weight = np.concatenate([place, voices])
    cross.linear[2].weight = voices
    output = zeros(len(vocabulary), width)
    first = 3  # <sot> <language> <task> <notimestamps>
    for voice in range(len(TONES)):
        for number, word in enumerate(said_by(voice)):
            token = tokenizer.token_to_id("Ġ" + word)
            output[token, first + number] = FOR_PLACE
            output[token, HALF + voice] = FOR_VOICE
    output[tokenizer.token_to_id("<|endoftext|>"), first + WORDS] = FOR_END
    for voice in range(len(TONES)):
        token = tokenizer.token_to_id(f"<|{language_of(voice)}|>")
        output[token, 0] = FOR_END
        output[token, HALF + voice] = FOR_VOICE
    output[:, :HALF] -= output[:, :HALF].mean(axis=1, keepdims=True)  # what is alike says nothing
    spec.decoder.layer_norm.beta[-1] = 1.0  # everything that can be said is likelier than the rest
    output[np.any(output, axis=1), -1] += FOR_SPEECH
    spec.decoder.projection.weight = output
    spec.register_vocabulary(vocabulary)
    spec.config.suppress_ids = []
    spec.config.suppress_ids_begin = [tokenizer.token_to_id("<|endoftext|>")]
    spec.config.lang_ids = [tokenizer.token_to_id(f"<|{code}|>") for code in LANGUAGES]
    spec.config.alignment_heads = [[0, 0]]
    spec.validate()
    spec.optimize()
    folder.mkdir(parents=True, exist_ok=True)
    spec.save(str(folder))
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder
