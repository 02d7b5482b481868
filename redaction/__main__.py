"""`python -m redaction`: redact JSON lines from standard input to standard output."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from redaction.jsonl import redact_lines
from redaction.model import load_names
from redaction.policy import load_policy
from redaction.redactor import Redactor

USAGE, MISCONFIGURED = 2, 4


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m redaction",
        description="Find personal data in call transcripts, the way people say it.",
        epilog="example: python -m redaction --profile paranoid < calls.jsonl > redacted.jsonl",
    )
    parser.add_argument(
        "--profile", default="balanced", help="precise, balanced or paranoid (default: balanced)"
    )
    parser.add_argument("--policy", help="a policy file instead of a profile")
    parser.add_argument(
        "--names", type=Path, metavar="FILE", help="a names model; without it, rules alone"
    )
    given = parser.parse_args(arguments)
    try:
        redactor = Redactor(load_policy(given.policy or given.profile), names=given.names)
        if redactor.names:
            load_names(redactor.names)
    except (ValueError, OSError) as error:
        print(f"error: policy: {error} (misconfigured)", file=sys.stderr)
        return MISCONFIGURED if given.policy or given.names else USAGE
    sys.stdin.reconfigure(encoding="utf-8", errors="surrogateescape")  # type: ignore[union-attr]
    sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
    return redact_lines(sys.stdin, sys.stdout, sys.stderr, redactor)


if __name__ == "__main__":
    raise SystemExit(main())
