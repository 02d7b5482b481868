"""Records to JSON and back: versioned, exact, and never pickle.

A record is written as {"kind", "v", "data"}. Reading builds the frozen record again and refuses
unknown kinds, newer versions and unknown fields, so nothing is dropped silently.
"""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from collections.abc import Callable, Mapping
from datetime import date
from functools import cache
from typing import Any

from voice_pipeline import domain
from voice_pipeline.domain import Ref
from voice_pipeline.errors import Permanent

VERSION = 1

KINDS: Mapping[str, type[Any]] = {
    name: getattr(domain, name)
    for name in domain.__all__
    if dataclasses.is_dataclass(getattr(domain, name))
}


def encode(record: object) -> bytes:
    """Return the record as canonical JSON: sorted keys, no spaces, UTF-8."""
    kind = type(record).__name__
    if KINDS.get(kind) is not type(record):
        raise TypeError(f"{kind} is not a record of the domain")
    document = {"kind": kind, "v": VERSION, "data": plain(record)}
    return json.dumps(
        document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


def decode(data: bytes) -> Any:
    """Build the record that `encode` wrote.

    Raises:
        Permanent: unknown kind, newer version or fields that do not fit (code `unreadable_record`).
    """
    try:
        document = json.loads(data)
        kind, version = KINDS[document["kind"]], document["v"]
        if version > VERSION:
            raise Permanent(
                f"a {document['kind']} record was written by a newer release; upgrade to read it",
                code="unreadable_record",
            )
        return build(kind, document["data"])
    except (ValueError, KeyError, TypeError) as error:
        raise Permanent(
            f"a kept record cannot be read: {type(error).__name__}", code="unreadable_record"
        ) from error


def plain(value: Any) -> Any:
    """Return a record as JSON values: dicts, lists, strings, numbers, booleans, None."""
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {name: plain(getattr(value, name)) for name in _names(type(value))}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [plain(item) for item in value]
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no place in a record")


def build(kind: Any, value: Any) -> Any:
    """Build a value of a declared type from JSON values."""
    return _builder(kind)(value)


@cache
def _names(kind: type[Any]) -> tuple[str, ...]:
    return tuple(field.name for field in dataclasses.fields(kind))


@cache
def _builder(kind: Any) -> Callable[[Any], Any]:
    """Return what builds values of a type; worked out once, since an hour has 10,000 words."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is Ref or kind is Ref:
        return lambda value: Ref(value["call"], value["kind"], value["sha256"])
    if dataclasses.is_dataclass(kind):
        return _record_builder(kind)
    if origin in (typing.Union, types.UnionType):
        given = _builder(next(a for a in arguments if a is not type(None)))
        return lambda value: None if value is None else given(value)
    if origin is tuple:
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            each = _builder(arguments[0])
            return lambda value: tuple(map(each, value))
        parts = [_builder(argument) for argument in arguments]
        return lambda value: tuple(do(one) for do, one in zip(parts, value, strict=True))
    if isinstance(origin, type) and issubclass(origin, Mapping):
        item = _builder(arguments[1])
        return lambda value: {key: item(one) for key, one in value.items()}
    if kind is date:
        return date.fromisoformat
    if kind is float:
        return float
    return _same


def _record_builder(kind: Any) -> Callable[[Any], Any]:
    fields: dict[str, Callable[[Any], Any]] | None = None

    def make(value: Any) -> Any:
        nonlocal fields
        if fields is None:  # not before: a record may hold records of its own kind
            hints = typing.get_type_hints(kind)
            fields = {name: _builder(hint) for name, hint in hints.items()}
        if unknown := set(value) - fields.keys():
            raise TypeError(f"unknown fields: {sorted(unknown)}")
        return kind(**{key: fields[key](item) for key, item in value.items()})

    return make


def _same(value: Any) -> Any:
    return value
