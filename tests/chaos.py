"""Chaos on PostgreSQL: workers are killed and the database is stopped while calls are worked off.

python tests/chaos.py --calls 2000 --kills 40 --stops 3

The models say nothing and take no time; everything else is real. What must hold at the end: every
call is done, each was delivered once, nothing waits. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).parents[1])
    sys.path.append(str(Path(__file__).parent))

from quick import QuickKit

from voice_pipeline.config import load_settings
from voice_pipeline.engine.queues import Duty
from voice_pipeline.errors import Retryable
from voice_pipeline.service import Sender, Service
from voice_pipeline.store.rows import Scope

DEAD_AFTER = 4.0  # seconds
WORKERS = ("calls,crm", "calls,crm", "gpu")


@dataclass(slots=True)
class Chaos:
    """What was done to the workers, and what became of the calls."""

    calls: int
    kills: int = 0
    stops: int = 0
    seconds: float = 0.0
    states: dict[str, int] = field(default_factory=dict)
    delivered: int = 0
    delivered_twice: int = 0
    attempts: int = 0


def run(
    folder: Path, database: str, stop: Callable[[], None], *, calls: int, kills: int, stops: int,
    most: float, every: float = 2.0,
) -> Chaos:  # fmt: skip
    """Work calls off under fire.

    Args:
        folder: for data and deliveries.
        database: URL of an empty PostgreSQL database.
        stop: called with nothing, stops the server at once and starts it again.
        most: seconds after which it has failed.
        every: seconds between blows.
    """
    settings = load_settings(
        None, data=folder / "data", database=database,
        serve={"dead_after": DEAD_AFTER, "lanes": ["gpu"]},
    )  # fmt: skip
    seen = Chaos(calls)
    rng = random.Random(7)
    target = f"folder:{folder / 'crm'}"
    idle = Duty((), dead_after=DEAD_AFTER)
    with QuickKit(settings, idle) as kit, Service(kit, idle) as service:
        for number in range(calls):
            arrival = service.arrival()
            arrival.write(f"RIFF {number}".encode())
            arrival.finish(f"{number}.wav", {"call_ref": f"c{number}"}, Sender(),
                           targets=(target,))  # fmt: skip
        workers = [start(folder, database, queues) for queues in WORKERS]
        begun = time.monotonic()
        blow = begun + 6
        while time.monotonic() - begun < most:
            time.sleep(0.25)
            for number, worker in enumerate(workers):  # as a supervisor does: it could not start
                if worker.poll() is not None:  # while the database was down
                    workers[number] = start(folder, database, WORKERS[number])
            if time.monotonic() > blow and seen.kills < kills:
                number = rng.randrange(len(workers))
                os.kill(workers[number].pid, signal.SIGKILL)
                workers[number].wait()
                workers[number] = start(folder, database, WORKERS[number])
                seen.kills += 1
                blow = time.monotonic() + every
                if stops and seen.kills % max(1, kills // stops) == 0 and seen.stops < stops:
                    stop()
                    seen.stops += 1
            with suppress(Retryable):  # the database may be down
                done = kit.store.register.counts().get("done", 0)
                if done == calls and len(_lines(folder)) >= calls:
                    break
        seen.seconds = round(time.monotonic() - begun, 1)
        seen.states = kit.store.register.counts()
        for worker in workers:
            os.kill(worker.pid, signal.SIGKILL)
            worker.wait()
        rows = kit.store.register.find(Scope(), limit=calls)
        seen.attempts = max(row.attempt for row in rows)
    kept = Counter(line["call_id"] for line in _lines(folder))
    seen.delivered, seen.delivered_twice = len(kept), sum(n > 1 for n in kept.values())
    return seen


def start(folder: Path, database: str, queues: str) -> subprocess.Popen[bytes]:
    script = Path(__file__).parent / "chaos_worker.py"
    with (folder / "workers.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, script, folder / "data", database, queues, str(DEAD_AFTER)],
            stdout=log,
            stderr=log,
        )


def _lines(folder: Path) -> list[dict[str, str]]:
    return [
        json.loads(path.read_text())["note"] for path in sorted((folder / "crm").glob("*.json"))
    ]


def main() -> None:
    from postgres import server

    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--calls", type=int, default=2000)
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--stops", type=int, default=3)
    parser.add_argument("--most", type=float, default=1800.0, help="seconds")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, server() as cluster:

        def stop() -> None:
            cluster.stop(signal.SIGQUIT)
            cluster.start()

        seen = run(
            Path(name), cluster.create(), stop, calls=given.calls,
            kills=given.kills, stops=given.stops, most=given.most,
        )  # fmt: skip
    print(json.dumps({name: getattr(seen, name) for name in Chaos.__slots__}, indent=2))


if __name__ == "__main__":
    main()
