"""What a call came to: note, transcript, captions, muted audio, redaction log. Redacted forms only.

Shows released results; refuses calls that are not ready, held, failed or erased, each with a code.
Every look is in the access log before a byte leaves.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from typing import Annotated, Any, cast

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response, StreamingResponse

from voice_pipeline.access.principal import Principal
from voice_pipeline.api.calls import known_call
from voice_pipeline.api.guard import Guard, GuardedRoute, allowed
from voice_pipeline.codec import build
from voice_pipeline.domain import Ref
from voice_pipeline.errors import BadInput
from voice_pipeline.pipeline import Outcome
from voice_pipeline.results import captions, transcript_json, vcon_file
from voice_pipeline.service import Service
from voice_pipeline.store.rows import Revision

router = APIRouter(route_class=GuardedRoute, tags=["results"])

PIECE = 256 << 10  # bytes of audio sent at once
Which = Annotated[int | None, Query(ge=1, le=2**31 - 1, description="default: the newest")]


def ended(request: Request, who: Principal, call: str, number: int | None) -> Revision:
    """Return how a call has ended.

    Raises:
        BadInput: it has not, has failed, or has no such revision; the code says which.
    """
    row = known_call(request, who, call)
    service: Service = request.app.state.service
    if row.status == "erased":
        raise BadInput("the call was erased", code="erased")
    found = service.kit.store.register.revision(call, number)
    if found is None and number is not None:
        raise BadInput("the call has no such revision", code="not_found")
    if found is not None:
        return found
    if row.status == "failed":
        raise BadInput(f"the call failed ({row.code}): {row.detail}", code="call_failed")
    if row.status == "cancelled":
        raise BadInput("the work on the call was stopped", code="cancelled")
    raise BadInput(f"the call is {row.status}; ask again when it is done", code="not_ready")


def released(request: Request, who: Principal, call: str, number: int | None) -> Outcome:
    """Return the outcome of a call whose results may be shown.

    Raises:
        BadInput: there is none; a held call shows nothing but its redaction log (code `held`).
    """
    found = ended(request, who, call, number)
    if found.status == "held":
        row = known_call(request, who, call)
        raise BadInput(f"the call is held for a person ({row.code}): nothing is shown", code="held")
    outcome: Outcome = build(Outcome, json.loads(found.outcome))
    return outcome


def read(request: Request, ref: Ref[Any] | None) -> Any:
    service: Service = request.app.state.service
    if ref is None:
        raise BadInput("the call has no such result", code="not_found")
    return service.kit.engine.read(ref)


def sends(media_type: str) -> dict[str, Any]:
    """Return what a route's description says of the form of its answer."""
    said = {200: {"description": "the result", "content": {media_type: {}}},
            304: {"description": "unchanged"}}  # fmt: skip
    return {"response_class": Response, "responses": said}


def look(request: Request, who: Principal, permission: str, what: str, call: str) -> None:
    guard: Guard = request.app.state.guard
    guard.record(request, who, permission, what, call=call)


def send(request: Request, body: bytes, media_type: str) -> Response:
    """Return a result with its entity tag."""
    tag = f'"{hashlib.sha256(body).hexdigest()}"'
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return Response(body, media_type=media_type, headers=headers)


def as_json(document: Any) -> bytes:
    return json.dumps(document, ensure_ascii=False, allow_nan=False).encode()


@router.get("/v1/calls/{call}/note", summary="The case note", **sends("application/json"))
def note(
    request: Request,
    call: str,
    who: Annotated[Principal, Depends(allowed("notes.read"))],
    revision: Which = None,
) -> Response:
    outcome = released(request, who, call, revision)
    if outcome.note is None:
        raise BadInput("the call has no such result", code="not_found")
    service: Service = request.app.state.service
    found = ended(request, who, call, revision)
    body = as_json(service.kit.reviewing.note_json(outcome.note, found))
    look(request, who, "notes.read", "note", call)
    return send(request, body, "application/json")


@router.get(
    "/v1/calls/{call}/transcript", summary="The redacted transcript", **sends("application/json")
)
def transcript(
    request: Request,
    call: str,
    who: Annotated[Principal, Depends(allowed("transcripts.read"))],
    revision: Which = None,
) -> Response:
    outcome = released(request, who, call, revision)
    body = as_json(transcript_json(read(request, outcome.transcript)))
    look(request, who, "transcripts.read", "transcript", call)
    return send(request, body, "application/json")


@router.get(
    "/v1/calls/{call}/captions", summary="The redacted transcript as WebVTT", **sends("text/vtt")
)
def subtitles(
    request: Request,
    call: str,
    who: Annotated[Principal, Depends(allowed("transcripts.read"))],
    revision: Which = None,
) -> Response:
    outcome = released(request, who, call, revision)
    body = captions(read(request, outcome.transcript)).encode()
    look(request, who, "transcripts.read", "captions", call)
    return send(request, body, "text/vtt; charset=utf-8")


@router.get(
    "/v1/calls/{call}/redaction-log",
    summary="The signed redaction log",
    **sends("application/x-ndjson"),
)
def redaction_log(
    request: Request,
    call: str,
    who: Annotated[Principal, Depends(allowed("logs.read"))],
    revision: Which = None,
) -> Response:
    """The log holds places and kinds, never values; a held call has one, too."""
    found = ended(request, who, call, revision)
    service: Service = request.app.state.service
    outcome: Outcome = build(Outcome, json.loads(found.outcome))
    body = service.kit.evidence.log(outcome, found.plan).data
    look(request, who, "logs.read", "redaction-log", call)
    return send(request, body, "application/x-ndjson")


@router.get(
    "/v1/calls/{call}/vcon", summary="The call as an IETF vCon", **sends("application/vcon")
)
def vcon(
    request: Request,
    call: str,
    who: Annotated[Principal, Depends(allowed("vcon.read"))],
    revision: Which = None,
) -> Response:
    """Send the unsigned form, redacted, with the muted recording inside."""
    outcome = released(request, who, call, revision)
    service: Service = request.app.state.service
    result = service.kit.result(outcome, ended(request, who, call, revision).plan)
    file = vcon_file(result, service.kit.store.shelf)
    headers = {"ETag": f'"{file.identity}"', "Cache-Control": "private, no-cache"}
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    look(request, who, "vcon.read", "vcon", call)
    return StreamingResponse(file.pieces(), media_type="application/vcon", headers=headers)


@router.get("/v1/calls/{call}/audio", summary="The muted recording as FLAC", **sends("audio/flac"))
def audio(
    request: Request,
    call: str,
    who: Annotated[Principal, Depends(allowed("audio.read"))],
    revision: Which = None,
) -> Response:
    """Send the recording with redacted stretches silent; byte ranges as RFC 9110 has them."""
    outcome = released(request, who, call, revision)
    blob = read(request, outcome.audio).blob
    if blob is None:
        raise BadInput("the call has no audio", code="not_found")
    service: Service = request.app.state.service
    with service.kit.store.shelf.open(blob) as file:
        size = file.seek(0, 2)
    tag = f'"{blob.sha256}"'
    headers = {"ETag": tag, "Accept-Ranges": "bytes", "Cache-Control": "private, no-cache"}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    wanted = request.headers.get("range")
    if request.headers.get("if-range", tag) != tag:
        wanted = None
    span = byte_range(wanted, size)
    if span is None:
        return Response(status_code=416, headers={**headers, "Content-Range": f"bytes */{size}"})
    look(request, who, "audio.read", "audio", call)
    start, end = span
    whole = (start, end) == (0, size) and wanted is None
    if not whole:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    headers["Content-Length"] = str(end - start)

    def pieces() -> Iterator[bytes]:
        with service.kit.store.shelf.open(blob) as file:
            file.seek(start)
            left = end - start
            while left > 0 and (piece := file.read(min(PIECE, left))):
                left -= len(piece)
                yield piece

    return StreamingResponse(
        pieces(), 200 if whole else 206, media_type="audio/flac", headers=headers
    )


def byte_range(header: str | None, size: int) -> tuple[int, int] | None:
    """Return [start, end) of a Range header; the whole where there is none or several.

    None: the range lies outside (status 416).
    """
    match = re.fullmatch(r"bytes=(\d{0,18})-(\d{0,18})", (header or "").strip(), re.ASCII)
    if match is None or match.groups() == ("", ""):
        return 0, size
    first, last = cast(tuple[str, str], match.groups())
    if not first:
        start, end = max(0, size - int(last)), size
    else:
        start, end = int(first), min(int(last) + 1, size) if last else size
    return (start, end) if start < end else None
