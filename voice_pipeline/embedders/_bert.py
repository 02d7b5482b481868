"""A forward pass of BERT in NumPy: what is left when onnxruntime has no graph to run.

Reads `config.json` and `model.safetensors` as Hugging Face writes them (Devlin et al. 2019; erf
GELU, post-norm). It refuses any other architecture instead of computing something near it.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voice_pipeline.errors import Misconfigured

Floats = NDArray[np.float32]
Ids = NDArray[np.int64]  # shape (texts, tokens)

DTYPES: dict[str, np.dtype[Any]] = {
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "F64": np.dtype("<f8"),
}
HEADER_LIMIT = 100 << 20  # bytes; the format's own limit
MASKED = -1e9  # attention score of padding


def read_safetensors(file: Path) -> dict[str, Floats]:
    """Return the float tensors of a safetensors file as float32.

    Raises:
        Misconfigured: the file is cut, or no safetensors file.
    """
    data = file.read_bytes()
    try:
        (length,) = struct.unpack_from("<Q", data)
        if length > HEADER_LIMIT:
            raise ValueError
        header: dict[str, Any] = json.loads(data[8 : 8 + length])
        return {
            name: _tensor(data, 8 + length, entry)
            for name, entry in header.items()
            if name != "__metadata__" and entry["dtype"] in (*DTYPES, "BF16")
        }
    except (struct.error, ValueError, KeyError, TypeError) as error:
        raise Misconfigured(
            f"{file}: is no whole safetensors file; copy it again", code="model_damaged"
        ) from error


def _tensor(data: bytes, base: int, entry: Mapping[str, Any]) -> Floats:
    start, end = entry["data_offsets"]
    raw = memoryview(data)[base + start : base + end]
    if entry["dtype"] == "BF16":  # the upper half of a float32
        wide = np.frombuffer(raw, "<u2").astype("<u4") << 16
        return wide.view("<f4").reshape(entry["shape"])
    return np.frombuffer(raw, DTYPES[entry["dtype"]]).reshape(entry["shape"]).astype(np.float32)


class Bert:
    """The encoder: token ids in, one vector a token out."""

    def __init__(self, folder: Path, config: Mapping[str, Any]) -> None:
        kind, act = config.get("model_type"), config.get("hidden_act", "gelu")
        place = config.get("position_embedding_type", "absolute")
        if kind != "bert" or act != "gelu" or place != "absolute":
            raise Misconfigured(
                f"{folder}: a {kind} model with {act} and {place} positions; without an .onnx file "
                "only BERT with gelu and absolute positions is run: put the model's ONNX export "
                "into the folder",
                code="model_unsupported",
            )
        weights = read_safetensors(folder / "model.safetensors")
        prefix = "bert." if "bert.embeddings.word_embeddings.weight" in weights else ""
        self._weights = {name.removeprefix(prefix): value for name, value in weights.items()}
        self._layers = int(config["num_hidden_layers"])
        self._heads = int(config["num_attention_heads"])
        self._eps = float(config.get("layer_norm_eps", 1e-12))
        try:
            self.dimension = int(self._weights["embeddings.LayerNorm.weight"].shape[0])
            self._of(f"encoder.layer.{self._layers - 1}.output.dense.weight")
        except KeyError as error:
            raise Misconfigured(
                f"{folder}: model.safetensors lacks {error}; it does not fit its config.json",
                code="model_damaged",
            ) from None

    def __call__(self, ids: Ids, mask: Ids) -> Floats:
        """Return the last hidden state, shape (texts, tokens, dimension)."""
        words = self._of("embeddings.word_embeddings.weight")[ids]
        places = self._of("embeddings.position_embeddings.weight")[: ids.shape[1]]
        kinds = self._of("embeddings.token_type_embeddings.weight")[0]
        state = self._norm(words + places + kinds, "embeddings.LayerNorm")
        hidden = np.where(mask[:, None, None, :] > 0, np.float32(0), np.float32(MASKED))
        for layer in range(self._layers):
            at = f"encoder.layer.{layer}."
            told = self._attend(state, hidden, at + "attention.")
            state = self._norm(state + told, at + "attention.output.LayerNorm")
            wide = _gelu(self._dense(state, at + "intermediate.dense"))
            state = self._norm(state + self._dense(wide, at + "output.dense"),
                               at + "output.LayerNorm")  # fmt: skip
        return state

    def _attend(self, state: Floats, hidden: Floats, at: str) -> Floats:
        texts, length, width = state.shape

        def split(name: str) -> Floats:
            parts = self._dense(state, f"{at}self.{name}")
            return parts.reshape(texts, length, self._heads, -1).transpose(0, 2, 1, 3)

        query, key, value = split("query"), split("key"), split("value")
        scores = query @ key.transpose(0, 1, 3, 2) / math.sqrt(width // self._heads) + hidden
        shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
        shares /= shares.sum(axis=-1, keepdims=True)
        joined = (shares @ value).transpose(0, 2, 1, 3).reshape(texts, length, width)
        return self._dense(joined, at + "output.dense")

    def _dense(self, state: Floats, at: str) -> Floats:
        return state @ self._of(at + ".weight").T + self._of(at + ".bias")

    def _norm(self, state: Floats, at: str) -> Floats:
        centred = state - state.mean(axis=-1, keepdims=True)
        spread = np.sqrt((centred * centred).mean(axis=-1, keepdims=True) + self._eps)
        return np.asarray(centred / spread * self._of(at + ".weight") + self._of(at + ".bias"))

    def _of(self, name: str) -> Floats:
        return self._weights[name]


def _gelu(values: Floats) -> Floats:
    from scipy.special import erf

    return np.asarray(values * np.float32(0.5) * (1 + erf(values * np.float32(math.sqrt(0.5)))))
