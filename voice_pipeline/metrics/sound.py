"""Recordings for evaluations: handed in as bytes, or mixed to one channel first.

Decides how a mono form of a call is made: the mean of its channels. Keeps everything in memory.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from voice_pipeline.audio import FlacWriter, blocks, probe
from voice_pipeline.domain import Received
from voice_pipeline.testing import MemoryShelf


def mixed(path: Path) -> bytes:
    """Return a recording as mono FLAC, the mean of its channels.

    Raises:
        BadInput: it does not decode.
    """
    target = io.BytesIO()
    with path.open("rb") as file:
        rate = probe(file).rate
        with FlacWriter(target, rate, 1) as flac:
            for block in blocks(file):
                flac.write(np.mean(block, axis=0, keepdims=True).astype(np.int16))
    return target.getvalue()


def kept(
    shelf: MemoryShelf,
    call: str,
    data: bytes,
    *,
    language: str = "auto",
    metadata: Mapping[str, str] | None = None,
) -> Received:
    """Keep a recording's bytes and return what an upload would be."""
    ref = shelf.put(call, "Audio", data)
    sha256 = hashlib.sha256(data).hexdigest()
    return Received(call, call, sha256, len(data), ref, metadata or {}, language=language)
