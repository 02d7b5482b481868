"""Who may call which route: credentials in, a `Principal` out, or 401, 403 or 429.

Decides before a route's body is read and before anything is looked up. Refuses by default: each
route names its permission with `allowed(...)`, or says with `open_to_all(...)` why it needs none;
`route_permissions` lists them, so that a test can walk every route as every role.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Coroutine, Iterator
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import FastAPI, Request, Security
from fastapi.dependencies.models import Dependant
from fastapi.responses import JSONResponse, Response
from fastapi.routing import APIRoute, iter_route_contexts
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.concurrency import run_in_threadpool

from voice_pipeline.access.keys import Keys
from voice_pipeline.access.limits import Buckets, network
from voice_pipeline.access.log import AccessLog, Outcome
from voice_pipeline.access.permissions import PERMISSIONS, may
from voice_pipeline.access.principal import (
    Forbidden,
    Principal,
    TooMany,
    Unauthenticated,
    scope,
)
from voice_pipeline.access.tokens import Tokens
from voice_pipeline.config import Settings
from voice_pipeline.errors import PipelineError
from voice_pipeline.store import Store

__all__ = [
    "Guard",
    "GuardedRoute",
    "allowed",
    "open_to_all",
    "problem",
    "protect",
    "route_permissions",
    "scope",
]

FAILED_LOGINS = 0.1  # a second, of one address, in the long run
CALL = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
PAGES = ("/openapi.json", "/docs", "/docs/oauth2-redirect", "/redoc")  # FastAPI's own
BEARER = HTTPBearer(auto_error=False, description="An API key `vp_...`, or an OIDC bearer token.")


@dataclass(frozen=True, slots=True)
class Guard:
    """What a running service needs to know who asks. One a process."""

    keys: Keys
    tokens: Tokens | None
    log: AccessLog
    requests: Buckets  # by principal
    failures: Buckets  # failed logins, by address

    @classmethod
    def of(cls, settings: Settings, store: Store) -> Guard:
        return cls(
            Keys(store.database),
            Tokens(settings.oidc) if settings.oidc else None,
            AccessLog(store.database, store.signing_seed()),
            Buckets(settings.limits.rate, settings.limits.burst),
            Buckets(FAILED_LOGINS, settings.limits.failed_logins),
        )

    def principal(self, request: Request) -> Principal:
        """Return who sent a request.

        Raises:
            Unauthenticated: no credential, or none that is known.
            TooMany: too many requests of this principal, or failed logins of this address.
            Retryable: the identity provider's keys cannot be read.
        """
        shown = _credential(request)
        place = network(address(request))
        try:
            found = self._known(shown, place)
        except Unauthenticated:
            self.failures.take(place)
            raise
        self.requests.take(f"{found.kind} {found.tenant} {found.id}")
        return found

    def _known(self, shown: str, place: str) -> Principal:
        """Only a key's slow hash waits for the failures of others at the same address."""
        if self.tokens is not None and not shown.startswith("vp_"):
            return self.tokens.verify(shown)
        found = self.keys.known(shown)
        if found is None:
            self.failures.check(place)
            found = self.keys.verify(shown)
        return found

    def record(
        self,
        request: Request,
        principal: Principal,
        permission: str,
        what: str,
        *,
        call: str | None,
        why: str = "",
        outcome: Outcome = "shown",
    ) -> None:
        """Keep a look in the access log; call it before the bytes leave, from a plain `def`.

        Args:
            why: the reason given, already without personal data.
        """
        self.log.append(
            principal,
            permission,
            what,
            call=call,
            why=why,
            address=address(request),
            outcome=outcome,
        )

    def admit(self, request: Request, permission: str) -> Principal:
        """Return who sent a request if their role has the permission.

        Raises:
            Forbidden: it has not; a refused look is kept in the access log.
            Unauthenticated, TooMany, Retryable: see `principal`.
        """
        found = self.principal(request)
        if not may(found.role, permission):
            if PERMISSIONS[permission].looks:
                call = request.path_params.get("call", "")
                known = call if isinstance(call, str) and CALL.fullmatch(call) else None
                self.record(request, found, permission, "route", call=known, outcome="denied")
            raise Forbidden(f"the role {found.role.value} has no permission {permission}")
        return found


class Allowed:
    """The dependency that `allowed` makes; `permission` is what the route needs."""

    def __init__(self, permission: str) -> None:
        if permission not in PERMISSIONS:
            raise KeyError(f"no permission {permission}; see access/permissions.py")
        self.permission = permission

    def __call__(
        self,
        request: Request,
        _: Annotated[HTTPAuthorizationCredentials | None, Security(BEARER)],  # for OpenAPI alone
    ) -> Principal:
        done: tuple[str, Principal] | None = getattr(request.state, "admitted", None)
        if done is not None and done[0] == self.permission:  # by GuardedRoute, for this request
            return done[1]
        guard: Guard = request.app.state.guard
        return guard.admit(request, self.permission)


class OpenToAll:
    """The dependency that `open_to_all` makes."""

    def __init__(self, reason: str) -> None:
        self.reason = reason

    def __call__(self) -> None:
        return None


def allowed(permission: str) -> Allowed:
    """Return the dependency of a route: `who: Annotated[Principal, Depends(allowed("..."))]`.

    Raises:
        KeyError: there is no such permission.
    """
    return Allowed(permission)


def open_to_all(reason: str) -> OpenToAll:
    """Return the dependency of a route that needs no credential, with the reason why not."""
    return OpenToAll(reason)


class GuardedRoute(APIRoute):
    """Admits or refuses before the body is read: FastAPI reads JSON and forms first otherwise.

    `APIRouter(route_class=GuardedRoute)`, or `app.router.route_class = GuardedRoute`.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        inner = super().get_route_handler()
        needed = [gate for gate in _gates(self.dependant) if isinstance(gate, Allowed)]

        async def handle(request: Request) -> Response:
            for gate in needed:
                guard: Guard = request.app.state.guard
                found = await run_in_threadpool(guard.admit, request, gate.permission)
                request.state.admitted = (gate.permission, found)
            return await inner(request)

        return handle


def route_permissions(
    app: FastAPI, pages: Collection[str] = PAGES
) -> dict[tuple[str, str], str | None]:
    """Return the permission of each (method, path); None where the route is open to all.

    Args:
        app: the app, with all its routers.
        pages: paths that are not FastAPI's routes and are meant to be open.

    Raises:
        LookupError: a route says neither, or names two; something is mounted, or a socket, that
            no dependency here guards and that is not among the pages.
    """
    found: dict[tuple[str, str], str | None] = {}
    for route in iter_route_contexts(app.routes):
        if not isinstance(route.original_route, APIRoute):
            if (path := getattr(route.original_route, "path", "")) not in pages:
                raise LookupError(f"{path}: not a route that can be guarded")
            continue
        gates = list(_gates(route.dependant))
        if len(gates) != 1:
            raise LookupError(f"{route.path}: {len(gates)} permissions; exactly one is needed")
        permission = gates[0].permission if isinstance(gates[0], Allowed) else None
        for method in route.methods or ():
            found[method, route.path or ""] = permission
    return found


def _gates(dependant: Dependant) -> Iterator[Allowed | OpenToAll]:
    if isinstance(dependant.call, Allowed | OpenToAll):
        yield dependant.call
    for inner in dependant.dependencies:
        yield from _gates(inner)


def problem(error: PipelineError) -> tuple[int, dict[str, str]]:
    """Return status and headers of the answer to a refusal."""
    if isinstance(error, Unauthenticated):
        bad = "" if error.code == "no_credential" else ', error="invalid_token"'
        return 401, {"WWW-Authenticate": f'Bearer realm="voice-pipeline"{bad}'}
    if isinstance(error, Forbidden):
        challenge = 'Bearer realm="voice-pipeline", error="insufficient_scope"'
        return 403, {"WWW-Authenticate": challenge}
    if isinstance(error, TooMany):
        return 429, {"Retry-After": str(max(1, math.ceil(error.wait)))}
    raise TypeError(f"{type(error).__name__} is no refusal")


def protect(app: FastAPI, guard: Guard) -> None:
    """Give an app its guard, and the answers to what it refuses (problem+json, RFC 9457)."""
    app.state.guard = guard
    app.router.route_class = GuardedRoute
    for refusal in (Unauthenticated, Forbidden, TooMany):
        app.add_exception_handler(refusal, _answer)


def _answer(_request: Request, error: Exception) -> Response:
    assert isinstance(error, PipelineError)
    status, headers = problem(error)
    titles = {401: "Unauthorized", 403: "Forbidden", 429: "Too Many Requests"}
    body = {"title": titles[status], "status": status, "code": error.code, "detail": error.message}
    return JSONResponse(
        body, status, {**headers, "Cache-Control": "no-store"}, "application/problem+json"
    )


def address(request: Request) -> str:
    """From where: the peer; behind a proxy, what the server was told to believe of its headers."""
    return request.client.host if request.client else ""


def _credential(request: Request) -> str:
    given = request.headers.getlist("authorization")
    kind, _, shown = given[0].partition(" ") if len(given) == 1 else ("", "", "")
    if not given or kind.lower() != "bearer" or not shown.strip(" "):
        raise Unauthenticated(
            "send one header `Authorization: Bearer` with an API key or a token",
            code="no_credential",
        )
    return shown.strip(" ")
