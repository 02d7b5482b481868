"""Writes case notes to HubSpot: a ticket, or an object of your own, found by a unique property.

One record a call: an upsert by that property makes it or changes it, however often it comes. The
customer is found by a property and then associated. Not run against the live service yet.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from pydantic import Field

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

LARGEST = 16 << 20  # bytes of a list of properties
TEXT = 65_536  # characters of a text property
MAPPING = {
    "subject": TITLE,
    "content": "{{ text }}",
    "hs_pipeline": "0",
    "hs_pipeline_stage": "1",
}
SETTINGS = {"PROPERTY_DOESNT_EXIST", "READ_ONLY_VALUE", "INVALID_OBJECT_TYPE"}


class Options(HttpOptions):
    url: str = Field("https://api.hubapi.com", description="where the API is")
    token: Reference = Field(description="reference to the private app's access token")
    api_version: str = Field("2026-03", pattern=r"^\d{4}-\d{2}$", description="dated version")
    object: Name = Field("tickets", description="what a call becomes: tickets, or an object's name")
    unique_property: Name = Field(
        "voice_pipeline_call", description="its text property with unique values: the call"
    )
    revision_property: Name | None = Field(
        None, description="a text property for the revision's key, so a write can be looked up"
    )
    customer_object: Name = Field("contacts", description="what a customer is")
    match_by: dict[str, Name] = Field(
        default_factory=dict,
        description="metadata key to property of the customer, tried in order",
    )
    known: dict[str, Name] = Field(
        default_factory=dict, description="properties to compare with what was said"
    )
    only_new: list[Name] = Field(
        ["hs_pipeline", "hs_pipeline_stage", "hs_ticket_priority"],
        description="properties that a later revision leaves alone",
    )
    mapped: list[str] | None = None  # from the composition root: properties the mapping fills
    secret: Secret | None = None  # from the composition root


class HubspotConnector:
    """`POST /crm/objects/VERSION/OBJECT/batch/upsert` with one input, and what belongs to it."""

    name = "hubspot"

    def __init__(self, options: Options, http: Http) -> None:
        self._options = options
        self._http = http
        self._objects = f"/crm/objects/{options.api_version}"
        mapping = MAPPING if options.object == "tickets" else {}
        filled = options.mapped if options.mapped is not None else list(mapping)
        self.traits = ConnectorTraits(
            idempotent=True,
            searchable=options.revision_property is not None,
            matches=bool(options.match_by),
            limits=dict.fromkeys(filled, TEXT),
            mapping=mapping,
            scopes=("tickets", "crm.objects.contacts.read", "crm.objects.contacts.write"),
            live=False,
        )

    def find(self, parcel: Parcel) -> Receipt | None:
        """Only with `revision_property`: else a record cannot say which revision it holds."""
        chosen = self._options
        if chosen.revision_property is None:
            return None
        answer = self._http.request(
            "GET",
            f"{self._objects}/{chosen.object}/{quote(parcel.call, safe='')}",
            params={"idProperty": chosen.unique_property, "properties": chosen.revision_property},
            accept=(404,),
        )
        if answer.status == 404:
            return None
        said = answer.object()
        properties = said.get("properties")
        kept = properties.get(chosen.revision_property) if isinstance(properties, dict) else None
        return self._receipt(parcel, said.get("id")) if kept == parcel.key else None

    def deliver(self, parcel: Parcel) -> Receipt:
        answer = self._http.request(
            "POST", self._path(), body=self._body(parcel), accept=(400, 404, 409)
        )
        if answer.status != 200 and answer.status != 201:
            raise _refusal(answer)
        (row, *_) = objects(answer.object().get("results")) or [{}]
        receipt = self._receipt(parcel, row.get("id"))
        if parcel.customer:
            self._http.request("PUT", self._link(receipt.external_id, parcel.customer))
        return receipt

    def match(self, parcel: Parcel) -> Match:
        chosen, tried = self._options, []
        for key, field in chosen.match_by.items():
            value = looked_for(parcel, key)
            if not value:
                continue
            tried.append(f"by {key} in {chosen.customer_object}.{field}")
            wanted = {"propertyName": field, "operator": "EQ", "value": value}
            body = {
                "filterGroups": [{"filters": [wanted]}],
                "properties": sorted({field, *chosen.known.values()}),
                "limit": 5,
            }
            answer = self._http.request(
                "POST", f"{self._objects}/{chosen.customer_object}/search", body=body
            )
            found = []
            for row in objects(answer.object().get("results")):
                properties = row.get("properties")
                if isinstance(properties, dict) and _same(properties.get(field), value):
                    found.append({**properties, "id": record_id(row.get("id"))})
            if found:
                return one_of(found, tried[-1], chosen.known)
        return Match("none", ", nor ".join(tried)) if tried else nobody(chosen.match_by)

    def preview(self, parcel: Parcel) -> Sequence[Outgoing]:
        headers = shown({"Content-Type": "application/json", "Authorization": ""})
        body = json.dumps(self._body(parcel), ensure_ascii=False, indent=2)
        sent = [Outgoing("POST", self._http.base + self._path(), headers, body)]
        if parcel.customer:
            url = self._http.base + self._link("ID", parcel.customer)
            sent.append(Outgoing("PUT", url, shown({"Authorization": ""}), ""))
        return sent

    def check(self) -> Sequence[Checked]:
        seen: list[Checked] = []
        for kind, look in (
            (self._options.object, self._record_properties),
            (self._options.customer_object, self._customer_properties),
        ):
            try:
                seen += look(kind)
            except PipelineError as error:
                seen.append(Checked(f"properties of {kind}", False, error.message))
        return seen

    def remove(self, receipt: Receipt) -> None:
        path = f"{self._objects}/{self._options.object}/{quote(receipt.external_id, safe='')}"
        try:
            self._http.request("DELETE", path, accept=(404,))
        except (Permanent, Misconfigured) as error:
            raise not_removed(receipt, error) from None

    def close(self) -> None:
        self._http.close()

    # ------------------------------------------------------------ inside

    def _path(self) -> str:
        return f"{self._objects}/{self._options.object}/batch/upsert"

    def _link(self, record: str, customer: str) -> str:
        one, other = self._options.object, self._options.customer_object
        end = quote(customer, safe="")
        return f"{self._objects}/{one}/{record}/associations/default/{other}/{end}"

    def _body(self, parcel: Parcel) -> dict[str, Any]:
        chosen = self._options
        left_out = chosen.only_new if parcel.record is not None else []
        properties = fitting(parcel, self.traits.limits, left_out)
        properties[chosen.unique_property] = parcel.call
        if chosen.revision_property:
            properties[chosen.revision_property] = parcel.key
        one = {"idProperty": chosen.unique_property, "id": parcel.call, "properties": properties}
        return {"inputs": [one]}

    def _receipt(self, parcel: Parcel, record: Any) -> Receipt:
        return Receipt(self.name, parcel.key, record_id(record), parcel.at)

    def _properties(self, kind: str) -> dict[str, Mapping[str, Any]]:
        path = f"/crm/properties/{self._options.api_version}/{kind}"
        answer = self._http.request("GET", path, largest=LARGEST)
        return {str(one.get("name")): one for one in objects(answer.object().get("results"))}

    def _record_properties(self, kind: str) -> Iterator[Checked]:
        there, chosen = self._properties(kind), self._options
        unique = there.get(chosen.unique_property, {}).get("hasUniqueValue") is True
        why = "" if unique else "is not there, or not marked as having unique values"
        yield Checked(f"property {kind}.{chosen.unique_property}", unique, why)
        for name in [*self.traits.limits, chosen.revision_property]:
            if name:
                yield _writable(there, kind, name)

    def _customer_properties(self, kind: str) -> Iterator[Checked]:
        if self._options.match_by:
            there = self._properties(kind)
            for name in [*self._options.match_by.values(), *self._options.known.values()]:
                why = "" if name in there else "is not there"
                yield Checked(f"property {kind}.{name}", name in there, why)


def create(options: Options) -> HubspotConnector:
    """Build the connector; nothing is sent.

    Raises:
        Misconfigured: the token is missing.
    """
    token = revealed(options.token, options.secret)
    return HubspotConnector(options, Http(options, headers={"Authorization": f"Bearer {token}"}))


def _same(value: Any, wanted: str) -> bool:
    return isinstance(value, str) and value.casefold() == wanted.casefold()


def _writable(there: Mapping[str, Mapping[str, Any]], kind: str, name: str) -> Checked:
    about = there.get(name, {}).get("modificationMetadata")
    locked = isinstance(about, dict) and about.get("readOnlyValue") is True
    good = name in there and not locked
    return Checked(f"property {kind}.{name}", good, "" if good else "is not there, or read-only")


def _refusal(answer: Answer) -> PipelineError:
    """Return the error that an answer stands for; codes are repeated, messages never are."""
    try:
        said = answer.object()
    except Retryable:
        said = {}
    found = [said.get("category"), said.get("subCategory")]
    errors = said.get("errors")
    found += [one.get("code") for one in errors if isinstance(one, dict)] if errors else []
    codes = [one for one in found if isinstance(one, str) and re.fullmatch(r"[A-Z_.]{1,60}", one)]
    told = ", ".join([f"HTTP {answer.status}", *codes])
    if answer.status == 409:
        return Retryable(f"HubSpot was changing this record already ({told})", code="target_failed")
    if answer.status == 404 or SETTINGS & set(codes):
        return Misconfigured(
            f"object or properties do not fit ({told}); `targets test` says which",
            code="target_field",
        )
    return Permanent(f"HubSpot refuses this ({told})", code="target_refused")
