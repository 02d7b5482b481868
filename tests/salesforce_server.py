"""A Salesforce of invented records on a loopback port: tokens, upsert, describe, query, delete.

Speaks what the REST API guide documents. Two records of one external id are possible only where a
test plants them, as in an org whose field is not unique.
"""

from __future__ import annotations

import itertools
import re
from typing import Any

import jwt
from targets import Asked, Target, Told

CLIENT, SECRET, USER = "3MVG9.invented", "an invented secret", "integration@example.com"
# SELECT columns FROM object WHERE field = 'text' LIMIT n, and nothing else: what breaks out of
# its quotes does not parse.
QUERY = re.compile(r"SELECT ([\w, ]+) FROM (\w+) WHERE (\w+) = '((?:[^'\\]|\\['\\])*)' LIMIT (\d+)")


def text_field(length: int, **traits: Any) -> dict[str, Any]:
    given = {"createable": True, "updateable": True, "filterable": True, "externalId": False,
             "unique": False, "length": length, "type": "string"}  # fmt: skip
    return given | traits


class Salesforce(Target):
    def __init__(self, public_key: str = "") -> None:
        super().__init__()
        self.public_key = public_key
        self.tokens: set[str] = set()
        self.issued = 0
        self.numbers = itertools.count(1)
        external = text_field(64, externalId=True, unique=True)
        texts = {"Subject": text_field(255), "Description": text_field(32000),
                 "Status": text_field(40), "Priority": text_field(20), "Origin": text_field(40),
                 "Voice_Pipeline_Call__c": external, "Revision__c": text_field(64),
                 "WhoId": text_field(18), "ContactId": text_field(18)}  # fmt: skip
        person = {"Id": text_field(18), "No__c": text_field(40), "Phone_Hash__c": text_field(64),
                  "Name": text_field(120), "MailingPostalCode": text_field(20)}  # fmt: skip
        self.fields = {"Task": texts, "Case": dict(texts), "Contact": person}
        self.records: dict[str, list[dict[str, Any]]] = {"Task": [], "Case": [], "Contact": []}

    def add(self, kind: str, prefix: str = "003", **fields: Any) -> str:
        record = f"{prefix}{next(self.numbers):015d}"
        self.records[kind].append({"Id": record} | fields)
        return record

    def work(self, asked: Asked) -> Told:
        if asked.path == "/services/oauth2/token":
            return self.token(asked.form)
        if asked.headers.get("authorization", "").removeprefix("Bearer ") not in self.tokens:
            return error(401, "INVALID_SESSION_ID")
        match asked.parts:
            case ["services", "data", "v62.0", "query"]:
                return self.query(asked.query["q"])
            case ["services", "data", "v62.0", "sobjects", kind, "describe"]:
                if kind not in self.fields:
                    return error(404, "NOT_FOUND")
                fields = [{"name": name} | one for name, one in self.fields[kind].items()]
                return Told(200, {"name": kind, "createable": True, "fields": fields})
            case ["services", "data", "v62.0", "sobjects", kind, field, value]:
                return self.row(asked, kind, field, value)
            case ["services", "data", "v62.0", "sobjects", kind, record]:
                kept = [one for one in self.records[kind] if one["Id"] != record]
                there = len(kept) < len(self.records[kind])
                self.records[kind] = kept
                return Told(204) if there else error(404, "ENTITY_IS_DELETED")
        return error(404, "NOT_FOUND")

    def token(self, form: dict[str, str]) -> Told:
        if form["grant_type"] == "client_credentials":
            good = (form["client_id"], form["client_secret"]) == (CLIENT, SECRET)
        else:
            assert form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
            try:
                said = jwt.decode(
                    form["assertion"], self.public_key, ["RS256"],
                    audience="https://login.salesforce.com",
                )  # fmt: skip
                good = (said["iss"], said["sub"]) == (CLIENT, USER)
            except jwt.PyJWTError:
                good = False
        if not good:
            return Told(400, {"error": "invalid_client", "error_description": "Ada Invented"})
        self.issued += 1
        self.tokens.add(f"00D!token{self.issued}")
        return Told(
            200,
            {"access_token": f"00D!token{self.issued}", "instance_url": self.url,
             "token_type": "Bearer", "issued_at": "1", "signature": "x"},
        )  # fmt: skip

    def row(self, asked: Asked, kind: str, field: str, value: str) -> Told:
        if not self.fields.get(kind, {}).get(field, {}).get("externalId"):
            return error(404, "NOT_FOUND")
        found = [one for one in self.records[kind] if one.get(field, "").lower() == value.lower()]
        if len(found) > 1:
            return Told(300, [f"/services/data/v62.0/sobjects/{kind}/{one['Id']}" for one in found])
        if asked.method == "GET":
            if not found:
                return error(404, "NOT_FOUND")
            wanted = asked.query["fields"].split(",")
            return Told(200, {name: found[0].get(name) for name in wanted})
        assert asked.method == "PATCH"
        body = asked.json
        if field in body or "Id" in body:
            return error(400, "INVALID_FIELD", [field])
        for name, text in body.items():
            if name not in self.fields[kind]:
                return error(400, "INVALID_FIELD", [name])
            if len(text.encode("utf-16-le")) // 2 > self.fields[kind][name]["length"]:
                return error(400, "STRING_TOO_LONG", [name])
        if found:
            found[0].update(body)
            return Told(200, told(found[0]["Id"], False))
        record = self.add(kind, "00T", **{field: value}, **body)
        return Told(201, told(record, True))

    def query(self, text: str) -> Told:
        parsed = QUERY.fullmatch(text)
        if not parsed:
            return error(400, "MALFORMED_QUERY")
        columns, kind, field, quoted, limit = parsed.groups()
        names = columns.split(", ")
        if unknown := [name for name in [*names, field] if name not in self.fields[kind]]:
            return error(400, "INVALID_FIELD", unknown)
        value = re.sub(r"\\(.)", r"\1", quoted)
        rows = [one for one in self.records[kind] if one.get(field, "").lower() == value.lower()]
        return Told(
            200,
            {"totalSize": len(rows), "done": True,
             "records": [{"attributes": {"type": kind}} | {name: one.get(name) for name in names}
                         for one in rows[: int(limit)]]},
        )  # fmt: skip


def told(record: str, created: bool) -> dict[str, Any]:
    return {"id": record, "success": True, "errors": [], "created": created}


def error(status: int, code: str, fields: list[str] | None = None) -> Told:
    one = {"message": "Ada Invented, 12 Example Road", "errorCode": code, "fields": fields or []}
    return Told(status, [one])
