"""Labelled examples as people keep them: a CSV of `text,label`, from any spreadsheet.

Decides what a row means. It refuses a file whose rows contradict one another, that holds one label
alone, or that cannot be read, and says in which row; a text is never repeated.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from voice_pipeline.errors import BadInput
from voice_pipeline.spoken.fewshot import normal

TEXT_NAMES = ("text", "utterance", "example")  # headers that are understood, best first
LABEL_NAMES = ("label", "intent", "category")
LONGEST_LABEL = 200  # characters; longer ones are texts in the wrong column
SHOWN = 3  # rows named in a message


@dataclass(frozen=True, slots=True)
class Example:
    """One labelled text."""

    text: str
    label: str
    row: int  # in the file, counted from 1, header included


def read_examples(file: Path) -> tuple[Example, ...]:
    """Read a CSV of examples, and leave out exact repetitions.

    The header may be missing (text first, then label), columns may stand in any order and others
    beside them; comma, semicolon or tab separate; empty rows are skipped.

    Raises:
        BadInput: `not_found`, `unreadable`, or `examples`: see the message.
    """
    found = tuple(_unique(_rows(file, _decoded(file)), file))
    if not found:
        raise _fault(file, "no example in it; give rows of text,label")
    return found


def check_trainable(examples: Sequence[Example], file: Path) -> None:
    """Refuse examples from which nothing can be told apart.

    Raises:
        BadInput: code `examples`.
    """
    labels = {example.label for example in examples}
    if len(labels) < 2:
        raise _fault(
            file, f"{len(examples)} example(s) of one label; at least two labels are needed"
        )


def _decoded(file: Path) -> str:
    try:
        data = file.read_bytes()
    except FileNotFoundError:
        raise BadInput(f"{file}: no such file", code="not_found") from None
    except OSError as error:
        raise BadInput(
            f"{file}: cannot be read ({type(error).__name__}); name a CSV file", code="unreadable"
        ) from None
    utf16 = data.startswith((b"\xff\xfe", b"\xfe\xff"))  # what spreadsheets call Unicode text
    try:
        text = data.decode("utf-16" if utf16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise _fault(
            file, f"line {line} is not UTF-8; save the file as CSV with UTF-8 encoding"
        ) from None
    if "\x00" in text:
        raise _fault(file, "holds NUL bytes, so it is no text file; save it as CSV with UTF-8")
    return text


def _rows(file: Path, text: str) -> Iterator[Example]:
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=_separator(text))
    columns: tuple[int, int] | None = None
    number = 0
    try:
        for row in rows:
            number = rows.line_num
            if not any(cell.strip() for cell in row):
                continue
            if columns is None:
                columns = _named(row)
                if columns is not None:
                    continue
                columns = 0, 1
            yield _example(file, row, columns, number)
    except csv.Error as error:
        raise _fault(file, f"row {number + 1} is no CSV ({error})") from None


def _separator(text: str) -> str:
    """Return what separates the columns: that by which the first row has two, or a header."""
    for mark in ",;\t":
        try:
            first = next(csv.reader(io.StringIO(text.lstrip(), newline=""), delimiter=mark), [])
        except csv.Error:
            continue
        if len(first) == 2 or _named(first) is not None:
            return mark
    return ","


def _named(row: list[str]) -> tuple[int, int] | None:
    """Return the columns of text and label if the row is a header."""
    names = [cell.strip().lower() for cell in row]
    text = next((names.index(name) for name in TEXT_NAMES if name in names), None)
    label = next((names.index(name) for name in LABEL_NAMES if name in names), None)
    return None if text is None or label is None else (text, label)


def _example(file: Path, row: list[str], columns: tuple[int, int], number: int) -> Example:
    if len(row) <= max(columns):
        raise _fault(file, f"row {number} has no label; give text,label")
    if columns == (0, 1) and len(row) > 2 and any(cell.strip() for cell in row[2:]):
        raise _fault(
            file,
            f"row {number} has {len(row)} columns; put a text that holds the separator in quotes, "
            "or name the columns text and label in a header",
        )
    text, label = (row[column].strip() for column in columns)
    if not text or not label:
        raise _fault(file, f"row {number} has no {'text' if not text else 'label'}")
    if len(label) > LONGEST_LABEL:
        raise _fault(
            file,
            f"row {number}: the label has {len(label)} characters; the columns are text,label, in "
            "this order where there is no header",
        )
    return Example(text, label, number)


def _unique(examples: Iterator[Example], file: Path) -> Iterator[Example]:
    seen: dict[str, Example] = {}
    conflicts = []
    for example in examples:
        key = normal(example.text) or example.text
        before = seen.setdefault(key, example)
        if before is example:
            yield example
        elif before.label != example.label:
            conflicts.append((before.row, example.row))
    if conflicts:
        rows = ", ".join(f"{one} and {other}" for one, other in conflicts[:SHOWN])
        more = f" and {len(conflicts) - SHOWN} more" if len(conflicts) > SHOWN else ""
        raise _fault(
            file,
            f"the same text has two labels in rows {rows}{more}; keep one of each",
        )


def _fault(file: Path, what: str) -> BadInput:
    return BadInput(f"{file}: {what}", code="examples")
