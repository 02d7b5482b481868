"""Tells people of escalations by e-mail, through a server that speaks SMTP.

Takes notices alone: a case note does not belong into a mailbox. Refuses to send a password over a
connection that is not encrypted. A server cannot be asked what it has sent: each notice has a
Message-ID of its own, by which a mailbox knows one that came twice.
"""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from voice_pipeline.domain import Receipt
from voice_pipeline.errors import Misconfigured, Permanent, PipelineError, Retryable
from voice_pipeline.ports import Checked, ConnectorTraits, Match, Outgoing, Parcel

Address = Annotated[str, Field(pattern=r"^[^\s@<>,;]+@[^\s@<>,;]+$", max_length=254)]


class Options(BaseModel):
    model_config = ConfigDict(extra="forbid")

    host: str = Field(min_length=1, description="the server")
    port: int = Field(587, ge=1, le=65535, description="its port")
    security: Literal["starttls", "tls", "none"] = Field(
        "starttls", description="tls: encrypted from the start; none: a relay without a password"
    )
    ca: Path | None = Field(
        None, description="PEM file of the authority that signs its certificate"
    )
    user: str | None = Field(None, description="who logs in; default: nobody does")
    password: str | None = Field(
        None, pattern="^(env|file):.+", repr=False, description="env:NAME or file:PATH"
    )
    sender: Address = Field(description="the address that notices come from")
    to: list[Address] = Field(min_length=1, max_length=50, description="who gets them")
    timeout: float = Field(15.0, gt=0, le=120, description="seconds that an answer may take")
    secret: Callable[[str], str] = Field(repr=False, description="reads a secret; given by us")

    @model_validator(mode="after")
    def _no_open_password(self) -> Options:
        if (self.user is None) != (self.password is None):
            raise ValueError("user and password go together")
        if self.password is not None and self.security == "none":
            raise ValueError("a password is not sent over a connection that is not encrypted")
        return self


class MailConnector:
    """One notice, one message."""

    name = "mail"
    traits = ConnectorTraits(idempotent=False, updates=False, notices=True, live=False)

    def __init__(self, options: Options) -> None:
        self._options = options

    def find(self, parcel: Parcel) -> Receipt | None:
        return None  # nobody can be asked

    def deliver(self, parcel: Parcel) -> Receipt:
        message = self._message(parcel)
        with self._server() as server:
            server.send_message(message)
        at = datetime.now(UTC).isoformat(timespec="seconds")
        return Receipt(self.name, parcel.key, message["Message-ID"], at)

    def match(self, parcel: Parcel) -> Match:
        return Match("none", "a mailbox knows no customers")

    def preview(self, parcel: Parcel) -> Sequence[Outgoing]:
        message = self._message(parcel)
        url = f"smtp://{self._options.host}:{self._options.port}"
        return [Outgoing("SEND", url, dict(message.items()), message.get_content())]

    def check(self) -> Sequence[Checked]:
        try:
            with self._server() as server:
                server.noop()
        except PipelineError as error:
            return [Checked("credentials", False, error.message)]
        return [Checked("credentials", True, "")]

    def remove(self, receipt: Receipt) -> None:
        raise Permanent("what was sent is in a mailbox; delete it there", code="not_removed")

    def close(self) -> None:
        return None

    def _message(self, parcel: Parcel) -> EmailMessage:
        if parcel.note or "text" not in parcel.fields:
            raise Permanent("e-mail takes notices, no notes", code="target_refused")
        message = EmailMessage()
        message["Subject"] = " ".join(parcel.fields["subject"].split())[:200]
        message["From"] = self._options.sender
        message["To"] = ", ".join(self._options.to)
        message["Message-ID"] = f"<{parcel.key}@{self._options.sender.rpartition('@')[2]}>"
        message["Date"] = datetime.fromisoformat(parcel.at)
        message["Auto-Submitted"] = "auto-generated"  # no out-of-office answers
        message.set_content(parcel.fields["text"] + "\n")
        return message

    @contextmanager
    def _server(self) -> Iterator[smtplib.SMTP]:
        """Connect, encrypt and log in; whatever goes wrong inside is one of our errors."""
        given = self._options
        password = given.secret(given.password) if given.password is not None else ""
        try:
            context = ssl.create_default_context(cafile=given.ca)
        except (OSError, ssl.SSLError) as error:
            raise Misconfigured(
                f"ca: no certificates to be read ({type(error).__name__})", code="target"
            ) from None
        try:
            if given.security == "tls":
                server: smtplib.SMTP = smtplib.SMTP_SSL(
                    given.host, given.port, timeout=given.timeout, context=context
                )
            else:
                server = smtplib.SMTP(given.host, given.port, timeout=given.timeout)
            try:
                if given.security == "starttls":
                    server.starttls(context=context)
                if given.user is not None:
                    server.login(given.user, password)
                yield server
                with suppress(smtplib.SMTPException, OSError):  # the message is there
                    server.quit()
            finally:
                server.close()
        except (smtplib.SMTPException, OSError) as error:
            raise _ours(error) from None  # its text may repeat addresses


def _ours(error: Exception) -> PipelineError:
    kind = type(error).__name__
    if isinstance(error, smtplib.SMTPAuthenticationError | ssl.SSLCertVerificationError):
        return Misconfigured(
            f"the mail server does not let us in, or is not who it says ({kind}); look at user, "
            "password and ca",
            code="target_denied",
        )
    if isinstance(error, smtplib.SMTPNotSupportedError):
        return Misconfigured(
            "the mail server has no STARTTLS or no login; look at security and port", code="target"
        )
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        codes = [code for code, _ in error.recipients.values()]
    elif isinstance(error, smtplib.SMTPResponseException):
        codes = [error.smtp_code]
    else:
        away = not isinstance(error, smtplib.SMTPServerDisconnected)
        return Retryable(
            f"the mail server does not answer ({kind})",
            code="target_unreachable" if away else "no_answer",
        )
    if all(500 <= code < 600 for code in codes):
        return Permanent(f"the mail server refuses the notice ({codes[0]})", code="target_refused")
    return Retryable(f"the mail server asks to wait ({codes[0]})", code="target_busy")


def create(options: Options) -> MailConnector:
    return MailConnector(options)
