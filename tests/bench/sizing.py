"""How many workers a day's calls need, from what the stages of a data folder took.

    python tests/bench/sizing.py --data state --minutes 5

Costs are those of the machine that processed the calls of that folder; the rest is arithmetic:
calls a day, a busiest hour with a sixth of them, machines used to 70 % in that hour.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import sqlalchemy as sa

from voice_pipeline.store.database import open_database
from voice_pipeline.store.tallies import counted

BUSY_HOUR = 1 / 6  # share of a day's calls
USED = 0.7
HEARING = "transcribe"
CALLS = (1_000, 10_000, 100_000)
GPU = 0.02  # an assumption, measured by nobody here: seconds of a GPU per second of recording


def costs(data: Path, processor: float | None) -> tuple[float, float, float]:
    """Return seconds of hearing and of all else per second of recording, and the seconds heard.

    Args:
        processor: seconds of one processor that the run took; None: the stages' own time.
    """
    engine: sa.Engine = open_database(None, data / "calls.db")
    with engine.connect() as db:
        sums = counted(db)
    engine.dispose()
    heard = sums["stage_audio"][HEARING]
    spent = sums["stage_seconds"]
    rest = sum(seconds for stage, seconds in spent.items() if stage != HEARING)
    scale = 1.0 if processor is None else processor / (spent[HEARING] + rest)
    return spent[HEARING] * scale / heard, rest * scale / heard, heard


def workers(calls: int, minutes: float, cost: float) -> int:
    """Return how many processors (or GPUs) keep up in the busiest hour."""
    return max(1, math.ceil(calls * BUSY_HOUR * minutes * 60 * cost / 3600 / USED))


def main() -> None:
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("--data", type=Path, required=True, help="data folder, SQLite")
    given.add_argument("--minutes", type=float, default=5.0, help="length of a call")
    given.add_argument("--gpu", type=float, default=GPU, help="real-time factor on a GPU")
    given.add_argument(
        "--processor", type=float, help="user and sys of `time`, where the machine was shared"
    )
    options = given.parse_args()
    hearing, rest, heard = costs(options.data, options.processor)
    print(f"of {heard / 60:.0f} minutes: hearing {hearing:.3f}, all else {rest:.3f} s per s\n")
    print("| calls a day | recordings | all else: cores | hearing: cores | or GPUs |")
    print("| --- | --- | --- | --- | --- |")
    for calls in CALLS:
        hours = calls * options.minutes / 60
        cells = [workers(calls, options.minutes, cost) for cost in (rest, hearing, options.gpu)]
        print(f"| {calls:,} | {hours:,.0f} h | " + " | ".join(f"{n:,}" for n in cells) + " |")


if __name__ == "__main__":
    main()
