"""Builds the parts that settings and plans name; each adapter checks its own options.

Decides which transcriber, diarizer, analyst and connector stand behind a name. Refuses what is not
installed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from voice_pipeline import adapters
from voice_pipeline.audio.layout import is_mono
from voice_pipeline.config import Part, Settings, models_dir, secret
from voice_pipeline.domain import Recording
from voice_pipeline.errors import Misconfigured
from voice_pipeline.policy.pack import Pack
from voice_pipeline.ports import Analyst, Diarizer, Embedder, Transcriber


def build_transcriber(
    settings: Settings, name: str | None, part: Part | None = None
) -> Transcriber:
    """Build the transcriber that is asked for, or the one of the settings."""
    part = part or chosen(settings.transcriber, name)
    if part.use == "auto":
        part = Part(use=best_transcriber(settings), options=part.options)
    adapter = adapters.load("transcribers", part.use)
    built: Transcriber = adapter.build(
        part.options, offer={"models_dir": models_dir(settings), "secret": secret}
    )
    return built


def build_diarizers(settings: Settings, part: Part) -> Callable[[Recording], Diarizer]:
    """Return what picks a recording's diarizer: its channels, or its voices where it is mono."""

    if part.use != "auto":
        only = build_diarizer(settings, part)
        return lambda _recording: only
    unknown = sorted(set(part.options) - {"channels", "clustering"})
    if unknown:
        raise Misconfigured(
            f"diarizer auto has no option {', '.join(unknown)}; it takes tables `channels` and "
            "`clustering` with the options of those two"
        )
    channels, voices = (
        build_diarizer(settings, Part(use=name, options=part.options.get(name, {})))
        for name in ("channels", "clustering")
    )
    return lambda recording: voices if is_mono(recording) else channels


def build_diarizer(settings: Settings, part: Part) -> Diarizer:
    offer = {"models_dir": models_dir(settings)}
    built: Diarizer = adapters.load("diarizers", part.use).build(part.options, offer=offer)
    return built


def build_analyst(part: Part, pack: Pack, embedder: Embedder | None = None) -> Analyst:
    offer: dict[str, Any] = {"pack": pack, "embedder": embedder}

    def offline() -> Analyst:
        below: Analyst = adapters.load("analysts", "offline").build(offer=offer)
        return below

    built: Analyst = adapters.load("analysts", part.use).build(
        part.options, offer=offer | {"secret": secret, "offline": offline}
    )
    return built


def best_transcriber(settings: Settings) -> str:
    from voice_pipeline.transcribers import auto

    return auto.choose(models_dir(settings))


def chosen(configured: Part, name: str | None) -> Part:
    return configured if name is None or name == configured.use else Part(use=name)
