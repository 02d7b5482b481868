"""Places by name: a folder of this machine, or a bucket. Built from settings alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from voice_pipeline.config import Settings
from voice_pipeline.errors import Misconfigured
from voice_pipeline.opening import open_bucket
from voice_pipeline.service import Service
from voice_pipeline.ways_in.bucket import BucketPlace
from voice_pipeline.ways_in.folder import Folder
from voice_pipeline.ways_in.taking import Terms
from voice_pipeline.ways_in.watching import Place, Watch


def open_place(name: str, settings: Settings) -> Place:
    """Return the place that people name.

    Raises:
        Misconfigured: it cannot be watched (code `watch_folder` or `blobs_url`).
    """
    if name.startswith("s3://"):
        return BucketPlace(open_bucket(settings, name), name)
    if "://" in name:
        raise Misconfigured(
            "a place to watch is a folder, or s3://BUCKET/PREFIX", code="watch_folder"
        )
    return Folder(Path(name))


def watches(service: Service, names: Sequence[str], terms: Terms) -> list[Watch]:
    """Return a watch of each place."""
    settings = service.kit.settings
    return [Watch(service, open_place(name, settings), terms) for name in names]
