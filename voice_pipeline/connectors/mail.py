"""Mails which flags a call has, by SMTP: one mail a revision that has any.

Flags and a link, no word that was said. Mails of one key share a Message-ID; they can neither be
asked for nor changed, so an answer that is lost may mean a second one. Refuses passwords in clear.
"""

from __future__ import annotations

import email.message
import smtplib
import socket
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from voice_pipeline.connectors._address import address_of, trusted
from voice_pipeline.connectors._crm import Reference, Secret, revealed
from voice_pipeline.connectors._flags import flags, lines, plain, title
from voice_pipeline.domain import Receipt, Severity
from voice_pipeline.errors import Misconfigured, Permanent, PipelineError, Retryable
from voice_pipeline.ports import Checked, ConnectorTraits, Match, Outgoing, Parcel

Address = Annotated[str, StringConstraints(pattern=r"^[!-?A-~]+@[A-Za-z0-9.-]+$", max_length=254)]


class Options(BaseModel):
    model_config = ConfigDict(extra="forbid")

    host: str = Field(min_length=1, description="the mail server")
    port: int = Field(587, ge=1, le=65535)
    security: Literal["starttls", "tls", "none"] = Field(
        "starttls", description="`none` only for a server of your own that wants no password"
    )
    user: str | None = None
    password: Reference | None = Field(None, description="reference to the user's password")
    sender: Address = Field(description="address that the mails come from")
    to: list[Address] = Field(min_length=1, max_length=50)
    least: Severity = Field("high", description="flags below this severity are not told")
    timeout: float = Field(15.0, gt=0, le=300, description="seconds that one answer may take")
    private: bool = Field(False, description="whether it may have a private or loopback address")
    ca: Path | None = Field(None, description="PEM file of its certificate's authority")
    secret: Secret | None = None  # from the composition root

    @model_validator(mode="after")
    def _safe(self) -> Options:
        if (self.user is None) != (self.password is None):
            raise ValueError("takes user and password, or neither")
        if self.security == "none" and (self.password is not None or not self.private):
            raise ValueError("security = none takes no password, and needs private = true")
        return self


class MailConnector:
    """One SMTP conversation a mail."""

    name = "mail"
    traits = ConnectorTraits(idempotent=False, searchable=False, updates=False)

    def __init__(self, options: Options, password: str | None) -> None:
        self._options = options
        self._password = password
        self._context = trusted(options.ca)

    def find(self, parcel: Parcel) -> Receipt | None:
        """Nobody can ask a mail server what it sent on."""
        return None

    def deliver(self, parcel: Parcel) -> Receipt:
        """Mail the flags; a call that has none to tell gets a receipt `untold:KEY`."""
        if not (parcel.test or flags(parcel, self._options.least)):
            return Receipt(self.name, parcel.key, f"untold:{parcel.key}", parcel.at)
        with self._server() as server:
            server.send_message(self._message(parcel))
        return Receipt(self.name, parcel.key, parcel.key, parcel.at)

    def match(self, parcel: Parcel) -> Match:
        return Match("none", "a mail server knows no customers")

    def preview(self, parcel: Parcel) -> Sequence[Outgoing]:
        message = self._message(parcel)
        headers = {name: str(value) for name, value in message.items()}
        return [Outgoing("MAIL", f"smtp://{self._options.host}", headers, message.get_content())]

    def check(self) -> Sequence[Checked]:
        """Log in, and ask whether sender and recipients are taken; no mail is sent."""
        try:
            with self._server() as server:
                server.mail(self._options.sender)
                for number, one in enumerate(self._options.to, 1):
                    code, _ = server.rcpt(one)
                    if code >= 400:
                        return [Checked(f"recipient {number}", False, f"refused (SMTP {code})")]
                server.rset()
        except PipelineError as error:
            return [Checked("mail server", False, error.message)]
        return [Checked("mail server", True, "")]

    def remove(self, receipt: Receipt) -> None:
        raise Permanent(f"a mail, {receipt.external_id}, cannot be taken back", code="not_removed")

    def close(self) -> None:
        return None

    def _message(self, parcel: Parcel) -> email.message.EmailMessage:
        found = flags(parcel, self._options.least)
        message = email.message.EmailMessage()
        message["From"] = self._options.sender
        message["To"] = ", ".join(self._options.to)
        message["Subject"] = title(parcel, found)
        message["Date"] = datetime.fromisoformat(parcel.at)
        domain = self._options.sender.rpartition("@")[2]
        message["Message-ID"] = f"<{plain(parcel.key)}@{domain}>"
        message["Auto-Submitted"] = "auto-generated"
        message.set_content("\n".join(lines(parcel, found)) + "\n")
        return message

    @contextmanager
    def _server(self) -> Iterator[smtplib.SMTP]:
        """A server that has let us in.

        Raises:
            Retryable, Misconfigured, Permanent: as `Connector.deliver`; no message of the server's.
        """
        chosen = self._options
        address = address_of(chosen.host, chosen.port, private=chosen.private)
        me = chosen.sender.rpartition("@")[2]  # not this machine's name: it is nobody's business
        server = _Server(address, me, self._context if chosen.security == "tls" else None)
        server.timeout = chosen.timeout
        try:
            try:
                code, _ = server.connect(chosen.host, chosen.port)
            except OSError as error:
                raise _unreached(error) from None
            if code != 220:
                raise smtplib.SMTPConnectError(421, "")
            if chosen.security == "starttls":
                server.starttls(context=self._context)
            if chosen.user is not None and self._password is not None:
                server.login(chosen.user, self._password)
            yield server
            with suppress(smtplib.SMTPException, OSError):  # the mail was taken, come what may
                server.quit()
        except smtplib.SMTPServerDisconnected:
            raise Retryable(
                "the mail server broke off; it may have taken the mail", code="no_answer"
            ) from None
        except (smtplib.SMTPException, OSError) as error:
            raise _refusal(error) from None
        finally:
            server.close()


class _Server(smtplib.SMTP):
    """Connects to the address that was looked at; the name is for the certificate."""

    def __init__(self, address: str, me: str, context: ssl.SSLContext | None) -> None:
        super().__init__(local_hostname=me)
        self._address = address
        self._context = context

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        self._host = host  # whose certificate STARTTLS checks
        plain = socket.create_connection((self._address, port), timeout)
        return (
            plain
            if self._context is None
            else self._context.wrap_socket(plain, server_hostname=host)
        )


def create(options: Options) -> MailConnector:
    """Build the connector; nothing is sent.

    Raises:
        Misconfigured: the password is missing.
    """
    password = revealed(options.password, options.secret) if options.password else None
    return MailConnector(options, password)


def _unreached(error: OSError) -> PipelineError:
    if isinstance(error, ssl.SSLCertVerificationError):
        return _refusal(error)
    return Retryable(
        f"the mail server cannot be reached ({type(error).__name__})", code="target_unreachable"
    )


def _refusal(error: Exception) -> PipelineError:
    """Return the error that a refusal stands for; what the server said stays with it."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return Misconfigured(
            f"the mail server's certificate is not good: {error.verify_message}",
            code="target_certificate",
        )
    codes = [error.smtp_code] if isinstance(error, smtplib.SMTPResponseException) else []
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        codes = [code for code, _ in error.recipients.values()]
    told = f"SMTP {min(codes)}" if codes else type(error).__name__
    if codes and min(codes) < 500:
        return Retryable(f"the mail server asks to wait ({told})", code="target_busy")
    setting = (smtplib.SMTPAuthenticationError, smtplib.SMTPNotSupportedError,
               smtplib.SMTPRecipientsRefused, smtplib.SMTPSenderRefused)  # fmt: skip
    if isinstance(error, setting):
        return Misconfigured(
            f"the mail server takes login, sender or recipients not ({told}); check them with "
            "`targets test`",
            code="target_denied",
        )
    if codes:
        return Permanent(f"the mail server refuses the mail ({told})", code="target_refused")
    return Retryable(
        f"the mail server broke off ({told}); it may have taken the mail", code="no_answer"
    )
