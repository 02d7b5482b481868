"""Small real recordings, each with bytes of its own, and a service that takes them in."""

from __future__ import annotations

import wave
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from quick import QuickKit

from voice_pipeline.config import load_settings
from voice_pipeline.engine.queues import QUEUES, Duty
from voice_pipeline.service import Service


def tone(path: Path, number: int = 0, seconds: float = 1.0) -> Path:
    """Write a WAV of 8 kHz; another number is another recording."""
    frame = (1000 + number).to_bytes(2, "little", signed=True) + b"\x00\x00"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(frame * int(4000 * seconds))
    return path


@contextmanager
def taking(data: Path, *, works: bool = False, **settings: Any) -> Iterator[Service]:
    """Open a service over a data folder: one that only takes in, or one that works, too."""
    duty = Duty(QUEUES) if works else Duty()
    with QuickKit(load_settings(None, data=data, **settings), duty) as kit:
        service = Service(kit, duty)
        if not works:
            yield service
            return
        with service:
            yield service
