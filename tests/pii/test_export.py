"""An export is whole, says so offline, and names what was done to it."""

from __future__ import annotations

import csv
import io
import json
import re
import warnings
import zipfile
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_log import NOW, OTHER, SIGNER, finding

from redaction import load_policy
from redaction.export import BATCH, BATCH_PURPOSE, Export, write_export
from redaction.export_verify import NotAnExport, verify_export
from redaction.log import Signer, Verdict, canonical, write_log
from redaction.log_table import COLUMNS, STARTS, Table, cell

POLICY = load_policy("balanced")
EVIL = "=cmd|' /C calc'!A0"


def log(call: str, count: int, signer: Signer = SIGNER, rule: str = "phone.asked") -> bytes:
    sink = io.BytesIO()
    events: list[dict[str, Any]] = [
        {"event": "policy_applied", "time": NOW, "call": call, "policy": POLICY.id,
         "policy_sha256": POLICY.sha256, "profile": "balanced"},
        *({**finding(turn), "call": call, "rule": rule} for turn in range(count)),
    ]  # fmt: skip
    write_log(sink, events, signer, time=NOW)
    return sink.getvalue()


LOGS = {f"call{number}.p1": log(f"call{number}", number + 1) for number in range(5)}


def export(
    logs: Mapping[str, bytes] = LOGS,
    signer: Signer = SIGNER,
    policies: Mapping[str, str] | None = None,
) -> tuple[bytes, Export]:
    sink = io.BytesIO()
    texts = {POLICY.sha256: POLICY.text} if policies is None else policies
    made = write_export(sink, logs.items(), signer, policies=texts, made_by="test 1")
    return sink.getvalue(), made


WHOLE, MADE = export()


def members(data: bytes = WHOLE) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(files: Mapping[str, bytes] | list[tuple[str, bytes]]) -> bytes:
    sink = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        warnings.simplefilter("ignore")  # duplicate names are what is tested
        for name, data in files.items() if isinstance(files, Mapping) else files:
            archive.writestr(name, data)
    return sink.getvalue()


@pytest.fixture(name="check")
def fixture_check(tmp_path: Path) -> Callable[..., Verdict]:
    def check(data: bytes, signer: str | None = None) -> Verdict:
        path = tmp_path / "export.zip"
        path.write_bytes(data)
        return verify_export(path, signer)

    return check


Check = Callable[..., Verdict]


def test_an_export_verifies_and_has_every_part(check: Check) -> None:
    """All logs, the batch head, proofs, the key, the policy text, a table and two pages."""
    verdict = check(WHOLE, SIGNER.fingerprint)
    assert verdict.ok, str(verdict)
    assert (verdict.logs, verdict.records) == (5, 20)
    assert verdict.signer_checked
    assert "20 records in 5 logs, signer checked" in str(verdict)
    assert "signer not checked" in str(check(WHOLE))
    assert set(members()) == {
        *(f"logs/{name}.jsonl" for name in LOGS), BATCH, "proofs.jsonl", "public_key.pem",
        "events.csv", "index.html", "README.txt", f"policies/{POLICY.sha256}.json",
    }  # fmt: skip


def test_the_same_logs_give_the_same_bytes() -> None:
    """Two exports can be compared byte by byte."""
    assert export()[0] == WHOLE


def test_a_packed_again_export_still_verifies(check: Check) -> None:
    """What a mail gateway or a file manager does to a zip changes no evidence."""
    with_folders = [("logs/", b""), *members().items()]
    assert check(packed(with_folders)).ok


@pytest.mark.parametrize("name", sorted(members()))
def test_every_changed_file_is_named(name: str, check: Check) -> None:
    """One byte more in any file of an export, and that file is named."""
    files = members()
    verdict = check(packed({**files, name: files[name].replace(b"1", b"2", 1) + b" "}))
    assert name in {fault.member for fault in verdict.faults}


@pytest.mark.parametrize("name", sorted(members()))
def test_every_missing_file_is_named(name: str, check: Check) -> None:
    """A file that was taken out is missed by its name."""
    files = members()
    del files[name]
    faults = check(packed(files)).faults
    assert (name, "missing") in {(fault.member, fault.kind) for fault in faults}


def test_the_faulty_record_is_named_with_its_file(check: Check) -> None:
    """Inside the zip the record is named as in a log alone."""
    files, name = members(), "logs/call3.p1.jsonl"
    lines = files[name].splitlines(keepends=True)
    lines[2] = lines[2].replace(b"PHONE", b"EMAIL")
    verdict = check(packed({**files, name: b"".join(lines)}))
    assert [(f.member, f.line, f.kind) for f in verdict.faults] == [(name, 3, "changed")]
    assert f"{name}, line 3: record 2 was changed" in str(verdict)


def test_a_log_signed_anew_is_not_the_one_of_the_batch(check: Check) -> None:
    """A whole log made anew with the right key, or another's, does not fit the signed root."""
    files, name = members(), "logs/call3.p1.jsonl"
    for signer, kinds in ((SIGNER, {"changed"}), (OTHER, {"changed", "signer"})):
        verdict = check(packed({**files, name: log("call3", 4, signer, rule="phone.cue")}))
        assert {fault.member for fault in verdict.faults} == {name}
        assert {fault.kind for fault in verdict.faults} == kinds


def test_logs_that_changed_places_are_named(check: Check) -> None:
    """Two logs under each other's names are both named."""
    files = members()
    one, other = "logs/call1.p1.jsonl", "logs/call2.p1.jsonl"
    files[one], files[other] = files[other], files[one]
    assert {fault.member for fault in check(packed(files)).faults} == {one, other}


def test_a_forged_batch_head_is_found(check: Check) -> None:
    """Whoever leaves a log out and counts anew cannot sign; with his own key he is another."""
    files = members()
    del files["logs/call4.p1.jsonl"]
    batch = json.loads(files[BATCH])
    batch["logs"].pop()
    batch["count"] -= 1
    verdict = check(packed({**files, BATCH: canonical(batch) + b"\n"}))
    assert ("forged", BATCH) in {(fault.kind, fault.member) for fault in verdict.faults}
    fewer = {name: log(name[:5], 1, OTHER) for name in list(LOGS)[:4]}
    assert check(export(fewer, OTHER)[0]).ok
    verdict = check(export(fewer, OTHER)[0], SIGNER.fingerprint)
    assert {fault.kind for fault in verdict.faults} == {"signer"}


@pytest.mark.parametrize(
    "name",
    ["../../etc/passwd", "/etc/passwd", "C:\\x", "logs/../x.jsonl", "logs/a/b.jsonl", "x\n\x1b[31m",
     "LOGS/call1.p1.jsonl", "policies/x.json", "setup.exe", "logs/" + "a" * 300 + ".jsonl"],
)  # fmt: skip
def test_names_that_no_export_has_are_refused(name: str, check: Check, tmp_path: Path) -> None:
    """Nothing is unpacked; a path, a foreign file or a control character is said, printably."""
    verdict = check(packed({**members(), name: b"x"}))
    assert [fault.kind for fault in verdict.faults] == ["added"]
    assert str(verdict).isprintable() or "\x1b" not in str(verdict)
    assert [path.name for path in tmp_path.iterdir()] == ["export.zip"]


def test_an_added_log_is_no_part_of_the_batch(check: Check) -> None:
    """A well-made log beside those of the batch is said to be too much."""
    verdict = check(packed({**members(), "logs/more.p1.jsonl": log("more", 1)}))
    assert [(f.kind, f.member) for f in verdict.faults] == [("added", "logs/more.p1.jsonl")]


def test_a_file_that_stands_twice_is_found(check: Check) -> None:
    """Two readers of a zip may pick different ones of two files with one name."""
    name = "logs/call1.p1.jsonl"
    verdict = check(packed([*members().items(), (name, log("call1", 9))]))
    assert (name, "added") in {(fault.member, fault.kind) for fault in verdict.faults}


def test_a_zip_bomb_is_not_unpacked(check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    """A member larger than its limit is not read at all."""
    monkeypatch.setattr("redaction.export_verify.MOST_BYTES", 1 << 20)
    name = "logs/call1.p1.jsonl"
    verdict = check(packed({**members(), name: b"0" * (2 << 20)}))
    assert [(f.kind, f.member) for f in verdict.faults] == [("changed", name)]
    assert "larger" in verdict.faults[0].detail


def test_bytes_around_the_zip_are_found(check: Check) -> None:
    """A zip behind another file, or with a comment, is no export of ours."""
    assert "added" in {fault.kind for fault in check(b"MZ" + WHOLE).faults}
    sink = io.BytesIO(WHOLE)
    with zipfile.ZipFile(sink, "a") as archive:
        archive.comment = b"hello"
    assert [fault.kind for fault in check(sink.getvalue()).faults] == ["added"]


@given(at=st.integers(0, len(WHOLE) - 1), new=st.integers(0, 255))
@settings(
    deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_changed_byte_is_found_or_changed_nothing(at: int, new: int, check: Check) -> None:
    """Any byte of the zip: either it is found, or every file still reads as it was signed."""
    data = WHOLE[:at] + bytes([new]) + WHOLE[at + 1 :]
    try:
        verdict = check(data)
    except NotAnExport:
        return
    if verdict.ok:
        assert members(data) == members()


@given(length=st.integers(0, len(WHOLE) - 1))
@settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_cut_zip_is_found(length: int, check: Check) -> None:
    """Half a download is a fault, never a traceback."""
    assert [fault.kind for fault in check(WHOLE[:length]).faults] == ["truncated"]


def test_another_zip_is_no_export(check: Check) -> None:
    """A zip with nothing of ours is refused, not judged."""
    with pytest.raises(NotAnExport):
        check(packed({"word/document.xml": b"<x/>"}))


def test_nothing_faulty_or_empty_is_exported() -> None:
    """A log that does not verify, a name that does not fit, and no log at all are refused."""
    for logs in ({}, {"../x": LOGS["call1.p1"]}, {"a": LOGS["call1.p1"][:-5]},
                 {"a": log("a", 1, OTHER)}):  # fmt: skip
        with pytest.raises(ValueError):
            export(logs)


def test_a_policy_whose_text_is_not_known_is_said(check: Check) -> None:
    """Without the text the log still names the hash, and the export says that it lacks it."""
    data, made = export(policies={})
    assert made.policies_missing == (POLICY.sha256,)
    assert check(data).ok


JUNK: list[dict[str, Any]] = [
    {"logs": None}, {"logs": [1, None]}, {"logs": ["logs/../x.jsonl"]}, {"files": []},
    {"logs": ["logs/a.jsonl"] * 9},
    {"files": {"../x": 1}}, {"root": 7}, {"root": "zz"}, {"count": "five"},
    {"count": 10**30}, {"public_key": None}, {"public_key": "00"}, {"signature": 5}, {"event": []},
    {"records": {}},
]  # fmt: skip


@pytest.mark.parametrize("change", JUNK, ids=lambda change: json.dumps(change)[:30])
def test_junk_in_a_batch_head_is_a_fault(change: dict[str, Any], check: Check) -> None:
    """Whatever a forger writes into the head, signed by himself or not: a verdict, no traceback."""
    files = members()
    batch = {**json.loads(files[BATCH]), **change}
    assert not check(packed({**files, BATCH: canonical(batch) + b"\n"})).ok
    if "signature" not in change and "public_key" not in change:
        del batch["signature"]
        batch["signature"] = SIGNER.sign(BATCH_PURPOSE + canonical(batch))
        assert not check(packed({**files, BATCH: canonical(batch) + b"\n"})).ok


@pytest.mark.parametrize(
    "line",
    [b"", b"{}", b"[]", b"\xff", b'{"index":"a","leaf":"00","log":"x","path":[]}',
     b'{"index":0,"leaf":1,"log":[],"path":{}}', b'{"index":0.5,"leaf":"","log":{},"path":["0"]}'],
)  # fmt: skip
def test_junk_in_the_proofs_is_a_fault(line: bytes, check: Check) -> None:
    """Proofs that prove nothing are named, also where the head was signed over them."""
    files = {**members(), "proofs.jsonl": line + b"\n"}
    batch = json.loads(files[BATCH])
    batch["files"]["proofs.jsonl"] = sha256(files["proofs.jsonl"]).hexdigest()
    del batch["signature"]
    batch["signature"] = SIGNER.sign(BATCH_PURPOSE + canonical(batch))
    faults = check(packed({**files, BATCH: canonical(batch) + b"\n"})).faults
    assert [fault.member for fault in faults] == ["proofs.jsonl"]


# ---------------------------------------------------------------- what people open


@given(text=st.text(max_size=30))
@settings(deadline=None, max_examples=300)
def test_no_cell_is_a_formula(text: str) -> None:
    """Whatever a policy author calls a rule, no spreadsheet evaluates it."""
    for dangerous in (text, *(start + text for start in STARTS), f" {EVIL}{text}"):
        made = cell(dangerous)
        assert made[:1] not in STARTS
        assert made.lstrip()[:1] not in STARTS
        assert dangerous.replace("\0", "") in made


def test_the_table_reads_back() -> None:
    """One row a record, in one column a field; lists and missing fields are plain."""
    sink = io.StringIO()
    Table(sink).add(
        "logs/x.jsonl", {"seq": 0, "event": "redacted", "rule": EVIL, "channels": [0, 1]}
    )
    header, row = csv.reader(io.StringIO(sink.getvalue(), newline=""))
    assert tuple(header) == COLUMNS
    found = dict(zip(header, row, strict=True))
    assert found["rule"] == f"'{EVIL}"
    assert found["channels"] == "0 1"
    assert found["score"] == ""
    assert len(list(csv.reader(io.StringIO(members()["events.csv"].decode())))) == 21


def test_the_page_has_no_script_and_fetches_nothing() -> None:
    """The page opens from a mail on any machine; what a policy author wrote is text in it."""
    files = members(export({"a": log("a", 1, rule="<script>alert(1)</script>")})[0])
    text = files["index.html"].decode()
    assert "<script" not in text
    assert not re.search(r"""(?:src|href)\s*=|url\(|@import|https?:""", text)
    assert "default-src 'none'" in text
    assert SIGNER.fingerprint in text
    assert SIGNER.fingerprint in files["README.txt"].decode()


def test_the_log_can_be_checked_without_our_code() -> None:
    """The steps of README.txt, written out with hashlib and an Ed25519 library alone."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    files = members()
    key = load_pem_public_key(files["public_key.pem"])
    assert isinstance(key, Ed25519PublicKey)

    def tree(leaves: list[bytes]) -> bytes:
        if len(leaves) == 1:
            return leaves[0]
        split = 1
        while split * 2 < len(leaves):
            split *= 2
        return sha256(b"\x01" + tree(leaves[:split]) + tree(leaves[split:])).digest()

    def signed(head: dict[str, Any], purpose: bytes) -> None:
        signature = bytes.fromhex(head.pop("signature"))
        text = json.dumps(head, sort_keys=True, separators=(",", ":"))
        key.verify(signature, purpose + b"\n" + text.encode("ascii"))

    heads = []
    batch = json.loads(files[BATCH])
    for name in batch["logs"]:
        *records, head = files[name].split(b"\n")[:-1]
        leaves = [sha256(b"\x00" + record).digest() for record in records]
        previous = "0" * 64
        for record, leaf in zip(records, leaves, strict=True):
            assert json.loads(record)["prev_hash"] == previous
            previous = leaf.hex()
        said = json.loads(head)
        assert (said["count"], said["prev_hash"]) == (len(records), previous)
        assert said["root"] == tree(leaves).hex()
        signed(said, b"redaction-log-head/1")
        heads.append(sha256(b"\x00" + head).digest())
    assert batch["root"] == tree(heads).hex()
    for name, digest in batch["files"].items():
        assert sha256(files[name]).hexdigest() == digest
    signed(batch, b"redaction-log-batch/1")
