"""Redaction of conversations: find personal data the way people say it, in words with times.

Decides what is personal and where it stands; renders it as placeholders in text and as windows
in audio. Refuses to keep, log or return a value.
"""

from __future__ import annotations

from redaction.labels import LABELS
from redaction.policy import Policy, load_policy
from redaction.records import Finding, Redaction, Turn, Window, Word
from redaction.redactor import Redactor
from redaction.rendering import replace
from redaction.tokens import tokenize

__all__ = [
    "LABELS",
    "Finding",
    "Policy",
    "Redaction",
    "Redactor",
    "Turn",
    "Window",
    "Word",
    "load_policy",
    "replace",
    "tokenize",
]
