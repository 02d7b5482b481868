"""Whisper models of any size with random weights that give texts of a fixed length.

What a model costs does not depend on what it learnt. The end of text and every sign behind it in
the vocabulary are made impossible, so each window gives as many tokens as it is allowed to.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ctranslate2.specs.model_spec import visit_spec
from ctranslate2.specs.whisper_spec import WhisperSpec

sys.path.insert(0, str(Path(__file__).parents[1]))
from tiny_whisper import LANGUAGES, decoder_of, encoder_of, tokenizer_of, zeros


@dataclass(frozen=True)
class Shape:
    """The size of a Whisper."""

    encoder: int  # layers
    decoder: int  # layers
    width: int
    heads: int
    mels: int
    vocabulary: int
    alignment: tuple[tuple[int, int], ...]  # (layer, head) whose attention gives word times
    number: str | None = None  # format on disk; None: float32


TINY = Shape(4, 4, 384, 6, 80, 51_865, ((2, 2), (3, 0), (3, 2), (3, 3), (3, 4), (3, 5)))
TURBO = Shape(
    32, 4, 1280, 20, 128, 51_866, ((2, 4), (2, 11), (3, 3), (3, 6), (3, 11), (3, 14)), "float16"
)


def build(folder: Path, shape: Shape, seed: int = 0) -> Path:
    """Write a model folder that faster-whisper loads."""
    random = np.random.default_rng(seed)
    tokenizer = _tokenizer(shape.vocabulary)
    vocabulary = [
        token for token, _ in sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    ]
    spec = WhisperSpec(shape.encoder, shape.heads, shape.decoder, shape.heads)
    encoder_of(spec.encoder, shape.width, 12, 0)
    decoder_of(spec.decoder, shape.width, len(vocabulary))
    spec.encoder.conv1.weight = zeros(shape.width, shape.mels, 3)
    spec.decoder.projection.weight = zeros(len(vocabulary), shape.width)

    def fill(layer: Any, name: str, value: Any) -> None:
        if isinstance(value, np.ndarray) and value.ndim > 1:
            drawn = random.standard_normal(value.shape, np.float32) * np.float32(0.02)
            setattr(layer, name.rpartition("/")[2], drawn)

    visit_spec(spec, fill)
    spec.decoder.layer_norm.beta[-1] = 100.0  # far above what the layers put there
    spec.decoder.projection.weight[:, -1] = 0.0
    spec.decoder.projection.weight[tokenizer.token_to_id("<|endoftext|>") :, -1] = -100.0
    spec.register_vocabulary(vocabulary)
    spec.config.suppress_ids, spec.config.suppress_ids_begin = [], []
    spec.config.lang_ids = [tokenizer.token_to_id(f"<|{code}|>") for code in LANGUAGES]
    spec.config.alignment_heads = [list(head) for head in shape.alignment]
    spec.validate()
    spec.optimize(quantization=shape.number)
    folder.mkdir(parents=True, exist_ok=True)
    spec.save(str(folder))
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "preprocessor_config.json").write_text(json.dumps({"feature_size": shape.mels}))
    return folder


def _tokenizer(size: int) -> Any:
    small = len(tokenizer_of(["w"], True).get_vocab())
    words = [f"w{number}" for number in range(size - small + 1)]
    tokenizer = tokenizer_of(words, True)
    assert len(tokenizer.get_vocab()) == size
    return tokenizer
