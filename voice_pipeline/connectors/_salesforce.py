"""What Salesforce's answers mean: error codes and descriptions of fields; and SOQL texts.

Codes and names of fields are repeated where they look like such; messages never are.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from voice_pipeline.connectors._http import Answer, waits
from voice_pipeline.errors import Misconfigured, Permanent, PipelineError, Retryable
from voice_pipeline.ports import Checked

ASKED = (300, 400, 401, 403, 404, 405, 409)  # statuses whose bodies say more than they do
BUSY = {"REQUEST_LIMIT_EXCEEDED", "SERVER_UNAVAILABLE"}
BUSY_FOR = 60.0  # seconds, where it does not say: limits are of a day, or of requests at once
AGAIN = {"UNABLE_TO_LOCK_ROW", "UNKNOWN_EXCEPTION", "QUERY_TIMEOUT", "REQUEST_RUNNING_TOO_LONG"}
SETTINGS = {
    "INVALID_FIELD", "INVALID_FIELD_FOR_INSERT_UPDATE", "INVALID_TYPE", "NOT_FOUND",
    "API_CURRENTLY_DISABLED", "API_DISABLED_FOR_ORG", "UNSUPPORTED_API_VERSION",
    "INSUFFICIENT_ACCESS", "INSUFFICIENT_ACCESS_OR_READONLY", "MALFORMED_QUERY",
}  # fmt: skip
SEVERAL = "SEVERAL_RECORDS"  # ours: a 300 has records for a body, and no code
NO_CODE = "NO_CODE"  # ours as well


def fault(answer: Answer) -> tuple[str | None, tuple[str, ...]]:
    """Return the code of a refusal and the fields that it names; (None, ()) for none."""
    if answer.status < 300:
        return None, ()
    if answer.status == 300:
        return SEVERAL, ()
    try:
        said = answer.json()
    except Retryable:
        said = None
    first = said[0] if isinstance(said, list) and said else said
    if not isinstance(first, dict):
        return NO_CODE, ()
    code, fields = first.get("errorCode"), first.get("fields")
    named = fields if isinstance(fields, list) else []
    return (
        code if isinstance(code, str) and re.fullmatch(r"[A-Z_]{1,60}", code) else NO_CODE,
        tuple(name for name in named if isinstance(name, str) and re.fullmatch(r"\w{1,80}", name)),
    )


def refusal(answer: Answer, code: str, fields: tuple[str, ...]) -> PipelineError:
    """Return the error that a code stands for."""
    where = f", fields {', '.join(fields)}" if fields else ""
    said = f"HTTP {answer.status}, {code}{where}"
    if code in BUSY:
        after = waits(answer) or BUSY_FOR
        return Retryable(f"Salesforce asks to wait ({said})", code="target_busy", after=after)
    if code in AGAIN:
        return Retryable(f"Salesforce could not do it just now ({said})", code="target_failed")
    if code == SEVERAL:
        return Permanent(
            "several records carry this call's external id: mark the field as unique, and merge "
            "the records",
            code="target_refused",
        )
    if code in SETTINGS:
        return Misconfigured(
            f"object, fields or rights do not fit ({said}); `targets test` says which",
            code="target_field",
        )
    if answer.status in (401, 403):
        return Misconfigured(f"Salesforce refuses our rights ({said})", code="target_denied")
    return Permanent(f"Salesforce refuses this ({said})", code="target_refused")


def quoted(value: str) -> str:
    """Return a text as a SOQL string: the two reserved characters escaped."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def looked_at(
    fields: Mapping[str, Mapping[str, Any]], kind: str, name: str, *wanted: str
) -> Checked:
    """Say whether a field is there for us and can do what is wanted of it."""
    what = f"field {kind}.{name}"
    if name not in fields:
        return Checked(what, False, "is not there, or the integration's user may not see it")
    lacks = [trait for trait in wanted if fields[name].get(trait) is not True]
    if lacks:
        return Checked(what, False, f"is not {', '.join(lacks)}: change the field, or the rights")
    return Checked(what, True, "")
