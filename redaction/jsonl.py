"""The `redact` command over lines of JSON: order kept, a bad line never stops the others.

Decides how findings in words become offsets of the input's own characters. Refuses lines that are
no record, with one line on the error stream that says why and never what was in it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, TextIO

from redaction.beside import SPOKEN, fields_of, redact_all
from redaction.redactor import Redactor
from redaction.spans import trim

__all__ = ["redact_lines", "redact_record", "redact_texts", "trim"]
OK, BAD_INPUT = 0, 3


def redact_lines(lines: Iterable[str], out: TextIO, err: TextIO, redactor: Redactor) -> int:
    """Redact JSON lines.

    Args:
        lines: `{"id","text"}` or `{"id","turns":[{"speaker","text"}]}`, one per line.
        out: gets one line per input line, in the same order.
        err: gets one line per bad input line.
        redactor: what finds personal data.

    Returns:
        The exit code: 0, or 3 where a line was bad.
    """
    code = OK
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        record: Any = None
        try:
            record = json.loads(line)
            answer = redact_record(record, redactor)
        except (ValueError, RecursionError) as error:
            code = BAD_INPUT
            why = "is not JSON" if isinstance(error, json.JSONDecodeError) else str(error)
            if isinstance(error, RecursionError):
                why = "is nested too deeply"
            ident = record.get("id") if isinstance(record, dict) else None
            if not isinstance(ident, str | int | float | None):
                ident = None
            answer = {"id": ident, "error": f"line {number} {why}"}
            print(f"error: line {number}: {why} (bad_input)", file=err)
        out.write(json.dumps(answer, ensure_ascii=False).encode("utf-8", "replace").decode() + "\n")
    return code


def redact_record(record: Any, redactor: Redactor) -> dict[str, Any]:
    """Return a record with its text redacted and its spans.

    Raises:
        ValueError: the record is none; the message says what is wrong.
    """
    if not isinstance(record, dict):
        raise ValueError("is no JSON object: give id and text or turns")
    if ("text" in record) == ("turns" in record):
        raise ValueError("needs exactly one of text and turns")
    if "text" in record:
        items = [("", _text(record["text"], "text"))]
    else:
        if not isinstance(record["turns"], list):
            raise ValueError("has turns that are no list")
        items = [_turn(turn, index) for index, turn in enumerate(record["turns"])]
    if "text" in record:
        beside, around = [fields_of(record)], {}
    else:
        beside, around = [fields_of(turn) for turn in record["turns"]], fields_of(record)
    found = redact_all(items, beside, around, redactor)
    if "text" in record:
        for span in found.spans:
            del span["turn"]
        return {**_spoken(record), **found.beside[0], "text": found.texts[0], "spans": found.spans}
    turns = [
        {**_spoken(turn), **fields, "text": text}
        for turn, fields, text in zip(record["turns"], found.beside, found.texts, strict=True)
    ]
    return {**_spoken(record), **found.around, "turns": turns, "spans": found.spans}


def _spoken(record: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in record.items() if key in SPOKEN}


def redact_texts(
    items: list[tuple[str, str]], redactor: Redactor
) -> tuple[list[str], list[dict[str, Any]]]:
    """Redact (speaker, text) pairs of one conversation.

    Returns:
        The texts with placeholders, and the spans: turn, start, end (code points of the input,
        end exclusive), label, score, detector, rule.
    """
    found = redact_all(items, [{} for _ in items], {}, redactor)
    return found.texts, found.spans


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise ValueError(f"has a {where} that is no string")
    return value


def _turn(turn: Any, index: int) -> tuple[str, str]:
    if not isinstance(turn, dict):
        raise ValueError(f"has a turn {index} that is no object: give speaker and text")
    speaker = turn.get("speaker", "")
    return (speaker if isinstance(speaker, str) else ""), _text(
        turn.get("text"), f"turn {index} text"
    )
