"""The permission table: what there is to do, and which roles may do it. The only one there is.

Decides by name alone, before anything is looked up. Refuses a permission that is not in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """What somebody is to the service; a principal has exactly one."""

    uploader = "uploader"
    integration = "integration"
    agent = "agent"
    supervisor = "supervisor"
    compliance = "compliance"
    admin = "admin"


ROLES: dict[Role, str] = {
    Role.uploader: "A recorder or a script: hands in calls, sees how far they are, never content.",
    Role.integration: "A CRM or ticket system: hands in calls, reads what was released.",
    Role.agent: "A person who works on calls: reads and hears what was released.",
    Role.supervisor: "Leads agents: decides on notes and on calls that are held.",
    Role.compliance: "Answers for data protection: vault, erasure, legal hold, both logs.",
    Role.admin: "Runs the service: keys, policies, deliveries; no vault, redacted results only.",
}


@dataclass(frozen=True, slots=True)
class Permission:
    name: str
    roles: frozenset[Role]
    meaning: str
    looks: bool = False  # its use shows a recording, its words or a log: goes into the access log


def _permission(name: str, roles: str, meaning: str, *, looks: bool = False) -> Permission:
    return Permission(name, frozenset(Role(role) for role in roles.split()), meaning, looks)


_EVERYBODY = " ".join(Role)
_READERS = "integration agent supervisor compliance admin"

PERMISSIONS: dict[str, Permission] = {
    permission.name: permission
    for permission in (
        _permission(
            "calls.upload",
            "uploader integration supervisor admin",
            "Hand in a recording with its metadata.",
        ),
        _permission(
            "calls.import",
            "integration admin",
            "Hand in many at once by a manifest, or by reference to a bucket.",
        ),
        _permission(
            "calls.read",
            _EVERYBODY,
            "See which calls there are and how far each is; shows no content.",
        ),
        _permission(
            "calls.search",
            "agent supervisor compliance admin",
            "Search the redacted text of calls.",
            looks=True,
        ),
        _permission("notes.read", _READERS, "Read a released case note.", looks=True),
        _permission("transcripts.read", _READERS, "Read a redacted transcript.", looks=True),
        _permission("audio.read", _READERS, "Hear a muted recording.", looks=True),
        _permission(
            "logs.read", "supervisor compliance admin", "Read a redaction log.", looks=True
        ),
        _permission(
            "vcon.read",
            "integration compliance admin",
            "Export a released call as vCon.",
            looks=True,
        ),
        _permission("calls.route", "agent supervisor", "Move a call to another queue."),
        _permission("calls.cancel", "integration supervisor admin", "Stop the work on a call."),
        _permission(
            "calls.retry",
            "supervisor admin",
            "Run a call again, from a stage, or with a newer policy or model.",
        ),
        _permission(
            "calls.erase", "compliance admin", "Ask for an erasure, confirm one, read its receipt."
        ),
        _permission("calls.hold", "compliance", "Put a call under legal hold, or lift the hold."),
        _permission(
            "reviews.decide", "supervisor admin", "Approve, reject or edit a note.", looks=True
        ),
        _permission(
            "held.decide",
            "supervisor compliance",
            "Release, run again or discard a call that is held.",
            looks=True,
        ),
        _permission(
            "escalations.read",
            "integration agent supervisor compliance admin",
            "See which escalations stand open, whose they are and by when; shows no content.",
        ),
        _permission(
            "escalations.decide",
            "agent supervisor compliance",
            "Acknowledge or resolve an escalation, with a reason.",
        ),
        _permission(
            "vault.open", "compliance", "Open raw material of a call, with a reason.", looks=True
        ),
        _permission("events.read", "integration admin", "Follow the events of all calls in reach."),
        _permission(
            "deliveries.read",
            "integration supervisor compliance admin",
            "See where notes went, and what was refused.",
        ),
        _permission("deliveries.replay", "supervisor admin", "Deliver again what was refused."),
        _permission(
            "policies.read", "supervisor compliance admin", "Read the policy packs in use."
        ),
        _permission("policies.change", "compliance admin", "Bring in or choose a policy pack."),
        _permission("metrics.read", "integration admin", "Read the metrics; counts, no content."),
        _permission(
            "service.operate",
            "admin",
            "Pause queues and backfills, drain workers, replay dead letters.",
        ),
        _permission("keys.manage", "admin", "Make, list, rotate and revoke API keys."),
        _permission(
            "access_log.read", "compliance admin", "Read the access log and verify it.", looks=True
        ),
    )
}


def may(role: Role, permission: str) -> bool:
    """Return whether a role has a permission.

    Raises:
        KeyError: there is no such permission; a mistake in the code, not of a user.
    """
    return role in PERMISSIONS[permission].roles
