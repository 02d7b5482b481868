"""A vCon that was handed in as a call: its one recording, and what is known of it.

Decides which facts become metadata of the call. Leaves telephone numbers, addresses and names of
customers where they are; refuses to guess between two recordings.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from voice_pipeline.errors import BadInput
from voice_pipeline.vcon.content import hash_fault, matches
from voice_pipeline.vcon.rules import is_date, is_https, is_uuid
from voice_pipeline.vcon.verify import inline

LONGEST = 200  # letters of a fact
PRIOR = "vcon_ref"  # metadata: the vCon that a call came in with
HEX, LETTERS = "0123456789abcdef", "abcdefghijklmnop"
Side = Literal["auto", "left", "right"]


@dataclass(frozen=True, slots=True)
class Linked:
    """A recording that lies elsewhere."""

    url: str
    content_hash: Any

    def check(self, data: bytes) -> None:
        """Refuse bytes that are not the recording.

        Raises:
            BadInput: code `vcon_hash`.
        """
        if not matches(self.content_hash, data):
            raise _other_bytes()


@dataclass(frozen=True, slots=True)
class Contained:
    """The recording of a vCon."""

    content: bytes | Linked = field(repr=False)
    metadata: Mapping[str, str]  # as `--meta` would say it
    agent_channel: Side = "auto"


def find_recording(document: Mapping[str, Any]) -> Contained:
    """Return the one recording of an unsigned vCon.

    Raises:
        BadInput: it has none with content, or several (`vcon_recordings`), the content cannot be
            read (`vcon_damaged`), or it is not what its hash says (`vcon_hash`).
    """
    dialogs, parties = _objects(document.get("dialog")), _objects(document.get("parties"))
    found = [one for one in dialogs if one.get("type") == "recording"
             and ("body" in one or "url" in one)]  # fmt: skip
    if len(found) != 1:
        what = f"{len(found)} recordings" if found else "no recording"
        raise BadInput(
            f"the vCon holds {what}; a call is one recording: hand in a vCon with one",
            code="vcon_recordings",
        )
    dialog = found[0]
    return Contained(_content(dialog), _facts(document, dialog, parties), _side(dialog, parties))


def letters(uuid: str) -> str:
    """Write a UUID without digits: redaction takes digits for account numbers, rightly."""
    return uuid.lower().replace("-", "").translate(str.maketrans(HEX, LETTERS))


def from_letters(text: str) -> str | None:
    """Return the UUID that `letters` wrote; None where it is none."""
    if len(text) != 32 or not set(text) <= {*LETTERS}:
        return None
    digits = text.translate(str.maketrans(LETTERS, HEX))
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _content(dialog: Mapping[str, Any]) -> bytes | Linked:
    token = dialog.get("content_hash")
    if "body" in dialog:
        data = inline(dialog)
        if data is None or dialog.get("encoding") != "base64url":
            raise BadInput(
                "the recording in the vCon is no base64url; export it again", code="vcon_damaged"
            )
        if token is not None and (hash_fault(token) is not None or not matches(token, data)):
            raise _other_bytes()
        return data
    if not is_https(dialog["url"]):
        raise BadInput("the vCon's recording has no https URL", code="vcon_damaged")
    if hash_fault(token) is not None:
        raise BadInput(
            "the vCon names a recording that lies elsewhere, and has no SHA-512 of it",
            code="vcon_hash",
        )
    return Linked(dialog["url"], token)


def _facts(
    document: Mapping[str, Any], dialog: Mapping[str, Any], parties: list[Mapping[str, Any]]
) -> dict[str, str]:
    """Return metadata: when, which way, who the agent is, and what the call is filed under."""
    agent, customer = (_with_role(parties, role) for role in ("agent", "customer"))
    facts: dict[str, Any] = {
        "started_at": dialog.get("start") if is_date(dialog.get("start")) else None,
        "direction": _direction(dialog, parties),
        "call_ref": dialog.get("interaction_id"),
        "skill": dialog.get("skill"),
        "campaign": dialog.get("campaign"),
        "agent": agent.get("name") or agent.get("uuid"),
        "team": agent.get("dept"),
        "customer_ref": customer.get("uuid"),
    }
    if is_uuid(document.get("uuid")):
        facts[PRIOR] = letters(document["uuid"])
    return {name: kept for name, value in facts.items() if (kept := _line(value))}


def _line(value: Any) -> str:
    if not isinstance(value, str):
        return ""
    return "".join(c if c.isprintable() else " " for c in value).strip()[:LONGEST]


def _with_role(parties: list[Mapping[str, Any]], role: str) -> Mapping[str, Any]:
    found = [one for one in parties if one.get("role") == role]
    return found[0] if len(found) == 1 else {}


def _direction(dialog: Mapping[str, Any], parties: list[Mapping[str, Any]]) -> str | None:
    """An agent who is the originator called out; the first party of a recording is it, else."""
    first = dialog.get("originator", next(_members(dialog.get("parties")), None))
    if not isinstance(first, int) or not 0 <= first < len(parties):
        return None
    return {"agent": "outbound", "customer": "inbound"}.get(str(parties[first].get("role")))


def _side(dialog: Mapping[str, Any], parties: list[Mapping[str, Any]]) -> Side:
    """Return where a two-channel recording says that the agent is."""
    channels = dialog.get("parties")
    if not isinstance(channels, list) or len(channels) != 2:
        return "auto"
    roles = [
        {parties[one].get("role") for one in _members(channel) if one < len(parties)}
        for channel in channels
    ]
    if roles == [{"agent"}, {"customer"}]:
        return "left"
    return "right" if roles == [{"customer"}, {"agent"}] else "auto"


def _members(value: Any) -> Iterator[int]:
    for one in value if isinstance(value, list) else [value]:
        for index in one if isinstance(one, list) else [one]:
            if isinstance(index, int) and not isinstance(index, bool) and index >= 0:
                yield index


def _objects(value: Any) -> list[Mapping[str, Any]]:
    """Return a list's objects, empty ones where there is something else: indices must hold."""
    listed = value if isinstance(value, list) else []
    return [one if isinstance(one, dict) else {} for one in listed]


def _other_bytes() -> BadInput:
    return BadInput(
        "the recording is not the one whose hash stands in the vCon (content_hash): one of them "
        "was changed",
        code="vcon_hash",
    )
