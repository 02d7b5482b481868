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
from voice_pipeline.service import Service


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
    _logging()
    kit = Kit(settings, duty)
    if demo:
        _demo_key(kit, host, port)
    with Service(kit, duty) as service:
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
    _logging()
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
    limits = q.Limits(calls=calls, gpu=max(8, calls), llm=max(4, calls), crm=8)
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


def _logging() -> None:
    """Say what happens on stderr: times, levels, codes; never call content."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("dbos").setLevel(logging.CRITICAL)
    for name in ("httpx", "presidio-analyzer", "faster_whisper"):
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("python_multipart").setLevel(logging.ERROR)  # repeats what was sent


def _leave(code: int) -> None:
    """End now: a stage that outlived its drain must not hold the process; others go on with it."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
