"""Bearer tokens of an identity provider, and what is tried with forged ones."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
import time
import warnings
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given, settings
from hypothesis import strategies as st
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from voice_pipeline.access.key_sets import PAUSE, STALE, KeySet
from voice_pipeline.access.permissions import Role
from voice_pipeline.access.principal import Principal, Unauthenticated
from voice_pipeline.access.tokens import Tokens
from voice_pipeline.config import Oidc, load_settings
from voice_pipeline.errors import Misconfigured, Retryable

ISSUER, AUDIENCE = "https://login.example", "voice-pipeline"
RSA = rsa.generate_private_key(65537, 2048)
OTHER_RSA = rsa.generate_private_key(65537, 2048)
SHORT_RSA = rsa.generate_private_key(65537, 1024)
EC = ec.generate_private_key(ec.SECP256R1())
BIG_EC = ec.generate_private_key(ec.SECP384R1())
ED = ed25519.Ed25519PrivateKey.generate()
PEM = RSA.public_key().public_bytes(
    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
)


def jwks() -> dict[str, Any]:
    """One key a family, and some that must never serve."""
    keys = {
        "rsa": RSAAlgorithm.to_jwk(RSA.public_key(), as_dict=True),
        "pss": RSAAlgorithm.to_jwk(RSA.public_key(), as_dict=True) | {"alg": "PS256"},
        "ec": ECAlgorithm.to_jwk(EC.public_key(), as_dict=True),
        "ed": OKPAlgorithm.to_jwk(ED.public_key(), as_dict=True),
        "short": RSAAlgorithm.to_jwk(SHORT_RSA.public_key(), as_dict=True),
        "big-ec": ECAlgorithm.to_jwk(BIG_EC.public_key(), as_dict=True),
        "encrypts": RSAAlgorithm.to_jwk(RSA.public_key(), as_dict=True) | {"use": "enc"},
        "secret": {"kty": "oct", "k": base64.urlsafe_b64encode(b"k" * 32).decode()},
        "broken": {"kty": "RSA", "n": "!" * 400, "e": "AQAB"},
    }
    # what a token's header may name in each: never `alg` of its own choice
    return {"keys": [{**key, "kid": kid} for kid, key in keys.items()] + ["noise", {"kty": "RSA"}]}


def oidc(place: Path | str, **more: Any) -> Oidc:
    given = {"issuer": ISSUER, "audience": AUDIENCE, "jwks": str(place)}
    return Oidc(**{**given, "algorithms": ("RS256", "ES256", "PS256", "EdDSA"), **more})


def claims(**changed: Any) -> dict[str, Any]:
    now = int(time.time())
    base = {
        "iss": ISSUER, "aud": AUDIENCE, "sub": "u-17", "iat": now, "exp": now + 3600,
        "role": "agent",
    }  # fmt: skip
    return {name: value for name, value in (base | changed).items() if value is not None}


def signed(kid: str | None = "rsa", key: Any = RSA, algorithm: str = "RS256", **more: Any) -> str:
    headers = {} if kid is None else {"kid": kid}
    return jwt.encode(claims(**more), key, algorithm=algorithm, headers=headers)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("jwks") / "jwks.json"
    path.write_text(json.dumps(jwks()))
    return path


@pytest.mark.parametrize(
    ("kid", "key", "algorithm"),
    [("rsa", RSA, "RS256"), ("pss", RSA, "PS256"), ("ec", EC, "ES256"), ("ed", ED, "EdDSA")],
)
def test_a_token_says_who_asks(file: Path, kid: str, key: Any, algorithm: str) -> None:
    """Each of the four signatures is taken; without further claims the tenant is `default`."""
    found = Tokens(oidc(file)).verify(signed(kid, key, algorithm, tenant="acme"))
    assert found == Principal("token", "u-17", Role.agent, "default", None)


def test_claims_give_role_tenant_and_queues(file: Path) -> None:
    """A provider's own claims and group names are mapped; other groups do not matter."""
    tokens = Tokens(
        oidc(
            file, role_claim="realm_access.roles", roles={"cc-lead": "supervisor"},
            tenant_claim="https://x.example/tenant", queues_claim="queues",
        )
    )  # fmt: skip
    token = signed(
        realm_access={"roles": ["offline_access", "cc-lead"]}, queues=["billing"],
        **{"https://x.example/tenant": "acme"},
    )  # fmt: skip
    found = tokens.verify(token)
    assert found == Principal("token", "u-17", Role.supervisor, "acme", frozenset({"billing"}))
    nothing = signed(
        realm_access={"roles": "cc-lead"}, queues=[], **{"https://x.example/tenant": "acme"}
    )
    assert tokens.verify(nothing).queues == frozenset()


def unsigned(header: dict[str, Any], mac: bytes | None = None, **more: Any) -> str:
    """A token put together by hand, as an attacker does."""

    def part(data: bytes) -> str:
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

    body = f"{part(json.dumps(header).encode())}.{part(json.dumps(claims(**more)).encode())}"
    sealed = b"" if mac is None else hmac.new(mac, body.encode(), hashlib.sha256).digest()
    return f"{body}.{part(sealed)}"


NOW = int(time.time())
with warnings.catch_warnings(action="ignore"):  # the library warns of such a key as well
    SHORT = signed("short", SHORT_RSA)
ATTACKS = {
    "expired": signed(exp=NOW - 60),
    "not yet valid": signed(nbf=NOW + 600),
    "issued in the future": signed(iat=NOW + 600),
    "wrong audience": signed(aud="another-service"),
    "wrong issuer": signed(iss="https://login.example.evil"),
    "issuer with a slash": signed(iss=ISSUER + "/"),
    "no expiry": signed(exp=None),
    "no subject": signed(sub=None),
    "number as subject": signed(sub=17),
    "empty subject": signed(sub=""),
    "two lines as subject": signed(sub="u-17\nadmin"),
    "no audience": signed(aud=None),
    "alg none": unsigned({"alg": "none", "kid": "rsa"}),
    "alg None": unsigned({"alg": "None", "kid": "rsa"}),
    "no alg": unsigned({"kid": "rsa"}),
    "alg is a list": unsigned({"alg": ["RS256"], "kid": "rsa"}),
    "HS256 signed with the public key": unsigned({"alg": "HS256", "kid": "rsa"}, PEM),
    "HS256 with the set's own secret": unsigned({"alg": "HS256", "kid": "secret"}, b"k" * 32),
    "RS256 by name, HMAC by deed": unsigned({"alg": "RS256", "kid": "rsa"}, PEM),
    "RS512, not allowed": signed(algorithm="RS512"),
    "unknown kid": signed(kid="nobody"),
    "no kid": signed(kid=None),
    "kid is a list": unsigned({"alg": "RS256", "kid": ["rsa"]}),
    "kid as a path": signed(kid="../../../../dev/null"),
    "another key under a known kid": signed(key=OTHER_RSA),
    "key in the token's own header": jwt.encode(
        claims(), OTHER_RSA, algorithm="RS256",
        headers={
            "kid": "rsa", "jku": "http://127.0.0.1:9/",
            "jwk": RSAAlgorithm.to_jwk(OTHER_RSA.public_key(), as_dict=True),
        },
    ),
    "unknown critical header": jwt.encode(
        claims(), RSA, algorithm="RS256", headers={"kid": "rsa", "crit": ["b64"], "b64": False}
    ),
    "RSA of 1024 bits": SHORT,
    "P-384 as ES256": signed("big-ec", EC, "ES256"),
    "RS256 with a key for PS256": signed("pss", RSA, "RS256"),
    "EC signature under an RSA key": signed("rsa", EC, "ES256"),
    "key for encryption": signed("encrypts"),
    "a key that is none": signed("broken"),
    "no role": signed(role=None),
    "unknown role": signed(role="root"),
    "two roles": signed(role=["agent", "admin"]),
    "role is an object": signed(role={"agent": True}),
    "empty": "",
    "dots": "..",
    "not base64": "a.b.c",
    "too long": signed(padding="x" * 20_000),
    "nested deeply": unsigned({"alg": "RS256", "kid": "rsa"}) + "." + "[" * 5000,
}  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS)
def test_attacks_are_refused(file: Path, attack: str) -> None:
    """Forged, stale, foreign and unclear tokens are nobody's."""
    tokens = Tokens(oidc(file))
    with pytest.raises(Unauthenticated) as error:
        tokens.verify(ATTACKS[attack])
    assert "u-17" not in str(error.value)


@pytest.mark.parametrize(
    "given",
    [None, 7, "", "a b", "acme' or 1=1 --", ["acme"], {"acme": 1}, "a" * 65, "acme\n", "ácme"],
    ids=repr,
)
def test_a_tenant_that_is_none_opens_nothing(file: Path, given: Any) -> None:
    """Where tokens name the tenant, one that does not, or names no tenant, is refused."""
    tokens = Tokens(oidc(file, tenant_claim="tenant"))
    with pytest.raises(Unauthenticated) as error:
        tokens.verify(signed(tenant=given))
    assert error.value.code == "token_reach"


@pytest.mark.parametrize("given", [None, "billing", [1], [["billing"]], ["a b"]], ids=repr)
def test_queues_that_are_none_open_nothing(file: Path, given: Any) -> None:
    """Where tokens name queues, a missing or odd list means none at all, never all."""
    with pytest.raises(Unauthenticated):
        Tokens(oidc(file, queues_claim="queues")).verify(signed(queues=given))


def test_a_forged_tenant_breaks_the_signature(file: Path) -> None:
    """A tenant edited inside a good token is refused as forged."""
    tokens = Tokens(oidc(file, tenant_claim="tenant"))
    head, body, signature = signed(tenant="acme").split(".")
    assert tokens.verify(f"{head}.{body}.{signature}").tenant == "acme"
    said = json.loads(base64.urlsafe_b64decode(body + "=="))
    edited = base64.urlsafe_b64encode(json.dumps(said | {"tenant": "other"}).encode())
    with pytest.raises(Unauthenticated):
        tokens.verify(f"{head}.{edited.decode().rstrip('=')}.{signature}")


GOOD = signed(tenant="acme")


@settings(max_examples=200)
@given(at=st.integers(0, len(GOOD) - 1), letter=st.characters(max_codepoint=0x3FF))
def test_no_edited_token_is_taken(file: Path, at: int, letter: str) -> None:
    """One character changed: nobody's, or the very same claims (base64 has idle last bits)."""
    edited = GOOD[:at] + letter + GOOD[at + 1 :]
    tokens = Tokens(oidc(file, tenant_claim="tenant"))
    try:
        found = tokens.verify(edited)
    except Unauthenticated:
        return
    assert found == tokens.verify(GOOD)


def test_clocks_may_differ_a_little(file: Path) -> None:
    """The leeway forgives seconds, not minutes."""
    assert Tokens(oidc(file, leeway=60)).verify(signed(exp=int(time.time()) - 30))
    with pytest.raises(Unauthenticated) as error:
        Tokens(oidc(file, leeway=10)).verify(signed(exp=int(time.time()) - 30))
    assert error.value.code == "token_expired"


class Provider:
    """An identity provider's key server on loopback."""

    def __init__(self) -> None:
        self.body, self.status, self.asked = json.dumps(jwks()).encode(), 200, 0
        outer = self

        class Answer(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked += 1
                self.send_response(outer.status)
                self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", str(len(outer.body)))
                self.end_headers()
                self.wfile.write(outer.body)

            def log_message(self, *_: Any) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/jwks"


@pytest.fixture
def provider() -> Iterator[Provider]:
    made = Provider()
    yield made
    made.server.shutdown()
    made.server.server_close()


def test_keys_are_fetched_once_and_again_for_a_new_kid(provider: Provider) -> None:
    """A provider that changes its key is followed; forged key ids do not make us a flood."""
    now = [1000.0]
    tokens = Tokens(oidc(provider.url), KeySet(provider.url, lambda: now[0]))
    for _ in range(3):
        tokens.verify(signed())
    assert provider.asked == 1
    new = jwks()
    new["keys"][0]["kid"] = "new"
    provider.body = json.dumps(new).encode()
    for _ in range(20):
        with pytest.raises(Unauthenticated):
            tokens.verify(signed(kid="new"))
    assert provider.asked == 1
    now[0] += PAUSE
    assert tokens.verify(signed(kid="new")).id == "u-17"
    assert provider.asked == 2
    with pytest.raises(Unauthenticated):  # the old one was withdrawn
        tokens.verify(signed(kid="rsa"))


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, b""),
        (302, b"{}"),
        (200, b"<html>"),
        (200, b"[]"),
        (200, b'{"keys": [' + b" " * (2 << 20)),
    ],
    ids=["error", "redirect", "page", "list", "huge"],
)
def test_a_provider_that_fails_is_survived_for_a_day(
    provider: Provider, status: int, body: bytes
) -> None:
    """Known keys serve on while the provider is ill; after a day it is said, not guessed."""
    now = [1000.0]
    tokens = Tokens(oidc(provider.url), KeySet(provider.url, lambda: now[0]))
    tokens.verify(signed())
    provider.status, provider.body = status, body
    now[0] += STALE - 1
    assert tokens.verify(signed()).id == "u-17"
    assert provider.asked == 2
    now[0] += PAUSE
    with pytest.raises(Retryable) as error:
        tokens.verify(signed())
    assert error.value.code == "identity_provider"


def test_no_keys_is_no_entry(tmp_path: Path) -> None:
    """Without the key file nobody gets in, and the reason names the setting."""
    with pytest.raises(Retryable, match=r"oidc\.jwks"):
        Tokens(oidc(tmp_path / "none.json")).verify(signed())


@pytest.mark.parametrize(
    "place", ["http://login.example/jwks", "ftp://login.example/k", "file:///etc/passwd"]
)
def test_keys_come_over_safe_ways_only(place: str) -> None:
    """Keys over plain http could be anybody's: refused at start-up."""
    with pytest.raises(Misconfigured):
        Tokens(oidc(place))


def test_settings_refuse_what_would_be_unsafe(tmp_path: Path) -> None:
    """HS256 and `none` cannot even be configured; a role that there is not is named."""
    config = tmp_path / "settings.toml"
    base = f'[oidc]\nissuer = "{ISSUER}"\naudience = "a"\njwks = "keys.json"\n'
    config.write_text(base)
    loaded = load_settings(config).oidc
    assert loaded is not None and loaded.algorithms == ("RS256",)
    for wrong in ('["HS256"]', '["none"]', "[]"):
        config.write_text(f"{base}algorithms = {wrong}\n")
        with pytest.raises(Misconfigured):
            load_settings(config)
    with pytest.raises(Misconfigured, match="no role boss"):
        Tokens(oidc("keys.json", roles={"x": "boss"}))
