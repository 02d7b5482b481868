"""Whatever is done to a log, its verification says where."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_log import log_of

from redaction import merkle
from redaction.log import Verdict, verify_bytes

COUNT = 9
LOG = log_of(COUNT)
LINES = LOG.splitlines(keepends=True)
places = st.integers(0, COUNT - 1)


def lines_of(verdict: Verdict) -> set[int | None]:
    return {fault.line for fault in verdict.faults}


@given(data=st.data())
@settings(max_examples=300, deadline=None)
def test_the_line_of_any_changed_byte_is_named(data: st.DataObject) -> None:
    """A byte changed to any other is found, and its line is among those named."""
    at = data.draw(st.integers(0, len(LOG) - 1))
    new = data.draw(st.integers(0, 255).filter(lambda byte: byte != LOG[at]))
    verdict = verify_bytes(LOG[:at] + bytes([new]) + LOG[at + 1 :])
    line = LOG.count(b"\n", 0, at) + 1
    assert lines_of(verdict) & {line, line + 1 if new == 10 else line}


@given(gone=st.sets(places, min_size=1))
@settings(deadline=None)
def test_deleted_records_are_counted_out(gone: set[int]) -> None:
    """Whichever records are taken out, each is missed by its number, and nothing else is."""
    verdict = verify_bytes(b"".join(line for at, line in enumerate(LINES) if at not in gone))
    named: set[int] = set()
    for fault in verdict.faults:
        assert fault.kind in ("missing", "truncated")
        span = [int(word) for word in fault.detail.replace(",", "").split() if word.isdigit()]
        named |= set(range(span[0], span[-1] + 1))
    assert named == gone


@given(one=places, other=places)
@settings(deadline=None)
def test_swapped_records_are_named(one: int, other: int) -> None:
    """Two records that changed places: the later line is named."""
    lines = list(LINES)
    lines[one], lines[other] = lines[other], lines[one]
    verdict = verify_bytes(b"".join(lines))
    assert verdict.ok == (one == other)
    if one != other:
        assert max(one, other) + 1 in lines_of(verdict)


@given(source=places, target=st.integers(0, COUNT))
@settings(deadline=None)
def test_a_duplicated_record_is_named(source: int, target: int) -> None:
    """A record that stands twice is named with its number."""
    lines = list(LINES)
    lines.insert(target, LINES[source])
    faults = verify_bytes(b"".join(lines)).faults
    assert any(f"record {source} " in f"{fault.detail} " for fault in faults)


@given(length=st.integers(0, len(LOG) - 1))
@settings(deadline=None, max_examples=200)
def test_a_log_cut_at_any_byte_is_truncated(length: int) -> None:
    """Wherever the end is cut off, that is what is said."""
    assert "truncated" in {fault.kind for fault in verify_bytes(LOG[:length]).faults}


def test_many_gaps_cost_no_more_than_many_records() -> None:
    """A log with every other record gone is judged in linear time."""
    lines = log_of(20_000).splitlines(keepends=True)
    started = time.process_time()
    verdict = verify_bytes(b"".join([*lines[:-1:2], lines[-1]]))
    assert len(verdict.faults) == 10_000
    assert time.process_time() - started < 5


@given(count=st.integers(0, 70))
@settings(deadline=None)
def test_the_tree_is_that_of_the_definition(count: int) -> None:
    """Roots and proofs made level by level are those of RFC 6962's recursive definition."""
    leaves = [merkle.leaf(str(number).encode()) for number in range(count)]

    def split(size: int) -> int:
        return 1 << (size - 1).bit_length() - 1

    def root(part: list[bytes]) -> bytes:
        if len(part) < 2:
            return part[0] if part else merkle.EMPTY
        at = split(len(part))
        return merkle.node(root(part[:at]), root(part[at:]))

    def path(index: int, part: list[bytes]) -> tuple[bytes, ...]:
        if len(part) == 1:
            return ()
        at = split(len(part))
        if index < at:
            return (*path(index, part[:at]), root(part[at:]))
        return (*path(index - at, part[at:]), root(part[:at]))

    assert merkle.root(leaves) == root(leaves)
    assert list(merkle.paths(leaves)) == [path(index, leaves) for index in range(count)]
    with pytest.raises(IndexError):
        merkle.path(leaves, count)


def test_a_file_of_empty_lines_is_no_log() -> None:
    """Millions of lines that are no records cost neither time nor memory."""
    started = time.process_time()
    verdict = verify_bytes(b"\n" * 20_000_000)
    assert [fault.kind for fault in verdict.faults] == ["changed"]
    assert time.process_time() - started < 2
