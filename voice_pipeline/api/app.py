"""The HTTP API, put together: routers, guard, errors, headers, probes.

Reads no settings of its own and keeps no state but what it is given.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import sqlalchemy as sa
from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.responses import JSONResponse, Response

from voice_pipeline import __version__
from voice_pipeline.api import calls, metrics, problems, results, uploads
from voice_pipeline.api.guard import Guard, open_to_all, protect
from voice_pipeline.errors import Retryable
from voice_pipeline.service import Overloaded, Service
from voice_pipeline.tracing import TRACEPARENT

SECURITY = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
}
Next = Callable[[Request], Awaitable[Response]]

probes = APIRouter(tags=["probes"])
ALIVE = Annotated[None, Depends(open_to_all("probes carry no data of calls"))]


@probes.get("/healthz", summary="The process answers")
def healthz(_: ALIVE) -> Any:
    return {"status": "ok", "version": __version__}


@probes.get("/readyz", summary="Calls can be taken in")
def readyz(request: Request, _: ALIVE) -> Response:
    """Look at the database and the disk; 503 says which is missing."""
    service: Service = request.app.state.service
    checks = {"service": "ok" if service.working() else "a thread of it has ended; restart it"}
    try:
        service.kit.store.register.get("readiness")
        checks["database"] = "ok"
    except (sa.exc.SQLAlchemyError, Retryable):
        checks["database"] = "no answer"
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
    seen = metrics.Seen(service.kit.overview, service.kit.settings.serve.dead_after)
    app.state.seen, tracing = seen, service.kit.tracing
    protect(app, guard)
    problems.install(app)
    figures = metrics.router(keyed=service.kit.settings.serve.metrics == "key")
    for router in (uploads.router, calls.router, results.router, probes, figures):
        app.include_router(router)

    @app.middleware("http")
    async def headers(request: Request, follow: Next) -> Response:
        started, given = time.perf_counter(), request.headers.get(TRACEPARENT)
        with tracing.span("http", lambda: given, server=True) as span:
            try:
                response = await follow(request)
            except Exception:
                seen.request(request, 500, time.perf_counter() - started)
                raise
            route = getattr(request.scope.get("route"), "path", "none")
            span.set_attribute("http.route", route)
            span.set_attribute("http.response.status_code", response.status_code)
        seen.request(request, response.status_code, time.perf_counter() - started)
        for name, value in SECURITY.items():
            response.headers.setdefault(name, value)
        return response

    return app
