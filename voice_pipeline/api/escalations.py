"""Escalations over HTTP: what stands open, whose it is and by when, and what people decide.

Lists name calls, rules, owners and times, never content.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request
from pydantic import Field

from voice_pipeline.access.principal import Principal, scope
from voice_pipeline.api.erasure import Reason, name_of
from voice_pipeline.api.guard import GuardedRoute, allowed
from voice_pipeline.api.views import cursor, place
from voice_pipeline.escalating.desk import escalation_json, notice_json
from voice_pipeline.kit import Kit

router = APIRouter(route_class=GuardedRoute, tags=["escalations"])

Reader = Annotated[Principal, Depends(allowed("escalations.read"))]
Decider = Annotated[Principal, Depends(allowed("escalations.decide"))]
Id = Annotated[str, Field(min_length=1, max_length=64)]
Word = Annotated[str | None, Query(max_length=500)]


@router.get("/v1/escalations", summary="What people have to see to, and by when")
def escalations(
    request: Request,
    who: Reader,
    state: Annotated[Literal["open", "acknowledged", "resolved"] | None, Query()] = None,
    overdue: Annotated[bool, Query(description="only what is late and unacknowledged")] = False,
    category: Word = None,
    severity: Word = None,
    owner: Word = None,
    call: Word = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor_: Annotated[str | None, Query(alias="cursor", max_length=200)] = None,
) -> Any:
    """Oldest first."""
    book = _kit(request).store.escalations
    wanted = {"category": category, "severity": severity, "owner": owner, "call": call}
    rows = book.find(
        scope(who), states=[state] if state else (), overdue=overdue,
        equal={name: value for name, value in wanted.items() if value is not None},
        after=place(cursor_) if cursor_ else None, limit=limit + 1,
    )  # fmt: skip
    more, now = rows[limit - 1] if len(rows) > limit else None, book.clock()
    return {
        "items": [escalation_json(row, now) for row in rows[:limit]],
        "next_cursor": cursor(more.opened_at, more.id) if more else None,
    }


@router.get("/v1/escalations/{escalation}", summary="One escalation, with who was told")
def one(request: Request, escalation: Id, who: Reader) -> Any:
    book = _kit(request).store.escalations
    row = book.get(escalation, scope(who))
    told = [notice_json(notice) for notice in book.notices(escalation)]
    return escalation_json(row, book.clock()) | {"told": told}


@router.post("/v1/escalations/{escalation}/acknowledge", summary="Say that you see to it")
def acknowledge(request: Request, escalation: Id, who: Decider, body: Reason) -> Any:
    """Nobody is told of it any more; it stays until it is resolved."""
    kit = _kit(request)
    row = kit.escalating.acknowledge(escalation, by=name_of(who), why=body.reason, scope=scope(who))
    return escalation_json(row, kit.store.escalations.clock())


@router.post("/v1/escalations/{escalation}/resolve", summary="Say that it is done with")
def resolve(request: Request, escalation: Id, who: Decider, body: Reason) -> Any:
    kit = _kit(request)
    row = kit.escalating.resolve(escalation, by=name_of(who), why=body.reason, scope=scope(who))
    return escalation_json(row, kit.store.escalations.clock())


def _kit(request: Request) -> Kit:
    kit: Kit = request.app.state.service.kit
    return kit
