"""The vault: the one way to the original recording of a held call, for those who must judge it.

Opening needs a reason, lasts a quarter of an hour, works for the one who asked alone, and each step
is in the access log before a byte leaves. Refuses calls that are not held.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from voice_pipeline.access.principal import Principal
from voice_pipeline.api.calls import known_call
from voice_pipeline.api.guard import Guard, GuardedRoute, allowed
from voice_pipeline.api.views import utc
from voice_pipeline.domain import Received, Ref
from voice_pipeline.errors import BadInput
from voice_pipeline.service import Service
from voice_pipeline.store.rows import CallRow

router = APIRouter(route_class=GuardedRoute, tags=["vault"])

LASTS = 900.0  # seconds
PIECE = 256 << 10  # bytes sent at once
Opener = Annotated[Principal, Depends(allowed("vault.open"))]


class Why(BaseModel):
    """Why the vault has to be opened."""

    model_config = ConfigDict(extra="forbid")

    reason: Annotated[str, Field(min_length=5, max_length=500)]


@router.post("/v1/calls/{call}/vault", status_code=201, summary="Ask for a held recording")
def ask(request: Request, call: str, who: Opener, why: Why) -> Any:
    """Give a grant for the original recording of a held call; the reason is kept, redacted."""
    service: Service = request.app.state.service
    _held(request, who, call)
    _note(request, who, call, "vault-grant", service.kit.scrub(why.reason, False))
    until = int(time.time() + LASTS)
    return {"grant": f"{until}.{_seal(service, who, call, until)}", "expires_at": utc(until)}


@router.get(
    "/v1/calls/{call}/vault/audio",
    summary="The original recording of a held call",
    response_class=StreamingResponse,
    responses={200: {"description": "as handed in", "content": {"application/octet-stream": {}}}},
)
def open_recording(
    request: Request, call: str, who: Opener, grant: Annotated[str, Query(max_length=200)]
) -> Response:
    """Send the recording as it was handed in, to the one whose grant is still good."""
    service: Service = request.app.state.service
    row = _held(request, who, call)
    until, _, seal = grant.partition(".")
    good = until.isascii() and until.isdigit() and len(until) < 12
    if not good or not hmac.compare_digest(seal, _seal(service, who, call, int(until))):
        raise BadInput("this grant is not yours, or not for this call", code="vault_grant")
    if int(until) < time.time():
        raise BadInput("the grant has run out; ask again, with a reason", code="vault_grant")
    received: Received = service.kit.engine.read(Ref(call, "Received", row.received_sha256 or ""))
    source = service.kit.store.shelf.open(received.audio)
    file = source.__enter__()  # before the look is noted: what is gone was not seen
    _note(request, who, call, "vault-audio", "")

    def pieces() -> Iterator[bytes]:
        try:
            while piece := file.read(PIECE):
                yield piece
        finally:
            source.__exit__(None, None, None)

    headers = {"Cache-Control": "no-store", "Content-Disposition": f'attachment; filename="{call}"'}
    return StreamingResponse(pieces(), media_type="application/octet-stream", headers=headers)


def _held(request: Request, who: Principal, call: str) -> CallRow:
    row = known_call(request, who, call)
    if row.status == "erased":
        raise BadInput("the call was erased", code="erased")
    if row.status != "held":
        raise BadInput(f"the call is {row.status}; only a held one is opened", code="not_held")
    return row


def _note(request: Request, who: Principal, call: str, what: str, why: str) -> None:
    guard: Guard = request.app.state.guard
    guard.record(request, who, "vault.open", what, call=call, why=why)


def _seal(service: Service, who: Principal, call: str, until: int) -> str:
    """Bind a grant to a call, a person and a time; nobody else's key makes it good."""
    key = hashlib.sha256(b"vault grant" + service.kit.store.signing_seed()).digest()
    text = f"{call}|{who.kind}|{who.id}|{who.tenant}|{until}"
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
