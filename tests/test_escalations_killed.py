"""Killed at the worst moment, in any order of faults, clocks and decisions: told once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from crm import CRMS
from hypothesis import given, settings
from hypothesis import strategies as st
from test_escalations import DAY, HOUR, MORNING, WHO, Place, make, notify

from voice_pipeline.config import load_settings
from voice_pipeline.delivery.targets import Targets
from voice_pipeline.errors import Retryable
from voice_pipeline.store.escalated import EscalationRow

CHILD = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from test_escalations import MORNING, HOUR
from test_escalations_killed import folder_place
place = folder_place(Path(sys.argv[1]), sys.argv[4] or None)
place.time[0] = MORNING + 2 * HOUR
keeper = place.keeper
if sys.argv[2] == "after the row":
    keeper.decide()
    os.kill(os.getpid(), signal.SIGKILL)
if sys.argv[2] == "in the middle":
    real = place.store.escalations.sent
    place.store.escalations.sent = lambda row: os.kill(os.getpid(), signal.SIGKILL)
    keeper.look()
"""


def folder_place(folder: Path, database: str | None) -> Place:
    """A place whose owner is told by files."""
    made = make(folder, database)
    ways = {"mail": {"use": "folder", "options": {"path": str(folder / "told")}}}
    made.targets = Targets(load_settings(None, data=folder / "data", targets=ways))
    made.notify = notify(owners={"lead": {"ways": ["mail"]}})
    return made


@pytest.mark.parametrize("point", ["after the row", "in the middle"])
def test_a_killed_process_neither_forgets_nor_repeats(
    tmp_path: Path, database: str | None, point: str
) -> None:
    """SIGKILL between row and send, or between send and word of it: one notice is there."""
    here = folder_place(tmp_path, database)
    row = here.raise_()
    tests = str(Path(__file__).parent)
    child = subprocess.run(
        [sys.executable, "-c", CHILD, str(tmp_path), point, tests, database or ""],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}, check=False,
    )  # fmt: skip
    assert child.returncode == -signal.SIGKILL
    told = tmp_path / "told"
    assert len(list(told.glob("*.json"))) == (0 if point == "after the row" else 1)
    here.time[0] = MORNING + 2 * HOUR + 60
    assert here.store.escalations.holders() == (set() if point == "after the row" else {"me"})
    here.store.escalations.release("me")
    for _ in range(3):
        here.keeper.look()
    (file,) = told.glob("*.json")
    fields = json.loads(file.read_text("utf-8"))["fields"]
    assert (fields["kind"], fields["escalation"]) == ("reminder", row.id)
    (one,) = here.store.escalations.notices(row.id)
    assert (one.state, one.number) == ("sent", 1)
    here.store.close()


@given(st.lists(st.sampled_from(["look", "hour", "day", "back", "down", "up", "die", "ack", "end",
                                 "gone", "night"]), min_size=1, max_size=30))  # fmt: skip
@settings(max_examples=15)
def test_whatever_happens_nobody_is_told_the_same_twice(steps: list[str]) -> None:
    """Any order of kills, clocks, faults and decisions: keys differ, nothing after an answer."""
    CRMS.clear()
    with tempfile.TemporaryDirectory() as folder:
        place = make(Path(folder), quiet={"from": "20:00", "to": "08:00"})
        row: EscalationRow | None = None
        settled = 0
        for step in steps:
            if step == "look":
                place.keeper.look()
            elif step in ("hour", "day", "back", "night"):
                jump = {"hour": HOUR, "day": DAY, "back": -2 * HOUR, "night": 11 * HOUR}
                place.time[0] += jump[step]
            elif step in ("down", "up"):
                down = Retryable("down", code="no_answer") if step == "down" else None
                for name in ("mail", "chat"):
                    CRMS[name].after = lambda parcel, fault=down: fault
            elif step == "die":
                place.keeper.decide()
                place.store.escalations.claim("me", lease=60.0, limit=1)
                place.store.escalations.release("me")
            elif step == "end":
                row = place.raise_("c1", "complaint")
            elif step == "gone":
                place.end("c1", [])
            elif row is not None:
                place.store.escalations.acknowledge(row.id, **WHO)
            state = place.row("c1", "complaint").state if row is not None else "open"
            told = place.told()
            assert len({one.key for one in told}) == len(told)
            assert all(8 <= int(one.at[11:13]) < 20 for one in told)
            if state != "open":
                assert not settled or len(told) == settled
                settled = len(told)
            else:
                settled = 0
        place.store.close()
