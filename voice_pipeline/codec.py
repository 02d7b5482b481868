"""Records to JSON and back: versioned, exact, and never pickle.

A record is written as {"kind", "v", "data"}. Reading builds the frozen record again and refuses
unknown kinds, newer versions and unknown fields, so nothing is dropped silently.
"""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from collections.abc import Mapping
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
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [plain(item) for item in value]
    if isinstance(value, date):
        return value.isoformat()
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    raise TypeError(f"{type(value).__name__} has no place in a record")


def build(kind: Any, value: Any) -> Any:
    """Build a value of a declared type from JSON values."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is Ref or kind is Ref:
        return Ref(value["call"], value["kind"], value["sha256"])
    if dataclasses.is_dataclass(kind):
        hints: dict[str, Any] = _hints(typing.cast(typing.Hashable, kind))
        if unknown := set(value) - set(hints):
            raise TypeError(f"unknown fields: {sorted(unknown)}")
        return typing.cast(Any, kind)(
            **{key: build(hints[key], item) for key, item in value.items()}
        )
    if origin in (typing.Union, types.UnionType):
        if value is None:
            return None
        return build(next(a for a in arguments if a is not type(None)), value)
    if origin is tuple:
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            return tuple(build(arguments[0], item) for item in value)
        return tuple(build(a, item) for a, item in zip(arguments, value, strict=True))
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return {key: build(arguments[1], item) for key, item in value.items()}
    if kind is date:
        return date.fromisoformat(value)
    if kind is float:
        return float(value)
    return value


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return typing.get_type_hints(kind)
