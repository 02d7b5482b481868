"""What is known of recordings beside them: a CSV manifest, a pattern of names, a JSON sidecar.

Decides which words of a name or a table are which metadata. Refuses what it would have to guess.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePath
from typing import Any

from voice_pipeline.errors import BadInput
from voice_pipeline.intake import check_metadata

FILE = "file"  # column of a manifest
LARGEST_SIDECAR = 64 << 10  # bytes
# what strptime reads of a number, and how many digits it has
DIGITS = {"Y": 4, "y": 2, "m": 2, "d": 2, "H": 2, "M": 2, "S": 2, "j": 3}
FIELD = re.compile(r"\{([a-z][a-z0-9_.-]{0,63}|_)?(?::([^{}]+))?\}")


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a manifest: what it names and what it says of it, or why it says nothing."""

    number: int  # from 1; the header is one
    file: str
    metadata: Mapping[str, str]
    fault: BadInput | None = None


def read_csv(data: bytes, name: str, column: str = FILE) -> list[Line]:
    """Read a manifest: a column that names recordings, every other one metadata.

    A line that cannot be used comes back with its fault; the others are good.

    Args:
        data: UTF-8, the first line is the header.
        name: of the manifest, for messages.
        column: the one that names recordings.

    Raises:
        BadInput: nothing of it can be used (code `manifest`).
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BadInput(f"{name}: not UTF-8; save the table as CSV in UTF-8", code="manifest") from (
            None
        )
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    lines: list[Line] = []
    try:
        header = [cell.strip().lower() for cell in next(rows, [])]
        if column not in header or len(set(header)) < len(header):
            raise BadInput(
                f"{name}: the first line names the columns, each once, and `{column}` is one of "
                "them",
                code="manifest",
            )
        seen: set[str] = set()
        number = rows.line_num + 1
        for cells in rows:
            if any(cell.strip() for cell in cells):
                lines.append(_line(number, header, cells, column, seen))
            number = rows.line_num + 1
    except csv.Error:
        raise BadInput(
            f"{name}:{rows.line_num}: broken CSV; check the quotes", code="manifest"
        ) from (None)
    return lines


def _line(number: int, header: list[str], cells: list[str], column: str, seen: set[str]) -> Line:
    given = {key: cell.strip() for key, cell in zip(header, cells, strict=False) if cell.strip()}
    file = given.pop(column, "")
    try:
        if len(cells) != len(header):
            raise BadInput(f"{len(cells)} cells, but the header has {len(header)}", code="manifest")
        if not file:
            raise BadInput(f"the column `{column}` is empty", code="manifest")
        if file in seen:
            raise BadInput("the same recording stands above", code="manifest")
        seen.add(file)
        return Line(number, file, check_metadata(given, ""))
    except BadInput as error:
        return Line(number, file, {}, error)


def flat_json(data: bytes) -> dict[str, str]:
    """Return a flat JSON object as text values.

    Raises:
        BadInput: it is none, or has a key twice (code `meta`).
    """
    text = data.strip()
    if not text:
        return {}
    try:
        given = json.loads(text, object_pairs_hook=_once, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError is a ValueError
        raise BadInput("metadata: not JSON", code="meta") from error
    if not isinstance(given, dict):
        raise BadInput("metadata: not a JSON object", code="meta")
    return {key.strip().lower(): _plain(value) for key, value in given.items() if value is not None}


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | int | float):
        return str(value)
    raise BadInput("metadata: values are texts, numbers, true or false", code="meta")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({key.strip().lower() for key, _ in pairs}) < len(pairs):
        raise BadInput("metadata: a key stands twice", code="meta")
    return dict(pairs)


def _no_constant(_name: str) -> Any:
    raise ValueError


class NamePattern:
    """Reads metadata out of file names: `{call_ref}_{agent}_{started_at:%Y%m%d-%H%M%S}`.

    A field holds anything but the character that stands behind it, so that every name is read in
    one way. `{_}` stands for what is of no interest. The ending of the name does not count.
    """

    def __init__(self, pattern: str) -> None:
        """
        Raises:
            BadInput: it cannot be read in one way (code `pattern`).
        """
        self._times: dict[str, str] = {}  # field -> form of its time
        self._groups: dict[str, str] = {}  # group of the expression -> field
        parts, at = list[str](), 0
        for field in FIELD.finditer(pattern):
            if field.start() == at > 0:
                raise _bad("something must stand between two fields")
            parts.append(re.escape(_literal(pattern[at : field.start()])))
            at = field.end()
            name = field[1] or "_"
            body = self._body(name, field[2], pattern[at : at + 1])
            if name == "_":
                parts.append(body)
                continue
            if name in self._groups.values():
                raise _bad(f"the field {name} stands twice")
            group = f"g{len(self._groups)}"  # a field's name need not be one of a group
            self._groups[group] = name
            parts.append(f"(?P<{group}>{body})")
        parts.append(re.escape(_literal(pattern[at:])))
        if not self._groups:
            raise _bad("it has no field, for example {call_ref}")
        self._pattern = re.compile("".join(parts))

    def _body(self, name: str, form: str | None, behind: str) -> str:
        if form is None:
            return f"[^{re.escape(behind)}]+" if behind else ".+"
        if name != "started_at":
            raise _bad("only started_at has a form, for example {started_at:%Y%m%d-%H%M%S}")
        self._times[name] = form
        pieces = re.split(r"%(.)", form)
        unknown = sorted(set(pieces[1::2]) - DIGITS.keys())
        if unknown or len(pieces) == 1:
            raise _bad(f"started_at is made of {' '.join('%' + one for one in DIGITS)}")
        return "".join(
            f"[0-9]{{{DIGITS[piece]}}}" if odd % 2 else re.escape(piece)
            for odd, piece in enumerate(pieces)
        )

    def read(self, name: str) -> dict[str, str]:
        """Return the metadata that a file name holds.

        Raises:
            BadInput: it does not fit (code `pattern`).
        """
        match = self._pattern.fullmatch(PurePath(name).stem)
        if match is None:
            raise BadInput("the name does not fit --pattern", code="pattern")
        found = {name: match[group] for group, name in self._groups.items()}
        for name, form in self._times.items():
            try:
                found[name] = datetime.strptime(found[name], form).isoformat()
            except ValueError:
                raise BadInput("the name holds a time that there is not", code="pattern") from None
        return found


def _literal(text: str) -> str:
    if "{" in text or "}" in text:
        raise _bad("a field is {name}, small letters, digits and _")
    return text


def _bad(why: str) -> BadInput:
    return BadInput(f"--pattern: {why}", code="pattern")
