"""`log export` and `log verify` as a compliance person and an auditor use them."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from command import CARD_DISPUTE, SAMPLES, TESTS, load, only_folder, run

from redaction import Word
from redaction.hashes import NEVER_HASHED
from redaction.language import load_language
from redaction.log import canonical
from redaction.reading import reading
from voice_pipeline.store import Store

SCRIPTED = ("--transcriber", "scripted:create")


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One sample call, processed and delivered, and its export."""
    out = tmp_path_factory.mktemp("out")
    target = f"folder:{out / '.notes'}"
    processed = run("process", CARD_DISPUTE, "--out", out, *SCRIPTED, "--deliver", target)
    assert processed.returncode == 0, processed.stderr
    made = run("--data", out / ".state", "log", "export", "--out", out / ".audit.zip")
    assert made.returncode == 0, made.stderr
    return out


def events(out: Path) -> list[dict[str, Any]]:
    text = (only_folder(out) / "redaction_log.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


def values() -> list[tuple[str, str, str]]:
    """(label, as said, as written) of everything personal that is said on the call."""
    lines = map(json.loads, (SAMPLES / "truth.jsonl").read_text().splitlines())
    truth = next(line for line in lines if line["id"] == "card-dispute")
    found = []
    for span in truth["pii"]:
        said = truth["turns"][span["turn"]]["text"][span["start"] : span["end"]]
        words = tuple(Word(word, None, None) for word in said.split())
        found.append((span["label"], said, reading(words, span["label"], load_language("en"))))
    return found


def test_an_export_verifies_where_nothing_else_is(done: Path, tmp_path: Path) -> None:
    """In an empty folder, in a process that knows no data folder, the zip alone is enough."""
    shutil.copy(done / ".audit.zip", tmp_path / "audit.zip")
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("VOICE_PIPELINE")
    } | {"PYTHONPATH": str(TESTS.parent), "HOME": str(tmp_path)}
    checked = subprocess.run(
        [sys.executable, "-m", "voice_pipeline", "log", "verify", "audit.zip", "--json"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert checked.returncode == 0, checked.stderr
    verdict = json.loads(checked.stdout)
    assert verdict["ok"]
    assert verdict["logs"] == 1
    assert [path.name for path in tmp_path.iterdir()] == ["audit.zip"]
    named = run("log", "verify", tmp_path / "audit.zip", "--signer", verdict["signer"])
    assert named.returncode == 0
    assert "signer checked" in named.stdout
    assert run("log", "verify", tmp_path / "audit.zip", "--signer", "0" * 64).returncode == 1


def test_the_export_holds_the_log_of_the_result_folder(done: Path, tmp_path: Path) -> None:
    """The auditor gets the bytes that the operator has; two exports are the same bytes."""
    with zipfile.ZipFile(done / ".audit.zip") as archive:
        (name,) = [name for name in archive.namelist() if name.startswith("logs/")]
        log = only_folder(done) / "redaction_log.jsonl"
        assert archive.read(name) == log.read_bytes()
        (policy,) = [event for event in events(done) if event["event"] == "policy_applied"]
        text = archive.read(f"policies/{policy['policy_sha256']}.json")
        assert hashlib.sha256(text).hexdigest() == policy["policy_sha256"]
    call = only_folder(done).name
    again = run("--data", done / ".state", "log", "export", call, "--out", tmp_path / "b.zip",
                "--since", "2000-01-01", "--until", "2100-01-01", "--json")  # fmt: skip
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["logs"] == 1
    assert (tmp_path / "b.zip").read_bytes() == (done / ".audit.zip").read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["b.zip"]


def test_a_tampered_export_names_file_and_line(done: Path, tmp_path: Path) -> None:
    """Exit code 1, the member, the line and the record."""
    with zipfile.ZipFile(done / ".audit.zip") as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    (name,) = [name for name in files if name.startswith("logs/")]
    place = files[name].count(b"\n", 0, files[name].index(b"CARD_NUMBER"))
    files[name] = files[name].replace(b"CARD_NUMBER", b"ADDRESS", 1)
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        for member, data in files.items():
            archive.writestr(member, data)
    checked = run("log", "verify", tmp_path / "bad.zip")
    assert checked.returncode == 1
    assert f"{name}, line {place + 1}: record {place} was changed" in checked.stdout


def test_no_value_is_in_log_or_export(done: Path) -> None:
    """Neither as said nor as written, nor as a hash that anybody could try."""
    with zipfile.ZipFile(done / ".audit.zip") as archive:
        written = b"\n".join(archive.read(name) for name in archive.namelist()).lower()
    written += (only_folder(done) / "redaction_log.jsonl").read_bytes().lower()
    assert values()
    for label, said, value in values():
        for form in {said.lower(), value, value.replace(" ", "")}:
            if len(form) > 4:  # three digits stand in any hash
                assert form.encode() not in written, label
            for text in (form, form.upper(), f"{label}\0{form}"):
                for name in ("md5", "sha1", "sha256"):
                    digest = hashlib.new(name, text.encode()).hexdigest()
                    assert digest.encode() not in written
                call = only_folder(done).name.encode()
                for key in (b"", b"secret", call, label.encode()):
                    digest = hmac.new(key, text.encode(), "sha256").hexdigest()
                    assert digest.encode() not in written


def test_hashes_are_there_and_only_where_they_may_be(done: Path) -> None:
    """Keyed, named, none of a card code, none of a piece of a card, none in the state."""
    found = [event for event in events(done) if event.get("label") and event["event"] == "redacted"]
    hashed = [event for event in found if event["value_hmac"]]
    assert hashed
    assert all(event["key_id"] and event["label"] not in NEVER_HASHED for event in hashed)
    for event in found:
        if event["label"] in NEVER_HASHED:
            assert (event["value_hmac"], event["digits"], event["key_id"]) == (None, None, None)
        if event["label"] == "CARD_NUMBER" and event["digits"] < 13:
            assert event["value_hmac"] is None
    state = [path for path in (done / ".state").rglob("*") if path.is_file()]
    for path in state:
        data = path.read_bytes()
        assert not any(event["value_hmac"].encode() in data for event in hashed), path
    store = Store(done / ".state")
    key = store.hash_key(only_folder(done).name)
    store.close()
    assert {event["key_id"] for event in hashed} == {key.id}
    names = {value for label, _, value in values() if label == "PERSON"}
    expected = {
        hmac.new(key.secret, f"PERSON\0{name}".encode(), "sha256").hexdigest() for name in names
    }
    assert expected & {event["value_hmac"] for event in hashed if event["label"] == "PERSON"}


def test_the_log_says_what_left(done: Path) -> None:
    """A delivery is in the log with the hash of exactly what the target got, and no path."""
    (left,) = [event for event in events(done) if event["event"] == "released_to"]
    note = load(only_folder(done), "note.json")
    assert left["payload_sha256"] == hashlib.sha256(canonical(note)).hexdigest()
    (delivered,) = (done / ".notes").iterdir()
    assert json.loads(delivered.read_text())["note"] == note
    assert left["target"] == "folder"
    assert str(done) not in json.dumps(events(done))
    order = [event["event"] for event in events(done)]
    assert order.index("verification") < order.index("erased") < order.index("released_to")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("log", "verify", "gone.zip"), 3),
        (("--data", "{state}", "log", "export", "nosuchcall", "--out", "{tmp}/a.zip"), 3),
        (("--data", "{state}", "log", "export", "--since", "2100-01-01", "--out", "{tmp}/a"), 3),
        (("--data", "{state}", "log", "export", "--until", "monday", "--out", "{tmp}/a.zip"), 3),
        (("--data", "{tmp}/none", "log", "export", "--out", "{tmp}/a.zip"), 3),
        (("--data", "{state}", "log", "export", "--out", "{tmp}"), 4),
    ],
)
def test_what_cannot_be_done_is_said(
    arguments: tuple[str, ...], code: int, done: Path, tmp_path: Path
) -> None:
    """One line that says what to do, the contract's exit code, and no file left behind."""
    filled = [part.format(state=done / ".state", tmp=tmp_path) for part in arguments]
    result = run(*filled)
    assert result.returncode == code, result.stderr
    assert result.stderr.startswith("error: ")
    assert len(result.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_another_zip_is_bad_input(tmp_path: Path) -> None:
    """A zip of something else is not judged."""
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("letter.txt", "dear sir")
    result = run("log", "verify", tmp_path / "x.zip")
    assert result.returncode == 3
    assert "not_an_export" in result.stderr
