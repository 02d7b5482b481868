"""Runs the command line and ends its own process with SIGKILL at a named point.

python tests/crash_driver.py transcribe:made process call.wav --out results
"""

from __future__ import annotations

import os
import signal
import sys

from voice_pipeline.cli import main
from voice_pipeline.engine.durable import Engine

POINT = sys.argv.pop(1)


def reached(_self: Engine, stage: str, point: str) -> None:
    if f"{stage}:{point}" == POINT:
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    Engine.reached = reached  # type: ignore[method-assign]
    main()
