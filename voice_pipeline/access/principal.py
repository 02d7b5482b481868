"""Who asks, which rows they may see, and the three ways of saying no."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from voice_pipeline.access.permissions import Role
from voice_pipeline.errors import BadInput, Permanent, Retryable
from voice_pipeline.store.rows import Scope

DEFAULT_TENANT = "default"
TENANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
QUEUE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}", re.ASCII)


class Unauthenticated(Permanent):
    """Nobody is known by what was shown, or nothing was shown."""

    code = "unauthenticated"


class Forbidden(Permanent):
    """It is known who asks, and they may not do this."""

    code = "forbidden"


class TooMany(Retryable):
    """Too many requests, or too many failed logins from one address."""

    code = "too_many_requests"

    def __init__(self, message: str, *, wait: float) -> None:
        """
        Args:
            wait: seconds after which the next one is taken.
        """
        super().__init__(message)
        self.wait = wait


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks; made only by `keys` and `tokens`."""

    kind: Literal["key", "token"]
    id: str  # id of the key, or the token's subject
    role: Role
    tenant: str
    queues: frozenset[str] | None  # None: all of the tenant's; empty: none


def scope(principal: Principal) -> Scope:
    """Return which calls somebody may see; every query on their behalf takes it.

    A call without a queue is seen by those who see all queues.
    """
    return Scope(principal.tenant, principal.queues)


def check_reach(tenant: str, queues: frozenset[str] | None) -> None:
    """Refuse names that are no tenant and no queue.

    Raises:
        BadInput: a name has another form (code `access_name`).
    """
    if not TENANT.fullmatch(tenant):
        raise BadInput(
            "a tenant is 1 to 64 letters, digits, dots, dashes or underscores", code="access_name"
        )
    if any(not QUEUE.fullmatch(queue) for queue in queues or ()):
        raise BadInput(
            "a queue is 1 to 80 letters, digits, dots, dashes or underscores", code="access_name"
        )


def check_grant(principal: Principal, tenant: str, queues: frozenset[str] | None) -> None:
    """Refuse to let somebody give away more than they have.

    Raises:
        Forbidden: another tenant, or a queue that the principal does not see.
    """
    narrower = principal.queues is None or (queues is not None and queues <= principal.queues)
    if tenant != principal.tenant or not narrower:
        raise Forbidden("a key reaches no further than the principal that makes it")
