"""Notices by e-mail, against a server that really listens and is told how to behave."""

from __future__ import annotations

import email
import socketserver
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from voice_pipeline import adapters
from voice_pipeline.connectors.mail import MailConnector
from voice_pipeline.errors import Misconfigured, Permanent, PipelineError, Retryable
from voice_pipeline.ports import Parcel

NOTICE = Parcel(
    key="k1", call="c1", number=1, event="escalation.due", note={}, metadata={},
    fields={"subject": "Due now: fraud (critical)\r\nBcc: x@example.org", "text": "Call c1.\nWho?"},
    at="2026-11-26T09:00:00+00:00",
)  # fmt: skip


class Mailbox(socketserver.ThreadingTCPServer):
    """Speaks as much SMTP as is needed; `answers` replaces what it says to a command."""

    daemon_threads = allow_reuse_address = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Session)
        self.answers: dict[str, str] = {}
        self.messages: list[str] = []
        self.envelopes: list[str] = []


class Session(socketserver.StreamRequestHandler):
    server: Mailbox

    def handle(self) -> None:
        self.say(self.server.answers.get("HELLO", "220 here"))
        while line := self.rfile.readline().decode().strip():
            word = line.split()[0].upper()
            usual = {"DATA": "354 go on", "QUIT": "221 bye"}.get(word, "250 ok")
            answer = self.server.answers.get(word, usual)
            if answer == "cut":
                return
            self.say(answer)
            if word in ("MAIL", "RCPT"):
                self.server.envelopes.append(line)
            if word == "DATA" and answer.startswith("354"):
                text = ""
                while (part := self.rfile.readline().decode()) != ".\r\n":
                    text += part
                self.server.messages.append(text)
                self.say("250 kept")
            if word == "QUIT":
                return

    def say(self, text: str) -> None:
        self.wfile.write(text.encode() + b"\r\n")


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    with Mailbox() as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server
        server.shutdown()


def connector(mailbox: Mailbox, **given: Any) -> MailConnector:
    options = {
        "host": "127.0.0.1", "port": mailbox.server_address[1], "security": "none", "timeout": 2,
        "sender": "voice@example.org", "to": ["lead@example.org", "duty@example.org"],
    }  # fmt: skip
    made: MailConnector = adapters.load("connectors", "mail").build(
        options | given, offer={"secret": lambda reference: "sesame"}
    )
    return made


def test_a_notice_is_a_message(mailbox: Mailbox) -> None:
    """To all recipients, with its own Message-ID, and no header that its text brings along."""
    receipt = connector(mailbox).deliver(NOTICE)
    message = email.message_from_string(mailbox.messages[0])
    assert message["Subject"] == "Due now: fraud (critical) Bcc: x@example.org"
    assert message["Bcc"] is None
    assert message["Message-ID"] == receipt.external_id == "<k1@example.org>"
    assert message["To"] == "lead@example.org, duty@example.org"
    assert message.get_payload().splitlines() == ["Call c1.", "Who?"]
    assert len(mailbox.envelopes) == 3
    assert connector(mailbox).check()[0].good
    mailbox.answers = {"QUIT": "cut"}  # what was accepted is not sent again for its goodbye
    connector(mailbox).deliver(NOTICE)
    (shown,) = connector(mailbox).preview(NOTICE)
    assert "Call c1." in shown.body


@pytest.mark.parametrize(
    ("answers", "kind", "code"),
    [
        ({"HELLO": "421 busy"}, Retryable, "target_busy"),
        ({"RCPT": "450 later"}, Retryable, "target_busy"),
        ({"RCPT": "550 nobody here"}, Permanent, "target_refused"),
        ({"MAIL": "553 not from you"}, Permanent, "target_refused"),
        ({"DATA": "cut"}, Retryable, "no_answer"),
    ],
)
def test_what_goes_wrong_is_told_apart(
    mailbox: Mailbox, answers: dict[str, str], kind: type[PipelineError], code: str
) -> None:
    """Away, busy, no for good: each leads to something else, and no address is in the message."""
    mailbox.answers = answers
    with pytest.raises(kind) as raised:
        connector(mailbox).deliver(NOTICE)
    assert raised.value.code == code
    assert "example.org" not in raised.value.message and "nobody" not in raised.value.message
    assert mailbox.messages == []


def test_a_server_that_is_away_or_cannot_encrypt(mailbox: Mailbox) -> None:
    """Nobody there is tried again; no STARTTLS is for whoever wrote the settings."""
    with pytest.raises(Misconfigured) as raised:
        connector(mailbox, security="starttls").deliver(NOTICE)
    assert raised.value.code == "target"
    made = connector(mailbox, port=1)
    with pytest.raises(Retryable) as away:
        made.deliver(NOTICE)
    assert away.value.code == "target_unreachable"
    assert not made.check()[0].good


def test_notes_and_open_passwords_are_refused(mailbox: Mailbox) -> None:
    """A case note does not go into a mailbox, and a password not over an open line."""
    with pytest.raises(Permanent):
        connector(mailbox).deliver(Parcel(**{**_plain(NOTICE), "note": {"status": "done"}}))
    with pytest.raises(Misconfigured, match="not encrypted"):
        connector(mailbox, user="u", password="env:PASSWORD")
    with pytest.raises(Misconfigured, match="go together"):
        connector(mailbox, security="tls", user="u")
    with pytest.raises(Misconfigured):
        connector(mailbox, to=["lead@example.org\nBcc: x@example.org"])


def _plain(parcel: Parcel) -> dict[str, Any]:
    return {name: getattr(parcel, name) for name in Parcel.__dataclass_fields__}
