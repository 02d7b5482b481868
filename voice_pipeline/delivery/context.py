"""What was known of the customer when the call ended: our own calls, and a CRM that may be asked.

Read-only, by the customer reference of the call, only the fields that the settings list, redacted;
kept with the flags and named in the note's provenance with the time of asking. A CRM that does not
answer holds nothing up: the note says that it was asked in vain.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from voice_pipeline.config import Settings
from voice_pipeline.delivery.targets import Targets
from voice_pipeline.domain import Recording
from voice_pipeline.errors import PipelineError
from voice_pipeline.ports import Parcel
from voice_pipeline.store.register import Register


class Consulting:
    """Says what is known of the customer of a call."""

    def __init__(
        self,
        register: Register,
        targets: Targets,
        settings: Settings,
        scrub: Callable[[str, bool], str],
    ) -> None:
        """
        Args:
            scrub: takes personal data out of a text; False: identifiers too.
        """
        self._register, self._targets, self._scrub = register, targets, scrub
        self._asked = settings.context

    def look(self, recording: Recording, days: float) -> dict[str, Any]:
        """Return what is known; empty where the call names no customer.

        Args:
            recording: its `customer_ref` says who the customer is.
            days: how far back our own calls count.
        """
        customer = recording.metadata.get("customer_ref", "")
        if not customer:
            return {}
        known: dict[str, Any] = {
            "asked_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "earlier_contacts": self._register.earlier(recording.id, customer, days),
        }
        if self._asked is not None:
            known |= self._ask(recording)
        return known

    def _ask(self, recording: Recording) -> dict[str, Any]:
        assert self._asked is not None
        name = self._asked.target
        parcel = Parcel(
            key="context", call=recording.id, number=0, event="context", note={}, fields={},
            metadata=recording.metadata, at="",
        )  # fmt: skip
        try:
            connector = self._targets.get(name).connector
            if not connector.traits.matches:
                return {"source": name, "found": "not_asked"}
            match = connector.match(parcel)
        except PipelineError as error:
            return {"source": name, "found": "no_answer", "code": error.code}
        fields = {
            key: self._scrub(value, False)
            for key, value in match.known.items()
            if key in self._asked.fields
        }
        return {"source": name, "found": match.found, "fields": fields, **_tickets(fields)}


def _tickets(fields: Mapping[str, str]) -> dict[str, int]:
    count = fields.get("open_tickets", "")
    return {"open_tickets": int(count)} if count.isascii() and count.isdigit() else {}
