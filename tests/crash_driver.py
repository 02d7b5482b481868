"""Runs the command line and ends its own process with SIGKILL at a named point.

python tests/crash_driver.py transcribe:made process call.wav --out results
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

# Not this folder, whose `redaction` holds the tests of that package.
sys.path[0] = str(Path(__file__).parents[1])

from voice_pipeline.cli import main  # noqa: E402
from voice_pipeline.engine.durable import Engine  # noqa: E402

POINT = sys.argv.pop(1)


def reached(_self: Engine, stage: str, point: str) -> None:
    if f"{stage}:{point}" == POINT:
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    Engine.reached = reached  # type: ignore[method-assign]
    main()
