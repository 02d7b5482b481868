"""Erasing and holding calls over HTTP: the receipt in the answer, or a proposal that waits.

Where `erase.four_eyes` is on, one principal proposes, another confirms. Refuses calls under legal
hold, and whatever is not in the principal's reach.
"""

from __future__ import annotations

import json
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from voice_pipeline.access.principal import Principal, scope
from voice_pipeline.api.calls import known_call
from voice_pipeline.api.guard import Guard, GuardedRoute, allowed
from voice_pipeline.api.views import utc
from voice_pipeline.errors import BadInput
from voice_pipeline.service import Service
from voice_pipeline.store.requests import Erasure

router = APIRouter(route_class=GuardedRoute, tags=["erasure"])

Eraser = Annotated[Principal, Depends(allowed("calls.erase"))]
Holder = Annotated[Principal, Depends(allowed("calls.hold"))]
Why = Annotated[str, Field(max_length=500, description="redacted before it is kept")]
UNSAID = "asked for over the API, without a reason"


class Reason(BaseModel):
    """Why somebody decides so."""

    model_config = ConfigDict(extra="forbid")

    reason: Why


class Wanted(BaseModel):
    """Which calls are to be erased."""

    model_config = ConfigDict(extra="forbid")

    calls: Annotated[list[Annotated[str, Field(max_length=64)]], Field(max_length=10_000)] = []
    customer_ref: Annotated[str, Field(max_length=200)] | None = None
    phone: Annotated[str, Field(max_length=40)] | None = Field(
        None, description="every call that came from this number; it is not kept"
    )
    reason: Why
    preview: bool = Field(False, description="say what would go; nothing is erased")


@router.delete("/v1/calls/{call}", status_code=202, summary="Erase a call")
def erase(
    request: Request,
    call: str,
    who: Eraser,
    body: Reason | None = None,
    reason: Annotated[str, Query(max_length=500)] = "",
) -> Any:
    """Erase a call for good and answer with the signed receipt; with four eyes: propose it."""
    if known_call(request, who, call).status == "erased":
        raise BadInput("the call was erased", code="erased")
    why = body.reason if body else reason
    service: Service = request.app.state.service
    asked = service.kit.erasing.propose(
        scope(who), calls=[call], reason=why or UNSAID, by=name_of(who)
    )
    done = _carried_out(request, who, asked)
    return {"id": call, "status": "erased" if done["state"] == "done" else "proposed", **done}


@router.post("/v1/erasures", status_code=202, summary="Erase calls, or all of a customer's")
def request_erasure(request: Request, who: Eraser, body: Wanted) -> Any:
    """The same for many calls; `preview` says what would go, by kind."""
    service: Service = request.app.state.service
    erasing, reach, calls = service.kit.erasing, scope(who), list(body.calls)
    if body.phone is not None:
        calls += erasing.of_phone(service.kit.phone_key(body.phone), reach)
    if body.preview:
        theirs = erasing.of_customer(body.customer_ref, reach) if body.customer_ref else calls
        for call in theirs:
            known_call(request, who, call)
        found = erasing.preview(theirs)
        return {"calls": found.calls, "would_erase": found.counts, "held": found.held}
    asked = erasing.propose(
        reach, calls=calls, customer=body.customer_ref, reason=body.reason, by=name_of(who)
    )
    return _carried_out(request, who, asked)


@router.post("/v1/erasures/{erasure}/confirm", summary="Agree to an erasure")
def confirm(request: Request, erasure: str, who: Eraser) -> Any:
    """Carry a proposed erasure out; with four eyes it must be somebody else who agrees."""
    asked = _in_reach(request, who, erasure)
    service: Service = request.app.state.service
    done = service.kit.erasing.confirm(
        asked.id, by=name_of(who), four_eyes=service.kit.settings.erase.four_eyes
    )
    _record(request, who, done)
    return erasure_json(done)


@router.get("/v1/erasures/{erasure}", summary="What came of an erasure")
def show(request: Request, erasure: str, who: Eraser) -> Any:
    return erasure_json(_in_reach(request, who, erasure))


@router.post("/v1/calls/{call}/hold", status_code=201, summary="Put a call under legal hold")
def hold(request: Request, call: str, who: Holder, body: Reason) -> Any:
    """Nothing erases the call, and no retention ends it, until the hold is lifted."""
    number, kit = _decide_hold(request, who, call, body.reason, lift=False)
    kit.store.register.tell(call, "call.on_hold")
    return {"id": call, "hold": number}


@router.delete("/v1/calls/{call}/hold", summary="Lift the legal hold on a call")
def lift(
    request: Request,
    call: str,
    who: Holder,
    reason: Annotated[str, Query(max_length=500)] = "",
    body: Reason | None = None,
) -> Any:
    count, kit = _decide_hold(
        request, who, call, body.reason if body else reason, lift=True
    )  # fmt: skip
    if not count:
        raise BadInput("the call is under no hold of its own", code="not_found")
    kit.store.register.tell(call, "call.hold_lifted")
    return {"id": call, "lifted": count}


def name_of(who: Principal) -> str:
    """Return how a principal is named where decisions are kept."""
    return f"{who.kind} {who.id}"


def erasure_json(one: Erasure) -> dict[str, Any]:
    """Return an erasure as JSON values, with its receipt once there is one."""
    return {
        "erasure": one.id,
        "state": one.state,
        "reason": one.reason,
        "asked_by": one.asked_by,
        "asked_at": utc(one.at),
        "approved_by": one.approved_by,
        "ended_at": utc(one.ended_at) if one.ended_at is not None else None,
        "receipt": json.loads(one.receipt) if one.receipt else None,
    }


def _carried_out(request: Request, who: Principal, asked: Erasure) -> dict[str, Any]:
    service: Service = request.app.state.service
    if not service.kit.settings.erase.four_eyes:
        asked = service.kit.erasing.confirm(asked.id, by=name_of(who), four_eyes=False)
        _record(request, who, asked)
    return erasure_json(asked)


def _in_reach(request: Request, who: Principal, erasure: str) -> Erasure:
    """Return an erasure all of whose calls somebody may know of.

    Raises:
        BadInput: there is none (code `not_found`).
    """
    service: Service = request.app.state.service
    requests = service.kit.erasing.requests
    found = requests.get(erasure, who.tenant)
    named = json.loads(found.receipt)["calls"] if found.receipt else requests.calls(found)
    if any(service.kit.store.register.get(call, scope(who)) is None for call in named):
        raise BadInput("no erasure has this id", code="not_found")
    return found


def _record(request: Request, who: Principal, done: Erasure) -> None:
    guard: Guard = request.app.state.guard
    calls = json.loads(done.receipt)["calls"] if done.receipt else []
    call = calls[0] if len(calls) == 1 else None
    guard.record(
        request, who, "calls.erase", f"erasure {done.id}", call=call, why=done.reason,
        outcome="done",
    )  # fmt: skip


def _decide_hold(
    request: Request, who: Principal, call: str, reason: str, *, lift: bool
) -> tuple[int, Any]:
    known_call(request, who, call)
    if not reason.strip():
        raise BadInput("say why, in `reason`", code="no_reason")
    service: Service = request.app.state.service
    kit = service.kit
    act = kit.store.holds.lift if lift else kit.store.holds.place
    done = act(
        tenant=who.tenant, call=call, customer=None, reason=kit.scrub(reason, False),
        by=name_of(who),
    )  # fmt: skip
    return done, kit
