"""`doctor --plan`: whether this machine suffices for a day's calls, with the arithmetic."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import typer

from voice_pipeline.cli.doctor import existing
from voice_pipeline.config import load_settings
from voice_pipeline.opening import has_store, open_store
from voice_pipeline.policy.load import load_pack
from voice_pipeline.store.backlog import Measured
from voice_pipeline.ways_in import estimate


def suffices(
    data: Path | None, config: Path | None, calls: float, minutes: float, *, as_json: bool
) -> int:
    """Say whether this machine keeps up with so many calls a day, with the arithmetic."""
    if not (0 < calls < 1e9 and 0 < minutes < 1e5):
        raise typer.BadParameter("takes two numbers above 0", param_hint="--plan")
    settings = load_settings(config, data=data)
    measured, folder = Measured(0, 0.0, 0.0), settings.data
    if has_store(settings):
        store = open_store(settings)
        try:
            measured = store.backlog.measured()
        finally:
            store.close()
    verdict = estimate.suffices(
        calls,
        minutes,
        speed=estimate.Speed.of(measured, settings.serve.calls),
        free=shutil.disk_usage(existing(folder)).free,
        raw_days=load_pack(settings.policy).retention.raw_audio_days,
    )
    if as_json:
        print(json.dumps({"suffices": verdict.enough, "lines": verdict.lines}, indent=2))
    else:
        print("\n".join(verdict.lines))
    return 0 if verdict.enough else 1
