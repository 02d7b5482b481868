"""What the API shows of rows: names and forms of its JSON, cursors, tags. Never call content."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from voice_pipeline.errors import BadInput
from voice_pipeline.store import StageProgress
from voice_pipeline.store.register import METADATA
from voice_pipeline.store.rows import CallRow, Event


def call_json(row: CallRow, stages: Sequence[StageProgress] | None = None) -> dict[str, Any]:
    """Return a call as lists show it; with its stages, as its own page does."""
    warnings = json.loads(row.warnings) if row.warnings else []
    if row.duplicate_of:
        warnings.append({"code": "duplicate_of", "detail": row.duplicate_of})
    shown: dict[str, Any] = {
        "id": row.call,
        "status": row.status,
        "revision": row.revision,
        "received_at": utc(row.received_at),
        "ended_at": utc(row.ended_at) if row.ended_at is not None else None,
        "name": row.name,
        "sha256": row.sha256,
        "size": row.size,
        "duration": row.duration,
        "metadata": {key: value for key in METADATA if (value := getattr(row, key)) is not None},
        "request_type": row.request_type,
        "urgency": row.urgency,
        "flags": [flag for flag in (row.flags or "").split(",") if flag],
        "review": row.review,
        "backfill": bool(row.backfill),
        "warnings": warnings,
        "code": row.code,
        "detail": row.detail,
    }
    if stages is not None:
        shown["stages"] = [
            {"stage": one.stage, "share": round(one.share, 3), "seconds": one.seconds}
            for one in stages
        ]
    return shown


def event_json(event: Event) -> dict[str, Any]:
    """Return an event in the envelope of CloudEvents 1.0."""
    return {
        "specversion": "1.0",
        "id": str(event.number),
        "source": "/v1/calls",
        "type": f"voice-pipeline.{event.type}.v1",
        "subject": event.call,
        "time": utc(event.at),
        "datacontenttype": "application/json",
        "dataschema": "/v1/schemas/event-1",
        "data": {"call": event.call, "queue": event.queue, **json.loads(event.data)},
    }


def tag(row: CallRow) -> str:
    """Return the entity tag of a call's state."""
    return f'"{row.call}-{row.version}"'


def cursor(at: float, name: str) -> str:
    """Return where a list goes on after the row of that time and name."""
    text = json.dumps([at, name])
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def place(given: str) -> tuple[float, str]:
    """Read a cursor.

    Raises:
        BadInput: it is none of ours (code `cursor`).
    """
    try:
        at, call = json.loads(base64.urlsafe_b64decode(given + "=" * (-len(given) % 4)))
        return float(at), str(call)
    except (ValueError, TypeError, binascii.Error) as error:
        raise BadInput("cursor: use the `next_cursor` of an earlier answer", code="cursor") from (
            error
        )


def utc(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
