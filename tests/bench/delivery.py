"""What delivery costs beside the network, and whether a day without the CRM loses anything.

    python tests/bench/delivery.py [--calls 5000] [--sample 500]

Overhead: notes put into the outbox and delivered to a target in memory, one after the other, so
that all the time is ours; beside it, in the same run, the work of a bare insert and update of one
row. Outage: a day on a clock of its own, the CRM away all the while; then everything must arrive,
in order, each once. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import sqlalchemy as sa

sys.path.insert(0, str(Path(__file__).parents[1]))

from crm import CRMS
from quick import QuickKit

from voice_pipeline.config import load_settings
from voice_pipeline.engine.queues import Duty
from voice_pipeline.errors import Retryable
from voice_pipeline.service import Sender, Service
from voice_pipeline.store.outbox import Wish

DAY = 86_400.0


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--calls", type=int, default=5000, help="that wait through the outage")
    parser.add_argument("--sample", type=int, default=500, help="for the overhead")
    given = parser.parse_args()
    found = {"overhead": overhead(given.sample), "outage": outage(given.calls)}
    print(json.dumps(found, indent=2))


def kit_in(folder: Path) -> QuickKit:
    CRMS.clear()
    target = {"use": "crm:create", "options": {"at": ""}, "before_approval": "send", "rate": 1000}
    return QuickKit(load_settings(None, data=folder, targets={"crm": target}), Duty())


def one_note(kit: QuickKit) -> tuple[str, str]:
    """Work on one call and return its id and the hash of its note."""
    arrival = Service(kit, Duty()).arrival()
    arrival.write(b"RIFF")
    row = arrival.finish("a.wav", {}, Sender(), targets=())
    received = kit.store.received(row.call)
    assert received is not None
    run = kit.engine.start(received, kit.plan())
    while not kit.engine.finished(run):
        time.sleep(0.02)
    outcome = kit.engine.outcome(run)
    assert outcome.note is not None
    return row.call, outcome.note.sha256


def overhead(count: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder, kit_in(Path(folder)) as kit:
        notes = [one_note(kit) for _ in range(20)]
        outbox, times = kit.store.outbox, []
        for number in range(count):
            call, note = notes[number % len(notes)]
            with kit.store.database.begin() as db:  # a further revision of the same note
                outbox.add(db, call, [Wish("crm")], note, number + 1)
            began = time.perf_counter()
            assert kit.courier.send(limit=1) == 1
            times.append(time.perf_counter() - began)
        bare = bare_writes(kit.store.database, count)
    times.sort()
    return {
        "n": count,
        "milliseconds_median": round(1000 * times[count // 2], 2),
        "milliseconds_p95": round(1000 * times[int(count * 0.95)], 2),
        "bare_two_writes_milliseconds_median": round(1000 * bare, 2),
    }


def bare_writes(database: sa.Engine, count: int) -> float:
    """Return the median seconds of two transactions of one row each."""
    times = []
    with database.begin() as db:
        db.execute(sa.text("create table bare (id integer primary key, state text)"))
    for number in range(count):
        began = time.perf_counter()
        with database.begin() as db:
            db.execute(sa.text("insert into bare values (:n, 'a')"), {"n": number})
        with database.begin() as db:
            db.execute(sa.text("update bare set state = 'b' where id = :n"), {"n": number})
        times.append(time.perf_counter() - began)
    return sorted(times)[count // 2]


def outage(count: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder, kit_in(Path(folder)) as kit:
        call, note = one_note(kit)
        del call
        clock = [time.time()]
        outbox = kit.store.outbox
        outbox.clock = lambda: clock[0]
        CRMS[""].before = lambda parcel: Retryable("down", code="target_unreachable")
        order = [f"waits-{number:05}" for number in range(count)]
        copies(kit, order)
        attempts, end = 0, clock[0] + DAY
        for number, name in enumerate(order):
            with kit.store.database.begin() as db:
                outbox.add(db, name, [Wish("crm")], note)
            if number % max(1, count // 400) == 0:
                clock[0] += DAY / 400
                attempts += kit.courier.send()
        clock[0] = max(clock[0], end)
        CRMS[""].before = lambda parcel: None
        began = time.perf_counter()
        while any(outbox.waiting()):
            clock[0] += 1.0
            while kit.courier.send(limit=100):
                pass
        seconds = time.perf_counter() - began
    got = CRMS[""].calls
    return {
        "calls": count,
        "simulated_hours": 24,
        "attempts_while_away": attempts,
        "delivered": len(got),
        "twice": len(got) - len(set(got)),
        "lost": len(set(order) - set(got)),
        "in_order": got == order,
        "drained_in_seconds": round(seconds, 1),
    }


def copies(kit: QuickKit, names: list[str]) -> None:
    """Let further calls have the one released note, so that thousands need not be worked on."""
    with kit.store.database.begin() as db:
        (source,) = db.execute(sa.text("select call from calls")).scalars()
        for table in ("calls", "revisions"):
            columns = [c["name"] for c in sa.inspect(db).get_columns(table) if c["name"] != "call"]
            listed = ", ".join(f'"{name}"' for name in columns)
            db.execute(
                sa.text(
                    f"insert into {table} (call, {listed}) select :new, {listed} from {table} "
                    "where call = :source"
                ),
                [{"new": name, "source": source} for name in names],
            )


if __name__ == "__main__":
    main()
