"""Every error as problem+json (RFC 9457): status, code of docs/codes.md, and what to do.

Decides which error of the pipeline is which status. Refuses to show a traceback or a value.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException

from voice_pipeline.errors import BadInput, Misconfigured, Permanent, PipelineError, Retryable
from voice_pipeline.service import Overloaded

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
# Codes whose status is not that of their class.
STATUS = {
    "not_found": 404,
    "not_ready": 409,
    "held": 409,
    "vault_grant": 403,
    "call_failed": 409,
    "cancelled": 409,
    "running": 409,
    "idempotency_conflict": 409,
    "legal_hold": 409,
    "erasure_refused": 409,
    "four_eyes": 409,
    "no_review_waits": 409,
    "no_note": 409,
    "not_held": 409,
    "not_releasable": 409,
    "not_replayable": 409,
    "not_unmatched": 409,
    "delivered_already": 409,
    "unapproved": 409,
    "not_released": 409,
    "call_moved": 409,
    "erased": 410,
    "too_large": 413,
    "unsupported_media_type": 415,
    "cut_upload": 400,
    "bad_form": 400,
    "slow_upload": 408,
}


PROBLEM = {
    "type": "object",
    "required": ["title", "status", "code", "detail"],
    "properties": {
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string", "description": "docs/codes.md lists them"},
        "detail": {"type": "string", "description": "what is wrong and what to do"},
    },
}
# What any route may answer, for its description.
RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {
        "description": HTTPStatus(status).phrase,
        "content": {MEDIA_TYPE: {"schema": PROBLEM}},
    }
    for status in (400, 401, 403, 404, 405, 408, 409, 410, 413, 415, 416, 422, 429, 500, 501, 503)
}


def answer(
    status: int, code: str, detail: str, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """Return one error as an answer."""
    title = HTTPStatus(status).phrase
    body = {"title": title, "status": status, "code": code, "detail": detail}
    kept = {**(headers or {}), "Cache-Control": "no-store"}
    return JSONResponse(body, status, kept, media_type=MEDIA_TYPE)


def status_of(error: PipelineError) -> int:
    """Return the HTTP status of an error of the pipeline."""
    if error.code in STATUS:
        return STATUS[error.code]
    if isinstance(error, Overloaded):
        return 429
    if isinstance(error, BadInput):
        return 422
    if isinstance(error, Retryable):
        return 503
    return 500 if isinstance(error, Misconfigured | Permanent) else 409


def install(app: FastAPI) -> None:
    """Give an app its answers to errors."""

    @app.exception_handler(PipelineError)
    def of_ours(_request: Request, error: PipelineError) -> Response:
        status = status_of(error)
        again = {"Retry-After": "5"} if status in (429, 503) else None
        return answer(status, error.code, error.message, again)

    @app.exception_handler(SQLAlchemyError)
    def of_the_database(_request: Request, error: SQLAlchemyError) -> Response:
        log.error("the database failed: %s", type(error).__name__)
        return answer(503, "storage", "the database did not answer", {"Retry-After": "5"})

    @app.exception_handler(RequestValidationError)
    def of_parameters(_request: Request, error: RequestValidationError) -> Response:
        faults = "; ".join(
            f"{'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}"
            for fault in error.errors()[:5]
        )
        return answer(422, "parameters", faults)

    @app.exception_handler(HTTPException)
    def of_routing(_request: Request, error: HTTPException) -> Response:
        code = HTTPStatus(error.status_code).phrase.lower().replace(" ", "_")
        detail = {404: "there is nothing at this path"}.get(error.status_code, str(error.detail))
        return answer(error.status_code, code, detail, error.headers)

    @app.exception_handler(Exception)
    def of_nobody_knows(_request: Request, error: Exception) -> Response:
        log.error("unexpected %s", type(error).__name__)
        return answer(500, "internal", "something went wrong here; the log says what kind")
