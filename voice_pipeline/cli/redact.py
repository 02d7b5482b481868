"""`voice-pipeline redact`: JSON lines in, the same with personal data replaced out."""

from __future__ import annotations

import sys

from redaction.jsonl import redact_lines
from redaction.policy import load_policy
from redaction.redactor import Redactor
from voice_pipeline.errors import Misconfigured


def run(profile: str) -> int:
    """Redact standard input; return the exit code (0, or 3 where a line was bad).

    Raises:
        Misconfigured: there is no such profile, or its policy does not load.
    """
    try:
        policy = load_policy(profile)
    except (ValueError, OSError) as error:
        raise Misconfigured(f"redaction policy: {error}") from None
    for stream in (sys.stdin, sys.stdout):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="surrogateescape")
    return redact_lines(sys.stdin, sys.stdout, sys.stderr, Redactor(policy))
