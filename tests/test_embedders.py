"""Texts to vectors: a folder on this machine, or a server; nothing is mixed, nothing is fetched."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
import tiny_bert

from voice_pipeline.adapters import load, names
from voice_pipeline.embedders import local, openai
from voice_pipeline.errors import Misconfigured, Permanent, PipelineError, Retryable
from voice_pipeline.testing import embedder_contract

TEXTS = ["where is my parcel", "i was billed twice and the card is stolen", "refund", "unheard of"]


def embedder(folder: Path, **options: Any) -> local.LocalEmbedder:
    return local.create(local.Options(path=folder, **options))


@pytest.mark.parametrize("onnx", [False, True])
@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_a_folder_keeps_the_contract(tmp_path: Path, onnx: bool, pooling: str) -> None:
    """Safetensors in NumPy and ONNX in onnxruntime both pass the port's suite."""
    folder = tiny_bert.build(tmp_path / "tiny", onnx=onnx, pooling=pooling)
    embedder_contract(lambda: embedder(folder))


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_numpy_computes_what_onnxruntime_computes(tmp_path: Path, pooling: str) -> None:
    """The same random network gives the same vectors both ways, padding and all."""
    graph = tiny_bert.build(tmp_path / "onnx", onnx=True, pooling=pooling)
    plain = tiny_bert.build(tmp_path / "plain", pooling=pooling)
    one, other = embedder(graph).embed(TEXTS), embedder(plain).embed(TEXTS)
    assert np.abs(one - other).max() < 1e-5
    assert np.abs(one @ one.T - 1).max() > 0.01, "a network that says nothing proves nothing"


def test_other_weights_and_other_settings_are_another_model(tmp_path: Path) -> None:
    """made_by changes with whatever changes a vector, so stored vectors are never mixed."""
    one, two = tiny_bert.build(tmp_path / "a" / "m"), tiny_bert.build(tmp_path / "b" / "m", seed=1)
    made = {
        embedder(one).made_by,
        embedder(two).made_by,
        embedder(one, longest=16).made_by,
        embedder(one, prefix="query: ").made_by,
        embedder(tiny_bert.build(tmp_path / "c" / "m", pooling="cls")).made_by,
    }
    assert len(made) == 5


def test_a_long_text_is_cut(tmp_path: Path) -> None:
    """What lies behind the model's length does not count, and does not fail."""
    made = embedder(tiny_bert.build(tmp_path), longest=8)
    one, other = made.embed(["card " * 500, "card " * 500 + "refund"])
    assert np.allclose(one, other)


def _cut(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])


def _other_kind(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "xlm-roberta"}))


def _too_deep(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 9}))


def _write(name: str, data: bytes) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes(data) and None


@pytest.mark.parametrize(
    ("harm", "code"),
    [
        (lambda folder: (folder / "tokenizer.json").unlink(), "model_missing"),
        (lambda folder: (folder / "model.safetensors").unlink(), "model_missing"),
        (_write("tokenizer.json", b"{}"), "model_damaged"),
        (_write("config.json", b"[]"), "model_damaged"),
        (_write("model.safetensors", b"abc"), "model_damaged"),
        (_write("model.safetensors", b"\xff" * 64), "model_damaged"),
        (_write("model.onnx", b"nothing"), "model_damaged"),
        (_write("SHA256SUMS", b"0" * 64 + b"  config.json\n"), "model_damaged"),
        (
            _write("1_Pooling/config.json", b'{"pooling_mode_max_tokens": true}'),
            "model_unsupported",
        ),
        (_cut, "model_damaged"),
        (_too_deep, "model_damaged"),
        (_other_kind, "model_unsupported"),
    ],
)
def test_a_folder_that_does_not_fit_is_refused(
    tmp_path: Path, harm: Callable[[Path], None], code: str
) -> None:
    """Missing, cut, changed or of another kind: an error that names the file, never a vector."""
    folder = tiny_bert.build(tmp_path / "tiny")
    harm(folder)
    with pytest.raises(Misconfigured) as error:
        embedder(folder).embed(["card"])
    assert error.value.code == code
    assert str(folder) in error.value.message


def test_no_folder_at_all(tmp_path: Path) -> None:
    """The message says what such a folder holds."""
    with pytest.raises(Misconfigured, match=r"tokenizer\.json"):
        embedder(tmp_path / "nowhere")


def test_both_are_found_by_name() -> None:
    """The folder is the registry."""
    assert {"local", "openai"} <= set(names("embedders"))
    with pytest.raises(Misconfigured, match="has no option"):
        load("embedders", "local").build({"paht": "x"})


def test_importing_an_embedder_loads_no_runtime() -> None:
    """Whoever has no model pays nothing for it."""
    code = """
import sys, voice_pipeline.embedders.local, voice_pipeline.embedders.openai
assert not {"onnxruntime", "tokenizers", "openai", "sklearn", "torch"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


# ------------------------------------------------------------------ a server


@contextmanager
def server(answer: Callable[[dict[str, Any]], tuple[int, Any]]) -> Iterator[tuple[str, list[Any]]]:
    """A local server that speaks /v1/embeddings; yields its address and what it was asked."""
    asked: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append({**body, "path": self.path, "key": self.headers["Authorization"]})
            status, said = answer(body)
            data = said if isinstance(said, bytes) else json.dumps(said).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=running.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{running.server_port}/v1", asked
    finally:
        running.shutdown()
        running.server_close()
        thread.join()


def _said(body: dict[str, Any], width: int = 4) -> tuple[int, Any]:
    rows = [
        {"object": "embedding", "index": place,
         "embedding": [len(text) + 1.0, *(float(ord(c)) for c in (text + "abc")[: width - 1])]}
        for place, text in enumerate(body["input"])
    ]  # fmt: skip
    return 200, {"object": "list", "model": body["model"], "data": rows[::-1],
                 "usage": {"prompt_tokens": 1, "total_tokens": 1}}  # fmt: skip


def remote(address: str, **options: Any) -> openai.ServerEmbedder:
    return openai.create(
        openai.Options(base_url=address, model="tiny", retries=0, timeout=2, **options)
    )


def test_a_server_keeps_the_contract() -> None:
    """Order is by index, whatever order the server answers in; long texts are cut, not refused."""
    with server(_said) as (address, asked):
        embedder_contract(lambda: remote(address, batch=2, api_key="abc"))
    assert all(len(one["input"]) <= 2 for one in asked)
    assert all(one["path"] == "/v1/embeddings" for one in asked)
    assert all(one["key"] == "Bearer abc" for one in asked)
    assert max(len(text) for one in asked for text in one["input"]) <= openai.LONGEST


def test_empty_texts_are_not_sent() -> None:
    """A server would refuse them."""
    with server(_said) as (address, asked):
        rows = remote(address, dimension=4).embed(["", "a", " "])
    assert [one["input"] for one in asked] == [["a"]]
    assert [bool(row.any()) for row in rows] == [False, True, False]


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ((401, {"error": {"message": "no"}}), Misconfigured),
        ((404, {"error": {"message": "no model"}}), Misconfigured),
        ((429, {"error": {"message": "slow down"}}), Retryable),
        ((500, b"oops"), Retryable),
        ((400, {"error": {"message": "bad"}}), Permanent),
        ((200, b"<html>login</html>"), Permanent),
        ((200, {"data": []}), Permanent),
        ((200, {"object": "list", "data": [{"index": 0, "embedding": [1.0, float("nan")]}]}),
         Permanent),
        ((200, {"object": "list", "data": [{"index": 7, "embedding": [1.0]}]}), Permanent),
        ((200, {"object": "list", "data": [{"index": 0, "embedding": "QUJD"}]}), Permanent),
        ((200, {"object": "list", "data": [{"index": 0, "embedding": []}]}), Permanent),
        ((200, {"object": "list", "data": [{"index": 0}]}), Permanent),
    ],
)  # fmt: skip
def test_a_server_that_misbehaves(answer: tuple[int, Any], kind: type[PipelineError]) -> None:
    """Each failure is of the class that says who must act, and no text is in the message."""
    with server(lambda _: answer) as (address, _), pytest.raises(kind) as error:
        remote(address).embed(["my pin is 4711"])
    assert "4711" not in str(error.value)


def test_another_dimension_in_the_middle_is_refused() -> None:
    """A server whose model was swapped must not put its vectors beside the old ones."""
    widths = iter([4, 5])
    with server(lambda body: _said(body, next(widths))) as (address, _):
        made = remote(address, batch=1)
        assert made.dimension == 4
        with pytest.raises(Permanent, match="another model"):
            made.embed(["a"])


def test_no_server_there() -> None:
    """A refused connection may be tried again later."""
    with server(_said) as (address, _):
        pass
    with pytest.raises(Retryable):
        remote(address).embed(["a"])
