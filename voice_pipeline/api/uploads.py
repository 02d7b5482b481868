"""POST /v1/calls: a recording comes in, sealed as it comes; answered when it cannot be lost."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, Response
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from voice_pipeline.access.principal import Principal
from voice_pipeline.api.forms import FormReader, metadata_of
from voice_pipeline.api.guard import GuardedRoute, allowed
from voice_pipeline.api.views import call_json
from voice_pipeline.errors import BadInput, PipelineError
from voice_pipeline.service import Arrival, Sender, Service
from voice_pipeline.store.rows import CallRow

PIECE = 1 << 20  # bytes that are sealed at once
RESET = 0.2  # seconds between two moves of the time at which a sender counts as gone
SLACK = 1 << 20  # bytes of a body beside the recording

router = APIRouter(route_class=GuardedRoute, tags=["calls"])

BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {
                        "file": {
                            "type": "string",
                            "format": "binary",
                            "description": "the recording: wav, mp3, ogg, opus, m4a, flac, ...",
                        },
                        "metadata": {
                            "type": "string",
                            "contentMediaType": "application/json",
                            "description": "a flat JSON object: call_ref, agent, team, queue, "
                            "customer_ref, started_at, direction, language, agent_channel, "
                            "refund_limit, and keys of your own",
                        },
                    },
                }
            }
        },
    },
    "parameters": [
        {
            "name": "Idempotency-Key",
            "in": "header",
            "required": False,
            "schema": {"type": "string", "minLength": 1, "maxLength": 200},
            "description": "the same key and body again gives the same answer, not a second call",
        }
    ],
}


@router.post("/v1/calls", status_code=202, openapi_extra=BODY, summary="Hand in a recording")
async def upload(
    request: Request, who: Annotated[Principal, Depends(allowed("calls.upload"))]
) -> Response:
    """Take one recording in. It is safe once this has answered 202."""
    service: Service = request.app.state.service
    limit = service.kit.settings.serve.largest_upload
    if _length(request) > limit + SLACK:
        raise BadInput(f"the recording is larger than {limit:,} bytes", code="too_large")
    key = idempotency_key(request)
    await run_in_threadpool(service.check_room)
    arrival = await run_in_threadpool(service.arrival)
    try:
        reader = FormReader(request.headers.get("content-type", ""), arrival.write, limit)
        await _read(request, reader, service.kit.settings.serve.read_timeout)
        form = reader.close()
        metadata = metadata_of(form)
        check_queue(metadata, who)
    except (PipelineError, ClientDisconnect) as error:
        await run_in_threadpool(arrival.abandon)
        if isinstance(error, ClientDisconnect):
            raise BadInput("the upload was cut before its end", code="cut_upload") from error
        raise
    sender = Sender(who.tenant, f"{who.kind}:{who.id}")
    row = await run_in_threadpool(_finish, arrival, form.file or "", metadata, sender, key)
    shown = call_json(row)
    return JSONResponse(
        {"id": row.call, "status": shown["status"], "warnings": shown["warnings"]},
        202,
        {"Location": f"/v1/calls/{row.call}"},
    )


def _finish(
    arrival: Arrival, name: str, metadata: dict[str, str], sender: Sender, key: str | None
) -> CallRow:
    return arrival.finish(name, metadata, sender, key=key)


async def _read(request: Request, reader: FormReader, timeout: float) -> None:
    """Feed the body to the reader in pieces; one that stops sending is cut."""
    pending: list[bytes] = []
    size, clock = 0, asyncio.get_running_loop().time
    try:
        async with asyncio.timeout(timeout) as limit:
            set_at = clock()
            async for chunk in request.stream():
                pending.append(chunk)
                size += len(chunk)
                if size >= PIECE:
                    limit.reschedule(None)  # how long sealing takes is no fault of the sender
                    await run_in_threadpool(reader.feed, b"".join(pending))
                    pending, size = [], 0
                    limit.reschedule((set_at := clock()) + timeout)
                elif clock() - set_at > RESET:
                    limit.reschedule((set_at := clock()) + timeout)
    except TimeoutError as error:
        raise BadInput(
            f"nothing came for {timeout:g} seconds; send the recording again",
            code="slow_upload",
        ) from error
    await run_in_threadpool(reader.feed, b"".join(pending))


def _length(request: Request) -> int:
    given = request.headers.get("content-length", "0")
    return int(given) if given.isascii() and given.isdigit() else 0


def idempotency_key(request: Request) -> str | None:
    given = request.headers.get("idempotency-key")
    if given is not None and not (0 < len(given) <= 200 and given.isprintable()):
        raise BadInput("Idempotency-Key: 1 to 200 printable characters", code="idempotency_key")
    return given


def check_queue(metadata: dict[str, Any], who: Principal) -> None:
    """A key of some queues hands in for those only; one with a single queue need not name it."""
    if who.queues is None:
        return
    if len(who.queues) == 1:
        metadata.setdefault("queue", next(iter(who.queues)))
    if metadata.get("queue") not in who.queues:
        raise BadInput("metadata: queue is none that this key may hand in for", code="queue")
