"""The `redact` command over lines of JSON: order kept, a bad line never stops the others.

Decides how findings in words become offsets of the input's own characters. Refuses lines that are
no record, with one line on the error stream that says why and never what was in it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, TextIO

from redaction.records import Finding, Turn, Word
from redaction.redactor import Redactor
from redaction.rendering import replace
from redaction.tokens import tokenize

OK, BAD_INPUT = 0, 3
_LEFT = "\"'“‘«*_"
_RIGHT = ".,;:!?\"'”’»*_…"
_PAIRS = {"(": ")", "[": "]", "{": "}"}


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
    texts, spans = redact_texts(items, redactor)
    if "text" in record:
        for span in spans:
            del span["turn"]
        return {**record, "text": texts[0], "spans": spans}
    turns = [{**turn, "text": text} for turn, text in zip(record["turns"], texts, strict=True)]
    return {**record, "turns": turns, "spans": spans}


def redact_texts(
    items: list[tuple[str, str]], redactor: Redactor
) -> tuple[list[str], list[dict[str, Any]]]:
    """Redact (speaker, text) pairs of one conversation.

    Returns:
        The texts with placeholders, and the spans: turn, start, end (code points of the input,
        end exclusive), label, score, detector, rule.
    """
    tokens = [tokenize(text) for _, text in items]
    turns = tuple(
        Turn(speaker, tuple(Word(word, None, None) for word, _, _ in found))
        for (speaker, _), found in zip(items, tokens, strict=True)
    )
    findings = redactor.find(turns)
    rendered = replace(turns, findings, redactor.policy)
    names = _placeholders(rendered, findings)
    texts, spans = [], []
    for index, (_, text) in enumerate(items):
        parts, position = [], 0
        for finding, name in zip(findings, names, strict=True):
            if finding.turn != index:
                continue
            start = tokens[index][finding.first][1]
            end = tokens[index][finding.last - 1][2]
            start, end = trim(text, start, end, possessive=finding.label == "PERSON")
            spans.append(
                {
                    "turn": index, "start": start, "end": end, "label": finding.label,
                    "score": finding.score, "detector": finding.detector, "rule": finding.rule,
                }
            )  # fmt: skip
            parts += [text[position:start], name]
            position = end
        parts.append(text[position:])
        texts.append("".join(parts))
    return texts, spans


def trim(text: str, start: int, end: int, *, possessive: bool = True) -> tuple[int, int]:
    """Return a span without the punctuation around it; never an empty one."""
    a, b = start, end
    while a < b - 1 and (
        text[a] in _LEFT or (text[a] in _PAIRS and _PAIRS[text[a]] not in text[a:b])
    ):
        a += 1
    while b > a + 1:
        if text[b - 1] in _RIGHT or (
            text[b - 1] in ")]}"
            and not any(
                left in text[a : b - 1] for left, right in _PAIRS.items() if right == text[b - 1]
            )
        ):
            b -= 1
        elif possessive and text[b - 2 : b] in ("'s", "’s") and b - 2 > a:
            b -= 2
        else:
            break
    return a, b


def _placeholders(
    rendered: tuple[tuple[Word, ...], ...], findings: tuple[Finding, ...]
) -> list[str]:
    names, shift, turn = [], 0, -1
    for finding in findings:
        if finding.turn != turn:
            turn, shift = finding.turn, 0
        names.append(rendered[turn][finding.first - shift].text)
        shift += finding.last - finding.first - 1
    return names


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
