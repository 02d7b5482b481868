"""File names and metadata values without personal data.

Identifiers that the operator hands in (`customer_ref`, `call_ref`, ...) are what the result is
filed under and stay; payment data and government numbers go even there.
"""

from __future__ import annotations

from redaction import Redactor
from redaction.jsonl import redact_record
from redaction.labels import NEVER_AN_IDENTIFIER


class Scrubber:
    """Redacts short texts that were never spoken."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor

    def __call__(self, text: str, identifier: bool) -> str:
        """Return the text with placeholders.

        Args:
            text: a file name's stem or a metadata value.
            identifier: the value is one that the operator files under.
        """
        record = redact_record({"text": text}, self._redactor)
        if not identifier:
            return str(record["text"])
        for span in reversed(record["spans"]):
            if span["label"] in NEVER_AN_IDENTIFIER:
                text = f"{text[: span['start']]}[{span['label']}]{text[span['end'] :]}"
        return text
