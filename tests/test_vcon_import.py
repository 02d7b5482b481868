"""A vCon with a recording is a call: taken in by command, folder and service, or refused."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from command import CARD_DISPUTE, load, only_folder, run
from test_process import SCRIPTED
from test_references import SOUND, certified, hosting
from test_vcon_verify import signed
from test_watching import rows
from tones import taking
from vcon_files import (
    UUID,
    as_bytes,
    encrypted,
    linked,
    plain,
    sound,
    with_recording,
)

from voice_pipeline.config import load_settings
from voice_pipeline.domain import Ref
from voice_pipeline.errors import BadInput
from voice_pipeline.service import Sender, Service
from voice_pipeline.vcon import Linked, find_recording
from voice_pipeline.vcon.content import content_hash, to_base64url
from voice_pipeline.vcon.recordings import from_letters
from voice_pipeline.ways_in.containers import unpack
from voice_pipeline.ways_in.folder import Folder
from voice_pipeline.ways_in.taking import Terms, take
from voice_pipeline.ways_in.watching import Watch

TERMS = Terms(Sender(by="local"))


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with taking(tmp_path / "data") as found:
        yield found


def refusal(document: Any, name: str = "a.vcon", **given: Any) -> str:
    settings = load_settings(None, **given)
    data = document if isinstance(document, bytes) else as_bytes(document)
    with pytest.raises(BadInput) as refused:
        unpack(io.BytesIO(data), name, settings)
    assert "Invented" not in str(refused.value) and "5550100" not in str(refused.value)
    return refused.value.code


def test_what_a_vcon_tells_of_a_call() -> None:
    """When, which way, who the agent is and what it is filed under; never a customer's number."""
    found = find_recording(with_recording(skill="cards", campaign="spring"))
    assert found.content == sound() and found.agent_channel == "left"
    facts = dict(found.metadata)
    assert from_letters(facts.pop("vcon_ref")) == UUID
    assert facts == {
        "started_at": "2026-11-20T09:30:00Z", "direction": "inbound", "call_ref": "c-4711",
        "skill": "cards", "campaign": "spring", "agent": "Dana Invented", "team": "north",
        "customer_ref": "5f0c7f8e-58cb-4f22-8f05-3d8f3f0f7a11",
    }  # fmt: skip
    swapped = find_recording(with_recording(parties=[[1], [0]], originator=0))
    assert (swapped.agent_channel, swapped.metadata["direction"]) == ("right", "outbound")
    roleless = with_recording()
    roleless["parties"] = [{"name": "A"}, {"name": "B"}]
    known = find_recording(roleless)
    assert known.agent_channel == "auto"  # nobody said who is who, and nothing is guessed
    assert {*known.metadata} == {"started_at", "call_ref", "vcon_ref"}


@pytest.mark.parametrize(
    ("document", "code"),
    [
        (plain(), "vcon_recordings"),
        (with_recording(body=None, encoding=None), "vcon_recordings"),
        (plain(dialog=with_recording()["dialog"] * 2), "vcon_recordings"),
        (with_recording(body="%%"), "vcon_damaged"),
        (with_recording(encoding="json"), "vcon_damaged"),
        (with_recording(content_hash=content_hash(b"other")), "vcon_hash"),
        (linked("https://a.example.org/a.wav", sound()), "reference"),
        (linked("http://127.0.0.1/a.wav", sound()), "vcon_damaged"),
        (linked("https://a.example.org/a.wav", sound(), content_hash=None), "vcon_hash"),
        (encrypted(), "vcon_encrypted"),
        (plain(critical=["lawful_basis"]), "vcon_critical"),
        ({**signed(), "payload": to_base64url(as_bytes(plain()))}, "vcon_signature"),
        (b"eyJhbGciOiJSUzI1NiJ9.e30.AAAA", "vcon_serialization"),
        (as_bytes(with_recording())[:-30], "vcon_damaged"),
        (b'{"text": "no vCon"}', "not_a_vcon"),
    ],
)
def test_what_is_refused(document: Any, code: str) -> None:
    """Each reason has its code; nothing of the file is in the message."""
    assert refusal(document) == code


def test_other_files_are_left_to_others() -> None:
    """What is audio, or JSON of another kind under another name, is no business of vCon's."""
    settings = load_settings(None)
    for data, name in ((sound(), "a.wav"), (b'{"text": "x"}', "a.json"), (b"{broken", "a.txt")):
        file = io.BytesIO(data)
        assert unpack(file, name, settings) is None and file.tell() == 0


def test_a_signature_is_checked_and_said() -> None:
    """Signed ones are opened when the signature holds, and the call says what it is worth."""
    settings = load_settings(None)
    plain_one = unpack(io.BytesIO(as_bytes(with_recording())), "a.vcon", settings)
    signed_one = unpack(io.BytesIO(as_bytes(signed())), "a.json", settings)
    assert plain_one is not None and signed_one is not None
    assert plain_one.data == signed_one.data == sound()
    assert plain_one.metadata["vcon_signature"] == "unsigned"
    assert signed_one.metadata["vcon_signature"] == "whole, signer not checked"


def test_a_linked_recording_is_checked() -> None:
    """What lies elsewhere must have the hash that the vCon names."""
    found = find_recording(linked("https://a.example.org/a.wav", sound()))
    assert isinstance(found.content, Linked)
    found.content.check(sound())
    with pytest.raises(BadInput) as refused:
        found.content.check(sound(number=1))
    assert refused.value.code == "vcon_hash"


def test_taken_once_with_its_facts(service: Service) -> None:
    """The call has the recording's own bytes and the vCon's facts; the same again is known."""
    first = take(
        service, io.BytesIO(as_bytes(with_recording())), "a.vcon", {"team": "south"}, TERMS
    )
    (row,) = rows(service)
    assert row.sha256 == hashlib.sha256(sound()).hexdigest() and row.name == "a.vcon"
    received = service.kit.engine.read(Ref(row.call, "Received", row.received_sha256 or ""))
    metadata = dict(received.metadata)
    assert metadata["team"] == "south"  # who hands it in knows better
    assert metadata["started_at"] == "2026-11-20T09:30:00Z" and metadata["direction"] == "inbound"
    assert metadata["vcon_signature"] == "unsigned" and from_letters(metadata["vcon_ref"]) == UUID
    kept = b"".join(p.read_bytes() for p in service.kit.store.root.rglob("*") if p.is_file())
    assert b"5550100199" not in kept and b"Robin" not in kept
    again = take(service, io.BytesIO(as_bytes(signed())), "b.vcon", {}, TERMS)
    assert again.known and again.call == first.call
    inside = with_recording(as_bytes(with_recording()))
    with pytest.raises(BadInput) as refused:  # a vCon is no recording
        take(service, io.BytesIO(as_bytes(inside)), "c.vcon", {}, TERMS)
    assert refused.value.code == "unsupported_audio"


def test_watched_folders_take_them(service: Service, tmp_path: Path) -> None:
    """A vCon in a watched folder is a call; one that does not hold is put away with its reason."""
    place = tmp_path / "in"
    place.mkdir()
    (place / "good.vcon").write_bytes(as_bytes(with_recording(sound(number=7))))
    bad = with_recording(content_hash=content_hash(b"other"))
    (place / "bad.vcon").write_bytes(as_bytes(bad))
    watch = Watch(service, Folder(place), TERMS)
    watch.look()
    assert watch.look() == 0 and (watch.taken, watch.failed) == (1, 1)
    assert [row.name for row in rows(service)] == ["good.vcon"]
    assert (place / "failed" / "bad.vcon.reason.txt").read_text().startswith("vcon_hash:")


def test_process_takes_a_vcon(tmp_path: Path) -> None:
    """`process` works on a vCon as on its recording, and the export names the one that came in."""
    calls = tmp_path / "calls"
    calls.mkdir()
    document = with_recording(CARD_DISPUTE.read_bytes(), mediatype="audio/flac")
    (calls / "call.vcon").write_bytes(as_bytes(signed(document)))
    bad = with_recording(content_hash=content_hash(b"other"))
    (calls / "bad.vcon").write_bytes(as_bytes(bad))
    (calls / "notes.json").write_text('{"text": "no vCon"}')
    done = run("process", calls, "--out", tmp_path / "out", *SCRIPTED, "--meta", "queue=cards")
    assert done.returncode == 3
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ") and line.endswith("(vcon_hash)")
    folder = only_folder(tmp_path / "out")
    result = load(folder, "result.json")
    assert result["source"]["name"] == "call.vcon"
    assert result["source"]["sha256"] == hashlib.sha256(CARD_DISPUTE.read_bytes()).hexdigest()
    assert result["metadata"]["queue"] == "cards"
    assert result["metadata"]["vcon_signature"] == "whole, signer not checked"
    made = load(folder, "call.vcon.json")
    assert made["redacted"]["uuid"] == UUID != made["uuid"]
    assert made["dialog"][0]["start"] == "2026-11-20T09:30:00Z"
    assert "Robin" not in json.dumps(made) and "5550100199" not in json.dumps(made)


def test_only_listed_places_are_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A recording elsewhere comes from a listed place alone, over TLS, and with the right hash."""
    pem, context = certified(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    with hosting(context) as (base, asked):
        place = f"https://localhost:{base.rpartition(':')[2]}"
        url, there = f"{place}/calls/a.wav", SOUND + b"a.wav"
        assert refusal(linked(url, there)) == "reference" and asked == []
        listed = {"references": [f"{place}/calls"], "private_references": True}
        settings = load_settings(None, serve=listed)
        inside = unpack(io.BytesIO(as_bytes(linked(url, there))), "a.vcon", settings)
        assert inside is not None and inside.data == there
        assert refusal(linked(url, sound()), serve=listed) == "vcon_hash"
        assert refusal(linked(f"{place}/other/a.wav", there), serve=listed) == "reference"
        assert asked == ["/calls/a.wav"] * 2
