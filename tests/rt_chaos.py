"""Chaos at a real Request Tracker: workers are killed and the tracker is stopped under way.

python tests/rt_chaos.py --calls 500 --kills 20 --stops 3 --faults 0.05

The models say nothing and take no time; everything else is real: processes, PostgreSQL, outbox,
connector, tracker. What must hold at the end: a ticket a call, none twice, each with its own note.
Prints one JSON object.
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
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).parents[1])
    sys.path.append(str(Path(__file__).parent))

from fault_proxy import FAULTS, PASSING, proxy
from quick import QuickKit
from request_tracker import PASSWORD, QUEUE, Tracker, values

from voice_pipeline.config import load_settings
from voice_pipeline.engine.queues import Duty
from voice_pipeline.errors import Retryable
from voice_pipeline.service import Sender, Service
from voice_pipeline.store.rows import Scope

DEAD_AFTER = 4.0  # seconds
WORKERS = ("calls,crm", "calls,crm", "gpu")
QUICK = [name for name in PASSING if FAULTS[name].end in ("answer", "reset", "half")]
TIMEOUT = 60  # seconds: one process of the tracker answers all workers
REFERENCE = "CF.{Reason}"  # a field of the tickets that holds the call's own reference


@dataclass(slots=True)
class Seen:
    """What was done, and what became of the calls."""

    calls: int
    kills: int = 0
    stops: int = 0
    faults: int = 0  # requests that met one
    seconds: float = 0.0
    states: dict[str, int] = field(default_factory=dict)  # of the deliveries
    tickets: int = 0
    twice: int = 0  # calls with more than one ticket
    wrong: int = 0  # tickets with another call's note, or that the outbox knows by another number
    attempts: int = 0  # the most that one delivery took


def run(
    folder: Path, database: str, tracker: Tracker, *, calls: int, kills: int, stops: int,
    most: float, every: float = 3.0, faults: float = 0.0,
) -> Seen:  # fmt: skip
    """Deliver calls under fire.

    Args:
        folder: for data and logs.
        database: URL of an empty PostgreSQL database.
        tracker: runs; is stopped and started again.
        most: seconds after which it has failed.
        every: seconds between blows.
        faults: share of requests to the tracker that meet a fault.
    """
    seen, references = Seen(calls), {}
    with proxy(tracker.url) as between:
        between.chance(faults, seed=7, among=QUICK)
        settings = _settings(folder, database, between.url)
        idle = Duty((), dead_after=DEAD_AFTER)
        with QuickKit(load_settings(None, **settings), idle) as kit, Service(kit, idle) as service:
            for number in range(calls):
                arrival = service.arrival()
                arrival.write(f"RIFF {number}".encode())
                row = arrival.finish(f"{number}.wav", {"call_ref": f"ref-{number}"}, Sender())
                references[row.call] = f"ref-{number}"

            def over() -> bool:
                with suppress(Retryable):
                    return len(_delivered(kit, calls)) == calls
                return False

            _fire(seen, settings, tracker, over, kills=kills, stops=stops, most=most, every=every)
            rows = kit.store.outbox.find(Scope(), limit=2 * calls)
            seen.states = dict(Counter(row.state for row in rows))
            seen.attempts = max((row.attempts for row in rows), default=0)
            known = {row.call: row.external_id for row in rows}
        seen.faults = sum(name != "pass" for _, _, name in between.seen)
    found = [one for one in tracker.tickets() if values(one).get("CallId") in references]
    per_call = Counter(values(one)["CallId"] for one in found)
    seen.tickets, seen.twice = len(found), sum(n > 1 for n in per_call.values())
    seen.wrong = sum(
        values(one)["Reason"] != references[values(one)["CallId"]]
        or one["Subject"] != references[values(one)["CallId"]]
        or known[values(one)["CallId"]] != one["id"]
        for one in found
    )
    return seen


def _fire(
    seen: Seen, settings: dict[str, Any], tracker: Tracker, over: Callable[[], bool], *,
    kills: int, stops: int, most: float, every: float,
) -> None:  # fmt: skip
    """Kill and stop until everything is delivered and every blow has been struck."""
    rng = random.Random(7)
    workers = [_start(settings, queues) for queues in WORKERS]
    begun = time.monotonic()
    blow = begun + 2 * every
    while time.monotonic() - begun < most:
        time.sleep(0.25)
        if seen.kills < kills and time.monotonic() > blow:
            number = rng.randrange(len(workers))
            workers[number].kill()
            workers[number].wait()
            workers[number] = _start(settings, WORKERS[number])
            seen.kills += 1
            if stops and seen.kills % max(1, kills // stops) == 0 and seen.stops < stops:
                tracker.stop(signal.SIGKILL if seen.stops % 2 else signal.SIGTERM)
                time.sleep(every)
                tracker.start()
                seen.stops += 1
            blow = time.monotonic() + every
        elif seen.kills == kills and over():
            break
    seen.seconds = round(time.monotonic() - begun, 1)
    for worker in workers:
        worker.kill()
        worker.wait()


def _settings(folder: Path, database: str, url: str) -> dict[str, Any]:
    mapping = folder / "mapping.yaml"
    mapping.write_text(
        'Subject: "{{ metadata.call_ref }}"\nContent: "{{ text }}"\n'
        f'"{REFERENCE}": "{{{{ metadata.call_ref }}}}"\n'
    )
    options = {"url": url, "private": True, "queue": QUEUE, "user": "voice", "timeout": TIMEOUT,
               "password": f"file:{folder / 'password'}"}  # fmt: skip
    (folder / "password").write_text(PASSWORD)
    (folder / "password").chmod(0o600)
    target = {"use": "request_tracker", "options": options, "mapping": str(mapping),
              "before_approval": "send", "rate": 1000}  # fmt: skip
    return {
        "data": folder / "data", "database": database, "targets": {"tickets": target},
        "serve": {"dead_after": DEAD_AFTER, "lanes": ["gpu"]},
    }  # fmt: skip


def _delivered(kit: QuickKit, calls: int) -> list[Any]:
    return kit.store.outbox.find(Scope(), states=["delivered"], limit=2 * calls)


def _start(settings: dict[str, Any], queues: str) -> subprocess.Popen[bytes]:
    script = Path(__file__).parent / "chaos_worker.py"
    more = json.dumps({"targets": settings["targets"]})
    with (settings["data"].parent / "workers.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, script, settings["data"], settings["database"], queues,
             str(DEAD_AFTER), more],
            stdout=log, stderr=log, env=os.environ,
        )  # fmt: skip


def main() -> None:
    import postgres
    import request_tracker

    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--calls", type=int, default=500)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--stops", type=int, default=3)
    parser.add_argument("--faults", type=float, default=0.05, help="share of requests")
    parser.add_argument("--most", type=float, default=1800.0, help="seconds")
    given = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as name,
        postgres.server() as cluster,
        request_tracker.server() as tracker,
    ):
        seen = run(
            Path(name), cluster.create(), tracker, calls=given.calls, kills=given.kills,
            stops=given.stops, most=given.most, faults=given.faults,
        )  # fmt: skip
        print(json.dumps(asdict(seen), indent=2))
        if seen.tickets != given.calls or seen.wrong:
            print(Path(name, "workers.log").read_text()[-3000:], file=sys.stderr)


if __name__ == "__main__":
    main()
