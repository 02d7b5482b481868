"""Released calls as vCon files: conformant, redacted, the same every time, signed for others."""

from __future__ import annotations

import hashlib
import io
import json
import time
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from calls import transcript
from command import run
from hypothesis import given, settings
from hypothesis import strategies as st
from quick import FLAC, SAID, SHOWN
from tones import taking, tone
from vcon_files import DAY, independent, issue, needs_draft, schema_faults, signer

from redaction.records import Word
from voice_pipeline import domain as d
from voice_pipeline.access.log import AccessLog
from voice_pipeline.cli.exchange import Request, export
from voice_pipeline.codec import encode
from voice_pipeline.errors import BadInput, Misconfigured
from voice_pipeline.intake import receive
from voice_pipeline.transcripts import read as read_transcript
from voice_pipeline.vcon import Released, load_credentials, redacted_vcon, sign, verify
from voice_pipeline.vcon.build import uuid8
from voice_pipeline.vcon.content import content_hash, from_base64url, to_base64url
from voice_pipeline.vcon.recordings import from_letters, letters
from voice_pipeline.vcon.rules import is_uuid

NOTE = {
    "call_id": "c1",
    "request_type": {"label": "delivery_problem", "confidence": 0.9, "decision": "auto"},
    "summary": [],
    "escalations": [{"rule": "complaint", "why": "a complaint"}],
    "measures": {"talk_share": 0.5},
    "unverified": [{"text": "the parcel was thrown away"}],
    "draft": {"text": "Dear customer"},
    "suggestions": [],
    "no_article": None,
}
LINES = ["agent: how can i help", "customer: my card is [CARD_NUMBER_1] thank you"]


def released(
    text: d.RedactedTranscript | None = None,
    *,
    sound: bytes = FLAC,
    channels: int = 1,
    **metadata: str,
) -> Released:
    """Return a call that was verified."""
    text = text or transcript(LINES)
    audio = hashlib.sha256(sound).hexdigest()
    recording = d.Recording(
        "c1", "0" * 64, "a.wav", d.Ref("c1", "Audio", "0" * 64), channels, 8000, text.duration,
        "pcm", metadata, "auto", "en", (-20.0,), None, 3400.0,
    )  # fmt: skip
    words = hashlib.sha256(encode(text)).hexdigest()
    return Released(
        recording=recording,
        verification=d.Verification(True, (), {}, words, audio),
        transcript=text,
        transcript_sha256=words,
        audio=d.RedactedAudio(d.Ref("c1", "RedactedAudio", audio), 8000, channels, 9.5, 0.5),
        note=NOTE,
        log=b'{"call":"c1"}\n',
        sound=lambda: io.BytesIO(sound),
        received_at=1_700_000_000.5,
        verified_at=1_700_000_060.25,
        release="0.1.0",
    )


def written(call: Released, *, audio_url: str | None = None) -> bytes:
    return redacted_vcon(call, audio_url=audio_url).read()


def build(call: Released, *, audio_url: str | None = None) -> dict[str, Any]:
    return dict(json.loads(written(call, audio_url=audio_url)))


def test_what_a_vcon_of_a_call_holds() -> None:
    """Roles, muted audio, redacted words with times, note, flags, measures and the signed log."""
    made = build(released(agent="Dana", team="north", started_at="2026-11-20T10:30:00+01:00"))
    assert made["vcon"] == "0.4.0" and made["created_at"] == "2023-11-14T22:14:20Z"
    assert is_uuid(made["uuid"]) and made["uuid"][14] == "8"  # of version 8
    assert made["redacted"]["uuid"] != made["uuid"] and is_uuid(made["redacted"]["uuid"])
    assert made["extensions"] == ["CC", "wtf_transcription"] and "critical" not in made
    customer, agent, ours = made["parties"]
    assert customer == {"role": "customer", "type": "person"}
    assert agent == {"role": "agent", "type": "person", "name": "Dana", "dept": "north"}
    assert ours["name"] == "voice-pipeline"
    (dialog,) = made["dialog"]
    assert from_base64url(dialog["body"]) == FLAC and dialog["mediatype"] == "audio/flac"
    assert dialog["start"] == "2026-11-20T09:30:00Z" and dialog["interaction_id"] == "c1"
    words, summary, flags, measures = made["analysis"]
    body = words["body"]
    assert body["words"][7]["text"] == "[CARD_NUMBER_1]"
    assert all(0 <= word["start"] < word["end"] for word in body["words"])
    assert [body["words"][n]["text"] for n in body["segments"][0]["words"]] == [
        "how", "can", "i", "help",
    ]  # fmt: skip
    assert summary["body"]["request_type"]["label"] == "delivery_problem"
    assert flags["body"]["escalations"][0]["rule"] == "complaint"
    assert measures["body"]["measures"] == {"talk_share": 0.5}
    assert all(one["vendor"] and one["schema"] for one in made["analysis"])
    assert all(one["product"].startswith("voice-pipeline 0.1.0: ") for one in made["analysis"])
    (log,) = made["attachments"]
    assert log["body"].encode() == b'{"call":"c1"}\n' and made["parties"][log["party"]] is ours


def test_what_stays_here() -> None:
    """No reference or name of a customer, no claim that failed a check, no letter nobody sent."""
    text = written(released(customer_ref="K-99812", call_ref="R-1")).decode()
    for kept in ("K-99812", "R-1", "thrown away", "Dear customer"):
        assert kept not in text


def test_channels_have_their_parties() -> None:
    """Two channels name one entry each, null for a silent one; the caller is the originator."""
    turns = transcript(LINES).turns
    text = replace(transcript(LINES), turns=(turns[0], replace(turns[1], channel=1)))
    dialog = build(released(text, channels=2))["dialog"][0]
    assert dialog["parties"] == [1, 0] and dialog["originator"] == 0
    dialog = build(released(text, channels=2, direction="outbound"))["dialog"][0]
    assert dialog["parties"] == [1, 0] and "originator" not in dialog  # the first one called
    dialog = build(released(channels=2))["dialog"][0]  # all is heard on the first channel
    assert dialog["parties"] == [[0, 1], None]
    assert build(released())["dialog"][0]["parties"] == [0, 1]


def test_nothing_is_made_up() -> None:
    """A word without time has none here; a call whose begin nobody told says so."""
    turns = transcript(LINES).turns
    untimed = replace(turns[0], words=(*turns[0].words, Word("now", None, None)))
    made = build(released(replace(transcript(LINES), turns=(untimed, turns[1]))))
    body = made["analysis"][0]["body"]
    assert "words" not in body["segments"][0] and body["segments"][0]["text"].endswith("now")
    assert body["segments"][1]["words"] == [0, 1, 2, 3, 4, 5]
    assert made["analysis"][3]["body"]["start_given"] is False
    assert made["dialog"][0]["start"] == "2023-11-14T22:13:20Z"  # when it was handed in


def test_the_same_call_is_the_same_file() -> None:
    """Exported twice: the same bytes. Another revision: another UUID, of the same raw call."""
    first = written(released())
    assert written(released()) == first
    other = build(released(transcript([*LINES, "agent: goodbye"])))
    assert other["uuid"] != json.loads(first)["uuid"]
    assert other["redacted"] == json.loads(first)["redacted"]


def test_what_was_not_verified_does_not_leave() -> None:
    """Held, other words, other audio: each is refused."""
    good = released()
    unsure = replace(good, verification=replace(good.verification, passed=False))
    for wrong in (unsure, replace(good, sound=lambda: io.BytesIO(b"other")),
                  replace(good, transcript_sha256="0" * 64)):  # fmt: skip
        with pytest.raises(BadInput) as refused:
            build(wrong)
        assert refused.value.code == "held"


def test_audio_by_reference() -> None:
    """The recording may lie elsewhere: an https URL, bound by SHA-512; nothing else."""
    url = "https://media.example.org/c1.flac"
    made = written(released(), audio_url=url)
    dialog = json.loads(made)["dialog"][0]
    assert (dialog["url"], dialog["content_hash"]) == (url, content_hash(FLAC))
    assert "body" not in dialog
    assert verify(made).ok and verify(made).unread == 1
    assert verify(made, fetch=lambda _: FLAC).unread == 0
    changed = verify(made, fetch=lambda _: FLAC + b"x")
    assert [fault.where for fault in changed.faults] == ["dialog[0]"]
    for bad in ("http://media.example.org/a", "media/a.flac", "https://"):
        with pytest.raises(BadInput) as refused:
            written(released(), audio_url=bad)
        assert refused.value.code == "vcon_url"


def test_our_own_reader_reads_it() -> None:
    """The transcript goes out in the form in which one comes in: words, times and roles."""
    found = read_transcript(written(released()))
    assert [one.speaker for one in found.utterances] == ["agent", "customer"]
    assert found.utterances[1].words[3].text == "[CARD_NUMBER_1]"
    assert found.utterances[0].words[1].start == pytest.approx(0.35)


@needs_draft
def test_the_drafts_schema_agrees() -> None:
    """The draft's own schema has nothing against any form of ours."""
    for one in (released(), released(channels=2), released(agent="Dana", direction="outbound")):
        assert schema_faults(build(one)) == []
    assert schema_faults(build(released(), audio_url="https://a.example.org/b.flac")) == []
    assert schema_faults({"uuid": "x"})  # it does look


# ---------------------------------------------------------------- always

TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=12)
WORDS = st.builds(
    lambda text, start, length, sure: Word(text, start, start + length, sure),
    TEXTS, st.floats(0, 3000), st.floats(0, 5), st.none() | st.floats(0, 1),
)  # fmt: skip
TURNS = st.lists(
    st.tuples(
        st.sampled_from("agent customer agent_2 customer_2 system unknown".split()),
        st.integers(0, 1),
        st.lists(WORDS | st.builds(lambda text: Word(text, None, None), TEXTS), min_size=1,
                 max_size=4),
        st.booleans(),
    ),
    max_size=5,
)  # fmt: skip
METADATA = st.dictionaries(
    st.sampled_from(["agent", "team", "direction", "started_at", "customer_ref"]), TEXTS
)


@settings(max_examples=40)
@given(TURNS, METADATA, st.binary(max_size=40), st.booleans())
def test_whatever_is_released_verifies(
    turns: list[Any], metadata: dict[str, str], sound: bytes, elsewhere: bool
) -> None:
    """Export, sign, verify: it holds for any call, also by another JOSE library."""
    made = tuple(
        d.RedactedTurn(number, speaker, channel, 0.0 if timed else None, 1.0 if timed else None,
                       tuple(words))
        for number, (speaker, channel, words, timed) in enumerate(turns)
    )  # fmt: skip
    text = d.RedactedTranscript("c1", "en", made, 9.5)
    url = "https://media.example.org/c1.flac" if elsewhere else None
    file = written(released(text, sound=sound, channels=2, **metadata), audio_url=url)
    assert verify(file, fetch=lambda _: sound).faults == ()
    signed = sign(file, json.loads(file)["uuid"], signer().credentials())
    verdict = verify(signed, certificates=[signer().certificate])
    assert verdict.faults == () and verdict.signer_checked
    assert independent(signed, signer().key.public_key()) == file


@given(st.data())
@settings(max_examples=40)
def test_any_changed_byte_is_found(data: st.DataObject) -> None:
    """Whatever byte of what was signed is changed, the file is faulty or unreadable."""
    file = written(released())
    payload = to_base64url(file)
    place = data.draw(st.integers(0, len(file) - 1))
    other = data.draw(st.integers(1, 255))
    changed = bytearray(file)
    changed[place] ^= other
    signed = sign(file, json.loads(file)["uuid"], signer().credentials())
    forged = signed.replace(payload.encode(), to_base64url(bytes(changed)).encode())
    assert forged != signed
    try:
        assert not verify(forged).ok
    except BadInput as error:
        assert error.code in ("vcon_damaged", "not_a_vcon", "vcon_critical", "vcon_serialization")


@given(st.uuids(), st.floats(0, 4e9), TEXTS)
def test_uuids(uuid: Any, moment: float, name: str) -> None:
    """UUIDs are of version 8, in order of time; written in letters they come back."""
    assert from_letters(letters(str(uuid))) == str(uuid)
    made = uuid8(moment, name)
    assert is_uuid(made) and made[14] == "8" and made[19] in "89ab"
    assert uuid8(moment + 1, name) > made and uuid8(moment, f"{name}x") != made


# ---------------------------------------------------------------- the command


def exported(data: Path, *calls: str, **given: Any) -> tuple[int, str]:
    asked = {"sign": False, "key": None, "certificates": None, "audio_url": None,
             "config": None, "as_json": False, "out": data.parent / "out"}  # fmt: skip
    said = io.StringIO()
    with redirect_stdout(said):
        code = export(Request(calls=calls, data=data, **{**asked, **given}))
    return code, said.getvalue()


@pytest.fixture(scope="module")
def worked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """A data folder with a released and a held call."""
    folder = tmp_path_factory.mktemp("worked")
    held = folder / "held.wav"
    with taking(folder / "data") as service:
        kit = service.kit
        ids = []
        for path in (tone(folder / "good.wav", 1), held):
            if path == held:
                path.write_bytes(b"doubtful")
            call = hashlib.sha256(path.name.encode()).hexdigest()[:20]
            sha = hashlib.sha256(path.read_bytes()).hexdigest()
            got = receive(kit.store, path, call, sha, metadata={}, agent_channel="auto",
                          language="en", scrub=kit.scrub)  # fmt: skip
            run_name = kit.engine.start(got, kit.plan(), ())
            while not kit.engine.finished(run_name):
                time.sleep(0.02)
            kit.engine.outcome(run_name)
            ids.append(call)
    return folder / "data", ids[0], ids[1]


def test_the_command_exports_and_signs(worked: tuple[Path, str, str], tmp_path: Path) -> None:
    """One call, signed by a key that an authority vouches for; the look is in the access log."""
    data, good, _ = worked
    root = issue("root.example.org", authority=True, number=1)
    leaf = issue("calls.example.org", root)
    secret, chain = leaf.write(tmp_path, "leaf", root)
    _, trusted = root.write(tmp_path, "root")
    out = tmp_path / "call.vcon"
    code, said = exported(data, good, out=out, sign=True, key=secret, certificates=chain)
    assert code == 0 and "signed" in said
    payload = independent(out.read_bytes(), leaf.key.public_key())
    assert SHOWN in payload.decode() and SAID not in payload.decode()
    done = run("vcon", "verify", out, "--ca", trusted)
    assert done.returncode == 0 and "holds: RS256 by sha256:" in done.stdout, done.stderr
    _, other = issue("other.example.org", authority=True, number=2).write(tmp_path, "other")
    done = run("vcon", "verify", out, "--ca", other, "--json")
    assert done.returncode == 1
    assert "vouches" in json.loads(done.stdout)["faults"][0]["what"]
    with taking(data) as service:
        store = service.kit.store
        looks = [one for one, _ in AccessLog(store.database, store.signing_seed()).rows(call=good)]
    assert [(one.permission, one.kind) for one in looks] == [("vcon.read", "local")]


def test_held_calls_stay(worked: tuple[Path, str, str], tmp_path: Path) -> None:
    """All calls: held ones are left out and counted. Named: refused. Unknown: said so."""
    data, good, held = worked
    code, said = exported(data, out=tmp_path, as_json=True)
    document = json.loads(said)
    assert code == 0 and [one["call"] for one in document["files"]] == [good]
    assert document["held"] == [held]
    first = (tmp_path / f"{good}.vcon").read_bytes()
    exported(data, good, out=tmp_path)
    assert (tmp_path / f"{good}.vcon").read_bytes() == first
    for call, code_ in ((held, "held"), ("unknown", "not_found")):
        with pytest.raises(BadInput) as refused:
            exported(data, call, out=tmp_path)
        assert refused.value.code == code_
    assert {path.name for path in tmp_path.iterdir()} == {f"{good}.vcon"}


def test_signing_needs_a_key_that_fits(tmp_path: Path) -> None:
    """Without a key: how to make one. A key that is locked, weak, of others or late is refused."""
    with pytest.raises(Misconfigured, match="openssl req -x509"):
        load_credentials(None, None)
    good = signer()
    secret, chain = good.write(tmp_path, "good")
    assert load_credentials(secret, chain).certificates == (good.certificate,)
    weak, weak_chain = issue("weak", bits=1024).write(tmp_path, "weak")
    _, late_chain = issue("late", first=-9 * DAY, last=-DAY).write(tmp_path, "late")
    _, alien_chain = issue("alien", number=3).write(tmp_path, "alien")
    (tmp_path / "none").write_text("no key")
    for pair, why in (
        ((weak, weak_chain), "2048 bits"),
        ((secret, late_chain), "expired"),
        ((secret, alien_chain), "not that of the key"),
        ((tmp_path / "none", chain), "no private key"),
        ((secret, tmp_path / "none"), "no certificate"),
        ((tmp_path / "gone", chain), "cannot be read"),
    ):
        with pytest.raises(Misconfigured, match=why) as refused:
            load_credentials(*pair)
        assert refused.value.code == "signing_key"
