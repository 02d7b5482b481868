"""The HTTP API, put together: routers, guard, errors, headers, probes.

Reads no settings of its own and keeps no state but what it is given.
"""

from __future__ import annotations

from typing import Annotated, Any

import sqlalchemy as sa
from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.responses import JSONResponse, Response
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from voice_pipeline import __version__
from voice_pipeline.api import (
    backfill,
    calls,
    deliveries,
    erasure,
    imports,
    metrics,
    problems,
    results,
    reviews,
    uploads,
    vault,
)
from voice_pipeline.api.guard import Guard, open_to_all, protect
from voice_pipeline.errors import Retryable
from voice_pipeline.service import Overloaded, Service
from voice_pipeline.ways_in.reference import References

SECURITY = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class SecurityHeaders:
    """Adds SECURITY to every answer, without touching bodies or streams."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def adding(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, adding)


probes = APIRouter(tags=["probes"])
ALIVE = Annotated[None, Depends(open_to_all("probes carry no data of calls"))]


@probes.get("/healthz", summary="The process answers")
def healthz(_: ALIVE) -> Any:
    return {"status": "ok", "version": __version__}


@probes.get("/readyz", summary="Calls can be taken in")
def readyz(request: Request, _: ALIVE) -> Response:
    """Look at database, blobs and disk; 503 says which is missing."""
    service: Service = request.app.state.service
    checks = {"service": "ok" if service.working() else "a thread of it has ended; restart it"}
    try:
        service.kit.store.check()
        checks["store"] = "ok"
    except (sa.exc.SQLAlchemyError, Retryable):
        checks["store"] = "database or blobs do not answer"
    try:
        service.check_room()
        checks["room"] = "ok"
    except Overloaded as error:
        checks["room"] = error.message
    except (sa.exc.SQLAlchemyError, Retryable):
        checks["room"] = "unknown"
    ready = all(said == "ok" for said in checks.values())
    return JSONResponse(
        {"status": "ok" if ready else "not ready", "checks": checks}, 200 if ready else 503
    )


def create_app(service: Service, guard: Guard) -> FastAPI:
    """Return the API around a running service."""
    app = FastAPI(
        title="voice-pipeline",
        version=__version__,
        summary="Call recordings in; redacted, cited case notes with escalation flags out.",
        docs_url=None,  # its page loads scripts from elsewhere
        redoc_url=None,
    )
    app.state.service = service
    app.state.references = References(service.kit.settings)
    seen = metrics.Seen(service.kit.overview, service.kit.settings.serve.dead_after)
    app.state.seen = seen
    protect(app, guard)
    problems.install(app)
    parts = (
        uploads, imports, calls, results, erasure, reviews, vault, deliveries, backfill,
    )  # fmt: skip
    figures = metrics.router(keyed=service.kit.settings.serve.metrics == "key")
    for router in (*(part.router for part in parts), probes, figures):
        app.include_router(router, responses=problems.RESPONSES)

    app.add_middleware(SecurityHeaders)
    app.add_middleware(metrics.Watched, seen=seen, tracing=service.kit.tracing)
    return app
