"""What `vcon verify` finds: broken rules, changed files, signatures and chains that do not hold."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from command import run
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st
from vcon_files import (
    DAY,
    DRAFT,
    KINDS,
    START,
    UUID,
    Issued,
    as_bytes,
    encrypted,
    issue,
    linked,
    needs_draft,
    plain,
    schema_faults,
    signer,
    sound,
    with_recording,
)

from voice_pipeline.cli.exchange import channels_of
from voice_pipeline.errors import BadInput
from voice_pipeline.vcon import sign, verify
from voice_pipeline.vcon.content import (
    content_hash,
    from_base64url,
    hash_fault,
    matches,
    to_base64url,
)


def signed(document: Any = None, by: Issued | None = None, *above: Issued) -> dict[str, Any]:
    """Return a signed vCon, to be changed."""
    payload = as_bytes(document if document is not None else with_recording())
    made = sign(payload, UUID, (by or signer()).credentials(*above))
    return dict(json.loads(made))


def told(document: Any, **given: Any) -> list[str]:
    return [str(fault) for fault in verify(as_bytes(document), **given).faults]


@pytest.mark.parametrize("kind", KINDS)
def test_good_ones_are_good(kind: str) -> None:
    """Every kind of sound vCon passes, unsigned, compressed, signed, and signed over again."""
    document = KINDS[kind]()
    assert told(document, channels=channels_of if kind == "inline" else lambda _: None) == []
    assert verify(gzip.compress(as_bytes(document))).ok
    once = signed(document)
    assert told(once) == []
    twice = verify(as_bytes(signed(once)))
    assert twice.ok and len(twice.signatures) == 2 and twice.document == document


@needs_draft
@pytest.mark.parametrize("kind", KINDS)
def test_the_drafts_schema_agrees_on_good_ones(kind: str) -> None:
    """Our invented examples are such as the draft's own schema allows."""
    assert schema_faults(KINDS[kind]()) == []


Change = Callable[[dict[str, Any]], Any]
BROKEN: dict[str, tuple[str, Change, bool]] = {
    # what is wrong: (where it must be found, how to break it, whether the schema says so as well)
    "no uuid": ("uuid", lambda v: v.pop("uuid"), True),
    "bad uuid": ("uuid", lambda v: v.update(uuid="call-1"), False),
    "no created_at": ("created_at", lambda v: v.pop("created_at"), True),
    "bad date": ("created_at", lambda v: v.update(created_at="20 Nov 2026"), False),
    "no such day": ("created_at", lambda v: v.update(created_at="2026-02-30T00:00:00Z"), False),
    "other version": ("vcon", lambda v: v.update(vcon="0.3.0"), True),
    "extensions": ("extensions", lambda v: v.update(extensions="CC"), True),
    "parties": ("parties", lambda v: v.update(parties={}), True),
    "party": ("parties", lambda v: v.update(parties=["Dana"]), True),
    "tel": ("parties[0].tel", lambda v: v["parties"][0].update(tel=5550100), True),
    "type": ("dialog[0].type", lambda v: v["dialog"][0].update(type="audio"), True),
    "no start": ("dialog[0].start", lambda v: v["dialog"][0].pop("start"), True),
    "duration": ("dialog[0].duration", lambda v: v["dialog"][0].update(duration=-1), True),
    "mediatype": ("dialog[0].mediatype", lambda v: v["dialog"][0].pop("mediatype"), False),
    "encoding": ("dialog[0].encoding", lambda v: v["dialog"][0].update(encoding="hex"), True),
    "no encoding": ("dialog[0].encoding", lambda v: v["dialog"][0].pop("encoding"), False),
    "padding": ("dialog[0].body", lambda v: v["dialog"][0].update(body="AA=="), False),
    "both": ("dialog[0]", lambda v: v["dialog"][0].update(
        url="https://a.example.org/a", content_hash=content_hash(b"")), False),
    "empty": ("dialog[0]", lambda v: [v["dialog"][0].pop(n) for n in ("body", "encoding")], False),
    "no party": ("dialog[0].parties", lambda v: v["dialog"][0].update(parties=[0, 7]), False),
    "originator": ("dialog[0].originator", lambda v: v["dialog"][0].update(originator=2), False),
    "reason": ("dialog[0].disposition", lambda v: v.update(
        dialog=[{"type": "incomplete", "start": START}]), False),
    "content": ("dialog[0]", lambda v: v["dialog"][0].update(type="transfer"), False),
    "set": ("dialog[0].recordings", lambda v: v.update(
        dialog=[{"type": "recording-set", "start": START}]), False),
    "event": ("dialog[0].party_history[0].event", lambda v: v["dialog"][0].update(
        party_history=[{"party": 0, "time": START, "event": "slept"}]), True),
    "button": ("dialog[0].party_history[0].button", lambda v: v["dialog"][0].update(
        party_history=[{"party": 0, "time": START, "event": "keyup"}]), False),
    "vendor": ("analysis[0].vendor", lambda v: v.update(analysis=[{"type": "report"}]), True),
    "analysis of nothing": ("analysis[0].dialog", lambda v: v.update(
        analysis=[{"type": "report", "vendor": "x", "dialog": 4}]), False),
    "attachment": ("attachments[0].party", lambda v: v.update(
        attachments=[{"start": START, "dialog": 0}]), True),
    "both before": ("redacted", lambda v: v.update(
        redacted={"type": "PII"}, amended={"uuid": UUID}), False),
    "kind of redaction": ("redacted.type", lambda v: v.update(redacted={"uuid": UUID}), True),
    "raw unbound": ("redacted.content_hash", lambda v: v.update(
        redacted={"type": "PII", "url": "https://a.example.org/raw"}), True),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_broken_rules_are_named(name: str) -> None:
    """Each rule that is broken is told with its place, and no value is."""
    where, change, _ = BROKEN[name]
    document = with_recording()
    change(document)
    found = verify(as_bytes(document)).faults
    assert where in [fault.where for fault in found], found
    assert not any("Invented" in str(fault) or "5550100" in str(fault) for fault in found)


@needs_draft
@pytest.mark.parametrize("name", [name for name in BROKEN if BROKEN[name][2]])
def test_the_drafts_schema_agrees_on_broken_ones(name: str) -> None:
    """Where the draft's schema sees a fault, so do we."""
    document = with_recording()
    BROKEN[name][1](document)
    assert schema_faults(document)


def test_references_must_be_bound() -> None:
    """A file that lies elsewhere is https and has a SHA-512; a changed one is found."""
    url = "https://calls.example.org/a.wav"
    assert told(linked(url, sound()), fetch=lambda _: sound()) == []
    assert told(linked(url, sound()), fetch=lambda _: sound(number=1)) == [
        "dialog[0] is not the file whose hash stands in the vCon (content_hash)"
    ]
    assert told(linked("http://calls.example.org/a.wav", sound())) == [
        "dialog[0].url is no https URL"
    ]
    assert told(linked(url, sound(), content_hash=None)) == [
        "dialog[0].content_hash is missing beside a url"
    ]
    for token in ("sha256-AAAA", "sha512-AAAA", "sha-512-AAAA", "", 7, [], ["sha512"]):
        assert told(linked(url, sound(), content_hash=token)), token
    both = ["sha256-AAAA", content_hash(sound())]
    assert told(linked(url, sound(), content_hash=both), fetch=lambda _: sound()) == []
    inside = with_recording(content_hash=content_hash(b"other"))
    assert "content_hash" in told(inside)[0]


def test_channels_need_their_parties() -> None:
    """A recording of two channels with one entry for both is found."""
    for parties in ([0], 0, [0, 1, 1]):
        found = told(with_recording(sound(channels=2), parties=parties), channels=channels_of)
        assert len(found) == 1 and "dialog[0].parties" in found[0]
    assert told(with_recording(sound(channels=2)), channels=channels_of) == []


# ---------------------------------------------------------------- forms


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "not_a_vcon"),
        (b"RIFF....WAVE", "not_a_vcon"),
        (b"[]", "not_a_vcon"),
        (b'{"text": "hello"}', "not_a_vcon"),
        (as_bytes(plain())[:-9], "vcon_damaged"),
        (b'{"parties": [], "parties": []}', "vcon_damaged"),
        (b'{"parties": [], "a": NaN}', "vcon_damaged"),
        (b'{"parties": [], "a": "\\ud800"}', "vcon_damaged"),
        (b'{"parties": ' + b"[" * 100_000, "vcon_damaged"),
        (gzip.compress(as_bytes(plain()))[:-20], "vcon_damaged"),
        (b"eyJhbGciOiJSUzI1NiJ9.e30.AAAA", "vcon_serialization"),
        (b'"eyJhbGciOiJSUzI1NiJ9.e30.AAAA"\n', "vcon_serialization"),
        (b"eyJhbGciOiJSUzI1NiJ9.AA.AA.AA.AA", "vcon_serialization"),
        (b'{"payload": "e30", "protected": "e30", "signature": "AAAA"}', "vcon_serialization"),
        (as_bytes(encrypted()), "vcon_encrypted"),
        (as_bytes(plain(critical=["lawful_basis"])), "vcon_critical"),
        (as_bytes(plain(critical="CC")), "vcon_critical"),
        (as_bytes({"payload": "e30", "signatures": []}), "vcon_damaged"),
    ],
)
def test_files_that_are_not_used(data: bytes, code: str) -> None:
    """No vCon, cut, ambiguous, compact, encrypted, unknown critical: each with its own code."""
    with pytest.raises(BadInput) as refused:
        verify(data)
    assert refused.value.code == code


def test_critical_extensions_that_are_known() -> None:
    """What is understood here may be critical; the message names what is not."""
    assert verify(as_bytes(plain(critical=["CC"]))).ok
    with pytest.raises(BadInput, match=r"\(lawful_basis, \?\)"):
        verify(as_bytes(signed(plain(critical=["CC", "lawful_basis", "a b\n"]))))


# ---------------------------------------------------------------- signatures


def changed(**header: Any) -> dict[str, Any]:
    """Return a signed vCon with other names in the unprotected header."""
    document = signed()
    document["signatures"][0]["header"] |= header
    return document


def protected(**names: Any) -> dict[str, Any]:
    document = signed()
    document["signatures"][0]["protected"] = to_base64url(as_bytes(names))
    return document


def test_signatures_that_do_not_hold() -> None:
    """Another payload, key, algorithm or header: each is told in words."""
    other = signed(with_recording(sound(number=1)))
    swapped = {**signed(), "payload": other["payload"]}
    alien = changed(x5c=signed(None, issue("alien", number=3))["signatures"][0]["header"]["x5c"])
    cases: list[tuple[dict[str, Any], str]] = [
        (swapped, "not that of this payload"),
        (alien, "not that of this payload"),
        (protected(alg="none"), "none of RS256"),
        (protected(alg="HS256"), "none of RS256"),
        (protected(), "no algorithm"),
        (protected(alg="RS256", crit=["exp"]), "crit"),
        (protected(alg="RS256", b64=False), "b64"),
        (changed(alg="RS512"), "or two"),
        (changed(x5c=[]), "x5c is no list"),
        (changed(x5c=["AAAA"]), "certificate 0"),
        (changed(uuid="01a2189a-0000-8013-bc6b-e5b59e6a285f"), "beside the signature"),
        ({**signed(), "parties": []}, "stands unsigned"),
    ]
    for document, why in cases:
        assert any(why in one for one in told(document)), why
    bare = signed()
    del bare["signatures"][0]["header"]["x5c"]
    assert "nobody can tell who signed" in told(bare)[0]
    bare["signatures"][0]["header"]["x5u"] = "https://calls.example.org/cert.pem"
    assert "name it with --cert" in told(bare)[0]
    assert told(bare, certificates=[signer().certificate]) == []
    assert told(changed(alg="RS256")) == []  # the draft has it there as well


@given(st.data())
def test_any_changed_signature_is_found(data: st.DataObject) -> None:
    """Whatever byte of a signature is changed, it does not hold."""
    document = signed()
    raw = bytearray(from_base64url(document["signatures"][0]["signature"]))
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    document["signatures"][0]["signature"] = to_base64url(bytes(raw))
    assert told(document)


@given(st.binary(max_size=60))
def test_content_travels(data: bytes) -> None:
    """What is put into base64url comes out; a hash is that of its data alone."""
    assert from_base64url(to_base64url(data)) == data
    assert from_base64url(to_base64url(data) + "==", padded=True) == data
    assert hash_fault(content_hash(data)) is None and matches(content_hash(data), data)
    assert not matches(content_hash(data), data + b"x")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["type", "start", "parties", "dialog", "body", "url", "content_hash",
                         "encoding", "party_history", "redacted", "x5c", "alg"]),
        inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


TOP = ["uuid", "created_at", "parties", "dialog", "analysis", "attachments", "critical",
       "redacted", "payload", "signatures", "extensions"]  # fmt: skip


@given(st.dictionaries(st.sampled_from(TOP), JSON))
def test_no_json_breaks_it(document: dict[str, Any]) -> None:
    """Whatever is in a file, the answer is a verdict or a refusal, never a traceback."""
    try:
        verify(as_bytes(document))
    except BadInput as error:
        assert error.code in ("not_a_vcon", "vcon_damaged", "vcon_critical", "vcon_serialization")


# ---------------------------------------------------------------- chains


def test_chains() -> None:
    """Who may issue, how far below, when, and who is trusted."""
    root = issue("root", authority=True, number=1)
    middle = issue("middle", root, authority=True, number=2, path_length=0)
    leaf = issue("leaf", middle)
    good = signed(None, leaf, middle, root)
    assert told(good, authorities=[root.certificate]) == []
    assert told(signed(None, leaf, middle), authorities=[root.certificate]) == []
    assert told(good, authorities=[middle.certificate]) == []
    assert told(good, certificates=[leaf.certificate]) == []
    other = issue("root", authority=True, number=3)  # the same name, another key
    assert "vouches" in told(good, authorities=[other.certificate])[0]
    assert "another signer" in told(good, certificates=[signer().certificate])[0]
    assert "not issued by the next one" in told(signed(None, leaf, root))[0]
    late = datetime.now(UTC) + timedelta(days=3)
    assert "expired" in told(good, at=late)[0]
    assert "not valid before" in told(good, at=datetime.now(UTC) - 3 * DAY)[0]
    old = issue("root", authority=True, number=1, first=-9 * DAY, last=-DAY)  # the same key
    bare = signed(None, leaf, middle)  # whose root is not in the file
    assert "vouches" in told(bare, authorities=[old.certificate])[0]
    plain_leaf = issue("leaf 2", leaf, number=3)  # issued by one that is no authority
    unfit = told(signed(None, plain_leaf, leaf, middle), authorities=[root.certificate])
    assert "no authority" in unfit[0]
    deep = issue("deep", middle, authority=True, number=3)
    below = issue("below", deep)
    far = told(signed(None, below, deep, middle), authorities=[root.certificate])
    assert "this far below" in far[0]
    usage = x509.KeyUsage(False, False, True, False, False, False, False, False, False)
    assert "keyUsage" in told(signed(None, issue("server", extra=((usage, True),))))[0]
    limits = x509.NameConstraints([x509.DNSName("example.org")], None)
    narrow = issue("narrow", authority=True, number=2, extra=((limits, True),))
    under = signed(None, issue("under", narrow), narrow)
    assert "limits its use" in told(under, authorities=[narrow.certificate])[0]
    assert "is not signed" in told(plain(), authorities=[root.certificate])[0]
    weak = issue("weak", bits=1024)
    assert "2048 bits" in told(signed(None, weak))[0]


# ---------------------------------------------------------------- the draft's examples, the command


@needs_draft
def test_the_examples_of_the_draft() -> None:
    """All twelve are read: the signed one holds, others lack what the draft itself asks for."""
    codes, faults = dict[str, str](), dict[str, set[str]]()
    for path in sorted(DRAFT.glob("*.vcon")):
        try:
            verdict = verify(path.read_bytes())
            faults[path.name] = {fault.where for fault in verdict.faults}
            if verdict.form == "signed":
                assert [one.algorithm for one in verdict.signatures] == ["RS256"]
                root = verdict.signatures[0].certificates[-1]
                trusted = verify(path.read_bytes(), authorities=[root])
                assert trusted.signer_checked
        except BadInput as error:
            codes[path.name] = error.code
    assert codes == {
        "ab_call_ext_rec_encrypted.vcon": "vcon_encrypted",
        "simple-vcon.vcon": "not_a_vcon",
    }
    assert len(faults) == 10
    assert all(found <= {"uuid", "created_at"} for found in faults.values()), faults


def test_the_command_says_it_in_words(tmp_path: Path) -> None:
    """Exit 0 whole, 1 with faults, 3 not to be used; files beside it are checked."""
    path = tmp_path / "call.vcon"
    path.write_bytes(as_bytes(linked("https://calls.example.org/a%20b.wav", sound())))
    done = run("vcon", "verify", path)
    assert done.returncode == 0, done.stderr
    assert "not signed" in done.stdout and "1 referenced file(s) not checked" in done.stdout
    (tmp_path / "a b.wav").write_bytes(sound(number=1))
    done = run("vcon", "verify", path, "--files", tmp_path)
    assert done.returncode == 1 and "fault: dialog[0] is not the file" in done.stdout
    path.write_bytes(as_bytes(encrypted()))
    done = run("vcon", "verify", path)
    assert done.returncode == 3
    assert done.stderr.startswith(f"error: {path}: the vCon is encrypted")
    assert done.stderr.count("\n") == 1
