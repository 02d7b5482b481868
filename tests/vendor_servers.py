"""HubSpot, Zendesk and ServiceNow of invented records, each as far as its public reference says."""

from __future__ import annotations

import base64
import itertools
import uuid
from typing import Any

from targets import Asked, Target, Told

TOKEN = "an-invented-token"
WRITTEN = "Ada Invented, 12 Example Road"  # what vendors write into messages: customers' values


class Hubspot(Target):
    """Unique properties are unique; search is by filter; 404 for what is not there."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers = itertools.count(101)
        self.rows: dict[str, dict[str, dict[str, Any]]] = {"tickets": {}, "contacts": {}}
        self.links: set[tuple[str, str]] = set()
        names = ("subject", "content", "text", "hs_pipeline", "hs_pipeline_stage", "revision")
        self.properties: dict[str, dict[str, dict[str, Any]]] = {
            "tickets": {name: {"name": name, "hasUniqueValue": False} for name in names}
            | {"voice_pipeline_call": {"name": "voice_pipeline_call", "hasUniqueValue": True}},
            "contacts": {name: {"name": name} for name in ("customer_no", "firstname", "zip")},
        }

    @property
    def records(self) -> list[dict[str, Any]]:
        return list(self.rows["tickets"].values())

    def add(self, **properties: str) -> str:
        record = str(next(self.numbers))
        self.rows["contacts"][record] = properties
        return record

    def work(self, asked: Asked) -> Told:
        if asked.headers.get("authorization") != f"Bearer {TOKEN}":
            return Told(401, {"category": "INVALID_AUTHENTICATION", "message": WRITTEN})
        match (asked.method, *asked.parts):
            case ("GET", "crm", "properties", "2026-03", kind):
                return Told(200, {"results": list(self.properties[kind].values())})
            case ("POST", "crm", "objects", "2026-03", kind, "batch", "upsert"):
                return self.upsert(kind, asked.json["inputs"][0])
            case ("POST", "crm", "objects", "2026-03", kind, "search"):
                (wanted,) = asked.json["filterGroups"][0]["filters"]
                assert wanted["operator"] == "EQ"
                name, value = wanted["propertyName"], wanted["value"]
                found = [{"id": one, "properties": kept} for one, kept in self.rows[kind].items()
                         if kept.get(name, "").lower() == value.lower()]  # fmt: skip
                return Told(200, {"total": len(found), "results": found[: asked.json["limit"]]})
            case ("GET", "crm", "objects", "2026-03", kind, value):
                for one, kept in self.rows[kind].items():
                    if kept.get(asked.query["idProperty"]) == value:
                        return Told(200, {"id": one, "properties": kept})
                return Told(404)
            case ("DELETE", "crm", "objects", "2026-03", kind, record):
                return Told(204) if self.rows[kind].pop(record, None) else Told(404)
            case ("PUT", "crm", "objects", "2026-03", "tickets", one, "associations", "default",
                  "contacts", other):  # fmt: skip
                if other not in self.rows["contacts"]:
                    return Told(404, {"message": WRITTEN})
                self.links.add((one, other))
                return Told(200, {"status": "COMPLETE", "results": []})
        return Told(404, {"message": WRITTEN})

    def upsert(self, kind: str, one: dict[str, Any]) -> Told:
        for name in one["properties"]:
            if name not in self.properties[kind]:
                errors = [{"code": "PROPERTY_DOESNT_EXIST", "message": WRITTEN}]
                said = {"category": "VALIDATION_ERROR", "errors": errors, "message": WRITTEN}
                return Told(400, said)
        assert self.properties[kind][one["idProperty"]]["hasUniqueValue"]
        for record, kept in self.rows[kind].items():
            if kept.get(one["idProperty"]) == one["id"]:
                kept.update(one["properties"])
                return Told(200, {"status": "COMPLETE", "results": [{"id": record, "new": False}]})
        record = str(next(self.numbers))
        self.rows[kind][record] = dict(one["properties"])
        return Told(201, {"status": "COMPLETE", "results": [{"id": record, "new": True}]})


class Zendesk(Target):
    """Tickets with audits in pages of two; keys are remembered for new tickets alone."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers = itertools.count(1)
        self.tickets: dict[int, dict[str, Any]] = {}
        self.audits: dict[int, list[dict[str, Any]]] = {}
        self.keys: dict[str, int] = {}
        self.users: list[dict[str, Any]] = []
        self.role = "agent"

    @property
    def records(self) -> list[dict[str, Any]]:
        return list(self.tickets.values())

    def comments(self) -> list[dict[str, Any]]:
        return [one["events"][1] for kept in self.audits.values() for one in kept]

    def work(self, asked: Asked) -> Told:
        pair = base64.b64encode(f"agent@example.com/token:{TOKEN}".encode()).decode()
        if asked.headers.get("authorization") != f"Basic {pair}":
            return Told(401, {"error": "Couldn't authenticate you"})
        match (asked.method, *asked.parts):
            case ("GET", "api", "v2", "users", "me"):
                return Told(200, {"user": {"id": 1, "role": self.role}})
            case ("GET", "api", "v2", "users", "search"):
                wanted = asked.query["external_id"]
                found = [one for one in self.users if one["external_id"] == wanted]
                return Told(200, {"users": found})
            case ("GET", "api", "v2", "tickets"):
                wanted = asked.query["external_id"]
                rows = [one for one in self.records if one["external_id"] == wanted]
                return Told(200, {"tickets": rows})
            case ("POST", "api", "v2", "tickets"):
                key = asked.headers["idempotency-key"]
                if key not in self.keys:
                    self.keys[key] = number = next(self.numbers)
                    self.tickets[number] = {"id": number}
                    self.audits[number] = []
                    self.change(number, asked.json["ticket"])
                return Told(201, {"ticket": self.tickets[self.keys[key]]})
            case ("PUT", "api", "v2", "tickets", number):
                if int(number) not in self.tickets:
                    return Told(404, {"error": "RecordNotFound", "description": WRITTEN})
                if self.tickets[int(number)].get("status") == "closed":
                    details = {"status": [{"description": WRITTEN}], WRITTEN: []}
                    return Told(422, {"error": "RecordInvalid", "details": details})
                self.change(int(number), asked.json["ticket"])
                return Told(200, {"ticket": self.tickets[int(number)]})
            case ("GET", "api", "v2", "tickets", number, "audits"):
                kept = self.audits[int(number)]
                start = int(asked.query.get("page[after]", 0))
                more = start + 2 < len(kept)
                meta = {"has_more": more, "after_cursor": str(start + 2) if more else None}
                return Told(200, {"audits": kept[start : start + 2], "meta": meta})
            case ("DELETE", "api", "v2", "tickets", number):
                return Told(204) if self.tickets.pop(int(number), None) else Told(404)
        return Told(404)

    def change(self, number: int, given: dict[str, Any]) -> None:
        event = {"type": "Comment", **given.pop("comment")}
        self.tickets[number] |= given
        self.audits[number].append({"events": [{"type": "Notification"}, event]})


class Servicenow(Target):
    """Rows of tables. A condition on a field that nobody knows is left out, as it is there."""

    def __init__(self) -> None:
        super().__init__()
        self.tables: dict[str, list[dict[str, Any]]] = {"incident": [], "sys_user": []}
        self.fields = {"correlation_id", "correlation_display", "employee_number", "sys_id"}

    @property
    def records(self) -> list[dict[str, Any]]:
        return self.tables["incident"]

    def add(self, **fields: str) -> str:
        row = {"sys_id": uuid.uuid4().hex} | fields
        self.tables["sys_user"].append(row)
        return row["sys_id"]

    def work(self, asked: Asked) -> Told:
        pair = base64.b64encode(f"integration:{TOKEN}".encode()).decode()
        if asked.headers.get("authorization") != f"Basic {pair}":
            return Told(401, {"error": {"message": WRITTEN}, "status": "failure"})
        _, _, _, table, *rest = asked.parts
        if table not in self.tables:
            return Told(400, {"error": {"message": "Invalid table"}, "status": "failure"})
        rows = self.tables[table]
        if asked.method == "GET":
            return Told(200, {"result": self.look(rows, asked.query)})
        if asked.method == "POST":
            rows.append({"sys_id": uuid.uuid4().hex, **asked.json})
            return Told(201, {"result": self.shown(rows[-1], asked.query)})
        kept = [row for row in rows if row["sys_id"] != rest[0]]
        (row,) = [row for row in rows if row["sys_id"] == rest[0]] or [None]
        if row is None:
            return Told(404, {"error": {"message": "No Record found"}, "status": "failure"})
        if asked.method == "DELETE":
            self.tables[table] = kept
            return Told(204)
        row.update(asked.json)
        return Told(200, {"result": self.shown(row, asked.query)})

    def look(self, rows: list[dict[str, Any]], query: dict[str, str]) -> list[dict[str, Any]]:
        for part in filter(None, query.get("sysparm_query", "").split("^")):
            name, _, value = part.partition("=")
            if name in self.fields:
                rows = [row for row in rows if str(row.get(name, "")).lower() == value.lower()]
        return [self.shown(row, query) for row in rows[: int(query["sysparm_limit"])]]

    def shown(self, row: dict[str, Any], query: dict[str, str]) -> dict[str, Any]:
        names = query["sysparm_fields"].split(",")
        hidden = {"correlation_id", "employee_number"} - self.fields
        return {name: row.get(name, "") for name in names if name not in hidden}
