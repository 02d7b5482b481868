"""Tells a chat channel which flags a call has, by an incoming webhook (`{"text": ...}`).

Flags and a link, no word that was said. The webhook's URL is its secret and shown to nobody. A chat
can neither be asked nor changed: an answer that is lost may mean a second message.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from voice_pipeline.connectors._crm import Reference, Secret, revealed
from voice_pipeline.connectors._flags import flags, lines
from voice_pipeline.connectors._http import Http, HttpOptions
from voice_pipeline.domain import Receipt, Severity
from voice_pipeline.errors import Misconfigured, Permanent, PipelineError
from voice_pipeline.ports import Checked, ConnectorTraits, Match, Outgoing, Parcel

GONE = (404, 410)


class Options(BaseModel):
    model_config = ConfigDict(extra="forbid")

    webhook: Reference = Field(description="reference to the incoming webhook's URL, a secret")
    least: Severity = Field("high", description="flags below this severity are not told")
    timeout: float = Field(15.0, gt=0, le=300, description="seconds that one answer may take")
    private: bool = Field(False, description="whether it may have a private or loopback address")
    ca: Path | None = Field(None, description="PEM file of its certificate's authority")
    secret: Secret | None = None  # from the composition root


class ChatConnector:
    """One message a revision that has flags; calls without any are passed over."""

    name = "chat"
    traits = ConnectorTraits(idempotent=False, searchable=False, updates=False, live=False)

    def __init__(self, http: Http, least: Severity) -> None:
        self._http = http
        self._least = least

    def find(self, parcel: Parcel) -> Receipt | None:
        """Nobody can ask an incoming webhook what it has."""
        return None

    def deliver(self, parcel: Parcel) -> Receipt:
        """Post the flags; a call that has none to tell gets a receipt `untold:KEY`."""
        if not (parcel.test or flags(parcel, self._least)):
            return Receipt(self.name, parcel.key, f"untold:{parcel.key}", parcel.at)
        answer = self._http.request("POST", "", body=self._body(parcel), accept=GONE)
        if answer.status in GONE:
            raise Misconfigured(
                f"this incoming webhook is gone (HTTP {answer.status}); make a new one in the chat",
                code="target_gone",
            )
        return Receipt(self.name, parcel.key, parcel.key, parcel.at)

    def match(self, parcel: Parcel) -> Match:
        return Match("none", "a chat knows no customers")

    def preview(self, parcel: Parcel) -> Sequence[Outgoing]:
        host = urlsplit(self._http.base).hostname
        body = json.dumps(self._body(parcel), ensure_ascii=False)
        return [
            Outgoing("POST", f"https://{host}/(secret)", {"Content-Type": "application/json"}, body)
        ]

    def check(self) -> Sequence[Checked]:
        """Look whether the server answers; only a message shows whether the webhook is one."""
        try:
            self._http.request("HEAD", "", accept=tuple(range(300, 600)))
        except PipelineError as error:
            return [Checked("address", False, error.message)]
        return [Checked("address", True, "")]

    def remove(self, receipt: Receipt) -> None:
        raise Permanent(
            f"the test message {receipt.external_id} stays: a chat takes none back by its webhook",
            code="not_removed",
        )

    def close(self) -> None:
        self._http.close()

    def _body(self, parcel: Parcel) -> dict[str, Any]:
        return {"text": "\n".join(lines(parcel, flags(parcel, self._least)))}


def create(options: Options) -> ChatConnector:
    """Build the connector; nothing is sent.

    Raises:
        Misconfigured: the reference leads to no URL. The message does not hold it.
    """
    url = revealed(options.webhook, options.secret)
    try:
        given = HttpOptions(
            url=url, timeout=options.timeout, private=options.private, ca=options.ca
        )
    except ValidationError:
        raise Misconfigured("the option `webhook` refers to no https URL") from None
    return ChatConnector(Http(given), options.least)
