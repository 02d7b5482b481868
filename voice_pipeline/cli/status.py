"""`status`: how the service is doing, for people; reads beside it and starts nothing."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import asdict
from http.client import HTTPException
from pathlib import Path
from typing import Any

from voice_pipeline.config import Settings, load_settings
from voice_pipeline.engine.queues import QUEUES
from voice_pipeline.opening import databases
from voice_pipeline.overview import Failure, Overview, last_failures, look

LATE = 900.0  # seconds that live work may wait before it is said
NEEDS_A_LOOK = 1


def run(data: Path | None, config: Path | None, *, url: str, as_json: bool) -> int:
    """Print the state of the service; 1 if something needs a person."""
    settings = load_settings(config, data=data)
    with databases(settings) as (database, engine):
        found = look(database, engine, settings.data if settings.data.is_dir() else Path.cwd())
        failures = last_failures(database)
    answers = _answers(url)
    notices = list(_notices(found, settings, answers, url))
    if as_json:
        shown: dict[str, Any] = asdict(found)
        shown |= {"service": answers, "failures": [asdict(one) for one in failures]}
        print(json.dumps(shown | {"notices": notices}, indent=2))
    else:
        for line in _lines(found, settings, failures, answers, url):
            print(line)
        print()
        for notice in notices or ["nothing needs a person"]:
            print(("! " if notices else "") + notice)
    return NEEDS_A_LOOK if notices else 0


def _answers(url: str) -> str:
    """Return `ready`, `not ready` or `no answer`."""
    try:
        with urllib.request.urlopen(f"{url.rstrip('/')}/readyz", timeout=3):
            return "ready"
    except urllib.error.HTTPError as error:
        return "not ready" if error.code == 503 else "no answer"
    except (OSError, HTTPException, ValueError):
        return "no answer"


def _lines(
    found: Overview, settings: Settings, failures: list[Failure], answers: str, url: str
) -> Iterator[str]:
    yield f"service   {url}: {answers}"
    free, size = found.disk_free / 2**30, found.disk_size / 2**30
    yield f"disk      {free:.1f} of {size:.1f} GiB free"
    open_calls = ", ".join(f"{number} {state}" for state, number in found.calls.items())
    ended = found.sums.get("calls", {})
    yield f"calls     {open_calls}; ended so far: {int(ended.get('done', 0))} done"
    yield f"review    {found.review} wait for a person, the oldest {_age(found.review_oldest)}"
    yield _escalations(found)
    yield ""
    yield "queue     work       waiting  oldest   under way"
    for depth in found.queues:
        if depth.waiting or depth.running or not depth.backfill:
            work = "backfill" if depth.backfill else "live"
            yield (
                f"{depth.queue:9} {work:9} {depth.waiting:8}  {_age(depth.oldest):7} "
                f"{depth.running:10}"
            )
    yield ""
    for worker in found.workers:
        late = "" if worker.seen < settings.serve.dead_after else "  (gone)"
        works = worker.queues or "answers only"
        yield f"worker    {worker.host}: {works}; seen {_age(worker.seen)} ago{late}"
    if not found.workers:
        yield "worker    none"
    for failure in failures:
        yield ""
        yield f"failed    {found.failed.get(failure.code, 0)} x {failure.code} (docs/codes.md)"
        yield f"          last: call {failure.call}, {_age(found.at - failure.at)} ago"
        yield f"          {failure.detail}"


def _escalations(found: Overview) -> str:
    number = sum(one.number for one in found.escalations.counts if one.state == "open")
    late = f"{found.escalations.overdue} overdue, the oldest {_age(found.escalations.oldest)}"
    return f"escalate  {number} open, {late}"


def _notices(found: Overview, settings: Settings, answers: str, url: str) -> Iterator[str]:
    if answers != "ready":
        yield f"the service at {url} gives {answers}; is it running, and is --url right?"
    for queue in QUEUES:
        live = [d for d in found.queues if d.queue == queue and d.waiting]
        here = any(
            queue in worker.queues.split(",") and worker.seen < settings.serve.dead_after
            for worker in found.workers
        )
        if live and not here:
            yield f"nobody works off {queue}; start `voice-pipeline worker --queues {queue}`"
        elif any(d.oldest > LATE and not d.backfill for d in live):
            yield f"live work waits in {queue} for more than {_age(LATE)}; add workers"
    for code, number in found.failed.items():
        yield f"{number} calls failed as {code}; docs/codes.md says what to do"
    for state, number in found.deliveries.items():
        if number and state == "stuck":
            yield f"{number} deliveries wait for more than 15 min; see `targets list`"
        elif number:
            yield f"{number} deliveries are {state}; see `deliveries list --state {state}`"
    for target in found.targets:
        if target.failing_since is not None:
            yield f"target {target.target} fails: {target.detail} ({target.code})"
        if target.paused_by is not None:
            yield f"target {target.target} is paused by {target.paused_by}"
    if found.escalations.overdue:
        yield f"{found.escalations.overdue} escalations are overdue; `escalations list --overdue`"
    if found.escalations.failing:
        yield f"{found.escalations.failing} notices do not arrive; `escalations show ID` says why"
    if found.disk_free < 2 * settings.serve.disk_reserve:
        yield "the disk is almost full; uploads are refused below serve.disk_reserve"


def _age(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h" if seconds < 172_800 else f"{seconds / 86_400:.0f} d"
