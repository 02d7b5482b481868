"""Delivers case notes as tickets of Request Tracker 5, over its REST2 interface.

One call is one ticket: its first revision makes it, later ones comment on it and set its custom
fields. Two custom fields tell what was written: the call's id, and number and key of the last
revision. Request Tracker knows no idempotency keys, so whoever tries again looks there first.
Refuses fields that a queue does not have, and never writes over what people changed on a ticket.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote

from pydantic import Field, model_validator

from voice_pipeline.connectors._http import Answer, Http, HttpOptions, shown
from voice_pipeline.domain import Receipt
from voice_pipeline.errors import Misconfigured, Permanent, Retryable
from voice_pipeline.ports import Checked, ConnectorTraits, Match, Outgoing, Parcel

REFERENCE = "^(env|file):.+"
FIELD_NAME = r"^[^{}'\"\\]+$"
CUSTOM = re.compile(r"CF\.\{([^{}'\"\\]+)\}")
OWN = frozenset(
    {"Subject", "Content", "Status", "Priority", "FinalPriority", "Owner", "Requestor", "Cc",
     "AdminCc", "Due", "Starts"}
)  # fmt: skip
LIMITS = {"Subject": 200, "Content": 1_000_000}  # a note of 4 MB at most; RT is sure to take 10
CUSTOM_LIMIT = 10_000
MAPPING = {
    "Subject": "Call: {{ note.reason.text if note.reason else note.request_type.label }}",
    "Content": "{{ text }}{% if link %}\n\nEvidence: {{ link }}{% endif %}",
}
RIGHTS = (
    "SeeQueue", "SeeCustomField", "ModifyCustomField", "CreateTicket", "ShowTicket",
    "CommentOnTicket", "ShowTicketComments",
)  # fmt: skip
_CONTROL = dict.fromkeys([*range(9), *range(11, 32), *range(127, 160)])  # all but tab and newline
_MARK = "CF."  # RT takes even a quoted value that begins so for a column


class Options(HttpOptions):
    """Settings of a Request Tracker; `url` is the address people open it at."""

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
        references = [self.token] if self.token else [self.password]
        if bool(self.token) == bool(self.user) or bool(self.user) != bool(self.password):
            raise ValueError("takes either `token`, or `user` and `password`")
        if not all(re.match(REFERENCE, reference) for reference in references):
            raise ValueError("`token` and `password` are written as env:NAME or file:PATH")
        if (self.customer == "field") != (self.customer_field is not None):
            raise ValueError('`customer_field` goes with `customer = "field"`, and only with it')
        return self


@dataclass(frozen=True, slots=True)
class Ticket:
    """What the connector needs to know of a ticket."""

    id: str
    status: str
    custom: Mapping[str, str]  # by name, the first value of each


class RequestTracker:
    """One queue of one Request Tracker."""

    name = "request_tracker"

    def __init__(self, options: Options, headers: Mapping[str, str]) -> None:
        self._options, self._headers = options, headers
        self._http = Http(options, headers=headers)
        self._known: frozenset[str] | None = None  # the queue's custom fields, once seen
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
        by = self._options.customer_field
        how = f"customer_ref in {by} of tickets" if by else "customer_ref among requestors"
        ref = parcel.metadata.get("customer_ref", "")
        if not ref.strip() or ref.upper().startswith(_MARK):
            return Match("none", how)
        keys = [f"'CF.{{{by}}}'"] if by else ["Requestor.Name", "Requestor.EmailAddress"]
        found: dict[str, dict[str, str]] = {}
        for item in self._search(
            " OR ".join(f"{key} = {_quoted(ref)}" for key in keys),
            {"fields": "CustomFields,Requestor",
             "fields[Requestor]": "Name,RealName,EmailAddress"},
        ):  # fmt: skip
            if by and _custom(item).get(by) != ref:
                continue
            for user in _list(item, "Requestor"):
                one = {key: user[key] for key in ("Name", "RealName", "EmailAddress")
                       if isinstance(user.get(key), str)}  # fmt: skip
                same = {one.get("Name", "").lower(), one.get("EmailAddress", "").lower()}
                if one.get("Name") and (by or ref.lower() in same):
                    found[one["Name"]] = one
        if len(found) != 1:
            return Match("several" if found else "none", how)
        ((name, user),) = found.items()
        known = {"name": user.get("RealName", ""), "email": user.get("EmailAddress", "")}
        return Match("one", how, name, {key: value for key, value in known.items() if value})

    def preview(self, parcel: Parcel) -> Sequence[Outgoing]:
        if parcel.record is None:
            path, body = "/ticket", self._new(parcel)
        else:
            path, body = f"/ticket/{_part(parcel.record)}/comment", self._comment(parcel)
        headers = shown({**self._headers, "Content-Type": "application/json"})
        text = json.dumps(body, ensure_ascii=False, indent=2)
        return [Outgoing("POST", f"{self._http.base}/REST/2.0{path}", headers, text)]

    def check(self) -> Sequence[Checked]:
        try:
            self._ask("GET", "/rt").object()
        except (Misconfigured, Permanent, Retryable) as error:
            return [Checked("credentials", False, error.message)]
        seen = [Checked("credentials", True, "")]
        try:
            queue = self._queue()
            seen.append(Checked(f"queue {self._options.queue}", True, ""))
        except (Misconfigured, Permanent, Retryable) as error:
            return [*seen, Checked(f"queue {self._options.queue}", False, error.message)]
        creates = any(link.get("ref") == "create" for link in _list(queue, "_hyperlinks"))
        seen.append(_right("CreateTicket", creates))
        names = _names(queue)
        for name in filter(None, self._fields()):
            detail = "" if name in names else _missing(name, self._options.queue)
            seen.append(Checked(f"custom field {name}", not detail, detail))
        query = f"Queue = {_quoted(self._options.queue)}"
        for item in self._search(query, {"per_page": "1"}):
            ticket = self._ask("GET", f"/ticket/{_part(str(item.get('id')))}").object()
            links = [link.get("ref") for link in _list(ticket, "_hyperlinks")]
            seen.append(_right("CommentOnTicket", "comment" in links))
        return seen

    def remove(self, receipt: Receipt) -> None:
        for status in ("deleted", "rejected"):
            path = f"/ticket/{_part(receipt.external_id)}"
            self._ask("PUT", path, {"Status": status}, accept=(403, 404))
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
        made = self._ask("POST", "/ticket", self._new(parcel)).object()
        record = str(made.get("id", ""))
        if not record.isdecimal():
            raise Retryable("the server named no ticket", code="bad_answer")
        ticket = self._read(record)
        if ticket is None or not self._has(ticket, parcel):
            raise self._unset(record)
        return self._receipt(record, parcel)

    def _revise(self, ticket: Ticket, parcel: Parcel) -> None:
        """Comment once; an earlier attempt may have come as far as that, but not to the fields."""
        path = f"/ticket/{ticket.id}"
        comment = self._comment(parcel)
        if ticket.custom.get(self._options.call_field) != parcel.call:
            del comment["CustomFields"]  # merged into another call's ticket by people
        if parcel.first_try or not self._commented(ticket.id, comment["Subject"]):
            self._allowed(self._ask("POST", f"{path}/comment", comment, accept=(400, 403, 404)))
        elif "CustomFields" in comment:
            self._ask("PUT", path, {"CustomFields": comment["CustomFields"]})
        if "CustomFields" in comment:
            after = self._read(ticket.id)
            if after is None or not self._has(after, parcel):
                raise self._unset(ticket.id)

    def _commented(self, record: str, subject: str) -> bool:
        query = json.dumps([{"field": "Subject", "value": subject}])
        path, params = f"/ticket/{record}/attachments", {"query": query, "fields": "Subject"}
        listed = self._ask("GET", path, params=params).object()
        return any(item.get("Subject") == subject for item in _list(listed, "items"))

    def _allowed(self, answer: Answer) -> None:
        if answer.status == 400:  # what RT answers where the right is missing, too
            raise Permanent(
                "the server refuses a comment on this call's ticket (HTTP 400): the right "
                "CommentOnTicket in the ticket's queue?",
                code="target_refused",
            )
        if answer.status >= 300:
            raise Permanent(
                f"this call's ticket is out of reach (HTTP {answer.status})", code="target_refused"
            )

    def _ticket(self, parcel: Parcel) -> Ticket | None:
        """Return the call's ticket; people may have moved it to another queue."""
        if parcel.record is not None:
            ticket = self._read(parcel.record)
            return None if ticket is None or ticket.status == "deleted" else ticket
        query = f"'CF.{{{self._options.call_field}}}' = {_quoted(parcel.call)}"
        params = {"fields": "CustomFields,Status", "orderby": "id"}
        for item in self._search(query, params):
            ticket = _as_ticket(item)
            if ticket.custom.get(self._options.call_field) == parcel.call:
                return ticket
        return None

    def _read(self, record: str) -> Ticket | None:
        answer = self._ask("GET", f"/ticket/{_part(record)}", accept=(403, 404))
        return _as_ticket(answer.object()) if answer.status < 300 else None

    def _has(self, ticket: Ticket, parcel: Parcel) -> bool:
        """Say whether a ticket has this revision, or a later one, which then stands."""
        if ticket.custom.get(self._options.call_field) != parcel.call:
            # Merged by people: its fields tell of another call, its comments still of this one.
            return parcel.number > 1 and self._commented(ticket.id, _subject(parcel))
        number, _, key = ticket.custom.get(self._options.key_field, "").partition(":")
        return key == parcel.key or (number.isdecimal() and int(number) > parcel.number)

    def _search(self, query: str, params: Mapping[str, str]) -> list[dict[str, Any]]:
        sent = {"query": query, "per_page": "100", **params}
        return _list(self._ask("GET", "/tickets", params=sent).object(), "items")

    def _queue(self) -> dict[str, Any]:
        path = f"/queue/{_part(self._options.queue)}"
        answer = self._ask("GET", path, accept=(403, 404))
        if answer.status >= 300:
            raise Misconfigured(
                f"no queue {self._options.queue} that our user may see (right SeeQueue), or the "
                f"URL is not that of Request Tracker (HTTP {answer.status})",
                code="target_denied",
            )
        return answer.object()

    def _may_write(self, parcel: Parcel) -> None:
        """Refuse fields that the queue does not have: RT would drop them without a word."""
        if self._known is None:
            self._known = _names(self._queue())
        ours = {name for name in self._fields() if name}
        mapped = {name: CUSTOM.fullmatch(name) for name in parcel.fields}
        for name, custom in mapped.items():
            if custom is None and name not in OWN:
                raise Misconfigured(
                    f"the mapping's field {name} is none of a ticket: take "
                    f"{', '.join(sorted(OWN))} or CF.{{NAME}}",
                    code="target_field",
                )
        wanted = ours | {custom[1] for custom in mapped.values() if custom}
        if missing := sorted(wanted - self._known):
            self._known = None  # look again next time: somebody may have added it
            raise Misconfigured(_missing(missing[0], self._options.queue), code="target_field")

    def _fields(self) -> tuple[str | None, ...]:
        return self._options.call_field, self._options.key_field, self._options.customer_field

    def _new(self, parcel: Parcel) -> dict[str, Any]:
        own = {name: _fit(name, value, parcel.link) for name, value in parcel.fields.items()
               if name in OWN and name != "Subject"}  # fmt: skip
        subject = parcel.fields.get("Subject") or f"Call {parcel.call}"
        if parcel.test:
            subject = f"[TEST] {subject}"
        if parcel.customer and self.traits.matches:
            own.setdefault("Requestor", parcel.customer)
        return {
            "Queue": self._options.queue,
            "Subject": _fit("Subject", " ".join(subject.split()), None),
            **own,
            "ContentType": "text/plain",
            "CustomFields": self._custom_fields(parcel),
        }

    def _comment(self, parcel: Parcel) -> dict[str, Any]:
        return {
            "Subject": _subject(parcel),
            "Content": _fit("Content", parcel.fields.get("Content", "(no text)"), parcel.link),
            "ContentType": "text/plain",
            "CustomFields": self._custom_fields(parcel),
        }

    def _custom_fields(self, parcel: Parcel) -> dict[str, str]:
        mapped = {match[1]: _fit(name, value, None) for name, value in parcel.fields.items()
                  if (match := CUSTOM.fullmatch(name))}  # fmt: skip
        ours = {self._options.call_field: parcel.call,
                self._options.key_field: f"{parcel.number}:{parcel.key}"}  # fmt: skip
        return mapped | ours

    def _unset(self, record: str) -> Misconfigured:
        return Misconfigured(
            f"ticket {record} was written, but its custom fields {self._options.call_field} and "
            f"{self._options.key_field} were not: our user needs ShowTicket, SeeCustomField and "
            "ModifyCustomField",
            code="target_denied",
        )

    def _receipt(self, record: str, parcel: Parcel) -> Receipt:
        return Receipt(self.name, parcel.key, record, parcel.at)

    def _ask(self, method: str, path: str, body: Any = None, **more: Any) -> Answer:
        return self._http.request(method, f"/REST/2.0{path}", body=body, **more)


def create(options: Options) -> RequestTracker:
    """Build the connector; nothing is asked before the first call.

    Raises:
        Misconfigured: a credential is not where the options say, or the address may not be used.
    """
    read = options.secret or (lambda reference: reference)
    if options.token:
        credential = f"token {read(options.token)}"
    else:
        pair = f"{options.user}:{read(options.password)}".encode()
        credential = f"Basic {base64.b64encode(pair).decode()}"
    return RequestTracker(options, {"Authorization": credential, "Accept": "application/json"})


def _subject(parcel: Parcel) -> str:
    return f"Call note, revision {parcel.number} [{parcel.key}]"


def _quoted(text: str) -> str:
    """Return a value of TicketSQL; nothing in it ends the string."""
    return "'" + re.sub(r"(['\\])", r"\\\1", text) + "'"


def _part(text: str) -> str:
    return quote(text, safe="")


def _fit(name: str, text: str, link: str | None) -> str:
    """Cut to what a field takes; take out what no database or page should get."""
    text = text.translate(_CONTROL).encode("utf-8", "replace").decode()
    limit = LIMITS.get(name, CUSTOM_LIMIT)
    if len(text) <= limit:
        return text
    tail = (
        " ..." if name != "Content" else f"\n\n[cut here{f'; all of it: {link}' if link else ''}]"
    )
    return text[: limit - len(tail)] + tail


def _as_ticket(item: Mapping[str, Any]) -> Ticket:
    if not str(item.get("id", "")).isdecimal():
        raise Retryable("the server answered with a ticket that has no id", code="bad_answer")
    return Ticket(str(item["id"]), str(item.get("Status", "")), _custom(item))


def _custom(item: Mapping[str, Any]) -> dict[str, str]:
    return {str(field.get("name")): str(value)
            for field in _list(item, "CustomFields") for value in field.get("values", [])[:1]}  # fmt: skip


def _names(queue: Mapping[str, Any]) -> frozenset[str]:
    return frozenset(str(field.get("name")) for field in _list(queue, "TicketCustomFields"))


def _list(item: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    listed = item.get(name, [])
    if not isinstance(listed, list) or not all(isinstance(each, dict) for each in listed):
        raise Retryable("the server answered JSON of another shape", code="bad_answer")
    return listed


def _missing(name: str, queue: str) -> str:
    return (
        f"queue {queue} has no custom field {name} for tickets that our user may see "
        "(right SeeCustomField): add it, then apply it to the queue"
    )


def _right(name: str, good: bool) -> Checked:
    return Checked(f"right {name}", good, "" if good else f"give our user {name} in the queue")
