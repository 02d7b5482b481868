"""Old recordings on their way, over HTTP: how many are where; let them rest and go on.

Decides for the whole service, whoever's the recordings are: workers are shared. Live calls go on
in any case.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request

from voice_pipeline.access.principal import Principal
from voice_pipeline.api.guard import GuardedRoute, allowed
from voice_pipeline.api.views import utc
from voice_pipeline.service import Service

router = APIRouter(route_class=GuardedRoute, tags=["backfill"])
Operator = Annotated[Principal, Depends(allowed("service.operate"))]


@router.get("/v1/backfill", summary="How far old recordings are")
def backfill(request: Request, _: Operator) -> Any:
    """Whether they rest, who said so, and how many wait, are with the workers and have ended."""
    return _state(request)


@router.post("/v1/backfill/pause", summary="Let old recordings rest")
def pause(request: Request, who: Operator) -> Any:
    """Hand no more of them over; what the workers have is finished. Twice is fine."""
    service: Service = request.app.state.service
    service.kit.store.backlog.pause(f"{who.kind}:{who.id}")
    return _state(request)


@router.post("/v1/backfill/resume", summary="Let old recordings go on")
def resume(request: Request, _: Operator) -> Any:
    """Hand them over again, at once here and within a second elsewhere. Twice is fine."""
    service: Service = request.app.state.service
    service.kit.store.backlog.resume()
    service.wake()
    return _state(request)


def _state(request: Request) -> dict[str, Any]:
    backlog = request.app.state.service.kit.store.backlog
    rests, counts = backlog.paused(), backlog.counts()
    return {
        "paused": None if rests is None else {"by": rests.by, "at": utc(rests.at)},
        "waiting": counts.waiting,
        "in_hand": counts.in_hand,
        "ended": counts.ended,
    }
