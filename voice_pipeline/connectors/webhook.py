"""Posts case notes to any URL: signed as Standard Webhooks 1.0 asks, enveloped as CloudEvents.

The body of a parcel is the same bytes however often it is sent; only the time of the attempt and
the signatures differ. The receiver knows a parcel again by `webhook-id`. Refuses short secrets.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence

from pydantic import Field

from voice_pipeline.connectors._crm import Reference, Secret, revealed
from voice_pipeline.connectors._http import Http, HttpOptions, shown
from voice_pipeline.domain import Receipt
from voice_pipeline.errors import Misconfigured, Permanent, PipelineError
from voice_pipeline.ports import Checked, ConnectorTraits, Match, Outgoing, Parcel
from voice_pipeline.webhooks import secret_bytes, signature

VERSION = 1  # of what `data` holds: raised when a field changes its meaning or goes
NOBODY = (404, 405, 410)  # whoever answers so takes no events at this URL


class Options(HttpOptions):
    signing_secrets: list[Reference] = Field(
        min_length=1, max_length=4,
        description="references to whsec_ secrets, env:NAME or file:PATH; each signs every event, "
        "so a new one can stand beside an old one while receivers change over",
    )  # fmt: skip
    authorization: Reference | None = Field(
        None, description="reference to a whole Authorization header, for a gateway that wants one"
    )
    secret: Secret | None = None  # from the composition root


class WebhookConnector:
    """One POST a revision; whatever the receiver answers beside 2xx is a fault."""

    name = "webhook"
    traits = ConnectorTraits(idempotent=True, searchable=False, updates=False)

    def __init__(self, http: Http, keys: Sequence[bytes], headers: dict[str, str]) -> None:
        """
        Args:
            http: to the receiver.
            keys: that sign, 24 to 64 bytes each.
            headers: that go with every event, credentials among them.
        """
        self._http = http
        self._keys = keys
        self._headers = headers

    def find(self, parcel: Parcel) -> Receipt | None:
        """Nobody can ask a webhook's receiver what it has; it knows an id again by itself."""
        return None

    def deliver(self, parcel: Parcel) -> Receipt:
        body = _body(parcel)
        answer = self._http.request(
            "POST", "", content=body, headers=self._signed(parcel, body), accept=NOBODY
        )
        if answer.status in NOBODY:
            raise _gone(answer.status)
        return Receipt(self.name, parcel.key, parcel.key, parcel.at)

    def match(self, parcel: Parcel) -> Match:
        return Match("none", "a webhook knows no customers")

    def preview(self, parcel: Parcel) -> Sequence[Outgoing]:
        body = _body(parcel)
        headers = shown(self._signed(parcel, body))
        return [Outgoing("POST", self._http.url, headers, body.decode())]

    def check(self) -> Sequence[Checked]:
        """Look whether somebody answers there; the secret shows only when an event is sent."""
        try:
            status = self._http.request("HEAD", "", accept=tuple(range(300, 600))).status
            if status == 410:
                raise _gone(status)
        except PipelineError as error:
            return [Checked("address", False, error.message)]
        return [Checked("address", True, "")]

    def remove(self, receipt: Receipt) -> None:
        raise Permanent(
            f"an event cannot be taken back: its receiver has {receipt.external_id}, marked as a "
            "test",
            code="not_removed",
        )

    def close(self) -> None:
        self._http.close()

    def _signed(self, parcel: Parcel, body: bytes) -> dict[str, str]:
        at = int(time.time())
        marks = (signature(key, parcel.key, at, body) for key in self._keys)
        return {
            "Content-Type": "application/json",
            "webhook-id": parcel.key,
            "webhook-timestamp": str(at),
            "webhook-signature": " ".join(marks),
            **self._headers,
        }


def create(options: Options) -> WebhookConnector:
    """Build the connector; nothing is sent.

    Raises:
        Misconfigured: a secret is missing, or too short to sign with (code `webhook_secret`).
    """
    keys = [secret_bytes(revealed(one, options.secret)) for one in options.signing_secrets]
    headers = {}
    if options.authorization:
        headers["Authorization"] = revealed(options.authorization, options.secret)
    return WebhookConnector(Http(options), keys, headers)


def _body(parcel: Parcel) -> bytes:
    """The envelope of `GET /v1/events`, with the note in it; no byte depends on when it is sent."""
    event = {
        "specversion": "1.0",
        "id": parcel.key,
        "source": "/v1/calls",
        "type": f"voice-pipeline.{parcel.event}.v{VERSION}",
        "subject": parcel.call,
        "time": parcel.at,
        "datacontenttype": "application/json",
        "dataschema": f"/v1/schemas/note-event-{VERSION}",
        "data": {
            "call": parcel.call,
            "number": parcel.number,
            "link": parcel.link,
            "metadata": dict(parcel.metadata),
            "fields": dict(parcel.fields),
            "note": parcel.note,
            **({"test": True} if parcel.test else {}),
        },
    }
    text = json.dumps(event, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return text.encode("utf-8", "replace")


def _gone(status: int) -> Misconfigured:
    return Misconfigured(
        f"nobody takes events at this URL any more (HTTP {status}); set the target's new URL, or "
        "take it out",
        code="target_gone",
    )
