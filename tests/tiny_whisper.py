"""Builds a tiny Whisper model that says what a test wants: real library, known text, no download.

The weights are written by hand. Attention and feed-forward weights are zero, the decoder's hidden
state is a one-hot of the position, and the output row of a token fires at the position where that
token must come out; so text does not depend on the audio. Cross-attention sees a one-hot of the
encoder's time bucket, so the library's own alignment gives words 0.24 s apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ctranslate2.specs.whisper_spec import WhisperSpec
from numpy.typing import NDArray
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

GREETING = "thank you for calling how may i help today my bill is too high please hold"
WORD_STEP = 0.24  # seconds between words: 12 encoder frames of 20 ms
BUCKET = 12  # encoder frames
SURE = 6.0  # logit of the wanted token; against a few thousand zeros
LANGUAGES = ("en", "de", "es", "fr")

Weights = NDArray[np.float32]


def build(
    folder: Path,
    says: str = GREETING,
    *,
    language: str = "en",
    multilingual: bool = True,
    sure: float = SURE,
    frames: int = BUCKET,
    early: int = 0,
) -> Path:
    """Write a model folder that faster-whisper loads.

    Args:
        folder: created; holds model.bin, config.json, vocabulary.json, tokenizer.json.
        says: the words that every window of audio gives, in order.
        language: what language detection answers.
        multilingual: CTranslate2 decides this by an empty string in the vocabulary.
        sure: logit of each wanted token; a low one gives unsure words.
        frames: encoder frames of 20 ms from one word to the next.
        early: buckets by which all words come sooner; 3 lets the first word last one step.
    """
    spoken = says.split()
    tokenizer = tokenizer_of(spoken, multilingual)
    vocabulary = [
        token for token, _ in sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    ]
    known = tokenizer.token_to_id
    # what comes out at which position: after the prompt <sot> <language> <task> <notimestamps>
    # words start at position 3; with timestamps, <|0.00|> comes first at position 2
    first = 2 if multilingual else 0
    sequence = [
        known("<|0.00|>"),
        *(known("Ġ" + word) for word in spoken),
        known("<|endoftext|>"),
    ]
    width = max(32, first + len(sequence) + 2)
    spec = WhisperSpec(1, 1, 1, 1)
    encoder_of(spec.encoder, width, frames, early)
    decoder_of(spec.decoder, width, len(vocabulary))
    output = np.zeros((len(vocabulary), width), np.float32)
    for position, token in enumerate(sequence):
        output[token, first + position] += sure
    output[known("<|endoftext|>"), first + len(sequence) :] += sure
    if multilingual:
        output[known(f"<|{language}|>"), 0] += SURE
    spec.decoder.projection.weight = output
    spec.register_vocabulary(vocabulary)
    spec.config.suppress_ids = []
    spec.config.suppress_ids_begin = [known("<|endoftext|>")]
    spec.config.lang_ids = [known(f"<|{code}|>") for code in LANGUAGES]
    spec.config.alignment_heads = [[0, 0]]
    spec.validate()
    spec.optimize()
    folder.mkdir(parents=True, exist_ok=True)
    spec.save(str(folder))
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def tokenizer_of(spoken: Sequence[str], multilingual: bool) -> Any:
    tokens = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens += sorted({"Ġ" + word for word in spoken} - set(tokens))
    tokens += [""] if multilingual else []
    special = [
        "<|endoftext|>", "<|startoftranscript|>", *(f"<|{code}|>" for code in LANGUAGES),
        "<|translate|>", "<|transcribe|>", "<|startoflm|>", "<|startofprev|>", "<|nospeech|>",
        "<|notimestamps|>",
    ]  # fmt: skip
    tokenizer = Tokenizer(
        models.BPE(
            vocab={token: index for index, token in enumerate(tokens)},
            merges=[],
            ignore_merges=True,  # a word that is in the vocabulary is one token
        )
    )
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(
        [AddedToken(token, special=True, normalized=False) for token in special]
    )
    tokenizer.add_tokens(
        [AddedToken(f"<|{step * 0.02:.2f}|>", special=False, normalized=False)
         for step in range(1501)]
    )  # fmt: skip
    return tokenizer


def zeros(*shape: int) -> Weights:
    return np.zeros(shape, np.float32)


def _norm(layer: Any, width: int) -> None:
    layer.gamma, layer.beta = np.ones(width, np.float32), zeros(width)


def _linear(layer: Any, out: int, into: int) -> None:
    layer.weight, layer.bias = zeros(out, into), zeros(out)


def _block(layer: Any, width: int) -> None:
    attention = layer.self_attention
    _norm(attention.layer_norm, width)
    _linear(attention.linear[0], 3 * width, width)
    _linear(attention.linear[1], width, width)
    _norm(layer.ffn.layer_norm, width)
    _linear(layer.ffn.linear_0, 4 * width, width)
    _linear(layer.ffn.linear_1, width, 4 * width)


def encoder_of(encoder: Any, width: int, frames: int, early: int) -> None:
    encoder.conv1.weight, encoder.conv1.bias = zeros(width, 80, 3), zeros(width)
    encoder.conv2.weight, encoder.conv2.bias = zeros(width, width, 3), zeros(width)
    times = zeros(1500, width)
    times[np.arange(1500), np.minimum(np.arange(1500) // frames + early, width - 1)] = 1.0
    encoder.position_encodings.encodings = times
    _norm(encoder.layer_norm, width)
    for layer in encoder.layer:
        _block(layer, width)


def decoder_of(decoder: Any, width: int, tokens: int) -> None:
    for layer in decoder.layer:
        _block(layer, width)
        cross = layer.attention
        _norm(cross.layer_norm, width)
        _linear(cross.linear[0], width, width)
        _linear(cross.linear[1], 2 * width, width)
        _linear(cross.linear[2], width, width)
        same = (np.eye(width) * 1.5).astype(np.float32)
        cross.linear[0].weight = same
        cross.linear[1].weight = np.concatenate([same, zeros(width, width)])
    _norm(decoder.layer_norm, width)
    decoder.embeddings.weight = zeros(tokens, width)
    positions = zeros(448, width)
    positions[np.arange(448), np.minimum(np.arange(448), width - 1)] = 1.0
    decoder.position_encodings.encodings = positions
