"""Writes case notes to ServiceNow through the Table API: an incident, or a row of a table of yours.

One record a call, named by `correlation_id`; `correlation_display` holds the revision's key. Both
are looked at before every write, as the Table API has no upsert. Not run against the live service.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
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
from voice_pipeline.connectors._http import Http, HttpOptions, shown
from voice_pipeline.connectors._oauth import Session, client_credentials
from voice_pipeline.domain import Receipt
from voice_pipeline.errors import Misconfigured, Permanent, PipelineError
from voice_pipeline.ports import Checked, ConnectorTraits, Match, Outgoing, Parcel

MAPPING = {
    "short_description": TITLE,
    "description": "{{ text }}",
    "contact_type": "phone",
}


class Options(HttpOptions):
    user: str | None = Field(None, description="the integration's user, with `password`; or")
    password: Reference | None = Field(None, description="reference to its password")
    client_id: str | None = Field(None, description="of an OAuth client, with `client_secret`")
    client_secret: Reference | None = Field(None, description="reference to the client's secret")
    table: Name = Field("incident", description="what a call becomes")
    customer_table: Name = Field("sys_user", description="what a customer is")
    customer_field: Name = Field("caller_id", description="the record's field for the customer")
    match_by: dict[str, Name] = Field(
        default_factory=dict, description="metadata key to field of the customer, tried in order"
    )
    known: dict[str, Name] = Field(
        default_factory=dict, description="fields to compare with what was said"
    )
    only_new: list[Name] = Field(
        ["state", "impact", "urgency", "assignment_group", "contact_type"],
        description="fields that a later revision leaves alone",
    )
    secret: Secret | None = None  # from the composition root

    @model_validator(mode="after")
    def _whole(self) -> Options:
        basic = bool(self.user and self.password)
        if basic == bool(self.client_id and self.client_secret):
            raise ValueError("takes user and password, or client_id and client_secret")
        return self


class ServicenowConnector:
    """`GET`, then `POST` or `PATCH`, of `/api/now/table/TABLE`."""

    name = "servicenow"

    def __init__(self, options: Options, http: Http, ask: Http | Session) -> None:
        self._options = options
        self._http = http
        self._ask = ask
        self.traits = ConnectorTraits(
            idempotent=False,
            matches=bool(options.match_by),
            limits={"short_description": 160, "description": 4000},
            mapping=MAPPING if options.table == "incident" else {},
            scopes=("create, read and write on the table", "read on the customer's table"),
            live=False,
        )

    def find(self, parcel: Parcel) -> Receipt | None:
        row = self._row(parcel)
        if row is None or row.get("correlation_display") != parcel.key:
            return None
        return self._receipt(parcel, row)

    def deliver(self, parcel: Parcel) -> Receipt:
        row = self._row(parcel)
        if row is not None and row.get("correlation_display") == parcel.key:
            return self._receipt(parcel, row)
        method, path = self._way(None if row is None else record_id(row.get("sys_id")))
        answer = self._ask.request(
            method, path, body=self._body(parcel, new=row is None), params=self._shape()
        )
        written = answer.object().get("result")
        if not isinstance(written, dict) or written.get("correlation_id") != parcel.call:
            raise Misconfigured(
                "ServiceNow did not keep correlation_id: the integration's user needs to read and "
                "write it, or calls would be written twice",
                code="target_field",
            )
        return self._receipt(parcel, written)

    def match(self, parcel: Parcel) -> Match:
        chosen, tried = self._options, []
        for key, field in chosen.match_by.items():
            value = looked_for(parcel, key)
            if not _plain(value):
                continue
            tried.append(f"by {key} in {chosen.customer_table}.{field}")
            columns = ["sys_id", field, *chosen.known.values()]
            found = self._rows(chosen.customer_table, field, value, columns)
            if found:
                rows = [{**row, "id": record_id(row.get("sys_id"))} for row in found]
                return one_of(rows, tried[-1], chosen.known)
        return Match("none", ", nor ".join(tried)) if tried else nobody(chosen.match_by)

    def preview(self, parcel: Parcel) -> Sequence[Outgoing]:
        method, path = self._way(parcel.record)
        body = json.dumps(
            self._body(parcel, new=parcel.record is None), ensure_ascii=False, indent=2
        )
        headers = shown({"Content-Type": "application/json", "Authorization": ""})
        return [Outgoing(method, self._http.base + path, headers, body)]

    def check(self) -> Sequence[Checked]:
        seen = []
        tables = [self._options.table]
        tables += [self._options.customer_table] if self._options.match_by else []
        for table in tables:
            try:
                params = {"sysparm_limit": "1", "sysparm_fields": "sys_id"}
                answer = self._ask.request("GET", f"/api/now/table/{table}", params=params)
                objects(answer.object().get("result"))
            except PipelineError as error:
                seen.append(Checked(f"table {table}", False, error.message))
            else:
                seen.append(Checked(f"table {table}", True, ""))
        return seen

    def remove(self, receipt: Receipt) -> None:
        path = f"/api/now/table/{self._options.table}/{quote(receipt.external_id, safe='')}"
        try:
            self._ask.request("DELETE", path, accept=(404,))
        except (Permanent, Misconfigured) as error:
            raise not_removed(receipt, error) from None

    def close(self) -> None:
        self._http.close()

    # ------------------------------------------------------------ inside

    def _way(self, record: str | None) -> tuple[str, str]:
        path = f"/api/now/table/{self._options.table}"
        return ("POST", path) if record is None else ("PATCH", f"{path}/{quote(record, safe='')}")

    def _shape(self) -> dict[str, str]:
        return {"sysparm_fields": "sys_id,correlation_id,correlation_display"}

    def _body(self, parcel: Parcel, *, new: bool) -> dict[str, str]:
        kept = fitting(parcel, self.traits.limits, [] if new else self._options.only_new)
        if parcel.customer:
            kept[self._options.customer_field] = parcel.customer
        return {**kept, "correlation_id": parcel.call, "correlation_display": parcel.key}

    def _row(self, parcel: Parcel) -> dict[str, Any] | None:
        """The call's record, if there is one.

        Raises:
            Permanent: there are several, or the call's id would be read as more than a value.
        """
        if not _plain(parcel.call):
            raise Permanent("the call's id cannot be looked for", code="target_refused")
        columns = ["sys_id", "correlation_id", "correlation_display"]
        rows = self._rows(self._options.table, "correlation_id", parcel.call, columns)
        if len(rows) > 1:
            raise Permanent(
                "several records carry this call's correlation_id; delete all but one",
                code="target_refused",
            )
        return rows[0] if rows else None

    def _rows(
        self, table: str, field: str, value: str, columns: Sequence[str]
    ) -> list[dict[str, Any]]:
        """Rows whose field has just this value.

        ServiceNow leaves out a condition on a field that is not there or not to be read and then
        returns any rows: those that do not show the value asked for are a fault, not an answer.
        """
        params = {
            "sysparm_query": f"{field}={value}",
            "sysparm_fields": ",".join(dict.fromkeys(columns)),
            "sysparm_limit": "5",
        }
        answer = self._ask.request(
            "GET", f"/api/now/table/{table}", params=params, accept=(400, 404)
        )
        if answer.status == 400:
            raise Misconfigured(f"ServiceNow has no table {table} for us", code="target_field")
        if answer.status == 404:
            return []
        rows = objects(answer.object().get("result"))
        if any(str(row.get(field, "")).casefold() != value.casefold() for row in rows):
            raise Misconfigured(
                f"ServiceNow does not look by {table}.{field}: it is not there, or the "
                "integration's user may not read it",
                code="target_field",
            )
        return [row for row in rows if row.get(field) == value] or rows

    def _receipt(self, parcel: Parcel, row: dict[str, Any]) -> Receipt:
        return Receipt(self.name, parcel.key, record_id(row.get("sys_id")), parcel.at)


def create(options: Options) -> ServicenowConnector:
    """Build the connector; nothing is sent.

    Raises:
        Misconfigured: a secret is missing.
    """
    if options.client_id:
        http = Http(options)
        secret = revealed(options.client_secret or "", options.secret)
        form = client_credentials(options.client_id, secret)
        return ServicenowConnector(options, http, Session(http, "/oauth_token.do", form))
    pair = f"{options.user}:{revealed(options.password or '', options.secret)}"
    given = "Basic " + base64.b64encode(pair.encode()).decode()
    http = Http(options, headers={"Authorization": given})
    return ServicenowConnector(options, http, http)


def _plain(value: str) -> bool:
    """Say whether an encoded query reads this as a value: no operator, no script."""
    return bool(value) and "^" not in value and not value.casefold().startswith("javascript:")
