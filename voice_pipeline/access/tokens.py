"""Bearer tokens of an identity provider (OIDC, RFC 7519): who somebody is, by its signature.

Decides role, tenant and queues from claims that the settings name. Refuses whatever is not signed
by a key of the set with an allowed algorithm (all asymmetric), for us, now; and a token whose
claims leave open what it may do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jwt
from jwt.exceptions import ExpiredSignatureError, PyJWTError

from voice_pipeline.access.key_sets import KeySet
from voice_pipeline.access.permissions import Role
from voice_pipeline.access.principal import (
    DEFAULT_TENANT,
    Principal,
    Unauthenticated,
    check_reach,
)
from voice_pipeline.config import Oidc
from voice_pipeline.errors import BadInput, Misconfigured

LONGEST = 16_384  # characters of a token
REQUIRED = ["exp", "iss", "aud", "sub"]


class Tokens:
    """Knows the bearer tokens of one issuer."""

    def __init__(self, settings: Oidc, keys: KeySet | None = None) -> None:
        """
        Args:
            settings: issuer, audience, keys and claims.
            keys: the key set; None: the one that the settings name.

        Raises:
            Misconfigured: a claim's value is mapped to a role that there is not, or the key set's
                place is of no allowed kind.
        """
        unknown = sorted(set(settings.roles.values()) - set(Role))
        if unknown:
            raise Misconfigured(f"oidc.roles: no role {unknown[0]}; there are {', '.join(Role)}")
        self._settings = settings
        self._keys = keys or KeySet(settings.jwks)

    def verify(self, token: str) -> Principal:
        """Return who shows this token.

        Raises:
            Unauthenticated: it is forged, not for us, too old or too new, or says too little.
            Retryable: the issuer's keys cannot be read (code `identity_provider`).
        """
        claims = self._claims(token)
        subject = claims["sub"]
        if not (0 < len(subject) <= 200 and subject.isprintable()):
            raise Unauthenticated("the token's subject cannot be used")
        tenant, queues = self._reach(claims)
        return Principal("token", subject, self._role(claims), tenant, queues)

    def _claims(self, token: str) -> dict[str, Any]:
        ours = self._settings
        try:
            if len(token) > LONGEST:
                raise _forged()
            header = jwt.get_unverified_header(token)
            algorithm, kid = header.get("alg"), header.get("kid")
            if algorithm not in ours.algorithms or not isinstance(kid, str):
                raise _forged()
            key = self._keys.key(kid, algorithm)
            if key is None:
                raise _forged()
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                audience=ours.audience,
                issuer=ours.issuer,
                leeway=ours.leeway,
                options={"require": REQUIRED},
            )
        except ExpiredSignatureError:  # its signature was right: it may be said
            raise Unauthenticated("the token has expired", code="token_expired") from None
        except (PyJWTError, UnicodeError, RecursionError):
            raise _forged() from None
        return claims

    def _role(self, claims: Mapping[str, Any]) -> Role:
        """The one role that the claim names; two that both are ours leave it open."""
        given = _inside(claims, self._settings.role_claim)
        values = [given] if isinstance(given, str) else given if isinstance(given, list) else []
        known = self._settings.roles or {role.value: role.value for role in Role}
        roles = {known[value] for value in values if isinstance(value, str) and value in known}
        if len(roles) != 1:
            raise Unauthenticated("the token must name exactly one role", code="token_role")
        return Role(roles.pop())

    def _reach(self, claims: Mapping[str, Any]) -> tuple[str, frozenset[str] | None]:
        tenant: Any = DEFAULT_TENANT
        queues: frozenset[str] | None = None
        if self._settings.tenant_claim is not None:
            tenant = _inside(claims, self._settings.tenant_claim)
        if self._settings.queues_claim is not None:
            named = _inside(claims, self._settings.queues_claim)
            if not isinstance(named, list) or not all(isinstance(queue, str) for queue in named):
                raise _no_reach()
            queues = frozenset(named)
        if not isinstance(tenant, str):
            raise _no_reach()
        try:
            check_reach(tenant, queues)
        except BadInput:
            raise _no_reach() from None
        return tenant, queues


def _inside(claims: Mapping[str, Any], path: str) -> Any:
    """A claim by its name, or by names between dots; a name that has dots itself comes first."""
    if path in claims:
        return claims[path]
    found: Any = claims
    for name in path.split("."):
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


def _forged() -> Unauthenticated:
    return Unauthenticated("the key or token is not known here")


def _no_reach() -> Unauthenticated:
    return Unauthenticated("the token does not say whose calls it reaches", code="token_reach")
