"""Embeddings without a model: a text's vector is the normalised sum of its words' hashes.

Texts that share words are near each other, and every machine gives the same numbers. It knows no
meaning: for tests of what is done with vectors, not of how good they are.
"""

from __future__ import annotations

import base64
import hashlib
import struct
from collections.abc import Mapping
from typing import Any

VECTOR = 64  # numbers in an embedding, unless the request says `dimensions`


def embeddings(asked: Mapping[str, Any], model: str) -> dict[str, Any]:
    """Answer a `/v1/embeddings` request: a text's vector is the normalised sum of its words'."""
    given = asked.get("input", [])
    texts = [given] if isinstance(given, str) else list(given)
    size = int(asked.get("dimensions") or VECTOR)
    packed = asked.get("encoding_format") == "base64"
    data = []
    for index, text in enumerate(texts):
        vector = hashed(str(text), size)
        value: Any = vector
        if packed:
            value = base64.b64encode(struct.pack(f"<{size}f", *vector)).decode()
        data.append({"object": "embedding", "index": index, "embedding": value})
    words = sum(len(str(text).split()) for text in texts)
    usage = {"prompt_tokens": words, "total_tokens": words}
    return {
        "object": "list", "data": data, "model": asked.get("model") or model, "usage": usage,
    }  # fmt: skip


def hashed(text: str, size: int = VECTOR) -> list[float]:
    """Return a vector of length 1 that shares what the words share; the same on every machine."""
    total = [0.0] * size
    for word in text.lower().split() or [""]:
        seed = hashlib.sha256(word.encode()).digest()
        bits = b"".join(hashlib.sha256(seed + bytes([n])).digest() for n in range(-(-size // 256)))
        for place in range(size):
            total[place] += 1.0 if bits[place // 8] >> (place % 8) & 1 else -1.0
    length = sum(value * value for value in total) ** 0.5 or 1.0
    return [value / length for value in total]
