"""`backfill`: what is known of old recordings on their way. Opens the database, nothing else."""

from __future__ import annotations

import getpass
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from voice_pipeline.config import Settings, load_settings
from voice_pipeline.opening import open_store
from voice_pipeline.store import Store
from voice_pipeline.ways_in.estimate import span


def pause(data: Path | None, config: Path | None) -> int:
    with _store(data, config) as (settings, store):
        new = store.backlog.pause(getpass.getuser())
        ahead = store.backlog.in_hand()
        print(
            f"{'paused' if new else 'it was paused already'}; {ahead} of at most "
            f"{settings.serve.backfill_ahead} that the workers have are finished"
        )
    return 0


def resume(data: Path | None, config: Path | None) -> int:
    with _store(data, config) as (_, store):
        print("goes on" if store.backlog.resume() else "it was not paused")
    return 0


def status(data: Path | None, config: Path | None, *, as_json: bool) -> int:
    with _store(data, config) as (settings, store):
        counts, paused = store.backlog.counts(), store.backlog.paused()
        size, measured = store.backlog.left(), store.backlog.measured()
    left = counts.waiting + counts.in_hand
    seconds = None  # that are left
    if measured.calls and measured.work:
        at_once = max(1, min(settings.serve.calls, os.cpu_count() or 1))
        seconds = left * measured.work / measured.calls / at_once
    if as_json:
        print(
            json.dumps(
                {
                    "paused": paused is not None,
                    "waiting": counts.waiting,
                    "in_hand": counts.in_hand,
                    "ended": counts.ended,
                    "bytes_left": size,
                    "seconds_left": None if seconds is None else round(seconds, 1),
                }
            )
        )
        return 0
    if paused is not None:
        at = datetime.fromtimestamp(paused.at, UTC).isoformat(timespec="seconds")
        print(f"paused by {paused.by} at {at}")
    ended = ", ".join(f"{count:,} {state}" for state, count in sorted(counts.ended.items()))
    print(f"waiting    {counts.waiting:,} ({size / 1e9:,.1f} GB with those in hand)")
    print(f"in hand    {counts.in_hand:,}")
    print(f"ended      {ended or 'none'}")
    if left and seconds is not None:
        print(
            f"time left  {span(seconds)} on one machine (as the latest {measured.calls} calls took)"
        )
    return 0


@contextmanager
def _store(data: Path | None, config: Path | None) -> Iterator[tuple[Settings, Store]]:
    settings = load_settings(config, data=data)
    store = open_store(settings)
    try:
        yield settings, store
    finally:
        store.close()
