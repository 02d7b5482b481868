"""Builds the redactor of a profile or policy file, with the names model that we carry.

Decides that the model is used where it lies in the catalogue's folder with the bytes that we know,
and that its absence costs recall, not the run (`doctor` says so). Refuses a model of other bytes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from redaction import Policy, Redactor, load_policy
from redaction.policy import parse_policy
from voice_pipeline import catalogue
from voice_pipeline.errors import Misconfigured


@cache
def build_redactor(profile: str) -> Redactor:
    """Build the redactor of a profile, or of a policy file; once a process.

    Raises:
        Misconfigured: there is no such profile, the file does not load, a recognizer that it names
            cannot be built, or the names model is not the one that we made.
    """
    try:
        return with_names(load_policy(profile))
    except (ValueError, OSError) as error:
        raise Misconfigured(f"redaction policy: {error}", code="redaction_policy") from None


def planned_redactor(chosen: Mapping[str, Any]) -> Redactor:
    """Build the redactor of a plan from the plan's own text: a policy file may have changed.

    Raises:
        Misconfigured: the names model or a recognizer is not the one that the plan names.
    """
    if "text" not in chosen:
        return build_redactor(chosen["profile"])
    try:
        redactor = with_names(parse_policy(json.loads(chosen["text"])))
    except ValueError as error:
        raise Misconfigured(f"redaction policy: {error}", code="redaction_policy") from None
    if redactor.sha256 != chosen.get("redactor", redactor.sha256):
        raise Misconfigured(
            "the names model or a recognizer changed since this call was started; start the call "
            "again",
            code="plan_changed",
        )
    return redactor


def with_names(policy: Policy) -> Redactor:
    """Build the redactor of a policy, with the names model of its language where there is one."""
    return Redactor(policy, names=names_model(policy.language))


def names_model(language: str) -> Path | None:
    """Return the file of a language's names model; None where there is none.

    Raises:
        Misconfigured: its bytes are not the catalogue's.
    """
    name = f"names-{language}"
    known = any(entry.name == name for entry in catalogue.models())
    return catalogue.artefact(name) if known and catalogue.present(name) else None
