"""Access tokens of OAuth 2.0: asked for when needed, kept in memory, renewed when refused.

Knows the client credentials and JWT bearer grants. A token that was revoked or has expired costs
one request more; credentials that are wrong are a matter of the settings and not tried again.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from voice_pipeline.connectors._http import Answer, Http
from voice_pipeline.errors import Misconfigured, Retryable

SOON = {"temporarily_unavailable", "server_error", "unknown_error", "slow_down"}
JWT_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
JWT_LIFE = 180  # seconds that an assertion holds

Form = Callable[[], Mapping[str, str]]  # what a request for a token says


class Session:
    """Requests that carry an access token. Safe for several threads."""

    def __init__(self, http: Http, path: str, form: Form) -> None:
        """
        Args:
            http: to the target.
            path: of its token endpoint.
            form: called for each request for a token.
        """
        self._http = http
        self._path = path
        self._form = form
        self._lock = threading.Lock()
        self._token = ""

    def request(
        self, method: str, path: str, *, accept: tuple[int, ...] = (), **more: Any
    ) -> Answer:
        """Send one request, with a new token where the server refuses the one we have.

        Raises:
            As `Http.request`; a status of 401 with a new token is `target_denied`.
        """
        given = more.pop("headers", {})
        for _ in range(2):
            token = self.token()
            headers = {**given, "Authorization": f"Bearer {token}"}
            answer = self._http.request(
                method, path, accept=(*accept, 401), headers=headers, **more
            )
            if answer.status != 401:
                return answer
            self._forget(token)
        raise Misconfigured(
            "the server refuses even a new access token (HTTP 401); does the integration's user "
            "still have its rights?",
            code="target_denied",
        )

    def token(self) -> str:
        """Return an access token; one request however many threads want one.

        Raises:
            Retryable: the server gives none just now.
            Misconfigured: it refuses the credentials (code `target_denied`).
        """
        with self._lock:
            if not self._token:
                self._token = self._asked()
            return self._token

    def _forget(self, token: str) -> None:
        with self._lock:
            if self._token == token:  # else another thread has a newer one already
                self._token = ""

    def _asked(self) -> str:
        answer = self._http.request(
            "POST",
            self._path,
            content=urlencode(self._form()).encode(),
            headers={"Content-Type": "application/x-www-form-urlencoded"},
            accept=(400, 401, 403),
        )
        said = answer.object() if answer.status == 200 else _object(answer)
        token = said.get("access_token")
        if answer.status == 200:
            if not isinstance(token, str) or not re.fullmatch(r"[\x21-\x7e]+", token):
                raise Retryable("the server's answer has no access token", code="bad_answer")
            return token
        why = said.get("error")
        if why in SOON:
            raise Retryable("the server gives no access token just now", code="target_failed")
        known = why if isinstance(why, str) and re.fullmatch(r"[a-z_]{1,40}", why) else "no reason"
        raise Misconfigured(
            f"the server gives no access token (HTTP {answer.status}, {known}); check the "
            "client's id, its secret or key, and that the integration is allowed for its user",
            code="target_denied",
        )


def client_credentials(client: str, secret: str) -> Form:
    """Return the form of the client credentials grant."""
    form = {"grant_type": "client_credentials", "client_id": client, "client_secret": secret}
    return lambda: form


def jwt_bearer(client: str, user: str, audience: str, key: Path) -> Form:
    """Return the form of the JWT bearer grant, signed anew each time with RS256.

    Raises:
        Misconfigured: the file is no private RSA key in PEM (code `key_file`).
    """
    import jwt

    def form() -> Mapping[str, str]:
        claims = {"iss": client, "sub": user, "aud": audience, "exp": int(time.time()) + JWT_LIFE}
        return {"grant_type": JWT_GRANT, "assertion": jwt.encode(claims, pem, algorithm="RS256")}

    try:
        pem = key.read_bytes()
        form()  # says now, not with the first call, that the key cannot sign
    except (OSError, ValueError, TypeError, jwt.PyJWTError) as error:
        raise Misconfigured(
            f"{key}: no private RSA key in PEM to be read ({type(error).__name__})",
            code="key_file",
        ) from None
    return form


def _object(answer: Answer) -> dict[str, Any]:
    try:
        return answer.object()
    except Retryable:  # a gateway's page: the status alone speaks
        return {}
