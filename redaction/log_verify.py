"""Verify a redaction log from the file alone, and say which record was tampered with.

Decides from the signed head backwards: a record is as trustworthy as the one that names its hash.
Without the signer's fingerprint it shows integrity only: whoever rewrites a whole log can also sign
it anew, with a key of his own.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redaction import merkle
from redaction.log_events import FIRST, HEAD_PURPOSE, canonical, fingerprint

Record = dict[str, Any]

MOST_SHOWN = 20  # faults printed; a log cut up beyond that is clear enough


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with a log."""

    kind: str  # changed | missing | reordered | added | truncated | forged | signer
    line: int | None  # counted from 1; None where no single line can be named
    detail: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.detail}" if self.line else self.detail


@dataclass(frozen=True, slots=True)
class Verdict:
    """What verifying a log has shown."""

    records: int  # in the file, the head not counted
    faults: tuple[Fault, ...]
    fingerprint: str | None  # of the key that signed; None without a readable head
    signer_checked: bool  # a fingerprint was given, and it is the one

    @property
    def ok(self) -> bool:
        return not self.faults

    @property
    def scope(self) -> str:
        """What the verdict is worth, in words."""
        return "signer checked" if self.signer_checked else "integrity only, signer not checked"

    def __str__(self) -> str:
        """The page that a person reads: the verdict, the signer, and each fault with its line."""
        word = "ok" if self.ok else f"FAULTY ({len(self.faults)})"
        lines = [f"{word}: {self.records} records, {self.scope}"]
        lines.append(f"signer: {self.fingerprint or 'unknown'}")
        lines += [f"  {fault}" for fault in self.faults[:MOST_SHOWN]]
        if len(self.faults) > MOST_SHOWN:
            lines.append(f"  ... and {len(self.faults) - MOST_SHOWN} more")
        return "\n".join(lines)


def verify_file(path: Path | str, signer: str | None = None) -> Verdict:
    """Verify an exported log.

    Args:
        path: a `redaction_log.jsonl`.
        signer: the fingerprint that the head must be signed with, with or without `sha256:`.

    Raises:
        OSError: the file cannot be read.
    """
    return verify_bytes(Path(path).read_bytes(), signer)


def verify_bytes(data: bytes, signer: str | None = None) -> Verdict:
    """Verify the bytes of a log; see `verify_file`."""
    lines = data.split(b"\n")
    faults: list[Fault] = []
    if lines[-1]:
        faults.append(Fault("truncated", len(lines), "the last line is cut off or lacks its end"))
    else:
        lines.pop()
    parsed = [_parse(line) for line in lines]
    head = parsed[-1] if parsed else None
    if head is None or head.get("event") != "head":
        faults.append(
            Fault("truncated", len(lines) or None, "the signed head that ends a log is missing")
        )
        head = None
    body = lines if head is None else lines[:-1]
    records = parsed[: len(body)]
    leaves = [merkle.leaf(line) for line in body]
    faults += _places(records, head)
    faults += _chain(records, leaves, head)
    print_of: str | None = None
    checked = False
    if head is not None:
        signed, print_of = _signature(head)
        if not signed:
            faults.append(
                Fault("forged", len(lines), "the head's signature does not fit what it says")
            )
        if not faults and head.get("root") != merkle.root(leaves).hex():
            faults.append(
                Fault("changed", None, "records were rewritten and chained anew: the signed root "
                      "does not fit them")
            )  # fmt: skip
        if signer is not None:
            checked = print_of is not None and _same(print_of, signer)
            if not checked:
                faults.append(Fault("signer", len(lines), "the log was signed with another key"))
    faults.sort(key=lambda fault: fault.line or 0)
    return Verdict(len(body), tuple(faults), print_of, checked)


def _parse(line: bytes) -> Record | None:
    """The record of a line, None where it is not exactly what `canonical` writes."""
    try:
        record = json.loads(line)
        return record if isinstance(record, dict) and canonical(record) == line else None
    except (ValueError, RecursionError):
        return None


def _places(records: Sequence[Record | None], head: Record | None) -> list[Fault]:
    """Whether every record from 0 on stands once, in order."""
    faults: list[Fault] = []
    seen: set[int] = set()
    highest = -1
    unreadable = 0
    for line, record in enumerate(records, start=1):
        seq = None if record is None else record.get("seq")
        if record is None or type(seq) is not int or seq < 0:
            what = (
                "a head stands before the end"
                if record and record.get("event") == "head"
                else ("the record was changed: it is not canonical JSON with a place in the log")
            )
            faults.append(Fault("changed", line, what))
            unreadable += 1
            continue
        if seq in seen:
            faults.append(Fault("added", line, f"record {seq} stands here a second time"))
        elif seq < highest:
            faults.append(Fault("reordered", line, f"record {seq} stands behind {highest}"))
        seen.add(seq)
        highest = max(highest, seq)
    stated = None if head is None else head.get("count")
    count = stated if type(stated) is int and stated >= 0 else highest + 1
    missing = _missing(seen, count)
    # An unreadable line stands for one of the gaps; where that many lines are, nothing is gone.
    if sum(after - first for first, after in missing) > unreadable:
        for first, after in missing:
            span = f"record {first}" if after == first + 1 else f"records {first} to {after - 1}"
            follower = _line_after(records, first)
            kind = "truncated" if follower is None else "missing"
            where = "before the head" if follower is None else "before this line"
            faults.append(Fault(kind, follower or len(records) + 1, f"missing {where}: {span}"))
    if any(seq >= count for seq in seen):
        faults += [
            Fault("added", line, f"record {record['seq']} is more than the head counts")
            for line, record in enumerate(records, start=1)
            if record and type(record.get("seq")) is int and record["seq"] >= count
        ]
    return faults


def _missing(seen: set[int], count: int) -> list[tuple[int, int]]:
    """The gaps in 0..count, as (first, after); cheap even where the head counts to the moon."""
    gaps, at = [], 0
    for seq in sorted(seen):
        if at < min(seq, count):
            gaps.append((at, min(seq, count)))
        at = max(at, seq + 1)
    if at < count:
        gaps.append((at, count))
    return gaps


def _line_after(records: Sequence[Record | None], seq: int) -> int | None:
    return next(
        (
            line
            for line, record in enumerate(records, start=1)
            if record and type(record.get("seq")) is int and record["seq"] > seq
        ),
        None,
    )


def _chain(
    records: Sequence[Record | None], leaves: Sequence[bytes], head: Record | None
) -> list[Fault]:
    """Follow the hashes from the head back; blame the record that its trusted follower denies."""
    by_seq: dict[int, tuple[int, Record, str]] = {}
    for index, record in enumerate(records):
        if record is not None and type(record.get("seq")) is int:
            by_seq.setdefault(record["seq"], (index + 1, record, leaves[index].hex()))
    faults: list[Fault] = []
    follower, trusted = head, True
    following = head.get("count") if head else None
    for seq in sorted(by_seq, reverse=True):
        line, record, digest = by_seq[seq]
        known = follower is not None and following == seq + 1
        denied = known and follower is not None and follower.get("prev_hash") != digest
        if denied and trusted:
            faults.append(Fault("changed", line, f"record {seq} was changed"))
        elif denied:
            what = f"record {seq} was changed, or what record {seq + 1} says of it"
            faults.append(Fault("changed", line, what))
        follower, following, trusted = record, seq, not denied
    first = by_seq.get(0)
    if first and first[1].get("prev_hash") != FIRST:
        faults.append(Fault("changed", first[0], "record 0 was changed"))
    return faults


def _signature(head: Record) -> tuple[bool, str | None]:
    """Whether the head is signed by the key it names, and that key's fingerprint."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    unsigned = {name: value for name, value in head.items() if name != "signature"}
    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(head["public_key"]))
        name = fingerprint(head["public_key"])
        key.verify(bytes.fromhex(head["signature"]), HEAD_PURPOSE + canonical(unsigned))
    except (KeyError, TypeError, ValueError):
        return False, None
    except InvalidSignature:
        return False, name
    return True, name


def _same(one: str, other: str) -> bool:
    plain = other.strip().lower().replace(" ", "")
    return one.removeprefix("sha256:") == plain.removeprefix("sha256:")
