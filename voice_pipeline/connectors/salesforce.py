"""Writes case notes to Salesforce as a Task, a Case or an object of your own, by an external id.

One record a call: an upsert by external id makes it or changes it, however often it comes. Looks
customers up by a field that holds their reference. Not run against the live service yet.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
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
from voice_pipeline.connectors._http import Answer, Http, HttpOptions
from voice_pipeline.connectors._oauth import Session, client_credentials, jwt_bearer
from voice_pipeline.connectors._salesforce import (
    ASKED,
    fault,
    looked_at,
    quoted,
    refusal,
)
from voice_pipeline.domain import Receipt
from voice_pipeline.errors import Misconfigured, Permanent, PipelineError
from voice_pipeline.ports import Checked, ConnectorTraits, Match, Outgoing, Parcel

LARGEST = 16 << 20  # bytes of a description: an org's fields, each with its choices
LINKS = {
    ("Task", "Contact"): "WhoId", ("Task", "Lead"): "WhoId", ("Task", "Account"): "WhatId",
    ("Case", "Contact"): "ContactId", ("Case", "Account"): "AccountId",
}  # fmt: skip
TEXTS = {
    "Subject": TITLE,
    "Description": "{{ text }}",
}
MAPPINGS = {
    "Task": {**TEXTS, "Status": "Completed", "Priority": "Normal"},
    "Case": {**TEXTS, "Status": "New", "Origin": "Phone"},
}
LIMITS = {"Subject": 255, "Description": 32_000}


class Options(HttpOptions):
    client_id: str = Field(min_length=1, description="consumer key of the external client app")
    client_secret: Reference | None = Field(
        None, description="reference to its consumer secret: the client credentials flow; or"
    )
    user: str | None = Field(None, description="the integration's user, with `private_key`")
    private_key: Path | None = Field(
        None, description="PEM file of the key that signs: the JWT bearer flow"
    )
    audience: str = Field(
        "https://login.salesforce.com", description="of the JWT; test.salesforce.com for a sandbox"
    )
    api_version: str = Field("62.0", pattern=r"^\d{2}\.0$", description="46.0 or later")
    object: Name = Field(
        "Task", description="what a call becomes: Task, Case or an object of yours"
    )
    external_id: Name = Field(
        "Voice_Pipeline_Call__c", description="its text field, external id and unique: the call"
    )
    revision_field: Name | None = Field(
        None, description="a text field for the revision's key, so that a write can be looked up"
    )
    customer_object: Name = Field("Contact", description="what a customer is: Contact, Account ...")
    customer_field: Name | None = Field(
        None, description="the object's field that names the customer; known for Task and Case"
    )
    match_by: dict[str, Name] = Field(
        default_factory=dict,
        description="metadata key to field of the customer, tried in order: customer_ref = 'No__c'",
    )
    known: dict[str, Name] = Field(
        default_factory=dict, description="fields of the customer to compare with what was said"
    )
    only_new: list[Name] = Field(
        ["Status", "Priority", "Origin"], description="fields that a later revision leaves alone"
    )
    mapped: list[str] | None = None  # from the composition root: fields that the mapping fills
    secret: Secret | None = None  # from the composition root

    @model_validator(mode="after")
    def _whole(self) -> Options:
        if (self.client_secret is None) == (self.private_key is None):
            raise ValueError("takes client_secret, or private_key and user")
        if self.private_key is not None and not self.user:
            raise ValueError("private_key needs user")
        if self.match_by and self.link is None:
            raise ValueError("match_by needs customer_field for this object")
        return self

    @property
    def link(self) -> str | None:
        return self.customer_field or LINKS.get((self.object, self.customer_object))


class SalesforceConnector:
    """`PATCH /sobjects/OBJECT/FIELD/CALL`, and what belongs to it."""

    name = "salesforce"

    def __init__(self, options: Options, http: Http, session: Session) -> None:
        self._options = options
        self._http = http
        self._session = session
        self._data = f"/services/data/v{options.api_version}"
        self._limits = dict(LIMITS if options.object in MAPPINGS else {})

    @property
    def traits(self) -> ConnectorTraits:
        return ConnectorTraits(
            idempotent=True,
            searchable=self._options.revision_field is not None,
            matches=bool(self._options.match_by),
            limits=dict(self._limits),
            mapping=MAPPINGS.get(self._options.object, {}),
            scopes=("api",),
            live=False,
        )

    def find(self, parcel: Parcel) -> Receipt | None:
        """Only with `revision_field`: else a record cannot say which revision it holds."""
        field = self._options.revision_field
        if field is None:
            return None
        answer = self._ask(
            "GET", self._record(parcel), params={"fields": f"Id,{field}"}, absent=True
        )
        if answer is None or answer.object().get(field) != parcel.key:
            return None
        return self._receipt(parcel, answer.object().get("Id"))

    def deliver(self, parcel: Parcel) -> Receipt:
        refused: str | None = None
        for _ in range(2):
            answer = self._session.request(
                "PATCH", self._record(parcel), body=self._fields(parcel), accept=ASKED
            )
            refused, fields = fault(answer)
            if refused == "STRING_TOO_LONG":
                self._learn()
            elif refused != "DUPLICATE_VALUE":  # that is a race of two: the record is there now
                break
        if refused is not None:
            raise refusal(answer, refused, fields)
        if answer.status == 204:  # an older API version names no id
            found = self._ask("GET", self._record(parcel), params={"fields": "Id"})
            return self._receipt(parcel, found.object().get("Id") if found else None)
        return self._receipt(parcel, answer.object().get("id"))

    def match(self, parcel: Parcel) -> Match:
        chosen, tried = self._options, []
        for key, field in chosen.match_by.items():
            value = looked_for(parcel, key)
            if not value:
                continue
            tried.append(f"by {key} in {chosen.customer_object}.{field}")
            columns = ", ".join(dict.fromkeys(["Id", field, *chosen.known.values()]))
            query = (
                f"SELECT {columns} FROM {chosen.customer_object} "
                f"WHERE {field} = {quoted(value)} LIMIT 5"
            )
            answer = self._ask("GET", f"{self._data}/query", params={"q": query})
            rows = objects(answer.object().get("records") if answer else None)
            # Salesforce compares without case: where several fit, the one to the letter counts.
            rows = [row for row in rows if row.get(field) == value] or rows
            found = [{**row, "id": record_id(row.get("Id"))} for row in rows]
            if found:
                return one_of(found, tried[-1], chosen.known)
        return Match("none", ", nor ".join(tried)) if tried else nobody(chosen.match_by)

    def preview(self, parcel: Parcel) -> Sequence[Outgoing]:
        headers = {"Content-Type": "application/json", "Authorization": "(secret)"}
        body = json.dumps(self._fields(parcel), ensure_ascii=False, indent=2)
        return [Outgoing("PATCH", self._http.base + self._record(parcel), headers, body)]

    def check(self) -> Sequence[Checked]:
        try:
            self._session.token()
        except PipelineError as error:
            return [Checked("credentials", False, error.message)]
        seen = [Checked("credentials", True, "")]
        for kind, look in (
            (self._options.object, self._fields_of_record),
            (self._options.customer_object, self._fields_of_customer),
        ):
            try:
                seen += look(kind)
            except PipelineError as error:
                seen.append(Checked(f"object {kind}", False, error.message))
        return seen

    def remove(self, receipt: Receipt) -> None:
        path = f"{self._data}/sobjects/{self._options.object}/{quote(receipt.external_id, safe='')}"
        try:
            self._ask("DELETE", path, absent=True)
        except (Permanent, Misconfigured) as error:
            raise not_removed(receipt, error) from None

    def close(self) -> None:
        self._http.close()

    # ------------------------------------------------------------ inside

    def _record(self, parcel: Parcel) -> str:
        chosen = self._options
        call = quote(parcel.call, safe="")
        return f"{self._data}/sobjects/{chosen.object}/{chosen.external_id}/{call}"

    def _fields(self, parcel: Parcel) -> dict[str, str]:
        left_out = self._options.only_new if parcel.record is not None else []
        fields = fitting(parcel, self._limits, left_out)
        fields.pop(self._options.external_id, None)  # stands in the path, and there alone
        if self._options.revision_field:
            fields[self._options.revision_field] = parcel.key
        if parcel.customer and self._options.link:
            fields[self._options.link] = parcel.customer
        return fields

    def _receipt(self, parcel: Parcel, record: Any) -> Receipt:
        return Receipt(self.name, parcel.key, record_id(record), parcel.at)

    def _ask(self, method: str, path: str, *, absent: bool = False, **more: Any) -> Answer | None:
        """Send a request; None where the record is not there and may be absent."""
        answer = self._session.request(method, path, accept=ASKED, **more)
        code, fields = fault(answer)
        if absent and answer.status == 404:
            return None
        if code is not None:
            raise refusal(answer, code, fields)
        return answer

    def _describe(self, kind: str) -> dict[str, Mapping[str, Any]]:
        answer = self._ask("GET", f"{self._data}/sobjects/{kind}/describe", largest=LARGEST)
        fields = objects(answer.object().get("fields") if answer else None)
        return {str(one.get("name")): one for one in fields}

    def _learn(self) -> dict[str, Mapping[str, Any]]:
        """Take the lengths of text fields from the org, where people change them."""
        there = self._describe(self._options.object)
        lengths = {name: one.get("length") for name, one in there.items()}
        told = {name: size for name, size in lengths.items() if isinstance(size, int) and size > 0}
        self._limits = {**self._limits, **told}
        return there

    def _fields_of_record(self, kind: str) -> Iterator[Checked]:
        there, chosen = self._learn(), self._options
        yield looked_at(there, kind, chosen.external_id, "externalId", "unique")
        filled = chosen.mapped if chosen.mapped is not None else [*MAPPINGS.get(kind, {})]
        for name in [*filled, chosen.revision_field, chosen.link if chosen.match_by else None]:
            if name:
                yield looked_at(there, kind, name, "createable", "updateable")

    def _fields_of_customer(self, kind: str) -> Iterator[Checked]:
        if self._options.match_by:
            there = self._describe(kind)
            for name in self._options.match_by.values():
                yield looked_at(there, kind, name, "filterable")
            for name in self._options.known.values():
                yield looked_at(there, kind, name)


def create(options: Options) -> SalesforceConnector:
    """Build the connector; the first token is asked for with the first request.

    Raises:
        Misconfigured: a secret or key is missing or cannot be used.
    """
    http = Http(options)
    if options.private_key is not None:
        form = jwt_bearer(
            options.client_id, options.user or "", options.audience, options.private_key
        )
    else:
        form = client_credentials(
            options.client_id, revealed(options.client_secret or "", options.secret)
        )
    return SalesforceConnector(options, http, Session(http, "/services/oauth2/token", form))
