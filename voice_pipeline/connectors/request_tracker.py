"""Delivers case notes as tickets of Request Tracker 5, over its REST2 interface.

One call is one ticket: its first revision makes it, later ones comment on it and set its custom
fields. Two custom fields tell what was written: the call's id, and number and key of the last
revision. Request Tracker knows no idempotency keys, so whoever tries again looks there first.
Refuses fields that a queue does not have, and never writes over what people changed on a ticket.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal
from urllib.parse import quote

from pydantic import Field, model_validator

from voice_pipeline.connectors._http import Answer, Http, HttpOptions, shown
from voice_pipeline.connectors._tickets import (
    CUSTOM,
    LIMITS,
    OWN,
    Ticket,
    as_ticket,
    custom_of,
    equals,
    fit,
    items,
    listed,
    names_of,
)
from voice_pipeline.domain import Receipt
from voice_pipeline.errors import Misconfigured, Permanent, PipelineError, Retryable
from voice_pipeline.ports import Checked, ConnectorTraits, Match, Outgoing, Parcel

FIELD_NAME = r"^[^{}'\"\\]+$"
MAPPING = {
    "Subject": "Call: {{ note.reason.text if note.reason else note.request_type.label }}",
    "Content": "{{ text }}",
}
RIGHTS = (
    "SeeQueue", "SeeCustomField", "ModifyCustomField", "CreateTicket", "ShowTicket",
    "CommentOnTicket", "ShowTicketComments",
)  # fmt: skip
SOLVED = ("resolved", "rejected", "deleted")
GONE = (403, 404)  # what one ticket may answer that our user cannot reach


class Options(HttpOptions):
    """Settings of a Request Tracker; `url` is the address that people open it at."""

    token: str = Field("", description="where its token is: env:NAME or file:PATH; or")
    user: str = Field("", description="the user's name, and")
    password: str = Field("", description="where the password is: env:NAME or file:PATH")
    queue: str = Field(description="the queue that new tickets go to")
    call_field: str = Field(
        "CallId", pattern=FIELD_NAME, description="custom field that holds the call's id"
    )
    key_field: str = Field(
        "DeliveryKey", pattern=FIELD_NAME, description="custom field that holds what was written"
    )
    customer: Literal["none", "requestor", "field"] = Field(
        "none",
        description="how a call's `customer_ref` finds the customer: none; as name or address of "
        "a requestor; in `customer_field` of earlier tickets",
    )
    customer_field: str | None = Field(
        None, pattern=FIELD_NAME, description="custom field of the customer's number"
    )
    # from the composition root
    secret: Callable[[str], str] | None = Field(None, exclude=True)

    @model_validator(mode="after")
    def _whole(self) -> Options:
        if bool(self.token) == bool(self.user) or bool(self.user) != bool(self.password):
            raise ValueError("takes either `token`, or `user` and `password`")
        if not (self.token or self.password).startswith(("env:", "file:")):
            raise ValueError("`token` and `password` are written as env:NAME or file:PATH")
        if (self.customer == "field") != (self.customer_field is not None):
            raise ValueError('`customer_field` goes with `customer = "field"`, and only with it')
        return self


def create(options: Options) -> RequestTracker:
    """Build the connector; nothing is asked before the first call.

    Raises:
        Misconfigured: a credential is not where the options say, or the address may not be used.
    """
    if options.secret is None:
        raise Misconfigured("nothing here reads the credentials that the options point at")
    if options.token:
        credential = f"token {options.secret(options.token)}"
    else:
        pair = f"{options.user}:{options.secret(options.password)}".encode()
        credential = f"Basic {base64.b64encode(pair).decode()}"
    return RequestTracker(options, {"Authorization": credential, "Accept": "application/json"})


class RequestTracker:
    """One queue of one Request Tracker."""

    name = "request_tracker"

    def __init__(self, options: Options, headers: Mapping[str, str]) -> None:
        self._options, self._headers = options, headers
        self._http = Http(options, headers=headers)
        self._there: frozenset[str] | None = None  # the queue's custom fields, once seen
        own = (options.call_field, options.key_field, options.customer_field)
        self._needed = [name for name in own if name]
        self.traits = ConnectorTraits(
            matches=options.customer != "none", limits=LIMITS, mapping=MAPPING, scopes=RIGHTS
        )

    def find(self, parcel: Parcel) -> Receipt | None:
        ticket = self._ticket(parcel)
        return self._receipt(ticket.id, parcel) if ticket and self._has(ticket, parcel) else None

    def deliver(self, parcel: Parcel) -> Receipt:
        self._may_write(parcel)
        new = parcel.first_try and parcel.number == 1 and parcel.record is None
        ticket = None if new else self._ticket(parcel)
        if ticket is None and parcel.record is not None:
            raise Permanent(
                f"ticket {parcel.record} of this call is gone or out of reach: it was deleted, or "
                "moved to a queue where our user has no rights",
                code="target_refused",
            )
        if ticket is None:
            return self._create(parcel)
        if not self._has(ticket, parcel):
            self._revise(ticket, parcel)
        return self._receipt(ticket.id, parcel)

    def match(self, parcel: Parcel) -> Match:
        field = self._options.customer_field
        how = "by customer_ref " + (f"in {field} of tickets" if field else "among requestors")
        ref = parcel.metadata.get("customer_ref", "")
        keys = [f"'CF.{{{field}}}'"] if field else ["Requestor.Name", "Requestor.EmailAddress"]
        found: dict[str, dict[str, str]] = {}
        unsolved = 0
        for item in self._search(
            [equals(key, ref) for key in keys],
            fields="CustomFields,Requestor,Status",
            **{"fields[Requestor]": "Name,RealName,EmailAddress"},
        ):
            if field and custom_of(item).get(field) != ref:
                continue
            unsolved += item.get("Status") not in SOLVED
            for user in listed(item, "Requestor"):
                name, email = str(user.get("Name") or ""), str(user.get("EmailAddress") or "")
                if name and (field or ref.lower() in (name.lower(), email.lower())):
                    found[name] = {"name": str(user.get("RealName") or ""), "email": email}
        if len(found) != 1:
            return Match("several" if found else "none", how)
        ((customer, known),) = found.items()
        known = {key: value for key, value in known.items() if value}
        return Match("one", how, customer, {**known, "open_tickets": str(unsolved)})

    def preview(self, parcel: Parcel) -> Sequence[Outgoing]:
        if parcel.record is None:
            path, body = "/ticket", self._new(parcel)
        else:
            path, body = f"/ticket/{_part(parcel.record)}/comment", self._comment(parcel)
        headers = shown({**self._headers, "Content-Type": "application/json"})
        text = json.dumps(body, ensure_ascii=False, indent=2)
        return [Outgoing("POST", f"{self._http.base}/REST/2.0{path}", headers, text)]

    def check(self) -> Sequence[Checked]:
        seen, what = [], "credentials"
        try:
            self._ask("GET", "/rt").object()
            seen.append(Checked(what, True, ""))
            what = f"queue {self._options.queue}"
            queue = self._queue()
            seen.append(Checked(what, True, ""))
            what = "tickets"
            links = [link.get("ref") for link in listed(queue, "_hyperlinks")]
            seen.append(_right("CreateTicket", "create" in links))
            there = names_of(queue)
            for name in self._needed:
                detail = "" if name in there else self._missing(name)
                seen.append(Checked(f"custom field {name}", not detail, detail))
            for item in self._search([equals("Queue", self._options.queue)], per_page="1"):
                ticket = self._ask("GET", f"/ticket/{_part(str(item.get('id')))}").object()
                links = [link.get("ref") for link in listed(ticket, "_hyperlinks")]
                seen.append(_right("CommentOnTicket", "comment" in links))
        except PipelineError as error:
            seen.append(Checked(what, False, error.message))
        return seen

    def remove(self, receipt: Receipt) -> None:
        for status in ("deleted", "rejected"):
            path = f"/ticket/{_part(receipt.external_id)}"
            self._ask("PUT", path, {"Status": status}, accept=GONE)
            ticket = self._read(receipt.external_id)
            if ticket is None or ticket.status == status:
                return
        raise Permanent(
            f"ticket {receipt.external_id} stays: our user may neither delete nor reject it "
            "(rights DeleteTicket, ModifyTicket)",
            code="not_removed",
        )

    def close(self) -> None:
        self._http.close()

    def _create(self, parcel: Parcel) -> Receipt:
        made = as_ticket(self._ask("POST", "/ticket", self._new(parcel)).object())
        ticket = self._read(made.id)
        if ticket is None or not self._has(ticket, parcel):
            raise self._unset(made.id)
        return self._receipt(made.id, parcel)

    def _revise(self, ticket: Ticket, parcel: Parcel) -> None:
        """Comment once; an earlier attempt may have come as far as that, but not to the fields."""
        path, comment = f"/ticket/{ticket.id}", self._comment(parcel)
        ours = ticket.custom.get(self._options.call_field) == parcel.call
        if not ours:
            del comment["CustomFields"]  # people merged the call's ticket into that of another
        if parcel.first_try or not self._commented(ticket.id, parcel):
            answer = self._ask("POST", f"{path}/comment", comment, accept=(400, *GONE))
            if answer.status >= 300:  # 400 is what a missing right is answered with as well
                raise Permanent(
                    f"ticket {ticket.id} of this call takes no comment from our user "
                    f"(HTTP {answer.status}): is it in a queue where we lack CommentOnTicket?",
                    code="target_refused",
                )
            if answer.status != 201:
                raise Retryable("the server did not say that it commented", code="bad_answer")
            if not self._commented(ticket.id, parcel):
                raise self._unset(ticket.id)
        elif ours:
            self._ask("PUT", path, {"CustomFields": comment["CustomFields"]}).json()
        after = self._read(ticket.id)
        if after is None or not self._has(after, parcel):
            raise self._unset(ticket.id)

    def _commented(self, record: str, parcel: Parcel) -> bool:
        subject = _subject(parcel)
        query = json.dumps([{"field": "Subject", "value": subject}])
        params = {"query": query, "fields": "Subject"}
        found = items(self._ask("GET", f"/ticket/{record}/attachments", params=params))
        return any(item.get("Subject") == subject for item in found)

    def _ticket(self, parcel: Parcel) -> Ticket | None:
        """Return the call's ticket, in whatever queue people put it."""
        if parcel.record is not None:
            ticket = self._read(parcel.record)
            return None if ticket is None or ticket.status == "deleted" else ticket
        field = self._options.call_field
        query = [equals(f"'CF.{{{field}}}'", parcel.call)]
        for item in self._search(query, fields="CustomFields,Status", orderby="id"):
            ticket = as_ticket(item)
            if ticket.custom.get(field) == parcel.call:
                return ticket
        return None

    def _read(self, record: str) -> Ticket | None:
        answer = self._ask("GET", f"/ticket/{_part(record)}", accept=GONE)
        return as_ticket(answer.object()) if answer.status < 300 else None

    def _has(self, ticket: Ticket, parcel: Parcel) -> bool:
        """Say whether a ticket has this revision, or a later one, which then stands."""
        if ticket.custom.get(self._options.call_field) != parcel.call:
            return parcel.number > 1 and self._commented(ticket.id, parcel)  # merged: see _revise
        number, _, key = ticket.custom.get(self._options.key_field, "").partition(":")
        return key == parcel.key or (number.isdecimal() and int(number) > parcel.number)

    def _search(self, conditions: Sequence[str | None], **params: str) -> list[dict[str, Any]]:
        query = " OR ".join(condition for condition in conditions if condition)
        sent = {"query": query, "per_page": "100", **params}
        return items(self._ask("GET", "/tickets", params=sent)) if query else []

    def _queue(self) -> dict[str, Any]:
        answer = self._ask("GET", f"/queue/{_part(self._options.queue)}", accept=GONE)
        if answer.status >= 300:
            raise Misconfigured(
                f"no queue {self._options.queue} that our user may see (right SeeQueue), or the "
                f"URL is not that of Request Tracker (HTTP {answer.status})",
                code="target_denied",
            )
        return answer.object()

    def _may_write(self, parcel: Parcel) -> None:
        """Refuse fields that the queue does not have: the server drops them without a word."""
        mapped = {name: CUSTOM.fullmatch(name) for name in parcel.fields}
        if strange := [name for name in mapped if not mapped[name] and name not in OWN]:
            raise Misconfigured(
                f"the mapping's field {strange[0]} is none of a ticket: take "
                f"{', '.join(sorted(OWN))} or CF.{{NAME}}",
                code="target_field",
            )
        if self._there is None:
            self._there = names_of(self._queue())
        wanted = {*self._needed, *(custom[1] for custom in mapped.values() if custom)}
        if missing := sorted(wanted - self._there):
            self._there = None  # look again next time: somebody may have added it
            raise Misconfigured(self._missing(missing[0]), code="target_field")

    def _new(self, parcel: Parcel) -> dict[str, Any]:
        subject = parcel.fields.get("Subject") or f"Call {parcel.call}"
        own = {n: fit(n, text, parcel.link) for n, text in parcel.fields.items() if n in OWN}
        own["Subject"] = fit("Subject", f"[TEST] {subject}" if parcel.test else subject)
        if parcel.customer and self.traits.matches:
            own.setdefault("Requestor", parcel.customer)
        fixed = {"Queue": self._options.queue, "ContentType": "text/plain"}
        return {**own, **fixed, "CustomFields": self._custom_fields(parcel)}

    def _comment(self, parcel: Parcel) -> dict[str, Any]:
        return {
            "Subject": _subject(parcel),
            "Content": fit("Content", parcel.fields.get("Content") or "(no text)", parcel.link),
            "ContentType": "text/plain",
            "CustomFields": self._custom_fields(parcel),
        }

    def _custom_fields(self, parcel: Parcel) -> dict[str, str]:
        named = ((CUSTOM.fullmatch(name), text) for name, text in parcel.fields.items())
        mapped = {custom[1]: fit(custom[0], text) for custom, text in named if custom}
        written = {self._options.call_field: parcel.call}
        return mapped | written | {self._options.key_field: f"{parcel.number}:{parcel.key}"}

    def _unset(self, record: str) -> Misconfigured:
        return Misconfigured(
            f"ticket {record} was written, but what was written cannot be found there again: our "
            f"user needs {', '.join(RIGHTS)} in its queue",
            code="target_denied",
        )

    def _missing(self, name: str) -> str:
        return (
            f"queue {self._options.queue} has no custom field {name} for tickets that our user "
            "may see (right SeeCustomField): add it, and apply it to the queue"
        )

    def _receipt(self, record: str, parcel: Parcel) -> Receipt:
        return Receipt(self.name, parcel.key, record, parcel.at)

    def _ask(self, method: str, path: str, body: Any = None, **more: Any) -> Answer:
        return self._http.request(method, f"/REST/2.0{path}", body=body, **more)


def _subject(parcel: Parcel) -> str:
    return f"Call note, revision {parcel.number} [{parcel.key}]"


def _part(text: str) -> str:
    return quote(text, safe="")


def _right(name: str, good: bool) -> Checked:
    return Checked(f"right {name}", good, "" if good else f"give our user {name} in the queue")
