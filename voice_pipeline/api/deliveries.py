"""Deliveries and targets over HTTP: where notes went, what waits for a person, and what people do.

Lists name calls, targets and codes, never content; a preview shows a note and is kept as a look.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from voice_pipeline.access.principal import Principal, scope
from voice_pipeline.api.calls import known_call
from voice_pipeline.api.erasure import Reason, Why, name_of
from voice_pipeline.api.guard import Guard, GuardedRoute, allowed
from voice_pipeline.api.views import cursor, place
from voice_pipeline.delivery.desk import Desk, delivery_json, target_json
from voice_pipeline.errors import BadInput
from voice_pipeline.kit import Kit

router = APIRouter(route_class=GuardedRoute, tags=["deliveries"])

Reader = Annotated[Principal, Depends(allowed("deliveries.read"))]
Replayer = Annotated[Principal, Depends(allowed("deliveries.replay"))]
Operator = Annotated[Principal, Depends(allowed("service.operate"))]
State = Literal[
    "waiting", "sending", "delivered", "refused", "unmatched", "unapproved", "superseded",
    "cancelled",
]  # fmt: skip
Key = Annotated[str, Field(min_length=1, max_length=64)]


class Replay(BaseModel):
    """Which refused deliveries are due again, and why."""

    model_config = ConfigDict(extra="forbid")

    reason: Why
    keys: Annotated[list[Key], Field(max_length=1000)] = Field(
        default_factory=list, description="none: every refused one in reach"
    )
    target: Annotated[str, Field(max_length=1000)] | None = Field(
        None, description="only to this target"
    )


class Assignment(BaseModel):
    """Whose record a note goes onto, and why."""

    model_config = ConfigDict(extra="forbid")

    reason: Why
    record: Annotated[str, Field(min_length=1, max_length=400)] | None = Field(
        description="the customer's record as the target names it; null: nobody's"
    )


@router.get("/v1/deliveries", summary="Where notes went, and what did not arrive")
def deliveries(
    request: Request,
    who: Reader,
    state: Annotated[State | None, Query()] = None,
    target: Annotated[str | None, Query(max_length=1000)] = None,
    call: Annotated[str | None, Query(max_length=64)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor_: Annotated[str | None, Query(alias="cursor", max_length=200)] = None,
) -> Any:
    """Oldest first."""
    rows = _kit(request).store.outbox.find(
        scope(who), states=[state] if state else (), target=target, call=call,
        after=place(cursor_) if cursor_ else None, limit=limit + 1,
    )  # fmt: skip
    more = rows[limit - 1] if len(rows) > limit else None
    return {
        "items": [delivery_json(row) for row in rows[:limit]],
        "next_cursor": cursor(more.created_at, more.key) if more else None,
    }


@router.get("/v1/deliveries/{key}", summary="One delivery")
def delivery(request: Request, key: Key, who: Reader) -> Any:
    return delivery_json(_kit(request).store.outbox.get(key, scope(who)))


@router.post("/v1/deliveries/replay", summary="Deliver again what was refused")
def replay(request: Request, who: Replayer, body: Replay) -> Any:
    """One, some or all; they are due at once."""
    count = _desk(request).replay(
        by=name_of(who), why=body.reason, keys=body.keys, target=body.target, scope=scope(who)
    )
    return {"replayed": count}


@router.post("/v1/deliveries/{key}/assign", summary="Say whose record a note goes onto")
def assign(request: Request, key: Key, who: Replayer, body: Assignment) -> Any:
    row = _desk(request).assign(
        key, body.record, by=name_of(who), why=body.reason, scope=scope(who)
    )
    return delivery_json(row)


@router.post("/v1/deliveries/{key}/cancel", summary="Call a delivery off")
def cancel(request: Request, key: Key, who: Replayer, body: Reason) -> Any:
    row = _desk(request).cancel(key, by=name_of(who), why=body.reason, scope=scope(who))
    return delivery_json(row)


@router.get("/v1/calls/{call}/deliveries/preview", summary="What would be sent, without sending")
def preview(
    request: Request,
    call: str,
    target: Annotated[str, Query(max_length=200)],
    who: Annotated[Principal, Depends(allowed("notes.read"))],
) -> Any:
    """Exactly the requests that the target would get now; secrets are left out."""
    known_call(request, who, call)
    kit = _kit(request)
    if target not in _names(kit, who):
        raise BadInput("there is no target of this name", code="not_found")
    guard: Guard = request.app.state.guard
    guard.record(request, who, "notes.read", "preview", call=call)
    shown = kit.desk.preview(call, target)
    return {
        "target": shown.target,
        "number": shown.number,
        "customer": shown.customer,
        "requests": [
            {"method": one.method, "url": one.url, "headers": dict(one.headers), "body": one.body}
            for one in shown.requests
        ],
    }


@router.get("/v1/targets", summary="The targets, and how each does")
def targets(request: Request, who: Reader) -> Any:
    kit = _kit(request)
    names = _names(kit, who)
    return {"items": [target_json(*one) for one in kit.desk.states() if one[0] in names]}


@router.post("/v1/targets/{name}/pause", summary="Send nothing to a target for now")
def pause(request: Request, name: str, who: Operator, body: Reason) -> Any:
    kit = _kit(request)
    _check_name(kit, who, name)
    kit.desk.pause(name, by=name_of(who), why=body.reason)
    return _shown(kit, name)


@router.post("/v1/targets/{name}/resume", summary="Send to a target again")
def resume(request: Request, name: str, who: Operator) -> Any:
    kit = _kit(request)
    _check_name(kit, who, name)
    kit.desk.resume(name)
    return _shown(kit, name)


def _kit(request: Request) -> Kit:
    kit: Kit = request.app.state.service.kit
    return kit


def _desk(request: Request) -> Desk:
    return _kit(request).desk


def _names(kit: Kit, who: Principal) -> Sequence[str]:
    """Return the targets of the principal's tenant."""
    found = []
    for name in kit.targets.names:
        settings = kit.targets.settings(name)
        if settings is not None and settings.tenant == who.tenant:
            found.append(name)
    return found


def _check_name(kit: Kit, who: Principal, name: str) -> None:
    if name not in _names(kit, who):
        raise BadInput("there is no target of this name", code="not_found")


def _shown(kit: Kit, name: str) -> Any:
    return next(target_json(*one) for one in kit.desk.states() if one[0] == name)
