"""`serve` and `worker`: the service in one process, or a process that works queues off."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from voice_pipeline.access.keys import Keys
from voice_pipeline.access.permissions import Role
from voice_pipeline.api.guard import Guard
from voice_pipeline.config import Settings, load_settings
from voice_pipeline.engine import queues as q
from voice_pipeline.kit import Kit
from voice_pipeline.service import Sender, Service
from voice_pipeline.ways_in.places import watches
from voice_pipeline.ways_in.taking import Terms
from voice_pipeline.ways_in.watching import Watcher


def serve(
    data: Path | None,
    config: Path | None,
    *,
    host: str,
    port: int,
    queues: Sequence[str],
    demo: bool,
) -> int:
    """Answer HTTP until a signal comes, then let running calls end and leave."""
    from voice_pipeline.api.app import create_app
    from voice_pipeline.api.listening import server

    settings = load_settings(config, data=data)
    duty = _duty(settings, () if list(queues) == ["none"] else q.queue_names(queues or q.QUEUES))
    kit = Kit(settings, duty)
    if demo:
        _demo_key(kit, host, port)
    terms = Terms(Sender(by="watch"))
    with (
        Service(kit, duty) as service,
        Watcher(watches(service, settings.serve.watch, terms), settings.serve.watch_every),
    ):
        listening = server(create_app(service, Guard.of(settings, kit.store)), host, port)
        listening.run()
    kit.close(drain=settings.serve.drain)
    _leave(0 if listening.started else 4)
    return 0


def work(
    data: Path | None, config: Path | None, *, queues: Sequence[str], concurrency: int | None
) -> int:
    """Work queues off until a signal comes."""
    settings = load_settings(config, data=data)
    if concurrency is not None:
        settings = settings.model_copy(
            update={"serve": settings.serve.model_copy(update={"calls": concurrency})}
        )
    names = q.queue_names(queues)
    duty = _duty(settings, names)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    kit = Kit(settings, duty)
    with Service(kit, duty):
        print(f"working off {', '.join(names)}; Ctrl-C ends", file=sys.stderr, flush=True)
        stop.wait()
    kit.close(drain=settings.serve.drain)
    _leave(0)
    return 0


def _duty(settings: Settings, names: tuple[str, ...]) -> q.Duty:
    calls = settings.serve.calls
    limits = q.Limits(calls=calls, gpu=max(8, calls), llm=max(4, calls))
    return q.Duty(names, limits, settings.serve.dead_after)


def _demo_key(kit: Kit, host: str, port: int) -> None:
    """Make a key for trying things out, and say how to send a first call."""
    key = Keys(kit.store.database).create(Role.admin)
    print(
        f"a key for this demo, role admin:\n\n  export VP_KEY={key}\n\nhand in a call:\n\n"
        f'  curl -H "Authorization: Bearer $VP_KEY" -F file=@call.wav '
        f"http://{host}:{port}/v1/calls\n",
        file=sys.stderr,
        flush=True,
    )


def _leave(code: int) -> None:
    """End now: a stage that outlived its drain must not hold the process; others go on with it."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
