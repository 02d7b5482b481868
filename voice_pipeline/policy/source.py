"""Reads the YAML of a pack together with the line each value stands on.

Plain YAML only: no anchors, no tags, no duplicate keys, and `yes`/`no`/`on` stay words. Whatever
is wrong becomes a `Fault` with file and line; nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

Model = TypeVar("Model", bound=BaseModel)
Place = tuple[str | int, ...]

MAX_BYTES = 2_000_000  # a pack file is written by people; more is a mistake
DEEPEST = 50  # levels of nesting; a pack has five
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # PyYAML may be built without the quick one


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with a pack."""

    file: Path
    line: int  # counts from 1
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message}"


@dataclass(frozen=True, slots=True)
class Source:
    """A YAML file's data, and the line of every value in it."""

    path: Path
    data: Any
    lines: Mapping[Place, int]

    def line(self, place: Sequence[str | int]) -> int:
        """Return the line of the value at `place`, or of the nearest value around it."""
        for cut in range(len(place), -1, -1):
            if tuple(place[:cut]) in self.lines:
                return self.lines[tuple(place[:cut])]
        return 1


class Refused(Exception):
    """A pack cannot be used: `faults` says why."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("; ".join(str(fault) for fault in faults))
        self.faults = tuple(faults)


def read(path: Path) -> Source:
    """Read one YAML file.

    Raises:
        Refused: the file is missing, too large, not UTF-8, or not the YAML a pack may use.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise Refused([Fault(path, 1, f"cannot be read: {error.strerror}")]) from None
    if len(raw) > MAX_BYTES:
        raise Refused([Fault(path, 1, f"larger than {MAX_BYTES} bytes")])
    try:
        return parse(path, raw.decode("utf-8"))
    except UnicodeDecodeError:
        raise Refused([Fault(path, 1, "is not UTF-8 text")]) from None


def parse(path: Path, text: str) -> Source:
    """Read the YAML in a text; `path` is where faults are said to be.

    Raises:
        Refused: it is not the YAML a pack may use.
    """
    try:
        _refuse_tricks(path, text)
        node = yaml.compose(text, Loader=LOADER)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise Refused([Fault(path, line, f"is not YAML: {error.problem}")]) from None
    except yaml.YAMLError:
        raise Refused([Fault(path, 1, "is not YAML")]) from None
    lines: dict[Place, int] = {}
    faults: list[Fault] = []
    data = _built(node, (), path, lines, faults) if node is not None else None
    if faults:
        raise Refused(faults)
    return Source(path, data, lines)


def _refuse_tricks(path: Path, text: str) -> None:
    """Refuse what makes a short text a large or endless one, before it is built."""
    depth = 0
    for event in yaml.parse(text, Loader=LOADER):
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            line = event.start_mark.line + 1 if event.start_mark else 1
            raise Refused([Fault(path, line, "is nested too deeply")])
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            line = event.start_mark.line + 1 if event.start_mark else 1
            raise Refused([Fault(path, line, "anchors and aliases are not used in packs")])


def _built(
    node: yaml.Node, place: Place, path: Path, lines: dict[Place, int], faults: list[Fault]
) -> Any:
    lines[place] = node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = str(key_node.value)
            if key in found:
                line = key_node.start_mark.line + 1
                faults.append(Fault(path, line, f"{key} is set twice"))
            found[key] = _built(value_node, (*place, key), path, lines, faults)
            lines[(*place, key)] = key_node.start_mark.line + 1
        return found
    if isinstance(node, yaml.SequenceNode):
        return [
            _built(item, (*place, index), path, lines, faults)
            for index, item in enumerate(node.value)
        ]
    return _scalar(node)


def _scalar(node: yaml.Node) -> Any:
    text = str(node.value)
    kind = node.tag.rpartition(":")[2]
    if kind in ("int", "float"):
        return _number(text)
    if kind == "bool" and text.lower() in ("true", "false"):
        return text.lower() == "true"
    if kind == "null":
        return None
    return text


def _number(text: str) -> int | float | str:
    """Return a plain number; what only YAML calls one (`0x1f`, `190:20:30`, `.inf`) stays text."""
    if text.lstrip("+-").replace("_", "").isdecimal():
        return int(text.replace("_", ""))
    try:
        return float(text)
    except ValueError:
        return text


def validated(source: Source, model: type[Model], data: Any, place: Place = ()) -> Model:
    """Check data against its model.

    Raises:
        Refused: with one fault for each value that does not fit, at that value's line.
    """
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise Refused(
            [
                Fault(
                    source.path,
                    source.line((*place, *fault["loc"])),
                    f"{'.'.join(str(part) for part in fault['loc']) or 'file'}: "
                    f"{_reworded(fault['type'], fault['msg'])}",
                )
                for fault in error.errors(include_url=False)
            ]
        ) from None


def _reworded(kind: str, message: str) -> str:
    if kind == "extra_forbidden":
        return "unknown key"
    if kind == "missing":
        return "is missing"
    return message.removeprefix("Value error, ")
