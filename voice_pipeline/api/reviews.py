"""Decisions of people over HTTP: about notes that wait for approval, and calls that are held.

Each says who, when and why, and answers with the call's new state. Nothing raw is shown here.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, Field

from voice_pipeline.access.principal import Principal
from voice_pipeline.api.calls import known_call
from voice_pipeline.api.erasure import Reason, Why, name_of
from voice_pipeline.api.guard import Guard, GuardedRoute, allowed
from voice_pipeline.reviewing import decision_json
from voice_pipeline.service import Service
from voice_pipeline.store.decisions import Decision

router = APIRouter(route_class=GuardedRoute, tags=["reviews"])

Reviewer = Annotated[Principal, Depends(allowed("reviews.decide"))]
Decider = Annotated[Principal, Depends(allowed("held.decide"))]
Text = Annotated[str, Field(max_length=4000)]
Texts = Annotated[list[Text], Field(max_length=100)]


class Changes(BaseModel):
    """Fields of a note with their new value; what is left out stays."""

    model_config = ConfigDict(extra="forbid")

    summary: Texts | None = None
    facts: Texts | None = None
    actions: Texts | None = None
    missing_information: Texts | None = None
    reason: Text | None = Field(None, description="why the customer called")
    draft: Text | None = None
    urgency: Literal["low", "normal", "high", "urgent"] | None = None
    outcome: Literal["resolved", "partial", "unresolved", "unclear"] | None = None
    request_type: Annotated[str, Field(max_length=80)] | None = None


class Edit(BaseModel):
    """A note as somebody wants it, and why."""

    model_config = ConfigDict(extra="forbid")

    reason: Why
    changes: Changes


@router.post("/v1/calls/{call}/approve", summary="Approve a note")
def approve(request: Request, call: str, who: Reviewer, body: Reason) -> Any:
    known_call(request, who, call)
    desk = _service(request).kit.reviewing
    made = desk.decide(call, "approve", reason=body.reason, by=name_of(who))
    return _done(request, who, "reviews.decide", made)


@router.post("/v1/calls/{call}/reject", summary="Reject a note")
def reject(request: Request, call: str, who: Reviewer, body: Reason) -> Any:
    known_call(request, who, call)
    desk = _service(request).kit.reviewing
    made = desk.decide(call, "reject", reason=body.reason, by=name_of(who))
    return _done(request, who, "reviews.decide", made)


@router.post("/v1/calls/{call}/edit", summary="Change a note, and so approve it")
def edit(request: Request, call: str, who: Reviewer, body: Edit) -> Any:
    """What is written is redacted; `/note` shows the edit, and the first note is kept."""
    known_call(request, who, call)
    desk = _service(request).kit.reviewing
    changes = body.changes.model_dump(exclude_unset=True)
    made = desk.edit(call, changes, reason=body.reason, by=name_of(who))
    return _done(request, who, "reviews.decide", made)


@router.post("/v1/calls/{call}/release", status_code=202, summary="Let a held call go on")
def release(request: Request, call: str, who: Decider, body: Reason) -> Any:
    """The call goes on as it was redacted, on this person's responsibility."""
    known_call(request, who, call)
    service = _service(request)
    made = service.kit.reviewing.release(call, reason=body.reason, by=name_of(who))
    service.wake()
    return _done(request, who, "held.decide", made)


@router.post("/v1/calls/{call}/rerun", status_code=202, summary="Work on a held call again")
def rerun(request: Request, call: str, who: Decider, body: Reason) -> Any:
    """With today's models and policy."""
    known_call(request, who, call)
    service = _service(request)
    plan = service.plan(fresh=True)
    made = service.kit.reviewing.rerun(call, plan, reason=body.reason, by=name_of(who))
    service.wake()
    return _done(request, who, "held.decide", made)


@router.post("/v1/calls/{call}/discard", summary="Give a held call up")
def discard(request: Request, call: str, who: Decider, body: Reason) -> Any:
    """The call fails with the code `discarded`, and its recording is destroyed."""
    known_call(request, who, call)
    desk = _service(request).kit.reviewing
    made = desk.discard(call, reason=body.reason, by=name_of(who))
    return _done(request, who, "held.decide", made)


@router.get("/v1/calls/{call}/decisions", summary="What people decided about a call")
def decisions(
    request: Request, call: str, who: Annotated[Principal, Depends(allowed("notes.read"))]
) -> Any:
    known_call(request, who, call)
    guard: Guard = request.app.state.guard
    guard.record(request, who, "notes.read", "decisions", call=call)
    found = _service(request).kit.store.decisions.of(call)
    return {"items": [decision_json(one) for one in found]}


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


def _done(request: Request, who: Principal, permission: str, made: Decision) -> dict[str, Any]:
    guard: Guard = request.app.state.guard
    guard.record(
        request, who, permission, made.decision, call=made.call, why=made.reason, outcome="done"
    )
    row = known_call(request, who, made.call)
    return {"id": made.call, "status": row.status, "review": row.review,
            "decision": decision_json(made)}  # fmt: skip
