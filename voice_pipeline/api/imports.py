"""Recordings that a caller only names: one by reference, many by a manifest.

Decides what is fetched, for whom, and how each line of a manifest ended. Refuses places that the
settings do not list.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool

from voice_pipeline.access.principal import Principal
from voice_pipeline.api.guard import GuardedRoute, allowed
from voice_pipeline.api.problems import status_of
from voice_pipeline.api.uploads import check_queue, idempotency_key
from voice_pipeline.api.views import call_json
from voice_pipeline.errors import BadInput, PipelineError, Retryable
from voice_pipeline.intake import check_metadata
from voice_pipeline.service import Sender, Service
from voice_pipeline.store.rows import CallRow
from voice_pipeline.ways_in.facts import Line, flat_json, read_csv
from voice_pipeline.ways_in.reference import References
from voice_pipeline.ways_in.taking import historical

LARGEST = 4 << 20  # bytes of a manifest
MOST_LINES = 1000
COLUMN = "reference"
Value = Annotated[str, Field(max_length=2000)] | bool | int | float | None

router = APIRouter(route_class=GuardedRoute, tags=["calls"])
Importer = Annotated[Principal, Depends(allowed("calls.import"))]


class ByReference(BaseModel):
    """Where a recording is, and what is known of it."""

    model_config = ConfigDict(extra="forbid")

    reference: Annotated[str, Field(min_length=1, max_length=2000)] = Field(
        description="https://HOST/PATH or s3://BUCKET/KEY, within the setting serve.references"
    )
    metadata: dict[str, Value] = Field(default_factory=dict, max_length=100)
    backfill: bool = Field(False, description="an old recording: after live calls")


@router.post("/v1/calls/by-reference", status_code=202, summary="Have a recording fetched")
def by_reference(request: Request, who: Importer, wanted: ByReference) -> Response:
    """Fetch one recording and take it in. It is safe once this has answered 202."""
    metadata = flat_json(json.dumps(wanted.metadata).encode())
    row = _take(
        request, who, wanted.reference, metadata,
        key=idempotency_key(request), backfill=wanted.backfill, once=False,
    )  # fmt: skip
    shown = call_json(row)
    return JSONResponse(
        {"id": row.call, "status": shown["status"], "warnings": shown["warnings"]},
        202,
        {"Location": f"/v1/calls/{row.call}"},
    )


BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "text/csv": {
                "schema": {
                    "type": "string",
                    "description": "a column `reference`, every other one metadata",
                }
            },
            "application/x-ndjson": {
                "schema": {
                    "type": "string",
                    "description": "a line each: {reference, metadata}",
                }
            },
        },
    },
    "responses": {
        "200": {
            "description": "a line each as it ended: {line, status, id} or {line, status, "
            "code, detail}",
            "content": {"application/x-ndjson": {"schema": {"type": "string"}}},
        }
    },
}


@router.post("/v1/manifests", openapi_extra=BODY, summary="Have many recordings fetched")
async def manifest(
    request: Request,
    who: Importer,
    backfill: Annotated[bool, Query(description="old recordings: after live calls")] = False,
    again: Annotated[bool, Query(description="take bytes that are here already again")] = False,
) -> Response:
    """Fetch up to 1,000 recordings, one after the other; send it again to go on after a break."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST:
            raise BadInput(f"a manifest has at most {LARGEST:,} bytes", code="too_large")
    lines = await run_in_threadpool(_lines, bytes(body), kind)
    if len(lines) > MOST_LINES:
        raise BadInput(f"a manifest has at most {MOST_LINES:,} lines", code="too_large")

    def results() -> Iterator[str]:
        for line in lines:
            ended = _one(request, who, line, backfill=backfill, once=not again)
            yield json.dumps({"line": line.number, **ended}) + "\n"

    return StreamingResponse(
        results(), media_type="application/x-ndjson", headers={"Cache-Control": "no-store"}
    )


def _lines(body: bytes, kind: str) -> list[Line]:
    if kind == "text/csv":
        return read_csv(body, "manifest", COLUMN)
    if kind not in ("application/x-ndjson", "application/jsonl", "application/json-lines"):
        raise BadInput(
            "send text/csv with a column `reference`, or application/x-ndjson",
            code="unsupported_media_type",
        )
    return [
        _json_line(number, text) for number, text in enumerate(body.split(b"\n"), 1) if text.strip()
    ]


def _json_line(number: int, text: bytes) -> Line:
    try:
        given = json.loads(text)
        if not isinstance(given, dict) or given.keys() - {COLUMN, "metadata"}:
            raise BadInput("a line is {reference, metadata}", code="manifest")
        reference, metadata = given.get(COLUMN), given.get("metadata") or {}
        if not isinstance(reference, str):
            raise BadInput("`reference` is missing", code="manifest")
        known = check_metadata(flat_json(json.dumps(metadata).encode()), "")
        return Line(number, reference, known)
    except BadInput as error:
        return Line(number, "", {}, error)
    except (ValueError, RecursionError):
        return Line(number, "", {}, BadInput("not JSON", code="manifest"))


def _one(
    request: Request, who: Principal, line: Line, *, backfill: bool, once: bool
) -> dict[str, Any]:
    """Take one line and say how it ended."""
    try:
        if line.fault is not None:
            raise line.fault
        row = _take(
            request, who, line.file, dict(line.metadata), key=None, backfill=backfill, once=once
        )
    except PipelineError as error:
        return {"status": status_of(error), "code": error.code, "detail": error.message}
    except SQLAlchemyError:
        return {"status": 503, "code": "storage", "detail": "the database did not answer"}
    return {"status": 202, "id": row.call}


def _take(
    request: Request,
    who: Principal,
    reference: str,
    metadata: dict[str, str],
    *,
    key: str | None,
    backfill: bool,
    once: bool,
) -> CallRow:
    """Fetch one recording, sealed as it comes.

    Raises:
        BadInput, Retryable: as `References.fetch` and `Arrival.finish`.
    """
    service: Service = request.app.state.service
    references: References = request.app.state.references
    found = references.check(reference)
    check_queue(metadata, who)
    service.check_room(backfill=backfill)
    arrival = service.arrival()
    try:
        references.fetch(found, arrival.write)
    except (BadInput, Retryable):
        arrival.abandon()
        raise
    return arrival.finish(
        found.name,
        historical(metadata) if backfill else metadata,
        Sender(who.tenant, f"{who.kind}:{who.id}"),
        key=key,
        backfill=backfill,
        once=once,
    )
