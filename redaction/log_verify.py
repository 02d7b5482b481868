"""Verify a redaction log from the file alone, and say which record was tampered with.

Decides from the signed head backwards: a record is as trustworthy as the one that names its hash.
Without the signer's fingerprint it shows integrity only: whoever rewrites a whole log can also sign
it anew, with a key of his own.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from redaction import merkle
from redaction.log_events import FIRST, HEAD_PURPOSE, canonical, fingerprint

MOST_SHOWN = 20  # faults printed; a log cut up beyond that is clear enough
# A record is far longer than that; a file of shorter lines is no log, and would fill the memory.
SHORTEST_LINE, MANY_LINES = 64, 10_000
_DECODER = json.JSONDecoder()


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with a log or an export."""

    kind: str  # changed | missing | reordered | added | truncated | forged | signer
    line: int | None  # counted from 1; None where no single line can be named
    detail: str
    member: str = ""  # file inside an export

    def __str__(self) -> str:
        place = [self.member] if self.member else []
        place += [f"line {self.line}"] if self.line else []
        return f"{', '.join(place)}: {self.detail}" if place else self.detail


@dataclass(frozen=True, slots=True)
class Verdict:
    """What verifying has shown."""

    records: int  # in the file, heads not counted
    faults: tuple[Fault, ...]
    fingerprint: str | None  # of the key that signed; None without a readable head
    signer_checked: bool  # a fingerprint was given, and it is the one
    logs: int = 1

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
        many = f" in {self.logs} logs" if self.logs != 1 else ""
        lines = [f"{word}: {self.records} records{many}, {self.scope}"]
        lines.append(f"signer: {self.fingerprint or 'unknown'}")
        lines += [f"  {fault}" for fault in self.faults[:MOST_SHOWN]]
        if len(self.faults) > MOST_SHOWN:
            lines.append(f"  ... and {len(self.faults) - MOST_SHOWN} more")
        return "\n".join(lines)


class _Record(NamedTuple):
    """What verifying needs to know of a line."""

    seq: int  # place in the log; -1 where the line gives none
    previous: str  # the hash that it gives of the record before
    head: bool


def verify_file(path: Path | str, signer: str | None = None) -> Verdict:
    """Verify a log.

    Args:
        path: a `redaction_log.jsonl`.
        signer: the fingerprint that the head must be signed with, with or without `sha256:`.

    Raises:
        OSError: the file cannot be read.
    """
    return verify_bytes(Path(path).read_bytes(), signer)


def verify_bytes(data: bytes, signer: str | None = None) -> Verdict:
    """Verify the bytes of a log; see `verify_file`."""
    if (count := data.count(b"\n")) > MANY_LINES + len(data) // SHORTEST_LINE:
        fault = Fault("changed", None, f"{count:,} lines too short to be records: this is no log")
        return Verdict(0, (fault,), None, False)
    lines = data.split(b"\n")
    faults: list[Fault] = []
    if lines[-1]:
        faults.append(Fault("truncated", len(lines), "the last line is cut off or lacks its end"))
    else:
        lines.pop()
    head = read_canonical(lines[-1]) if lines else None
    if head is None or head.get("event") != "head":
        faults.append(
            Fault("truncated", len(lines) or None, "the signed head that ends a log is missing")
        )
        head = None
    body = lines if head is None else lines[:-1]
    records = [_record(line) for line in body]
    leaves = [merkle.leaf(line) for line in body]
    if head is None or not _straight(records, leaves, head):
        faults += _places(records, head)
        faults += _chain(records, leaves, head)
    print_of: str | None = None
    checked = False
    if head is not None:
        signed, print_of = signature_of(head, HEAD_PURPOSE)
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
            checked = print_of is not None and same_signer(print_of, signer)
            if not checked:
                faults.append(Fault("signer", len(lines), "the log was signed with another key"))
    faults.sort(key=lambda fault: fault.line or 0)
    return Verdict(len(body), tuple(faults), print_of, checked)


def read_canonical(line: bytes) -> dict[str, Any] | None:
    """Return the object that a line holds; None where it is not just what `canonical` writes."""
    try:
        text = line.decode("ascii")
        record, end = _DECODER.raw_decode(text)
        right = end == len(text) and isinstance(record, dict) and canonical(record) == line
    except (ValueError, RecursionError):
        return None
    return record if right else None


def _record(line: bytes) -> _Record:
    record = read_canonical(line)
    if record is None:
        return _Record(-1, "", False)
    seq, previous = record.get("seq"), record.get("prev_hash")
    return _Record(
        seq if type(seq) is int and seq >= 0 else -1,
        previous if isinstance(previous, str) else "",
        record.get("event") == "head",
    )


def _straight(records: Sequence[_Record], leaves: Sequence[bytes], head: Mapping[str, Any]) -> bool:
    """Whether everything stands in its place, which is so nearly always."""
    hashes = [FIRST, *(leaf.hex() for leaf in leaves)]
    return (
        head.get("count") == len(records)
        and type(head.get("count")) is int
        and head.get("prev_hash") == hashes[-1]
        and all(record.seq == place for place, record in enumerate(records))
        and all(r.previous == before for r, before in zip(records, hashes, strict=False))
    )


def _places(records: Sequence[_Record], head: Mapping[str, Any] | None) -> list[Fault]:
    """Whether every record from 0 on stands once, in order."""
    faults: list[Fault] = []
    seen: dict[int, int] = {}  # place -> line
    highest = -1
    unreadable = 0
    for line, record in enumerate(records, start=1):
        if record.seq < 0:
            what = "a head stands before the end" if record.head else (
                "the record was changed: it is not canonical JSON with a place in the log"
            )  # fmt: skip
            faults.append(Fault("changed", line, what))
            unreadable += 1
            continue
        if record.seq in seen:
            faults.append(Fault("added", line, f"record {record.seq} stands here a second time"))
        elif record.seq < highest:
            faults.append(Fault("reordered", line, f"record {record.seq} stands behind {highest}"))
        seen.setdefault(record.seq, line)
        highest = max(highest, record.seq)
    stated = None if head is None else head.get("count")
    count = stated if type(stated) is int and stated >= 0 else highest + 1
    missing = _missing(seen, count)
    # An unreadable line stands for one of the gaps; where that many lines are, nothing is gone.
    if sum(after - first for first, after in missing) > unreadable:
        present = sorted(seen)
        for first, after in missing:
            span = f"record {first}" if after == first + 1 else f"records {first} to {after - 1}"
            place = bisect_right(present, first)
            if place < len(present):
                line = seen[present[place]]
                faults.append(Fault("missing", line, f"missing before this line: {span}"))
            else:
                end = len(records) + 1
                faults.append(Fault("truncated", end, f"missing before the head: {span}"))
    faults += [
        Fault("added", line, f"record {record.seq} is more than the head counts")
        for line, record in enumerate(records, start=1)
        if record.seq >= count
    ]
    return faults


def _missing(seen: Mapping[int, int], count: int) -> list[tuple[int, int]]:
    """The gaps in 0..count, as (first, after); cheap even where the head counts to the moon."""
    gaps, at = [], 0
    for seq in sorted(seen):
        if at < min(seq, count):
            gaps.append((at, min(seq, count)))
        at = max(at, seq + 1)
    if at < count:
        gaps.append((at, count))
    return gaps


def _chain(
    records: Sequence[_Record], leaves: Sequence[bytes], head: Mapping[str, Any] | None
) -> list[Fault]:
    """Follow the hashes from the head back; blame the record that its trusted follower denies."""
    by_seq: dict[int, int] = {}
    for index, record in enumerate(records):
        if record.seq >= 0:
            by_seq.setdefault(record.seq, index)
    faults: list[Fault] = []
    following, previous = (head.get("count"), head.get("prev_hash")) if head else (None, None)
    trusted = True
    for seq in sorted(by_seq, reverse=True):
        index = by_seq[seq]
        denied = following == seq + 1 and previous != leaves[index].hex()
        if denied and trusted:
            faults.append(Fault("changed", index + 1, f"record {seq} was changed"))
        elif denied:
            what = f"record {seq} was changed, or what record {seq + 1} says of it"
            faults.append(Fault("changed", index + 1, what))
        following, previous, trusted = seq, records[index].previous, not denied
    if 0 in by_seq and records[by_seq[0]].previous != FIRST:
        faults.append(Fault("changed", by_seq[0] + 1, "record 0 was changed"))
    return faults


def signature_of(head: Mapping[str, Any], purpose: bytes) -> tuple[bool, str | None]:
    """Return whether a head is signed by the key it names, and that key's fingerprint."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    unsigned = {name: value for name, value in head.items() if name != "signature"}
    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(head["public_key"]))
        name = fingerprint(head["public_key"])
        key.verify(bytes.fromhex(head["signature"]), purpose + canonical(unsigned))
    except (KeyError, TypeError, ValueError):
        return False, None
    except InvalidSignature:
        return False, name
    return True, name


def same_signer(one: str, other: str) -> bool:
    """Return whether two fingerprints are the same, however people write them."""
    plain = other.strip().lower().replace(" ", "")
    return one.removeprefix("sha256:") == plain.removeprefix("sha256:")
