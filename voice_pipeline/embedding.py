"""Builds the embedder that settings name: apart from the composition root, for commands that need
no engine and no store.
"""

from __future__ import annotations

from voice_pipeline import adapters
from voice_pipeline.config import Part
from voice_pipeline.ports import Embedder


def build_embedder(part: Part | None) -> Embedder | None:
    """Build the embedder of the settings; None: none is set, and likeness is counted in words."""
    if part is None:
        return None
    built: Embedder = adapters.load("embedders", part.use).build(part.options)
    return built
