"""The server analyst against a real OpenAI-compatible server: llama.cpp, with a tiny random model.

Not a test of the suite: it needs `pip install xllamacpp gguf` in an environment of its own. The
model is made here and knows nothing; the schema alone makes its answers JSON. What this shows is
that probe, schema, limits and fallback work with a server that nobody of ours wrote.

    python tests/bench/llama_server.py        # prints its address; then, beside it:
    voice-pipeline --config settings.toml analyse --analyst openai < calls.jsonl
"""

from __future__ import annotations

import tempfile
import threading
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import xllamacpp as llama

WIDTH, LAYERS, HEADS, CONTEXT = 32, 1, 2, 16_384
SPECIAL = ["<unk>", "<s>", "</s>"]


def make_model(path: Path, seed: int = 0) -> None:
    """Write a llama model with random weights and a vocabulary of bytes."""
    draw = np.random.default_rng(seed)
    tokens = [*SPECIAL, *(f"<0x{byte:02X}>" for byte in range(256))]
    tokens += [chr(byte) for byte in range(33, 127)] + ["▁"]
    kinds = [2, 3, 3, *[6] * 256, *[1] * 95]  # unknown, control, byte, normal
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(2 * WIDTH)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores([0.0] * len(tokens))
    writer.add_token_types(kinds)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_chat_template(
        "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}assistant:"
    )

    def weights(name: str, *shape: int) -> None:
        writer.add_tensor(name, draw.normal(0, 0.3, shape).astype(np.float32))

    weights("token_embd.weight", len(tokens), WIDTH)
    weights("output.weight", len(tokens), WIDTH)
    writer.add_tensor("output_norm.weight", np.ones(WIDTH, np.float32))
    for layer in range(LAYERS):
        for name in ("attn_norm", "ffn_norm"):
            writer.add_tensor(f"blk.{layer}.{name}.weight", np.ones(WIDTH, np.float32))
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            weights(f"blk.{layer}.{name}.weight", WIDTH, WIDTH)
        weights(f"blk.{layer}.ffn_gate.weight", 2 * WIDTH, WIDTH)
        weights(f"blk.{layer}.ffn_up.weight", 2 * WIDTH, WIDTH)
        weights(f"blk.{layer}.ffn_down.weight", WIDTH, 2 * WIDTH)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def serve(model: Path) -> Any:
    """Start llama.cpp's own HTTP server in this process."""
    parameters = llama.CommonParams()
    parameters.model.path = str(model)
    parameters.n_ctx = CONTEXT
    parameters.n_parallel = 1
    parameters.warmup = False
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = 0
    return llama.Server(parameters)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "tiny.gguf"
        make_model(model)
        server = serve(model)
        print(f"{server.listening_address}/v1 (stop with ctrl-c)", flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
