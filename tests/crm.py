"""A CRM in memory that is told how to behave: it keeps what it got, and can fail in every way.

`use = "crm:create"`, `options = {"at": NAME}`; `CRMS[NAME]` is what it holds and does.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from pydantic import BaseModel, ConfigDict

from voice_pipeline.domain import Receipt
from voice_pipeline.errors import PipelineError
from voice_pipeline.ports import Checked, ConnectorTraits, Match, Outgoing, Parcel


@dataclass
class Crm:
    """One invented CRM."""

    records: dict[str, list[Parcel]] = field(default_factory=dict)  # call -> revisions, in order
    calls: list[str] = field(default_factory=list)  # in the order in which they arrived
    finds: int = 0
    before: Callable[[Parcel], PipelineError | None] = lambda parcel: None  # nothing is kept
    after: Callable[[Parcel], PipelineError | None] = lambda parcel: None  # it is kept
    match: Callable[[Parcel], Match] = lambda parcel: Match("one", "by reference", "cust-1")
    lock: threading.Lock = field(default_factory=threading.Lock)


CRMS: defaultdict[str, Crm] = defaultdict(Crm)


class Options(BaseModel):
    model_config = ConfigDict(extra="forbid")

    at: str
    matches: bool = False
    idempotent: bool = False
    notices: bool = False


class Connector:
    name = "crm"

    def __init__(self, options: Options) -> None:
        self._crm = CRMS[options.at]
        self.traits = ConnectorTraits(
            idempotent=options.idempotent, matches=options.matches, limits={"subject": 120},
            mapping={"subject": "{{ note.request_type.label }}", "text": "{{ text }}"},
            notices=options.notices,
        )  # fmt: skip

    def find(self, parcel: Parcel) -> Receipt | None:
        with self._crm.lock:
            self._crm.finds += 1
            return self._found(parcel)

    def _found(self, parcel: Parcel) -> Receipt | None:
        kept = self._crm.records.get(parcel.call, [])
        return self._receipt(parcel) if any(one.key == parcel.key for one in kept) else None

    def deliver(self, parcel: Parcel) -> Receipt:
        if (fault := self._crm.before(parcel)) is not None:
            raise fault
        with self._crm.lock:
            if not parcel.first_try and (known := self._found(parcel)) is not None:
                return known
            self._crm.records.setdefault(parcel.call, []).append(parcel)
            self._crm.calls.append(parcel.call)
        if (fault := self._crm.after(parcel)) is not None:
            raise fault
        return self._receipt(parcel)

    def match(self, parcel: Parcel) -> Match:
        return self._crm.match(parcel)

    def preview(self, parcel: Parcel) -> Sequence[Outgoing]:
        return [Outgoing("POST", "memory", {}, parcel.fields["text"])]

    def check(self) -> Sequence[Checked]:
        return [Checked("credentials", True, "")]

    def remove(self, receipt: Receipt) -> None:
        with self._crm.lock:
            self._crm.records.pop(receipt.external_id.removeprefix("rec-"))

    def close(self) -> None:
        return None

    def _receipt(self, parcel: Parcel) -> Receipt:
        return Receipt("crm", parcel.key, f"rec-{parcel.call}", "2026-01-05T10:00:00+00:00")


def create(options: Options) -> Connector:
    return Connector(options)
