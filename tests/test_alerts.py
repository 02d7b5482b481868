"""Alerts by mail and chat: which flags a call has, and never a word that was said."""

from __future__ import annotations

import asyncio
import datetime as dt
import email
import email.policy
import ipaddress
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st
from targets import Asked, Target, Told

from voice_pipeline.adapters import load
from voice_pipeline.connectors import chat, mail
from voice_pipeline.connectors._flags import flags, lines
from voice_pipeline.errors import Misconfigured, Permanent, PipelineError, Retryable
from voice_pipeline.testing import connector_contract, parcel

SAID = "I am Ada Invented and I will sue you"
FLAGS = [
    {
        "category": "legal_threat",
        "severity": "critical",
        "why": SAID,
        "evidence": [{"quote": SAID}],
    },
    {"category": "complaint", "severity": "high", "why": SAID},
    {"category": "unresolved", "severity": "low", "why": SAID},
]
PASSWORD = "an-invented-password"


def note(key: str = "k", call: str = "c", **other: Any) -> Any:
    given = {"note": {"escalations": FLAGS, "reason": {"text": SAID}}, "fields": {"text": SAID},
             "metadata": {"queue": "claims"}, "link": "https://example.com/calls/c"}  # fmt: skip
    return parcel(key, call, **given | other)


class Chat(Target):
    def __init__(self) -> None:
        super().__init__()
        self.messages: list[str] = []

    def work(self, asked: Asked) -> Told:
        if asked.method == "HEAD":
            return Told(400)
        if asked.path != "/services/T0/B0/secretpath":
            return Told(404, b"no_service")
        self.messages.append(asked.json["text"])
        return Told(200, b"ok")


@pytest.fixture
def room() -> Iterator[Chat]:
    with Chat() as found:
        yield found


def chatting(room: Chat, **options: Any) -> chat.ChatConnector:
    url = room.url + "/services/T0/B0/secretpath"
    given = {"webhook": "env:HOOK", "secret": lambda _: url, "private": True, "timeout": 2}
    return chat.create(chat.Options(**given | options))


class Mailbox:
    """What aiosmtpd asks: takes a login, refuses one recipient, keeps mails."""

    def __init__(self) -> None:
        self.mails: list[Any] = []
        self.answers: dict[str, str] = {}  # to a command, instead of the usual
        self.host = ""  # as the other side calls itself
        self.port = 0
        self.ca = Path()

    async def handle_EHLO(  # noqa: N802
        self, server: Any, session: Any, envelope: Any, host: str, answers: list[str]
    ) -> list[str]:
        session.host_name = host
        self.host = host
        return answers

    async def handle_RCPT(  # noqa: N802
        self, server: Any, session: Any, envelope: Any, address: str, options: Any
    ) -> str:
        if address.startswith("nobody"):
            return "550 no such mailbox: Ada Invented"
        envelope.rcpt_tos.append(address)
        return self.answers.get("RCPT", "250 OK")

    async def handle_DATA(  # noqa: N802
        self, server: Any, session: Any, envelope: Any
    ) -> str:
        answer = self.answers.get("DATA", "250 OK")
        if answer.startswith("250") or answer == "lost":
            policy = email.policy.default
            self.mails.append(email.message_from_bytes(envelope.content, policy=policy))
        if answer == "lost":
            server.transport.abort()
        return answer

    async def handle_QUIT(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        if "QUIT" in self.answers:
            server.transport.abort()
        return "221 Bye"

    def login(self, server: Any, session: Any, envelope: Any, mechanism: str,
              data: Any) -> AuthResult:  # fmt: skip
        good = isinstance(data, LoginPassword) and data.password == PASSWORD.encode()
        return AuthResult(success=good)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for the loopback address that signs itself, and its key."""
    folder, key = tmp_path_factory.mktemp("tls"), ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now, loopback = dt.datetime.now(dt.UTC), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name)
        .public_key(key.public_key()).serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1)).not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([loopback]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return folder / "cert.pem", folder / "key.pem"


@contextmanager
def mail_server(certificate: tuple[Path, Path], *, at_once: bool) -> Iterator[Mailbox]:
    """A server that wants TLS and a login; TLS from the start, or by STARTTLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    box = Mailbox()
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    def made() -> SMTP:
        return SMTP(
            box, tls_context=None if at_once else context, require_starttls=not at_once,
            auth_required=True, auth_require_tls=not at_once, authenticator=box.login, timeout=5,
            loop=loop,
        )  # fmt: skip

    starting = loop.create_server(made, "127.0.0.1", 0, ssl=context if at_once else None)
    server = asyncio.run_coroutine_threadsafe(starting, loop).result()
    box.port, box.ca = server.sockets[0].getsockname()[1], certificate[0]
    yield box
    asyncio.run_coroutine_threadsafe(_ended(server), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture
def post(certificate: tuple[Path, Path]) -> Iterator[Mailbox]:
    with mail_server(certificate, at_once=False) as found:
        yield found


async def _ended(server: asyncio.Server) -> None:
    server.close()
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def mailing(post: Any, **options: Any) -> mail.MailConnector:
    given = {
        "host": "127.0.0.1", "port": post.port, "private": True, "ca": post.ca, "timeout": 3,
        "user": "alerts", "password": "env:P", "secret": {"env:P": PASSWORD}.__getitem__,
        "sender": "alerts@example.com", "to": ["lead@example.com"],
    }  # fmt: skip
    return mail.create(mail.Options(**given | options))


def test_both_keep_the_contract(room: Chat, post: Any) -> None:
    """A call without flags is passed over, and says so."""
    connector_contract(lambda: chatting(room))
    connector_contract(lambda: mailing(post))
    assert not room.messages and not post.mails
    assert chatting(room).deliver(parcel("k")).external_id == "untold:k"


def test_flags_go_out_and_words_do_not(room: Chat, post: Any) -> None:
    """Severity, category, call, queue, link; from the severity that was asked for."""
    chatting(room).deliver(note())
    mailing(post, least="low").deliver(note())
    (text,), (one,) = room.messages, post.mails
    assert text.splitlines() == [
        "critical: legal_threat, complaint, call c", "- critical: legal_threat",
        "- high: complaint", "Queue: claims", "https://example.com/calls/c",
    ]  # fmt: skip
    assert "unresolved" in one.get_content() and one["Subject"].startswith("critical: legal")
    assert one["Auto-Submitted"] == "auto-generated" and post.host == "example.com"
    assert "Ada" not in text + one.as_string() and "sue" not in text + one.as_string()


@pytest.mark.filterwarnings("ignore:Requiring AUTH")  # it counts STARTTLS alone as TLS
def test_tls_from_the_start_checks_the_certificate_as_well(
    certificate: tuple[Path, Path],
) -> None:
    """Port 465: the same mail; a certificate that nobody vouches for is refused."""
    with mail_server(certificate, at_once=True) as post:
        mailing(post, security="tls").deliver(note())
        assert len(post.mails) == 1
        with pytest.raises(Misconfigured) as told:
            mailing(post, security="tls", ca=None).deliver(note())
        assert told.value.code == "target_certificate" and len(post.mails) == 1


def test_mails_of_one_key_have_one_message_id(post: Any) -> None:
    """An answer lost after the mail was taken: a second one comes, and mail programs fold it."""
    post.answers["DATA"] = "lost"
    with pytest.raises(Retryable) as told:
        mailing(post).deliver(note())
    assert told.value.code == "no_answer"
    post.answers.clear()
    mailing(post).deliver(note(first_try=False))
    first, second = post.mails
    assert first["Message-ID"] == second["Message-ID"] == "<k@example.com>"
    assert first["Date"] == second["Date"]


def test_a_mail_that_was_taken_is_not_sent_again_for_a_rude_goodbye(post: Any) -> None:
    """The server broke off after it had taken the mail and said so."""
    post.answers["QUIT"] = "none"
    assert mailing(post).deliver(note()).external_id == "k" and len(post.mails) == 1


@given(
    st.recursive(
        st.none() | st.integers() | st.text() | st.just(SAID),
        lambda inner: st.lists(inner) | st.dictionaries(
            st.sampled_from(["category", "severity", "escalations", "why"]), inner
        ),
    ),
    st.text(), st.text(),
)  # fmt: skip
def test_no_note_can_put_words_into_an_alert(escalations: Any, call: str, queue: str) -> None:
    """Whatever stands where a category should be: only plain names of one line come along."""
    one = note(call=call, note={"escalations": escalations}, metadata={"queue": queue}, link=None)
    text = "\n".join(lines(one, flags(one, "low")))
    assert SAID not in text
    assert not set("\r<>@\u202e\x00&`*") & set(text) and text.count("\n") <= 5


@pytest.mark.parametrize(
    ("answers", "kind", "code"),
    [
        ({"DATA": "451 later, Ada Invented"}, Retryable, "target_busy"),
        ({"DATA": "554 no, Ada Invented"}, Permanent, "target_refused"),
        ({"RCPT": "450 Ada Invented is busy"}, Retryable, "target_busy"),
        ({"RCPT": "550 Ada Invented is unknown"}, Misconfigured, "target_denied"),
    ],
)
def test_a_mail_server_that_refuses(
    post: Any, answers: dict[str, str], kind: type[PipelineError], code: str
) -> None:
    """Now, or for good; without what it said, or whom it was about."""
    post.answers = answers
    with pytest.raises(kind) as told:
        mailing(post).deliver(note())
    assert told.value.code == code and not post.mails
    assert "Invented" not in str(told.value) and "lead@" not in str(told.value)


def test_mail_settings_that_do_not_fit_are_found(post: Any, certificate: tuple[Path, Path]) -> None:
    """Password, recipient, certificate, address: before the first alert."""
    assert all(one.good for one in mailing(post).check()) and not post.mails
    for options in (
        {"to": ["lead@example.com", "nobody@example.com"]},
        {"secret": lambda _: "withdrawn"},
        {"ca": None},
        {"port": 1},
        {"private": False},
    ):
        (seen,) = mailing(post, **options).check()
        assert not seen.good and "withdrawn" not in seen.detail
    with pytest.raises(Misconfigured) as told:
        mailing(post, ca=None).deliver(note())
    assert told.value.code == "target_certificate"


@pytest.mark.parametrize(
    "options",
    [{"to": ["a@example.com\nBcc: b@example.com"]}, {"sender": "nobody"}, {"password": PASSWORD},
     {"security": "none"}, {"security": "none", "private": True}, {"password": None}],
)  # fmt: skip
def test_mail_options_are_safe(options: dict[str, Any]) -> None:
    """No password in clear, in the settings or on the wire; no header in an address."""
    given = {"host": "localhost", "sender": "a@example.com", "to": ["b@example.com"],
             "user": "u", "password": "env:P"}  # fmt: skip
    with pytest.raises(Misconfigured) as told:
        load("connectors", "mail").build(given | options)
    assert PASSWORD not in str(told.value)


def test_a_chats_url_is_its_secret(room: Chat) -> None:
    """Neither previews nor errors show it; a webhook that is gone pauses the target."""
    target = chatting(room)
    (shown,) = target.preview(note())
    assert "secretpath" not in str(shown)
    target.deliver(note())
    assert json.loads(shown.body)["text"] == room.messages[0]
    assert target.check()[0].good
    for answer, code in ((Told(410), "target_gone"), (Told(404), "target_gone"),
                         (Told(403), "target_denied")):  # fmt: skip
        room.before = [answer]
        with pytest.raises(Misconfigured) as told:
            target.deliver(note())
        assert told.value.code == code and "secretpath" not in str(told.value)
    with pytest.raises(Misconfigured) as told:
        chatting(room, secret=lambda _: "ftp://secretpath")
    assert "secretpath" not in str(told.value)
    with pytest.raises(Misconfigured):
        load("connectors", "chat").build({"webhook": room.url})


def test_tests_are_marked_and_stay(room: Chat, post: Any) -> None:
    """`targets test` says that its message cannot be taken back."""
    for target in (chatting(room), mailing(post)):
        receipt = target.deliver(note(note={}, test=True))
        with pytest.raises(Permanent) as told:
            target.remove(receipt)
        assert told.value.code == "not_removed"
    assert room.messages[0].startswith("Test: ") and post.mails[0]["Subject"].startswith("Test: ")
