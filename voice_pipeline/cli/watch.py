"""`watch`: recordings from folders and buckets, until a signal comes."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from voice_pipeline.config import load_settings
from voice_pipeline.engine.queues import Duty
from voice_pipeline.intake import parse_metadata
from voice_pipeline.kit import Kit
from voice_pipeline.service import Sender, Service
from voice_pipeline.ways_in.facts import NamePattern
from voice_pipeline.ways_in.places import open_place
from voice_pipeline.ways_in.taking import Terms
from voice_pipeline.ways_in.watching import Watch, look


def run(
    places: Sequence[str],
    *,
    every: float,
    pattern: str | None,
    meta: Sequence[str],
    backfill: bool,
    targets: Sequence[str] | None,
    tenant: str,
    once: bool,
    data: Path | None,
    config: Path | None,
) -> int:
    """Take what turns up; return 3 where something failed and `once` was asked for."""
    settings = load_settings(config, data=data)
    names = NamePattern(pattern) if pattern is not None else None
    metadata = parse_metadata(meta)
    terms = Terms(Sender(tenant, "watch"), tuple(targets) if targets else None, backfill)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with Kit(settings) as kit:
        kit.check_targets(targets or ())
        service = Service(kit, Duty())  # not entered: what is taken waits for `serve`
        watching = [
            Watch(service, open_place(place, settings), terms, pattern=names, metadata=metadata)
            for place in places
        ]
        while not stop.is_set():
            left = [look(watch) for watch in watching]
            if once and not any(left):
                break
            stop.wait(every)
    taken = sum(watch.taken for watch in watching)
    failed = sum(watch.failed for watch in watching)
    print(f"{taken:,} taken, {failed:,} failed", file=sys.stderr)
    return 3 if once and failed else 0
