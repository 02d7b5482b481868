"""Builds a tiny random BERT as people hand one in: a folder with tokenizer, config, safetensors,
and the same network as an ONNX graph. ONNX is protobuf, written here field by field.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

WORDS = (
    "where is my parcel i was billed twice card lost stolen cancel refund please the a and query"
)
WIDTH, HEADS, LAYERS, INNER, PLACES, EPS = 16, 4, 2, 32, 64, 1e-12


def build(folder: Path, *, seed: int = 0, onnx: bool = False, pooling: str = "mean") -> Path:
    """Write the folder; with `onnx` the graph as well."""
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS.split()]
    _tokenizer(vocabulary).save(str(folder / "tokenizer.json"))
    config = {
        "model_type": "bert", "hidden_act": "gelu", "hidden_size": WIDTH, "layer_norm_eps": EPS,
        "num_hidden_layers": LAYERS, "num_attention_heads": HEADS, "pad_token_id": 0,
        "max_position_embeddings": PLACES,
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "1_Pooling").mkdir(exist_ok=True)
    modes = {"pooling_mode_mean_tokens": pooling == "mean", "pooling_mode_cls_token":
             pooling == "cls", "pooling_mode_max_tokens": pooling == "max"}  # fmt: skip
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(modes))
    weights = _weights(len(vocabulary), np.random.default_rng(seed))
    write_safetensors(folder / "model.safetensors", weights)
    if onnx:
        (folder / "model.onnx").write_bytes(_graph(weights))
    return folder


def write_safetensors(file: Path, weights: dict[str, np.ndarray[Any, Any]]) -> None:
    header, body = {"__metadata__": {"format": "pt"}}, b""
    for name, value in weights.items():
        raw = value.astype("<f4").tobytes()
        header[name] = {"dtype": "F32", "shape": list(value.shape),
                        "data_offsets": [len(body), len(body) + len(raw)]}  # fmt: skip
        body += raw
    head = json.dumps(header).encode()
    file.write_bytes(struct.pack("<Q", len(head)) + head + body)


def _tokenizer(vocabulary: Sequence[str]) -> Tokenizer:
    tokenizer = Tokenizer(
        models.WordLevel({word: place for place, word in enumerate(vocabulary)}, unk_token="[UNK]")
    )
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return tokenizer


def _weights(words: int, draw: np.random.Generator) -> dict[str, np.ndarray[Any, Any]]:
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings": (words, WIDTH),
        "embeddings.position_embeddings": (PLACES, WIDTH),
        "embeddings.token_type_embeddings": (2, WIDTH),
    }
    for layer in range(LAYERS):
        at = f"encoder.layer.{layer}."
        shapes |= {at + f"attention.self.{part}": (WIDTH, WIDTH)
                   for part in ("query", "key", "value")}  # fmt: skip
        shapes |= {at + "attention.output.dense": (WIDTH, WIDTH),
                   at + "intermediate.dense": (INNER, WIDTH),
                   at + "output.dense": (WIDTH, INNER)}  # fmt: skip
    found = {f"{name}.weight": draw.normal(0, 0.5, shape).astype(np.float32)
             for name, shape in shapes.items()}  # fmt: skip
    for name, shape in shapes.items():
        if name.startswith("encoder"):
            found[f"{name}.bias"] = draw.normal(0, 0.2, shape[0]).astype(np.float32)
    norms = ["embeddings.LayerNorm"]
    for layer in range(LAYERS):
        norms += [f"encoder.layer.{layer}.attention.output.LayerNorm",
                  f"encoder.layer.{layer}.output.LayerNorm"]  # fmt: skip
    for name in norms:
        found[f"{name}.weight"] = draw.normal(1, 0.1, WIDTH).astype(np.float32)
        found[f"{name}.bias"] = draw.normal(0, 0.1, WIDTH).astype(np.float32)
    return found


# ------------------------------------------------------------------ ONNX, as protobuf


def _varint(value: int) -> bytes:
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def _field(number: int, value: int | float | str | bytes) -> bytes:
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value & (1 << 64) - 1)
    if isinstance(value, float):
        return _varint(number << 3 | 5) + struct.pack("<f", value)
    raw = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(raw)) + raw


def _tensor(name: str, value: np.ndarray[Any, Any]) -> bytes:
    kind = 1 if value.dtype == np.float32 else 7
    dims = b"".join(_field(1, size) for size in value.shape)
    return dims + _field(2, kind) + _field(8, name) + _field(9, value.tobytes())


def _value(name: str, kind: int, dims: Sequence[str | int]) -> bytes:
    shape = b"".join(_field(1, _field(2 if isinstance(dim, str) else 1, dim)) for dim in dims)
    return _field(1, name) + _field(2, _field(1, _field(1, kind) + _field(2, shape)))


class _Graph:
    """Nodes and constants in the order in which they are written."""

    def __init__(self, weights: dict[str, np.ndarray[Any, Any]]) -> None:
        self.nodes: list[bytes] = []
        self.constants: dict[str, np.ndarray[Any, Any]] = dict(weights)

    def __call__(self, kind: str, *inputs: str | np.ndarray[Any, Any], **attributes: Any) -> str:
        names = [self._named(one) for one in inputs]
        out = f"t{len(self.nodes)}"
        node = b"".join(_field(1, name) for name in names) + _field(2, out) + _field(4, kind)
        for name, value in attributes.items():
            if isinstance(value, list):
                body = b"".join(_field(8, one) for one in value) + _field(20, 7)
            elif isinstance(value, float):
                body = _field(2, value) + _field(20, 1)
            else:
                body = _field(3, value) + _field(20, 2)
            node += _field(5, _field(1, name) + body)
        self.nodes.append(node)
        return out

    def _named(self, one: str | np.ndarray[Any, Any]) -> str:
        if isinstance(one, str):
            return one
        name = f"c{len(self.constants)}"
        self.constants[name] = one
        return name


def _number(value: float) -> np.ndarray[Any, Any]:
    return np.array(value, np.float32)


def _graph(weights: dict[str, np.ndarray[Any, Any]]) -> bytes:
    g = _Graph(weights)

    def dense(state: str, at: str) -> str:
        turned = g("Transpose", f"{at}.weight", perm=[1, 0])
        return g("Add", g("MatMul", state, turned), f"{at}.bias")

    def norm(state: str, at: str) -> str:
        return g("LayerNormalization", state, f"{at}.weight", f"{at}.bias", axis=-1, epsilon=EPS)

    def split(state: str, at: str) -> str:
        shaped = g("Reshape", dense(state, at), np.array([0, 0, HEADS, WIDTH // HEADS]))
        return g("Transpose", shaped, perm=[0, 2, 1, 3])

    words = g("Gather", "embeddings.word_embeddings.weight", "input_ids")
    length = g("Shape", "input_ids", start=1, end=2)
    places = g("Slice", "embeddings.position_embeddings.weight", np.array([0]), length,
               np.array([0]))  # fmt: skip
    kinds = g("Gather", "embeddings.token_type_embeddings.weight", "token_type_ids")
    state = norm(g("Add", g("Add", words, places), kinds), "embeddings.LayerNorm")
    seen = g("Cast", g("Unsqueeze", "attention_mask", np.array([1, 2])), to=1)
    hidden = g("Mul", g("Sub", _number(1.0), seen), _number(-1e9))
    for layer in range(LAYERS):
        at = f"encoder.layer.{layer}."
        query, key, value = (split(state, f"{at}attention.self.{part}")
                             for part in ("query", "key", "value"))  # fmt: skip
        scores = g("MatMul", query, g("Transpose", key, perm=[0, 1, 3, 2]))
        scores = g("Add", g("Div", scores, _number((WIDTH // HEADS) ** 0.5)), hidden)
        told = g("Transpose", g("MatMul", g("Softmax", scores, axis=-1), value), perm=[0, 2, 1, 3])
        told = dense(g("Reshape", told, np.array([0, 0, WIDTH])), at + "attention.output.dense")
        state = norm(g("Add", state, told), at + "attention.output.LayerNorm")
        wide = dense(state, at + "intermediate.dense")
        bent = g("Add", g("Erf", g("Mul", wide, _number(0.5**0.5))), _number(1.0))
        wide = g("Mul", g("Mul", wide, bent), _number(0.5))
        state = norm(g("Add", state, dense(wide, at + "output.dense")), at + "output.LayerNorm")
    graph = b"".join(_field(1, node) for node in g.nodes) + _field(2, "bert")
    graph += b"".join(_field(5, _tensor(name, value)) for name, value in g.constants.items())
    for name in ("input_ids", "attention_mask", "token_type_ids"):
        graph += _field(11, _value(name, 7, ["texts", "tokens"]))
    graph += _field(12, _value(state, 1, ["texts", "tokens", WIDTH]))
    return _field(1, 8) + _field(7, graph) + _field(8, _field(1, "") + _field(2, 17))
