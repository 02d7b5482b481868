"""What a vCon must be, in our own words: every rule of the draft that can be broken, checked.

Decides nothing about signatures. Faults name a place and a rule, never a value.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from voice_pipeline.vcon.content import from_base64url, hash_fault

VERSION = "0.4.0"
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)
DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", re.ASCII)
MEDIA = re.compile(r"[\w!#$&^.+-]+/[\w!#$&^.+-]+(\s*;.*)?", re.ASCII)
TYPES = ("recording", "text", "transfer", "incomplete", "recording-set")
EMPTY = ("transfer", "incomplete", "recording-set")  # types that carry no content
REASONS = ("no-answer", "congestion", "failed", "busy", "hung-up", "voicemail-no-message")
EVENTS = ("join", "drop", "hold", "unhold", "mute", "unmute", "keydown", "keyup")
ENCODINGS = ("base64url", "json", "none")


@dataclass(frozen=True, slots=True)
class Fault:
    """A rule that is broken."""

    where: str  # for example dialog[0].start; empty: the whole file
    what: str

    def __str__(self) -> str:
        return f"{self.where} {self.what}" if self.where else self.what


Test = Callable[[Any], bool]


def is_date(value: Any) -> bool:
    """Say whether a value is a date-time of RFC 3339."""
    if not isinstance(value, str) or not DATE.fullmatch(value):
        return False
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return True


def is_uuid(value: Any) -> bool:
    return isinstance(value, str) and UUID.fullmatch(value) is not None


def is_https(value: Any) -> bool:
    """Say whether a value is an HTTPS URL with a host."""
    if not isinstance(value, str) or not value.isascii() or not value.isprintable():
        return False
    try:
        parts = urlsplit(value)
        return parts.scheme == "https" and bool(parts.hostname) and " " not in value
    except ValueError:
        return False


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _counts(value: Any) -> bool:
    return isinstance(value, list) and all(map(_count, value))


def _seconds(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(map(_text, value))


def _one_of(*values: str) -> Test:
    return lambda value: value in values


def _any_of(*tests: Test) -> Test:
    return lambda value: any(test(value) for test in tests)


def _object(value: Any) -> bool:
    return isinstance(value, dict)


def _party_list(value: Any) -> bool:
    return isinstance(value, list) and all(
        one is None or _count(one) or _counts(one) for one in value
    )


NAMES = ("tel", "sip", "stir", "mailto", "name", "did", "validation", "gmlpos", "uuid", "type",
         "org", "dept", "role", "contact_list")  # fmt: skip
TOP: Mapping[str, tuple[Test, str]] = {
    "vcon": (_one_of(VERSION), f'must be "{VERSION}"'),
    "uuid": (is_uuid, "is no UUID"),
    "created_at": (is_date, "is no RFC 3339 date-time"),
    "updated_at": (is_date, "is no RFC 3339 date-time"),
    "subject": (_text, "is no text"),
    "extensions": (_texts, "is no list of names"),
    "critical": (_texts, "is no list of names"),
}
PARTY: Mapping[str, tuple[Test, str]] = {
    **dict.fromkeys(NAMES, (_text, "is no text")),
    "civicaddress": (
        lambda value: _object(value) and all(map(_text, value.values())),
        "is no object of texts",
    ),
}
FILE: Mapping[str, tuple[Test, str]] = {
    "mediatype": (
        lambda value: _text(value) and MEDIA.fullmatch(value) is not None,
        "is no media type",
    ),
    "filename": (_text, "is no text"),
    "encoding": (_one_of(*ENCODINGS), "is none of base64url, json, none"),
    "url": (is_https, "is no https URL"),
}
INDEX = (_any_of(_count, _counts), "is no index, and no list of them")
DIALOG: Mapping[str, tuple[Test, str]] = {
    **FILE,
    "type": (_one_of(*TYPES), f"is none of {', '.join(TYPES)}"),
    "start": (is_date, "is no RFC 3339 date-time"),
    "duration": (_seconds, "is no number of seconds"),
    "parties": (_any_of(_count, _party_list), "is no index, and no list of them"),
    "originator": (_count, "is no index"),
    "recordings": (_counts, "is no list of indices"),
    "recording_set": (_count, "is no index"),
    "disposition": (_one_of(*REASONS), f"is none of {', '.join(REASONS)}"),
    "application": (_text, "is no text"),
    "message_id": (_text, "is no text"),
    "transferee": (_count, "is no index"),
    "transferor": (_count, "is no index"),
    **dict.fromkeys(("transfer_target", "original", "consultation", "target_dialog"), INDEX),
    **dict.fromkeys(("campaign", "interaction_type", "interaction_id", "skill"),
                    (_text, "is no text")),
}  # fmt: skip
HISTORY: Mapping[str, tuple[Test, str]] = {
    "party": (_count, "is no index"),
    "time": (is_date, "is no RFC 3339 date-time"),
    "event": (_one_of(*EVENTS), f"is none of {', '.join(EVENTS)}"),
    "button": (_text, "is no text"),
}
ANALYSIS: Mapping[str, tuple[Test, str]] = {
    **FILE,
    **dict.fromkeys(("type", "vendor", "product", "schema"), (_text, "is no text")),
    "dialog": INDEX,
    "attachment": INDEX,
}
ATTACHMENT: Mapping[str, tuple[Test, str]] = {
    **FILE,
    "purpose": (_text, "is no text"),
    "start": (is_date, "is no RFC 3339 date-time"),
    "party": (_count, "is no index"),
    "dialog": (_count, "is no index"),
}
PRIOR: Mapping[str, tuple[Test, str]] = {
    "uuid": (is_uuid, "is no UUID"),
    "type": (_text, "is no text"),
    "url": (is_https, "is no https URL"),
}


def faults(document: Mapping[str, Any]) -> tuple[Fault, ...]:
    """Return every rule of the unsigned form that a document breaks, in the order of its parts."""
    return tuple(_faults(document))


def _faults(document: Mapping[str, Any]) -> Iterator[Fault]:
    yield from _fields(document, TOP, "", ("uuid", "created_at"))
    if "redacted" in document and "amended" in document:
        yield Fault("redacted", "stands beside amended: a vCon is one of them")
    for name, needed in (("redacted", ("type",)), ("amended", ())):
        if name in document:
            yield from _prior(document[name], name, needed)
    redacted = "redacted" in document
    counts = {name: len(_list(document.get(name))) for name in ("parties", "dialog", "attachments")}
    for place, party in _each(document, "parties"):
        yield from _fields(party, PARTY, place)
    for place, dialog in _each(document, "dialog"):
        yield from _dialog(dialog, place, counts, redacted=redacted)
    for place, found in _each(document, "analysis"):
        yield from _fields(found, ANALYSIS, place, ("type", "vendor"))
        yield from _content(found, place)
        yield from _within(found, place, {"dialog": counts["dialog"],
                                          "attachment": counts["attachments"]})  # fmt: skip
    for place, found in _each(document, "attachments"):
        yield from _fields(found, ATTACHMENT, place, ("start", "party", "dialog"))
        yield from _content(found, place)
        yield from _within(found, place, {"dialog": counts["dialog"], "party": counts["parties"]})
    for name in ("parties", "dialog", "analysis", "attachments"):
        yield from _not_listed(document, name)


def _dialog(
    dialog: Mapping[str, Any], place: str, counts: Mapping[str, int], *, redacted: bool
) -> Iterator[Fault]:
    if not dialog:  # a dialog of which nothing is known
        return
    kind = dialog.get("type")
    yield from _fields(dialog, DIALOG, place, ("type", "start"))
    yield from _content(dialog, place)
    carries = "body" in dialog or "url" in dialog
    if kind in EMPTY and carries:
        yield Fault(place, f"is of type {kind} and must carry no content")
    if kind in ("recording", "text") and not carries and not redacted:
        yield Fault(place, "has neither body nor url, in a vCon that is not redacted")
    if "body" in dialog and "mediatype" not in dialog:
        yield Fault(f"{place}.mediatype", "is missing beside a body")
    if kind == "incomplete" and "disposition" not in dialog:
        yield Fault(f"{place}.disposition", "is missing: why the call was not made")
    if (kind == "recording-set") != ("recordings" in dialog):
        yield Fault(f"{place}.recordings", "belongs to a recording-set, and every one has it")
    if "recording_set" in dialog and kind != "recording":
        yield Fault(f"{place}.recording_set", "belongs to recordings alone")
    for number, event in enumerate(_list(dialog.get("party_history"))):
        at = f"{place}.party_history[{number}]"
        if not _object(event):
            yield Fault(at, "is no object")
            continue
        yield from _fields(event, HISTORY, at, ("party", "time", "event"))
        yield from _within(event, at, {"party": counts["parties"]})
        if event.get("event") in ("keydown", "keyup") and "button" not in event:
            yield Fault(f"{at}.button", "is missing: which key")
    parties = dict.fromkeys(("parties", "originator", "transferee", "transferor",
                             "transfer_target"), counts["parties"])  # fmt: skip
    others = dict.fromkeys(("recordings", "recording_set", "original", "consultation",
                            "target_dialog"), counts["dialog"])  # fmt: skip
    yield from _within(dialog, place, parties | others)


def _fields(
    found: Mapping[str, Any],
    known: Mapping[str, tuple[Test, str]],
    place: str,
    needed: Sequence[str] = (),
) -> Iterator[Fault]:
    prefix = f"{place}." if place else ""
    for name in needed:
        if name not in found:
            yield Fault(f"{prefix}{name}", "is missing")
    for name, (test, what) in known.items():
        if name in found and not test(found[name]):
            yield Fault(f"{prefix}{name}", what)


def _content(found: Mapping[str, Any], place: str) -> Iterator[Fault]:
    """The rules of files, inline or elsewhere."""
    body, encoding = found.get("body"), found.get("encoding")
    if "body" in found and "url" in found:
        yield Fault(place, "has a body and a url: it is inline or elsewhere")
    if "body" in found and body != "" and "encoding" not in found:
        yield Fault(f"{place}.encoding", "is missing beside a body")
    if encoding in ("base64url", "none") and "body" in found and not _text(body):
        yield Fault(f"{place}.body", f"is no text, and its encoding is {encoding}")
    if encoding == "base64url" and isinstance(body, str):
        try:
            from_base64url(body)
        except ValueError:
            yield Fault(f"{place}.body", "is no base64url without padding")
    if "url" in found and "content_hash" not in found:
        yield Fault(f"{place}.content_hash", "is missing beside a url")
    if "content_hash" in found and (what := hash_fault(found["content_hash"])) is not None:
        yield Fault(f"{place}.content_hash", what)


def _prior(found: Any, place: str, needed: Sequence[str]) -> Iterator[Fault]:
    """The rules of the reference to the vCon before."""
    if not _object(found):
        yield Fault(place, "is no object")
        return
    yield from _fields(found, PRIOR, place, needed)
    yield from _content(found, place)


def _within(found: Mapping[str, Any], place: str, ends: Mapping[str, int]) -> Iterator[Fault]:
    """Indices must lead somewhere."""
    for name, end in ends.items():
        if any(index >= end for index in _indices(found.get(name))):
            yield Fault(f"{place}.{name}", "leads to nothing: an index beyond the list")


def _indices(value: Any) -> Iterator[int]:
    """Yield the indices of a value that is one, a list of them, or a list of such lists."""
    for one in _list(value) or [value]:
        yield from filter(_count, _list(one) or [one])


def _each(document: Mapping[str, Any], name: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for number, found in enumerate(_list(document.get(name))):
        if isinstance(found, dict):
            yield f"{name}[{number}]", found


def _not_listed(document: Mapping[str, Any], name: str) -> Iterator[Fault]:
    value = document.get(name, [])
    if not isinstance(value, list):
        yield Fault(name, "is no list")
    elif not all(map(_object, value)):
        yield Fault(name, "holds something that is no object")


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
