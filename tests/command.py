"""Running the command line as users do: in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

TESTS = Path(__file__).parent
SAMPLES = TESTS.parent / "samples"
CARD_DISPUTE = SAMPLES / "audio" / "card-dispute.flac"


def run(
    *arguments: str | Path, stdin: str = "", timeout: float = 300, crash_at: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `voice-pipeline ARGUMENTS`; with `crash_at`, the process kills itself at that point."""
    entry = ["-m", "voice_pipeline"] if crash_at is None else [TESTS / "crash_driver.py", crash_at]
    environment = {**os.environ, "PYTHONPATH": str(TESTS), "COLUMNS": "120"}
    return subprocess.run(
        [sys.executable, *map(str, entry), *map(str, arguments)],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        env=environment,
    )


def only_folder(out: Path) -> Path:
    """Return the one result folder in an output folder."""
    (folder,) = [path for path in out.iterdir() if path.is_dir() and path.name[0] != "."]
    return folder


def load(folder: Path, name: str) -> Any:
    return json.loads((folder / name).read_text("utf-8"))
