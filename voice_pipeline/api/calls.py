"""Calls: where each is, lists and search, and what may be done about one."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

import anyio
from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from voice_pipeline.access.principal import Principal, scope
from voice_pipeline.api.guard import Guard, GuardedRoute, allowed, open_to_all
from voice_pipeline.api.schemas import NAMES, schema
from voice_pipeline.api.views import call_json, cursor, event_json, place, tag
from voice_pipeline.errors import BadInput
from voice_pipeline.service import Service
from voice_pipeline.store.register import FINAL
from voice_pipeline.store.rows import CallRow

router = APIRouter(route_class=GuardedRoute, tags=["calls"])

Reader = Annotated[Principal, Depends(allowed("calls.read"))]
State = Literal["received", "running", "held", "done", "failed", "cancelled", "erased"]
WATCH = 0.5  # seconds between looks at a call that is watched


def known_call(request: Request, who: Principal, call: str) -> CallRow:
    """Return a call that somebody may know of.

    Raises:
        BadInput: there is none with this id in their reach (code `not_found`).
    """
    service: Service = request.app.state.service
    row = service.kit.store.register.get(call, scope(who))
    if row is None or (row.received_sha256 is None and row.status != "erased"):
        raise BadInput("there is no call with this id", code="not_found")
    return row


class Filters(BaseModel):
    """What a list of calls may be narrowed by."""

    model_config = ConfigDict(extra="forbid")

    status: State | None = None
    agent: Annotated[str, Field(max_length=200)] | None = None
    team: Annotated[str, Field(max_length=200)] | None = None
    queue: Annotated[str, Field(max_length=200)] | None = None
    customer_ref: Annotated[str, Field(max_length=200)] | None = None
    call_ref: Annotated[str, Field(max_length=200)] | None = None
    request_type: Annotated[str, Field(max_length=80)] | None = None
    review: Literal["required", "approved", "rejected"] | None = None
    flag: Annotated[str, Field(max_length=80)] | None = None
    since: Annotated[float, Field(ge=0, le=1e11, allow_inf_nan=False)] | None = Field(
        None, description="received at or after, seconds since the epoch"
    )
    until: Annotated[float, Field(ge=0, le=1e11, allow_inf_nan=False)] | None = Field(
        None, description="received before, seconds since the epoch"
    )
    cursor: Annotated[str, Field(max_length=200)] | None = None
    limit: Annotated[int, Field(ge=1, le=200)] = 50


@router.get("/v1/calls", summary="List calls, newest first")
def calls(request: Request, who: Reader, query: Annotated[Filters, Query()]) -> Any:
    return _page(request, who, query, None)


class Search(Filters):
    """A list of the calls whose redacted text holds words."""

    q: Annotated[str, Field(min_length=1, max_length=200, description="all of these words")]


@router.get("/v1/search", summary="Search the redacted text of calls")
def search(
    request: Request,
    who: Annotated[Principal, Depends(allowed("calls.search"))],
    query: Annotated[Search, Query()],
) -> Any:
    guard: Guard = request.app.state.guard
    guard.record(request, who, "calls.search", "search", call=None)
    return _page(request, who, query, query.q)


def _page(request: Request, who: Principal, query: Filters, words: str | None) -> dict[str, Any]:
    service: Service = request.app.state.service
    filters = {
        name: value
        for name in ("status", "agent", "team", "customer_ref", "call_ref", "request_type",
                     "review")
        if (value := getattr(query, name)) is not None
    }  # fmt: skip
    rows = service.kit.store.register.find(
        scope(who),
        filters=filters,
        flag=query.flag,
        queue=query.queue,
        words=words,
        since=query.since,
        until=query.until,
        before=place(query.cursor) if query.cursor else None,
        limit=query.limit + 1,
    )
    more = len(rows) > query.limit
    rows = rows[: query.limit]
    return {
        "items": [call_json(row) for row in rows],
        "next_cursor": cursor(rows[-1].received_at, rows[-1].call) if more else None,
    }


@router.get("/v1/calls/{call}", summary="Where a call is")
def call(request: Request, call: str, who: Reader) -> Response:
    """Show status, progress by stage and warnings; `If-None-Match` saves the body."""
    service: Service = request.app.state.service
    row = known_call(request, who, call)
    stages = service.kit.store.progress(call)
    moving = row.status not in FINAL
    etag = tag(row) if not moving else f'"{call}-{row.version}-{sum(s.share for s in stages):.3f}"'
    headers = {"ETag": etag, "Cache-Control": "private, no-cache"}
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers=headers)
    return JSONResponse(call_json(row, stages), headers=headers)


@router.get("/v1/calls/{call}/revisions", summary="How often a call was worked on")
def revisions(request: Request, call: str, who: Reader) -> Any:
    known_call(request, who, call)
    service: Service = request.app.state.service
    return {
        "items": [
            {"revision": one.number, "status": one.status, "plan": one.plan, "made_at": one.made_at}
            for one in service.kit.store.register.revisions(call)
        ]
    }


@router.get(
    "/v1/calls/{call}/progress",
    summary="Follow a call as server-sent events",
    response_class=StreamingResponse,
    responses={200: {"description": "events", "content": {"text/event-stream": {}}}},
)
async def progress(request: Request, call: str, who: Reader) -> Response:
    """Send the call's state whenever it changes, until it has ended."""
    await run_in_threadpool(known_call, request, who, call)
    service: Service = request.app.state.service

    def look() -> tuple[str, bool]:
        row = known_call(request, who, call)
        shown = call_json(row, service.kit.store.progress(call))
        return json.dumps(shown), row.status in FINAL

    async def stream() -> AsyncIterator[str]:
        last = ""
        while True:
            text, ended = await run_in_threadpool(look)
            if text != last:
                yield f"event: call\ndata: {text}\n\n"
                last = text
            if ended:
                return
            await anyio.sleep(WATCH)

    return StreamingResponse(
        stream(), media_type="text/event-stream", headers={"Cache-Control": "no-store"}
    )


@router.post("/v1/calls/{call}/cancel", status_code=202, summary="Stop the work on a call")
def cancel(
    request: Request, call: str, who: Annotated[Principal, Depends(allowed("calls.cancel"))]
) -> Any:
    service: Service = request.app.state.service
    row = known_call(request, who, call)
    if not service.cancel(row):
        raise BadInput("the call has ended; there is nothing to stop", code="ended")
    return {"id": call, "status": "cancelled"}


class Again(BaseModel):
    """How a call is to run again."""

    model_config = ConfigDict(extra="forbid")

    stage: Annotated[str, Field(max_length=40)] | None = Field(
        None, description="do this stage and all after it anew"
    )
    newest: bool = Field(False, description="with today's policy and models, as a new revision")


@router.post("/v1/calls/{call}/retry", status_code=202, summary="Run a call again")
def retry(
    request: Request,
    call: str,
    who: Annotated[Principal, Depends(allowed("calls.retry"))],
    how: Again | None = None,
) -> Any:
    """Run a call that has ended once more; stages whose inputs are the same are not repeated."""
    service: Service = request.app.state.service
    row = known_call(request, who, call)
    row = service.run_again(row, how.stage, newest=how.newest) if how else service.run_again(row)
    return {"id": call, "status": row.status}


@router.get("/v1/schemas/{name}", summary="A JSON Schema of what integrations read")
def json_schema(
    name: Annotated[str, Path(max_length=40)],
    _: Annotated[None, Depends(open_to_all("schemas are documentation"))],
) -> Any:
    """Versions: `event-1` of this feed, `note-1` of note.json, `note-event-1` of webhooks."""
    try:
        return JSONResponse(schema(name), media_type="application/schema+json")
    except KeyError:
        raise BadInput(
            f"no schema of this name; there are {', '.join(NAMES)}", code="not_found"
        ) from None


@router.get("/v1/events", summary="What happened, in order, from a cursor on")
def events(
    request: Request,
    who: Annotated[Principal, Depends(allowed("events.read"))],
    cursor: Annotated[int, Query(ge=0, le=2**53)] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Any:
    """Nothing is lost between two reads: keep `next_cursor` and send it with the next one."""
    service: Service = request.app.state.service
    found = service.kit.store.register.events(scope(who), cursor, limit)
    return {
        "items": [event_json(one) for one in found],
        "next_cursor": found[-1].number if found else cursor,
    }
