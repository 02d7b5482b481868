"""`voice-pipeline redact`: JSON lines in, the same with personal data replaced out."""

from __future__ import annotations

import sys

from redaction.jsonl import redact_lines
from voice_pipeline.redactors import build_redactor


def run(profile: str) -> int:
    """Redact standard input; return the exit code (0, or 3 where a line was bad).

    Raises:
        Misconfigured: there is no such profile, or its policy does not load.
    """
    redactor = build_redactor(profile)
    for stream in (sys.stdin, sys.stdout):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="surrogateescape")
    return redact_lines(sys.stdin, sys.stdout, sys.stderr, redactor)
