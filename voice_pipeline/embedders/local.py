"""Turns texts into vectors with a model folder on this machine: nothing leaves it, no torch.

A folder holds `tokenizer.json`, `config.json`, and an ONNX graph (run by onnxruntime) or the
`model.safetensors` of a BERT (run in NumPy, slower). It refuses a folder whose files were pinned
and changed, and fetches nothing: `models pull` does, when a person asks.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from voice_pipeline import catalogue
from voice_pipeline.embedders._bert import Bert
from voice_pipeline.errors import Misconfigured
from voice_pipeline.ports import Vectors, unit_rows

LONGEST = 256  # word pieces; what MiniLM-class models were trained on
TOGETHER = 32  # texts computed at once
GRAPHS = ("model.onnx", "onnx/model.onnx")


class Options(BaseModel):
    """What an operator may set."""

    model_config = ConfigDict(extra="forbid")

    path: Path = Field(description="the model folder")
    longest: int | None = Field(
        None, ge=8, le=8192, description="word pieces of a text that count; default: the model's"
    )
    prefix: str = Field("", description="put before every text, as some models want: 'query: '")
    threads: int = Field(0, ge=0, description="CPU threads of onnxruntime; 0: the library decides")


def create(options: Options) -> LocalEmbedder:
    """Check the folder and read its tokenizer; weights are loaded on first use.

    Raises:
        Misconfigured: the folder or a file is missing, damaged, or not the pinned one.
    """
    return LocalEmbedder(options)


class LocalEmbedder:
    """The adapter. Same text, same vector, whatever it is batched with (within rounding)."""

    name = "local"

    def __init__(self, options: Options) -> None:
        self._folder = options.path.expanduser()
        self._options = options
        self._graph = _graph(self._folder)
        self._config = _json(self._folder / "config.json")
        self._pooling = _pooling(self._folder)
        self._longest = options.longest or _longest(self._folder, self._config)
        self._tokenizer = self._read_tokenizer()
        self.dimension = int(self._config.get("hidden_size", 0)) or self._run_once()

    @cached_property
    def made_by(self) -> str:
        """Name of the folder, sha256 over everything that changes a vector, dimension."""
        parts = [self._graph or self._folder / "model.safetensors", self._folder / "tokenizer.json"]
        settled = f"{self._pooling} {self._longest} {self._options.prefix}"
        hashes = " ".join(catalogue.sha256(part) for part in parts)
        digest = hashlib.sha256(f"{hashes} {settled}".encode()).hexdigest()
        return f"local {self._folder.resolve().name} sha256:{digest[:16]} {self.dimension}"

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Return one row a text, shape (texts, dimension), unit length; zeros for an empty text."""
        rows = np.zeros((len(texts), self.dimension), np.float32)
        said = [place for place, text in enumerate(texts) if text.strip()]
        said.sort(key=lambda place: len(texts[place]))  # texts of like length need little padding
        for start in range(0, len(said), TOGETHER):
            places = said[start : start + TOGETHER]
            rows[places] = self._batch([self._options.prefix + texts[place] for place in places])
        return rows

    def _batch(self, texts: list[str]) -> Vectors:
        encoded = self._tokenizer.encode_batch(texts)
        ids = np.array([one.ids for one in encoded], np.int64)
        mask = np.array([one.attention_mask for one in encoded], np.int64)
        found = self._model(ids, mask)
        if found.ndim == 3:
            found = found[:, 0] if self._pooling == "cls" else _mean(found, mask)
        return unit_rows(found)

    @cached_property
    def _model(self) -> Callable[[Any, Any], Vectors]:
        if self._graph is not None:
            return _onnx(self._graph, self._options.threads)
        return Bert(self._folder, self._config)

    def _read_tokenizer(self) -> Any:
        from tokenizers import Tokenizer

        file = self._folder / "tokenizer.json"
        try:
            tokenizer = Tokenizer.from_str(file.read_text("utf-8"))
        except Exception as error:  # the library raises bare Exception
            raise Misconfigured(
                f"{file}: is no tokenizer that can be read; copy it again", code="model_damaged"
            ) from error
        pad = tokenizer.token_to_id("[PAD]")
        pad = self._config.get("pad_token_id", 0) if pad is None else pad
        tokenizer.enable_truncation(self._longest)
        tokenizer.enable_padding(pad_id=pad or 0, pad_token=tokenizer.id_to_token(pad or 0))
        return tokenizer

    def _run_once(self) -> int:
        self.dimension = 0
        return int(self._batch(["a"]).shape[1])


def _mean(states: Vectors, mask: Any) -> Vectors:
    weights = mask[:, :, None].astype(np.float32)
    return np.asarray((states * weights).sum(axis=1) / np.maximum(weights.sum(axis=1), 1))


def _onnx(graph: Path, threads: int) -> Callable[[Any, Any], Vectors]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(
            str(graph), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # its exceptions share no class of their own
        raise Misconfigured(
            f"{graph}: onnxruntime cannot load it; copy it again, or remove it where "
            "model.safetensors is there",
            code="model_damaged",
        ) from error
    wanted = {entry.name for entry in session.get_inputs()}
    unknown = wanted - {"input_ids", "attention_mask", "token_type_ids"}
    if unknown or "input_ids" not in wanted:
        raise Misconfigured(
            f"{graph}: wants {', '.join(sorted(wanted))}; a text encoder with input_ids, "
            "attention_mask and token_type_ids is needed",
            code="model_unsupported",
        )

    def run(ids: Any, mask: Any) -> Vectors:
        offer = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        outputs = session.run(None, {name: offer[name] for name in wanted})
        return np.asarray(outputs[0], np.float32)

    return run


def _graph(folder: Path) -> Path | None:
    """Return the ONNX file to run, or None for NumPy; checks that the folder is complete."""
    if not folder.is_dir():
        raise Misconfigured(
            f"{folder}: no such folder; an embedding model is a folder with tokenizer.json, "
            "config.json and model.onnx or model.safetensors",
            code="model_missing",
        )
    graphs = [folder / name for name in GRAPHS if (folder / name).is_file()]
    graphs = graphs or sorted(folder.glob("*.onnx"))
    if len(graphs) > 1 and graphs[0].name != "model.onnx":
        raise Misconfigured(
            f"{folder}: several .onnx files and none is model.onnx; rename the one to use"
        )
    needed = ["tokenizer.json", "config.json", *([] if graphs else ["model.safetensors"])]
    missing = [name for name in needed if not (folder / name).is_file()]
    if missing:
        raise Misconfigured(
            f"{folder}: {', '.join(missing)} is missing; an embedding model has tokenizer.json, "
            "config.json and model.onnx or model.safetensors",
            code="model_missing",
        )
    for file, pin in catalogue.read_pins(folder).items():
        if not (folder / file).is_file() or catalogue.sha256(folder / file) != pin:
            raise Misconfigured(
                f"{folder}: {file} is not the file that {catalogue.PINS} names",
                code="model_damaged",
            )
    return graphs[0] if graphs else None


def _json(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text("utf-8"))
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise Misconfigured(f"{file}: is no JSON object; copy it again", code="model_damaged")
    return found


def _pooling(folder: Path) -> Literal["mean", "cls"]:
    """Return how token vectors become one, as sentence-transformers notes it; default: mean."""
    file = folder / "1_Pooling" / "config.json"
    asked = _json(file) if file.is_file() else {}
    modes = {key.removeprefix("pooling_mode_") for key, on in asked.items()
             if key.startswith("pooling_mode_") and on is True}  # fmt: skip
    if modes <= {"mean_tokens"}:
        return "mean"
    if modes == {"cls_token"}:
        return "cls"
    raise Misconfigured(
        f"{file}: pooling by {', '.join(sorted(modes))} is not supported; mean or first token is",
        code="model_unsupported",
    )


def _longest(folder: Path, config: dict[str, Any]) -> int:
    file = folder / "sentence_bert_config.json"
    asked = _json(file).get("max_seq_length") if file.is_file() else None
    limit = int(config.get("max_position_embeddings") or LONGEST)
    return min(int(asked or LONGEST), limit)
