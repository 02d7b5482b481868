"""Writes case notes to Zendesk as internal comments of one ticket a call; customers never see them.

A new ticket carries an Idempotency-Key and the call as its external id; every comment ends with its
key, by which a retry finds it in the ticket's audits. Not run against the live service yet.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import quote

from pydantic import Field, model_validator

from voice_pipeline.connectors._crm import (
    TITLE,
    Name,
    Reference,
    Secret,
    fitting,
    looked_for,
    nobody,
    not_removed,
    objects,
    one_of,
    record_id,
    revealed,
)
from voice_pipeline.connectors._http import Answer, Http, HttpOptions, shown
from voice_pipeline.domain import Receipt
from voice_pipeline.errors import Misconfigured, Permanent, PipelineError, Retryable
from voice_pipeline.ports import Checked, ConnectorTraits, Match, Outgoing, Parcel

COMMENT = 21_000  # UTF-16 units: a comment takes 64 kB, and a unit is three bytes at most
PAGES = 20  # of a hundred audits, that a ticket is searched through


class Options(HttpOptions):
    user: str | None = Field(None, description="the agent's mail address, with `token`")
    token: Reference | None = Field(None, description="reference to an API token; or")
    access_token: Reference | None = Field(None, description="reference to an OAuth access token")
    match_by: str | None = Field(
        None, description="metadata key that is the external id of a user: customer_ref"
    )
    known: dict[str, Name] = Field(
        default_factory=dict, description="fields of the user to compare with what was said"
    )
    only_new: list[str] = Field(
        ["subject", "status", "priority", "type"],
        description="fields that a later revision leaves alone",
    )
    secret: Secret | None = None  # from the composition root

    @model_validator(mode="after")
    def _whole(self) -> Options:
        if (self.access_token is None) == (self.token is None):
            raise ValueError("takes access_token, or token and user")
        if self.token is not None and not self.user:
            raise ValueError("token needs user")
        return self


class ZendeskConnector:
    """One ticket a call. Fields: `comment`, `subject`, ... and numbers of custom fields."""

    name = "zendesk"

    def __init__(self, options: Options, http: Http) -> None:
        self._options = options
        self._http = http
        self.traits = ConnectorTraits(
            idempotent=False,  # a key holds for two hours, and for new tickets alone
            matches=options.match_by is not None,
            limits={"comment": COMMENT},
            mapping={
                "subject": TITLE,
                "comment": "{{ text }}",
            },
            scopes=("read", "tickets:write"),
            live=False,
        )

    def find(self, parcel: Parcel) -> Receipt | None:
        for ticket in self._tickets(parcel):
            for audit in self._audits(ticket):
                for event in objects(audit.get("events")):
                    if _mark(parcel) in str(event.get("body", "")):
                        return self._receipt(parcel, ticket)
        return None

    def deliver(self, parcel: Parcel) -> Receipt:
        if not parcel.first_try and (found := self.find(parcel)) is not None:
            return found
        ticket = parcel.record
        if ticket is None and not (parcel.first_try and parcel.number == 1):
            ticket = next(iter(self._tickets(parcel)), None)
        method, path, headers = self._way(parcel, ticket)
        answer = self._http.request(
            method, path, body=self._body(parcel, new=ticket is None), headers=headers,
            accept=(400, 404, 409, 422),
        )  # fmt: skip
        if answer.status >= 300:
            raise _refusal(answer)
        written = answer.object().get("ticket")
        return self._receipt(parcel, written.get("id") if isinstance(written, dict) else None)

    def match(self, parcel: Parcel) -> Match:
        key = self._options.match_by or ""
        value = looked_for(parcel, key)
        if not value:
            return nobody([key])
        answer = self._http.request("GET", "/api/v2/users/search", params={"external_id": value})
        found = [
            {**row, "id": record_id(row.get("id"))}
            for row in objects(answer.object().get("users"))
            if str(row.get("external_id", "")).casefold() == value.casefold()
        ]
        return one_of(found, f"by {key} in users.external_id", self._options.known)

    def preview(self, parcel: Parcel) -> Sequence[Outgoing]:
        method, path, headers = self._way(parcel, parcel.record)
        body = json.dumps(
            self._body(parcel, new=parcel.record is None), ensure_ascii=False, indent=2
        )
        known = {"Content-Type": "application/json", "Authorization": "", **headers}
        return [Outgoing(method, self._http.base + path, shown(known), body)]

    def check(self) -> Sequence[Checked]:
        try:
            me = self._http.request("GET", "/api/v2/users/me").object().get("user")
        except PipelineError as error:
            return [Checked("credentials", False, error.message)]
        role = me.get("role") if isinstance(me, dict) else None
        good = role in ("agent", "admin")
        why = "" if good else "these credentials are of no agent: internal comments need one"
        return [Checked("credentials", good, why)]

    def remove(self, receipt: Receipt) -> None:
        path = f"/api/v2/tickets/{quote(receipt.external_id, safe='')}"
        try:
            self._http.request("DELETE", path, accept=(404,))
        except (Permanent, Misconfigured) as error:
            raise not_removed(receipt, error) from None

    def close(self) -> None:
        self._http.close()

    # ------------------------------------------------------------ inside

    def _way(self, parcel: Parcel, ticket: str | None) -> tuple[str, str, dict[str, str]]:
        if ticket is None:
            return "POST", "/api/v2/tickets", {"Idempotency-Key": parcel.key}
        return "PUT", f"/api/v2/tickets/{quote(ticket, safe='')}", {}

    def _body(self, parcel: Parcel, *, new: bool) -> dict[str, Any]:
        fields = fitting(parcel, self.traits.limits, [] if new else self._options.only_new)
        ticket: dict[str, Any] = {
            name: text for name, text in fields.items() if name != "comment" and not name.isdigit()
        }
        custom = [{"id": int(n), "value": text} for n, text in fields.items() if n.isdigit()]
        if custom:
            ticket["custom_fields"] = custom
        if new:
            ticket["external_id"] = parcel.call
            if parcel.customer:
                ticket["requester_id"] = int(parcel.customer)
        body = f"{fields.get('comment', '')}\n\n{_mark(parcel)}"
        ticket["comment"] = {"body": body, "public": False}
        return {"ticket": ticket}

    def _tickets(self, parcel: Parcel) -> list[str]:
        """The call's tickets: by its external id, which unlike a search is never behind."""
        if parcel.record is not None:
            return [parcel.record]
        answer = self._http.request("GET", "/api/v2/tickets", params={"external_id": parcel.call})
        rows = objects(answer.object().get("tickets"))
        return [record_id(row.get("id")) for row in rows if row.get("external_id") == parcel.call]

    def _audits(self, ticket: str) -> Iterator[dict[str, Any]]:
        after = ""
        for _ in range(PAGES):
            params = {"page[size]": "100"} | ({"page[after]": after} if after else {})
            answer = self._http.request(
                "GET", f"/api/v2/tickets/{ticket}/audits", params=params, accept=(404,)
            )
            if answer.status == 404:
                return
            said = answer.object()
            yield from objects(said.get("audits"))
            about = said.get("meta")
            after = str(about.get("after_cursor")) if isinstance(about, dict) else ""
            if not isinstance(about, dict) or about.get("has_more") is not True or not after:
                return

    def _receipt(self, parcel: Parcel, record: Any) -> Receipt:
        return Receipt(self.name, parcel.key, record_id(record), parcel.at)


def create(options: Options) -> ZendeskConnector:
    """Build the connector; nothing is sent.

    Raises:
        Misconfigured: a token is missing.
    """
    if options.access_token is not None:
        given = f"Bearer {revealed(options.access_token, options.secret)}"
    else:
        pair = f"{options.user}/token:{revealed(options.token or '', options.secret)}"
        given = "Basic " + base64.b64encode(pair.encode()).decode()
    return ZendeskConnector(options, Http(options, headers={"Authorization": given}))


def _mark(parcel: Parcel) -> str:
    return f"[voice-pipeline {parcel.key}]"


def _refusal(answer: Answer) -> PipelineError:
    """Return the error that an answer stands for; names of fields are repeated, messages never."""
    try:
        details = answer.object().get("details")
    except Retryable:
        details = None
    named = (
        [n for n in details if re.fullmatch(r"\w{1,60}", n)] if isinstance(details, dict) else []
    )
    told = ", ".join([f"HTTP {answer.status}", *named])
    if answer.status == 409:
        return Retryable(f"Zendesk was changing this ticket already ({told})", code="target_failed")
    return Permanent(
        f"Zendesk refuses this ({told}); a closed or deleted ticket takes no more comments",
        code="target_refused",
    )
