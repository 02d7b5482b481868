"""`models pull`: the one command that reaches out, and only when a person asks for it.

Fetches the files that the catalogue names, at the newest revision or the one asked for, and pins
what came by writing SHA256SUMS beside it: from then on a changed file is not loaded.
"""

from __future__ import annotations

import sys
from pathlib import Path

from voice_pipeline import catalogue
from voice_pipeline.config import allow_downloads, load_settings
from voice_pipeline.errors import BadInput, Retryable
from voice_pipeline.kit import models_dir

PINS = "SHA256SUMS"


def run(name: str, revision: str | None, *, data: Path | None, config: Path | None) -> int:
    """Fetch a model into the folder of models and pin its files."""
    folder = models_dir(load_settings(config, data=data))
    model = catalogue.model(name)
    if not model.hub:
        raise BadInput(f"{name} is not fetched: {model.how_to_get(folder)}", code="model_missing")
    allow_downloads()
    from httpx import HTTPError
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    place = catalogue.place(name, folder)
    print(f"fetching {model.hub} ({model.size / 1e6:.0f} MB, {model.licence}) into {place}")
    try:
        snapshot_download(
            model.hub, revision=revision, local_dir=place, allow_patterns=list(model.files)
        )
    except (HfHubHTTPError, HTTPError, OSError) as error:
        raise Retryable(
            f"{model.hub} could not be fetched ({type(error).__name__}); what has arrived is kept: "
            f"try again, or copy the files to {place} from a machine that reaches the hub",
            code="hub_unreachable",
        ) from error
    files = sorted(file for file in model.files if (place / file).is_file())
    lines = [f"{catalogue.sha256(place / file)}  {file}\n" for file in files]
    (place / PINS).write_text("".join(lines), "utf-8")
    verdict = catalogue.verify(name, folder)
    print(f"{name}: {'ok, pinned' if verdict.ok else verdict.detail}", file=sys.stderr)
    return 0 if verdict.ok else 1
