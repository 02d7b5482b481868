"""Webhooks: signed as the standard says, the same bytes again, one event however often it comes."""

from __future__ import annotations

import base64
import json
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import standardwebhooks
from hypothesis import given
from hypothesis import strategies as st
from targets import Asked, Target, Told

from voice_pipeline.connectors.webhook import Options, WebhookConnector, create
from voice_pipeline.errors import BadInput, Misconfigured, Permanent, PipelineError, Retryable
from voice_pipeline.testing import connector_contract, parcel
from voice_pipeline.webhooks import secret_bytes, signature, verify

OLD = "whsec_" + base64.b64encode(b"an old secret of an invented test").decode()
NEW = "whsec_" + base64.b64encode(b"its new secret, invented as well.").decode()
SECRETS = {"env:OLD": OLD, "env:NEW": NEW}
HOSTILE = {
    "reason": {"text": "😀 \u202eRTL \u2066 <script>alert(1)</script> '; DROP TABLE calls;-- \x00"},
    "lone": "\ud800",
}


class Receiver(Target):
    """Keeps each event once by its webhook-id, as the standard tells receivers to."""

    def __init__(self, *secrets: str) -> None:
        super().__init__()
        self.secrets = secrets or (OLD,)
        self.events: dict[str, Any] = {}

    def work(self, asked: Asked) -> Told:
        if asked.method == "HEAD":
            return Told(405)
        for secret in self.secrets:  # the public library checks what we sign
            try:
                standardwebhooks.Webhook(secret).verify(asked.body, asked.headers)
            except standardwebhooks.WebhookVerificationError:
                continue
            self.events.setdefault(asked.headers["webhook-id"], asked.json)
            return Told(204)
        return Told(401)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as found:
        yield found


def connector(url: str, *secrets: str, **options: Any) -> WebhookConnector:
    named = list(secrets) or ["env:OLD"]
    given = {"private": True, "timeout": 2, "secret": SECRETS.__getitem__} | options
    return create(Options(url=url, signing_secrets=named, **given))


def test_it_keeps_the_contract(receiver: Receiver) -> None:
    """One event a revision; a crash between sending and noting it makes no second one."""
    connector_contract(lambda: connector(receiver.url))
    assert list(receiver.events) == ["contract-1", "contract-2"]


def test_the_envelope_is_that_of_the_event_feed(receiver: Receiver) -> None:
    """Whoever reads `GET /v1/events` reads webhooks with the same code."""
    from voice_pipeline.api.views import event_json
    from voice_pipeline.store.rows import Event

    connector(receiver.url).deliver(parcel("k", "c", metadata={"queue": "billing"}))
    sent = receiver.events["k"]
    feed = event_json(Event(7, "default", "billing", "call.done", "c", 0.0, "{}"))
    assert set(feed) == set(sent)
    assert sent["source"] == feed["source"] and sent["subject"] == "c"
    assert sent["type"] == "voice-pipeline.call.note.created.v1"
    assert sent["data"]["note"]["call_id"] == "c" and "test" not in sent["data"]


def test_the_envelope_is_what_its_schema_says(receiver: Receiver) -> None:
    """Receivers may check what they get against the schema that the service publishes."""
    from jsonschema import Draft202012Validator

    from voice_pipeline.api.schemas import schema
    from voice_pipeline.delivery.desk import EXAMPLE

    connector(receiver.url).deliver(
        parcel("k", note=EXAMPLE, metadata={"queue": "billing"}, link="https://example.com/c")
    )
    connector(receiver.url).deliver(parcel("t", note=EXAMPLE, number=2, test=True))
    for event in receiver.events.values():
        name = event["dataschema"].removeprefix("/v1/schemas/")
        Draft202012Validator(schema(name)).validate(event)


def test_sent_again_it_is_the_same_bytes(receiver: Receiver) -> None:
    """A receiver that kept the body's hash sees that nothing is new; only the attempt differs."""
    receiver.after = [Told(drop=True), Told(500)]
    one = parcel("k", note=HOSTILE)
    for _ in range(2):
        with pytest.raises(Retryable):
            connector(receiver.url).deliver(one)
    connector(receiver.url).deliver(replace(one, first_try=False))
    assert len({asked.body for asked in receiver.asked}) == 1
    assert len(receiver.asked) == 3 and list(receiver.events) == ["k"]


def test_two_secrets_let_receivers_change_over_in_peace() -> None:
    """While both sign, receivers with either take the event."""
    for known in (OLD, NEW):
        with Receiver(known) as receiver:
            connector(receiver.url, "env:NEW", "env:OLD").deliver(parcel("k"))
            assert list(receiver.events) == ["k"]
            marks = receiver.asked[0].headers["webhook-signature"].split(" ")
            assert len(marks) == 2 and all(mark.startswith("v1,") for mark in marks)
    with Receiver(NEW) as receiver, pytest.raises(Misconfigured) as told:
        connector(receiver.url, "env:OLD").deliver(parcel("k"))
    assert told.value.code == "target_denied"


@pytest.mark.parametrize(
    ("answer", "kind", "code"),
    [
        (Told(410), Misconfigured, "target_gone"),
        (Told(404), Misconfigured, "target_gone"),
        (Told(403), Misconfigured, "target_denied"),
        (Told(302, headers={"Location": "http://127.0.0.1/"}), Misconfigured, "target_moved"),
        (Told(422, b"Ada Invented"), Permanent, "target_refused"),
        (Told(429, headers={"Retry-After": "7"}), Retryable, "target_busy"),
        (Told(503), Retryable, "target_busy"),
        (Told(502), Retryable, "target_unreachable"),
        (Told(500), Retryable, "target_failed"),
        (Told(drop=True), Retryable, "no_answer"),
        (Told(200, b"x" * (2 << 20)), Retryable, "bad_answer"),
    ],
    ids=lambda value: str(getattr(value, "status", value)),
)
def test_each_answer_says_who_has_to_act(
    receiver: Receiver, answer: Told, kind: type[PipelineError], code: str
) -> None:
    """Wait, look at the settings, or give the parcel up; never with what the receiver wrote."""
    receiver.before = [answer]
    with pytest.raises(kind) as told:
        connector(receiver.url).deliver(parcel("k"))
    assert told.value.code == code
    assert "Invented" not in str(told.value)
    assert getattr(told.value, "after", None) == (7 if answer.status == 429 else None)


@pytest.mark.parametrize(
    "secret",
    ["", "plain", "whsec_", "whsec_%%%", "whsec_" + base64.b64encode(b"x" * 23).decode(),
     "whsec_" + base64.b64encode(b"x" * 65).decode(), OLD.removeprefix("whsec_")],
)  # fmt: skip
def test_a_weak_secret_never_signs(secret: str) -> None:
    """Too short, too long, or of another form: said before anything is sent, without the secret."""
    with pytest.raises(Misconfigured) as told:
        connector("https://example.com", secret=lambda _: secret)
    assert told.value.code == "webhook_secret"
    assert not secret.removeprefix("whsec_") or secret not in str(told.value)


def test_settings_hold_references_and_no_secret() -> None:
    """A secret written into the settings is refused, and not repeated."""
    from voice_pipeline.adapters import load

    adapter = load("connectors", "webhook")
    with pytest.raises(Misconfigured) as told:
        adapter.build({"url": "https://example.com", "signing_secrets": [OLD]})
    assert OLD not in str(told.value)
    with pytest.raises(Misconfigured, match="secret"):
        adapter.build({"url": "https://example.com", "signing_secrets": ["env:X"]})


def test_private_addresses_and_plain_http_are_refused(receiver: Receiver) -> None:
    """Nobody is talked into posting notes to a machine inside the house."""
    for url in ("http://127.0.0.1:1", "https://127.0.0.1:1", "https://[::ffff:10.0.0.1]/hook"):
        with pytest.raises(Misconfigured) as told:
            connector(url, private=False).deliver(parcel("k"))
        assert told.value.code == "target_address"


def test_one_private_address_among_public_ones_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that leads to both is not asked at whichever comes first."""
    told = [
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, 443)) for ip in ("8.8.8.8", "10.0.0.1")
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: told)
    with pytest.raises(Misconfigured) as error:
        connector("https://hooks.example.com", private=False).deliver(parcel("k"))
    assert error.value.code == "target_address"


def test_previews_show_everything_but_the_secrets(receiver: Receiver) -> None:
    """What is shown is what would be sent; nobody can sign with what is shown."""
    target = connector(receiver.url + "/hook/", authorization="env:NEW")
    one = parcel("k", note=HOSTILE)
    (shown,) = target.preview(one)
    assert not receiver.asked
    assert shown.headers["webhook-signature"] == shown.headers["Authorization"] == "(secret)"
    target.deliver(one)
    assert shown.url == receiver.url + receiver.asked[0].path
    assert shown.body.encode() == receiver.asked[0].body
    assert receiver.asked[0].headers["authorization"] == NEW


def test_ten_megabytes_arrive_whole(receiver: Receiver) -> None:
    """Size is the receiver's to refuse (413), not ours to cut."""
    connector(receiver.url, timeout=30).deliver(parcel("k", note={"text": "ü" * (5 << 20)}))
    assert len(receiver.events["k"]["data"]["note"]["text"]) == 5 << 20


def test_a_check_changes_nothing_and_sees_a_dead_end(receiver: Receiver) -> None:
    """`targets test` finds a receiver that has gone before a note does."""
    target = connector(receiver.url)
    assert target.check()[0].good and not receiver.events
    receiver.before = [Told(410)]
    assert not target.check()[0].good
    assert not connector("http://127.0.0.1:1").check()[0].good
    with pytest.raises(Permanent, match="k") as told:
        target.remove(target.deliver(parcel("k", test=True)))
    assert told.value.code == "not_removed" and receiver.events["k"]["data"]["test"] is True


# ---------------------------------------------------------------- the receiver's side


def signed(body: bytes, secret: str = OLD, at: int | None = None) -> dict[str, str]:
    when = int(time.time()) if at is None else at
    return {"Webhook-Id": "k", "WEBHOOK-TIMESTAMP": str(when),
            "webhook-signature": signature(secret_bytes(secret), "k", when, body)}  # fmt: skip


@given(st.binary(min_size=24, max_size=64), st.binary(max_size=300), st.integers(0, 2**33))
def test_we_sign_as_the_public_library_does(key: bytes, body: bytes, at: int) -> None:
    """Any receiver that follows the standard, in any language, can check what we send."""
    from datetime import UTC, datetime

    secret = "whsec_" + base64.b64encode(key).decode()
    text = body.decode("latin-1")
    other = standardwebhooks.Webhook(secret).sign("k", datetime.fromtimestamp(at, UTC), text)
    assert signature(secret_bytes(secret), "k", at, text.encode()) == other


@given(st.data())
def test_one_changed_bit_is_found(data: st.DataObject) -> None:
    """Nothing of id, time, body or signature can be changed on the way."""
    body = json.dumps({"id": "k", "data": "x" * data.draw(st.integers(0, 50))}).encode()
    headers = signed(body)
    assert verify(headers, body, [NEW, OLD])["id"] == "k"
    place = data.draw(st.integers(0, len(body) - 1))
    changed = bytearray(body)
    changed[place] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(BadInput):
        verify(headers, bytes(changed), [OLD])


def headers_without(name: str) -> Callable[[bytes], dict[str, str]]:
    return lambda body: {key: value for key, value in signed(body).items() if key != name}


@pytest.mark.parametrize(
    "headers",
    [
        lambda body: signed(body, NEW),
        lambda body: signed(body, at=int(time.time()) - 301),
        lambda body: signed(body, at=int(time.time()) + 310),
        lambda body: signed(body) | {"WEBHOOK-TIMESTAMP": "-1"},
        lambda body: signed(body) | {"WEBHOOK-TIMESTAMP": "٣"},
        lambda body: signed(body) | {"WEBHOOK-TIMESTAMP": "9" * 5000},
        lambda body: signed(body) | {"Webhook-Id": "other"},
        lambda body: signed(body) | {"webhook-signature": "v1,é"},
        headers_without("Webhook-Id"), headers_without("WEBHOOK-TIMESTAMP"),
        headers_without("webhook-signature"),
    ],
)  # fmt: skip
def test_what_is_not_ours_is_refused(headers: Callable[[bytes], dict[str, str]]) -> None:
    """Another secret, an old attempt sent again, broken headers: one code, answer 401."""
    body = b'{"id":"k"}'
    with pytest.raises(BadInput) as told:
        verify(headers(body), body, [OLD])
    assert told.value.code == "webhook_signature"


def test_a_signed_body_is_the_event_that_the_header_names() -> None:
    """A signature over something else, or no JSON, is no event."""
    for body in (b"[]", b"null", b"\xff", b'{"id":"other"}'):
        with pytest.raises(BadInput):
            verify(signed(body), body, [OLD])


def test_secrets_are_read_where_the_references_lead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, receiver: Receiver
) -> None:
    """`env:` and `file:` as everywhere in the settings."""
    from voice_pipeline.config import secret

    (tmp_path / "key").write_text(OLD + "\n")
    monkeypatch.setenv("HOOK_SECRET", NEW)
    connector(receiver.url, f"file:{tmp_path / 'key'}", "env:HOOK_SECRET", secret=secret).deliver(
        parcel("k")
    )
    assert "k" in receiver.events
