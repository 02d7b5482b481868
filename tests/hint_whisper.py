"""Builds a tiny Whisper that listens for the words in its prompt: real library, no download.

It says one sentence. Some words of it are heard wrongly, unless the prompt holds the right one: a
self-attention head looks over all tokens so far and carries to the output which names are among
them. Each token knows its place in the sentence, whatever stands before it, so that a prompt of
any length leaves the rest alone. Times are as in `tiny_whisper`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ctranslate2.specs.whisper_spec import WhisperSpec
from tiny_whisper import BUCKET, LANGUAGES, decoder_of, encoder_of, tokenizer_of, zeros

# What is said: as it is heard, and the name that it is (None: always heard rightly).
SAYS = (("i", None), ("want", None), ("castle", "Kestrel"), ("and", None), ("marlin", "Merlin"))
FIRST = 3  # the place before the first word, of <|notimestamps|>
NAMES = 40  # hidden positions from here on: which name a token is
READ = 52  # ... and which names are among the tokens so far
WIDTH = 64
# logits, by weight: of the word that follows, of a name in its place, of having read that name
FOR_PLACE, FOR_NAME, FOR_READ = 6.0, 5.0, 2.0
LOUD = 2.0  # how strongly a name that was read is carried


def build(folder: Path, says: Sequence[tuple[str, str | None]] = SAYS) -> Path:
    """Write a model folder that faster-whisper loads.

    Args:
        folder: created.
        says: words in order, each as it is heard and as the name it is; at most 30.
    """
    names = [name for _, name in says if name]
    tokenizer = tokenizer_of([*(word for word, _ in says), *names], True)
    vocabulary = [
        token for token, _ in sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    ]
    known = tokenizer.token_to_id
    spec = WhisperSpec(1, 1, 1, 1)
    encoder_of(spec.encoder, WIDTH, BUCKET, 0)
    decoder_of(spec.decoder, WIDTH, len(vocabulary))
    spec.decoder.position_encodings.encodings = zeros(448, WIDTH)
    read, output = zeros(len(vocabulary), WIDTH), zeros(len(vocabulary), WIDTH)
    read[known("<|notimestamps|>"), FIRST] = 1.0
    for place, (word, name) in enumerate(says, FIRST):
        read[known("Ġ" + word), place + 1] = 1.0
        output[known("Ġ" + word), place] = FOR_PLACE
        if name:
            own = NAMES + names.index(name)
            read[known("Ġ" + name), [place + 1, own]] = 1.0
            output[known("Ġ" + name), place] = FOR_NAME
            output[known("Ġ" + name), own + READ - NAMES] = FOR_READ
    output[known("<|endoftext|>"), FIRST + len(says)] = FOR_PLACE
    # the start of a transcript knows no place: the language is told by what is always there
    read[known("<|startoftranscript|>"), 0] = 1.0
    output[known("<|en|>"), 0] = FOR_PLACE
    attention = spec.decoder.layer[0].self_attention
    carried = zeros(WIDTH, WIDTH)
    carried[np.arange(READ, WIDTH), np.arange(NAMES, READ)] = LOUD
    attention.linear[0].weight[2 * WIDTH :] = carried  # queries and keys are alike: it reads all
    attention.linear[1].weight = np.eye(WIDTH, dtype=np.float32)
    spec.decoder.layer[0].attention.linear[0].weight[NAMES:] = 0.0  # names have no time
    spec.decoder.embeddings.weight = read
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
