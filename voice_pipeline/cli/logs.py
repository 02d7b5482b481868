"""Log lines on stderr: what happened, to which call, at which stage; as text or JSON.

Only our own sentences are written, and those hold no content. Of libraries' records the place is
written and the message is withheld, and of exceptions the class and the lines of code, since both
may repeat what they were given.
"""

from __future__ import annotations

import json
import logging
import sys
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

OURS = ("voice_pipeline", "redaction")
STATED = ("uvicorn.error",)  # speaks of itself only, from level INFO on
FACTS = ("call", "stage", "seconds", "code")

Format = Literal["text", "json"]


def configure(form: Format, level: str) -> None:
    """Send every log record of this process to stderr in one form."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if form == "json" else Text())
    handler.addFilter(_worth_a_line)
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.getLogger("dbos").setLevel(logging.CRITICAL)


def _worth_a_line(record: logging.LogRecord) -> bool:
    """Leave out what libraries say of their daily work, unless everything is asked for."""
    if logging.getLogger().level <= logging.DEBUG or _of(record, (*OURS, *STATED)):
        return True
    return record.levelno >= logging.WARNING


def facts(record: logging.LogRecord) -> dict[str, Any]:
    """Return what may be written of a record, in the order in which it is written."""
    told: dict[str, Any] = {
        "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
        "level": record.levelname.lower(),
        "logger": record.name,
        "event": _event(record),
    }
    told |= {
        name: value
        for name in FACTS
        if _of(record, OURS) and (value := getattr(record, name, None)) is not None
    }
    if record.exc_info and record.exc_info[0] is not None:
        kind, _, trace = record.exc_info
        told["exception"] = kind.__name__
        told["at"] = [
            f"{Path(frame.filename).name}:{frame.lineno}" for frame in traceback.extract_tb(trace)
        ]
    return told


class JsonLines(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        return json.dumps(facts(record))


class Text(logging.Formatter):
    """For people: `TIME LEVEL event  name=value ...`."""

    def format(self, record: logging.LogRecord) -> str:
        told = facts(record)
        time, level, _logger, event = (told.pop(name) for name in list(told)[:4])
        rest = " ".join(f"{name}={value}" for name, value in told.items())
        return " ".join(f"{time} {level.upper():7} {event}  {rest}".split("\n")).rstrip()


def _event(record: logging.LogRecord) -> str:
    spoken = _of(record, OURS) or (_of(record, STATED) and record.levelno >= logging.INFO)
    if spoken:
        return record.getMessage()
    return f"a library's message, withheld ({record.module}:{record.lineno})"


def _of(record: logging.LogRecord, loggers: tuple[str, ...]) -> bool:
    return any(record.name == name or record.name.startswith(f"{name}.") for name in loggers)
