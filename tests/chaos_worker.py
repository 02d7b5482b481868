"""A worker whose stages take no time, for tests that kill it: DATA, DATABASE, QUEUES, seconds,
and further settings as JSON."""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path

# Not this folder, whose names shadow packages of ours; `quick` is found after them.
sys.path[0] = str(Path(__file__).parents[1])
sys.path.append(str(Path(__file__).parent))

from quick import QuickKit  # noqa: E402

from voice_pipeline.config import load_settings  # noqa: E402
from voice_pipeline.engine.queues import Duty, Limits, queue_names  # noqa: E402
from voice_pipeline.service import Service  # noqa: E402


def main(data: str, database: str, queues: str, dead_after: str, more: str = "{}") -> None:
    serve = {"calls": 4, "dead_after": float(dead_after), "lanes": ["gpu"]}
    given = {"data": Path(data), "database": database or None, "serve": serve, **json.loads(more)}
    settings = load_settings(None, **given)
    duty = Duty(queue_names(queues.split(",")), Limits(), float(dead_after))
    with QuickKit(settings, duty) as kit, Service(kit, duty):
        print("ready", flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
