"""The redaction log: complete, chained, signed, and honest about what was done to it."""

from __future__ import annotations

import io
import json
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redaction import merkle
from redaction.log import (
    Signer,
    call_key,
    canonical,
    check_event,
    value_hmac,
    verify_bytes,
    verify_file,
    write_log,
)

NOW = "2026-01-02T03:04:05Z"
SIGNER = Signer.from_seed(bytes(range(32)))
OTHER = Signer.from_seed(bytes(32))


def finding(turn: int, **more: object) -> dict[str, object]:
    return {
        "event": "redacted", "time": NOW, "call": "c1", "action": "placeholder", "label": "PHONE",
        "turn": turn, "first": 0, "last": 10, "start_ms": 1200, "end_ms": 4400, "score": 0.9,
        "detector": "numbers", "rule": "phone.asked", "reason": "asked for", **more,
    }  # fmt: skip


def log_of(count: int, signer: Signer = SIGNER) -> bytes:
    sink = io.BytesIO()
    write_log(sink, (finding(turn) for turn in range(count)), signer, time=NOW)
    return sink.getvalue()


def resealed(lines: list[bytes], start: int, seq: int | None = None) -> list[bytes]:
    """Chain records anew from line `start`, as a forger without the key would; head untouched."""
    out = lines[:start]
    previous = merkle.leaf(out[-1]).hex() if out else "0" * 64
    for line in lines[start:-1]:
        record = json.loads(line)
        record["prev_hash"] = previous
        out.append(canonical(record))
        previous = merkle.leaf(out[-1]).hex()
    return [*out, lines[-1]]


@pytest.mark.parametrize("count", [0, 1, 2, 7, 64])
def test_an_untouched_log_passes_and_says_whether_the_signer_was_checked(
    count: int, tmp_path: Path
) -> None:
    """A log verifies from the file alone; the signer's fingerprint is checked when given."""
    path = tmp_path / "redaction_log.jsonl"
    path.write_bytes(log_of(count))
    alone = verify_file(path)
    assert (alone.ok, alone.records, alone.signer_checked) == (True, count, False)
    assert "integrity only, signer not checked" in str(alone)
    assert SIGNER.fingerprint in str(alone)
    named = verify_file(path, SIGNER.fingerprint.removeprefix("sha256:").upper())
    assert named.ok
    assert named.signer_checked
    assert "not checked" not in str(named)


def test_another_signer_is_a_fault() -> None:
    """A whole log rewritten and signed with another key is found by its fingerprint."""
    verdict = verify_bytes(log_of(3, OTHER), SIGNER.fingerprint)
    assert [fault.kind for fault in verdict.faults] == ["signer"]
    assert not verdict.signer_checked


@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_any_changed_byte_is_found(data: st.DataObject) -> None:
    """Whichever byte of a log is replaced, it no longer verifies."""
    log = bytearray(log_of(5))
    at = data.draw(st.integers(0, len(log) - 1))
    new = data.draw(st.integers(0, 255).filter(lambda byte: byte != log[at]))
    log[at] = new
    assert not verify_bytes(bytes(log)).ok


@given(turn=st.integers(0, 8))
@settings(deadline=None, max_examples=9)
def test_a_changed_record_is_named(turn: int) -> None:
    """A record whose content was edited is blamed by its line, and no other is."""
    lines = log_of(9).splitlines()
    record = json.loads(lines[turn])
    record["label"] = "EMAIL"
    lines[turn] = canonical(record)
    verdict = verify_bytes(b"\n".join(lines) + b"\n")
    assert [(fault.kind, fault.line) for fault in verdict.faults] == [("changed", turn + 1)]


@given(turns=st.sets(st.integers(0, 8), min_size=1))
@settings(deadline=None, max_examples=50)
def test_all_changed_records_are_named(turns: set[int]) -> None:
    """Several edited records are all blamed, neighbours too, and no untouched one is."""
    lines = log_of(9).splitlines()
    for turn in turns:
        record = json.loads(lines[turn])
        record["label"] = "EMAIL"
        lines[turn] = canonical(record)
    verdict = verify_bytes(b"\n".join(lines) + b"\n")
    assert {fault.line for fault in verdict.faults} == {turn + 1 for turn in turns}


@given(turn=st.integers(0, 8))
@settings(deadline=None, max_examples=9)
def test_a_record_changed_and_chained_anew_is_found(turn: int) -> None:
    """Recomputing every hash after an edit does not help without the signing key."""
    lines = log_of(9).splitlines()
    record = json.loads(lines[turn])
    record["label"] = "EMAIL"
    lines[turn] = canonical(record)
    assert not verify_bytes(b"\n".join(resealed(lines, turn + 1)) + b"\n").ok


@given(turn=st.integers(0, 8))
@settings(deadline=None, max_examples=9)
def test_a_missing_record_is_named(turn: int) -> None:
    """A record that was taken out is missed, before the line that followed it."""
    lines = log_of(9).splitlines()
    del lines[turn]
    faults = verify_bytes(b"\n".join(lines) + b"\n").faults
    kind = "truncated" if turn == 8 else "missing"
    assert (kind, turn + 1) in [(fault.kind, fault.line) for fault in faults]
    assert f"record {turn}" in faults[0].detail


@given(data=st.data())
@settings(deadline=None, max_examples=30)
def test_reordered_records_are_found(data: st.DataObject) -> None:
    """Two records that changed places are found, and a line out of order is named."""
    lines = log_of(9).splitlines()
    one = data.draw(st.integers(0, 7))
    other = data.draw(st.integers(one + 1, 8))
    lines[one], lines[other] = lines[other], lines[one]
    faults = verify_bytes(b"\n".join(lines) + b"\n").faults
    assert ("reordered", other + 1) in [(fault.kind, fault.line) for fault in faults]


@given(kept=st.integers(0, 9))
@settings(deadline=None, max_examples=10)
def test_a_log_cut_short_is_found(kept: int) -> None:
    """A log whose end was cut off lacks its signed head."""
    lines = log_of(9).splitlines()[:kept]
    verdict = verify_bytes(b"".join(line + b"\n" for line in lines))
    assert [fault.kind for fault in verdict.faults] == ["truncated"]
    assert verdict.fingerprint is None


def test_records_cut_off_before_the_head_are_counted() -> None:
    """The head says how many records there were."""
    lines = log_of(9).splitlines()
    faults = verify_bytes(b"\n".join([*lines[:4], lines[-1]]) + b"\n").faults
    assert faults[0].kind == "truncated"
    assert "records 4 to 8" in faults[0].detail


@pytest.mark.parametrize("place", [0, 3, 9, 10])
def test_an_added_line_is_found(place: int) -> None:
    """A record that stands twice, or behind the head, is found."""
    lines = log_of(9).splitlines()
    lines.insert(place, lines[2])
    assert not verify_bytes(b"\n".join(lines) + b"\n").ok


@given(junk=st.binary(max_size=300))
@settings(deadline=None)
def test_junk_never_passes_and_never_raises(junk: bytes) -> None:
    """Any bytes give a verdict; only a signed log gives a good one."""
    assert not verify_bytes(junk).ok
    assert not verify_bytes(junk + b"\n" + log_of(2)).ok


def test_a_head_that_counts_to_the_moon_costs_nothing() -> None:
    """A forged count is a fault, not a loop."""
    lines = log_of(2).splitlines()
    head = json.loads(lines[-1])
    head["count"] = 10**18
    started = time.process_time()
    assert not verify_bytes(b"\n".join([*lines[:-1], canonical(head)]) + b"\n").ok
    assert time.process_time() - started < 1


@pytest.mark.parametrize(
    "event",
    [
        {"event": "heard", "time": NOW},
        {"event": "redacted", "time": NOW, "call": "c1"},
        finding(1, value="555-0100"),
        finding(1, text="call me"),
        finding(1, label="CARD_CVV", value_hmac="0" * 64),
        finding(1, action="last_four", value_hmac="0" * 64),
    ],
)
def test_an_event_that_says_too_much_is_refused(event: dict[str, object]) -> None:
    """Unknown events and fields, hashes of card codes, and hash beside last four are refused."""
    with pytest.raises(ValueError) as caught:
        check_event(event)
    assert "0100" not in str(caught.value)


def test_hashes_tell_equal_values_and_nothing_else() -> None:
    """Keyed hashes ignore spacing, differ by call, and do not exist where they must not."""
    key = call_key(bytes(32), "c1")
    assert value_hmac(key, "PHONE", "555 0100") == value_hmac(key, "PHONE", "555-0100")
    assert value_hmac(key, "PERSON", "Ann  LEE") == value_hmac(key, "PERSON", "ann lee")
    assert value_hmac(key, "PHONE", "5550100") != value_hmac(key, "SSN", "5550100")
    assert value_hmac(call_key(bytes(32), "c2"), "PHONE", "5550100") != value_hmac(
        key, "PHONE", "5550100"
    )
    for label in ("CARD_CVV", "PIN", "PASSWORD", "SECURITY_ANSWER"):
        assert value_hmac(key, label, "1234") is None
    assert value_hmac(key, "CARD_NUMBER", "4111111111111111", action="last_four") is None
    with pytest.raises(ValueError, match="16 bytes"):
        value_hmac(b"short", "PHONE", "5550100")


@given(count=st.integers(1, 40), data=st.data())
@settings(deadline=None)
def test_inclusion_proofs_prove_their_record_and_no_other(count: int, data: st.DataObject) -> None:
    """The proof of one record leads to the root; with another record or place it does not."""
    leaves = [merkle.leaf(str(number).encode()) for number in range(count)]
    top = merkle.root(leaves)
    index = data.draw(st.integers(0, count - 1))
    proof = merkle.path(leaves, index)
    assert merkle.included(leaves[index], index, count, proof, top)
    assert not merkle.included(merkle.leaf(b"x"), index, count, proof, top)
    wrong = data.draw(st.integers(0, count - 1))
    if wrong != index:
        assert not merkle.included(leaves[index], wrong, count, proof, top)


def test_the_tree_is_that_of_rfc_6962() -> None:
    """Roots of the empty tree and of one and three known leaves, worked out by the RFC's rules."""
    a, b, c = (merkle.leaf(bytes([byte])) for byte in (1, 2, 3))
    assert merkle.root([]).hex().startswith("e3b0c44298fc1c14")
    assert merkle.root([a]) == a
    assert merkle.root([a, b, c]) == merkle.node(merkle.node(a, b), c)
    assert merkle.leaf(b"").hex().startswith("6e340b9cffb37a98")


@pytest.mark.slow
def test_a_hundred_thousand_events_verify_in_seconds() -> None:
    """A large log verifies in under five seconds of processor time."""
    log = log_of(100_000)
    started = time.process_time()
    assert verify_bytes(log).ok
    assert time.process_time() - started < 5
