"""`process` as its users meet it: good calls, bad files, full disks, the same call twice."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import wave
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from command import CARD_DISPUTE, SAMPLES, load, only_folder, run
from vcon_files import independent, signer

from voice_pipeline.vcon.content import from_base64url

SCRIPTED = ("--transcriber", "scripted:create")
EXPECTED_FILES = {
    "result.json", "note.json", "note.md", "transcript.json", "transcript.vtt",
    "audio.redacted.flac", "redaction_log.jsonl", "call.vcon.json",
}  # fmt: skip


def tone(path: Path, seconds: float, rate: int = 8000, channels: int = 1) -> Path:
    """A quiet file that is audio and says nothing."""
    samples = np.zeros((int(seconds * rate), channels), "<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.tobytes())
    return path


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One sample call, processed once for the tests that only look."""
    out = tmp_path_factory.mktemp("out")
    result = run(
        "process", CARD_DISPUTE, "--out", out, *SCRIPTED,
        "--meta", "started_at=2026-11-23", "--meta", "queue=cards",
        "--meta", "remark=call me on 555 0142 987",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    return out


def test_a_result_folder_has_every_file(done: Path) -> None:
    """All files of the contract but those that result.json names as absent."""
    folder = only_folder(done)
    assert {path.name for path in folder.iterdir()} == EXPECTED_FILES
    result = load(folder, "result.json")
    assert result["status"] == "done"
    assert result["absent"] == []
    assert result["source"]["channels"] == 2
    assert result["transcriber"] == "scripted 1"


def test_no_personal_word_is_in_any_file(done: Path) -> None:
    """Nothing marked as personal in the truth stands in any output, nor in the kept state."""
    truth = next(
        line
        for line in map(json.loads, (SAMPLES / "truth.jsonl").read_text().splitlines())
        if line["id"] == "card-dispute"
    )
    spoken = [
        truth["turns"][span["turn"]]["text"][span["start"] : span["end"]].lower()
        for span in truth["pii"]
    ]
    telling = [text for text in spoken if len(text.split()) >= 4]
    assert telling
    for path in sorted(done.rglob("*")):
        if path.is_file():
            data = path.read_bytes().lower()
            for text in telling:
                assert text.encode() not in data, path


def test_the_vcon_holds_the_same(done: Path, tmp_path: Path) -> None:
    """call.vcon.json is sound, has the folder's own words, audio and log, and can be signed."""
    folder = only_folder(done)
    file = folder / "call.vcon.json"
    verdict = run("vcon", "verify", file)
    assert verdict.returncode == 0, verdict.stdout
    document = load(folder, "call.vcon.json")
    (dialog,) = document["dialog"]
    assert from_base64url(dialog["body"]) == (folder / "audio.redacted.flac").read_bytes()
    assert len(dialog["parties"]) == 2 and dialog["start"] == "2026-11-23T00:00:00Z"
    turns = load(folder, "transcript.json")["turns"]
    words = [word["text"] for word in document["analysis"][0]["body"]["words"]]
    assert words == [word["text"] for turn in turns for word in turn["words"]]
    assert any(word.startswith("[CARD_NUMBER") for word in words)
    assert document["attachments"][0]["body"] == (folder / "redaction_log.jsonl").read_text()
    assert "0142 987" not in json.dumps({**document, "dialog": []})
    key, chain = signer().write(tmp_path, "signer")
    signed = run("vcon", "export", folder, "--out", tmp_path / "s.vcon", "--sign",
                 "--key", key, "--cert", chain)  # fmt: skip
    assert signed.returncode == 0, signed.stderr
    payload = independent((tmp_path / "s.vcon").read_bytes(), signer().key.public_key())
    assert payload.strip() == file.read_bytes().strip()


def test_metadata_is_kept_redacted(done: Path) -> None:
    """Known keys stay, unknown ones stay without what is personal in them."""
    metadata = load(only_folder(done), "result.json")["metadata"]
    assert metadata["queue"] == "cards"
    assert "0142" not in metadata["remark"]


def test_every_claim_quotes_its_turn(done: Path) -> None:
    """Evidence can be looked up: the quote stands in the redacted turn that it names."""
    folder = only_folder(done)
    turns = {turn["turn"]: turn["text"] for turn in load(folder, "transcript.json")["turns"]}
    note = load(folder, "note.json")
    claims = [note["reason"], *note["summary"], *note["facts"], *note["actions"],
              *note["commitments"], *note["escalations"]]  # fmt: skip
    evidence = [item for claim in claims if claim for item in claim["evidence"]]
    assert len(evidence) >= 5
    for item in evidence:
        assert item["quote"] in turns[item["turn"]]


def test_the_log_verifies(done: Path, tmp_path: Path) -> None:
    """The signed log is whole; a changed line is found."""
    log = only_folder(done) / "redaction_log.jsonl"
    good = run("log", "verify", log)
    assert good.returncode == 0
    assert "integrity only, signer not checked" in good.stdout
    changed = tmp_path / "log.jsonl"
    changed.write_text(log.read_text().replace("CARD_NUMBER", "PHONE", 1))
    assert run("log", "verify", changed).returncode == 1


def test_the_same_call_again_is_not_done_twice(done: Path) -> None:
    """A second run answers from what is kept, and gives the same files."""
    before = {path: path.read_bytes() for path in only_folder(done).iterdir()}
    again = run(
        "process", CARD_DISPUTE, "--out", done, *SCRIPTED,
        "--meta", "started_at=2026-11-23", "--meta", "queue=cards",
    )  # fmt: skip
    assert again.returncode == 0
    assert {path: path.read_bytes() for path in only_folder(done).iterdir()} == before


def test_a_new_out_gets_full_results(done: Path, tmp_path: Path) -> None:
    """A call that is known already is written again into another folder."""
    arguments = ("--data", done / ".state", "process", CARD_DISPUTE, "--out", tmp_path, *SCRIPTED)
    assert run(*arguments).returncode == 0
    assert {path.name for path in only_folder(tmp_path).iterdir()} == EXPECTED_FILES


def test_a_delivery_happens_once(tmp_path: Path) -> None:
    """Three runs, one file at the target; a second target gets its own."""
    notes, more = tmp_path / "notes", tmp_path / "more"
    base = ("process", CARD_DISPUTE, "--out", tmp_path / "out", *SCRIPTED)
    for _ in range(2):
        assert run(*base, "--deliver", f"folder:{notes}").returncode == 0
    third = run(*base, "--deliver", f"folder:{notes}", "--deliver", f"folder:{more}")
    assert third.returncode == 0
    (one,) = notes.iterdir()
    (other,) = more.iterdir()
    assert json.loads(one.read_text())["note"] == json.loads(other.read_text())["note"]


def test_a_target_that_cannot_be_is_said_before_any_work(tmp_path: Path) -> None:
    """A misspelled target is misconfiguration, not a failed call."""
    result = run("process", CARD_DISPUTE, "--out", tmp_path, *SCRIPTED, "--deliver", "flder:x")
    assert result.returncode == 4
    assert "folder" in result.stderr


# ---------------------------------------------------------------- bad input


def test_one_bad_file_never_stops_the_others(tmp_path: Path) -> None:
    """Each bad file gets one line that says what to do; the good one is done; the code says so."""
    calls = tmp_path / "calls"
    calls.mkdir()
    (calls / "empty.wav").touch()
    (calls / "text.wav").write_text("dear sir\n" * 100)
    (calls / "cut.wav").write_bytes(CARD_DISPUTE.read_bytes()[:20])
    (calls / "notes.txt").write_text("not audio, and not meant to be")
    shutil.copy(CARD_DISPUTE, calls / "good call 🙂.flac")
    result = run("process", calls, tmp_path / "gone.wav", "--out", tmp_path / "out", *SCRIPTED,
                 "--json")  # fmt: skip
    assert result.returncode == 3
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 4
    assert all(line.startswith("error: ") and line.endswith(")") for line in lines)
    assert "Traceback" not in result.stderr
    summary = json.loads(result.stdout)
    assert [call["status"] for call in summary["calls"]] == ["done"]
    assert summary["skipped"] == 1
    assert {error["code"] for error in summary["errors"]} >= {"empty_file", "not_found"}


def test_a_folder_without_audio_says_so(tmp_path: Path) -> None:
    """An empty folder is most likely a typing error."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "readme.txt").write_text("x")
    result = run("process", tmp_path / "in", "--out", tmp_path / "out", *SCRIPTED)
    assert result.returncode == 3
    assert "no audio" in result.stderr


@pytest.mark.parametrize("seconds", [0.0002, 0.2, 3.0])
def test_silence_is_done_without_a_summary(seconds: float, tmp_path: Path) -> None:
    """A call in which nobody speaks is no error: the note says that there is nothing to say."""
    result = run("process", tone(tmp_path / "s.wav", seconds), "--out", tmp_path / "out")
    assert result.returncode == 0, result.stderr
    folder = only_folder(tmp_path / "out")
    assert load(folder, "note.json")["status"] == "no_summary:no_speech"
    assert "no_speech" in {w["code"] for w in load(folder, "result.json")["warnings"]}


def test_twenty_minutes_of_silence(tmp_path: Path) -> None:
    """Long silence is skipped at the speed of decoding."""
    path = tone(tmp_path / "s.wav", 1200, channels=2)
    result = run("process", path, "--out", tmp_path / "out", timeout=90)
    assert result.returncode == 0, result.stderr


@pytest.mark.slow
def test_three_hours_of_silence(tmp_path: Path) -> None:
    """Also for three hours."""
    path = tone(tmp_path / "s.wav", 3 * 3600, channels=2)
    result = run("process", path, "--out", tmp_path / "out", timeout=400)
    assert result.returncode == 0, result.stderr


def test_results_inside_the_input_folder_are_not_calls(tmp_path: Path) -> None:
    """Muted audio of an earlier run is not taken for a new recording."""
    tone(tmp_path / "s.wav", 1.0)
    for _ in range(2):
        done = run("process", tmp_path, "--out", tmp_path / "results", "--json")
        assert len(json.loads(done.stdout)["calls"]) == 1


def test_the_same_file_under_two_names_is_one_call(tmp_path: Path) -> None:
    """The id comes from the content: a copy is the same call, done once."""
    for name in ("a.flac", "b.flac"):
        shutil.copy(CARD_DISPUTE, tmp_path / name)
    result = run(
        "process", tmp_path / "a.flac", tmp_path / "b.flac", "--out", tmp_path / "out",
        *SCRIPTED, "--json",
    )  # fmt: skip
    assert result.returncode == 0
    summary = json.loads(result.stdout)
    assert len(summary["calls"]) == 1
    assert len(summary["same_call_twice"]) == 1


def test_names_are_redacted_and_stay_one_line(tmp_path: Path) -> None:
    """A card number or a line break in a file name gets nowhere."""
    path = tone(tmp_path / "card 4111 1111 1111 1111\nreally.wav", 1.0)
    result = run("process", path, "--out", tmp_path / "out")
    assert result.returncode == 0, result.stderr
    name = load(only_folder(tmp_path / "out"), "result.json")["source"]["name"]
    assert "1111" not in name
    assert "\n" not in name


@pytest.mark.parametrize(
    "pair",
    ["junk", "=x", "a b=c", "started_at=yesterday", "refund_limit=lots", "language=english"],
)
def test_junk_metadata_is_refused(pair: str, tmp_path: Path) -> None:
    """A pair that cannot be meant is said at once, without a traceback."""
    result = run("process", CARD_DISPUTE, "--out", tmp_path, *SCRIPTED, "--meta", pair)
    assert result.returncode == 3
    assert result.stderr.startswith("error: --meta")


def test_an_unknown_engine_is_misconfiguration(tmp_path: Path) -> None:
    """The message lists the engines that there are."""
    result = run("process", CARD_DISPUTE, "--out", tmp_path, "--transcriber", "parakeet")
    assert result.returncode == 4
    assert "pocketsphinx" in result.stderr


def test_a_whisper_that_is_not_there_says_how_to_get_it(tmp_path: Path) -> None:
    """No model, no network: the message names the command, and nothing is fetched."""
    result = run("process", CARD_DISPUTE, "--out", tmp_path, "--transcriber", "faster_whisper")
    assert result.returncode == 4
    assert "models pull" in result.stderr


def test_usage_is_code_two() -> None:
    """A missing option is a usage error."""
    assert run("process", "x.wav").returncode == 2


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 300 kB, where the system lets us make one."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting needs root")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_output_disk_loses_nothing(small_disk: Path, tmp_path: Path) -> None:
    """Results that cannot be written are kept, and come out when there is room."""
    state = tmp_path / "state"
    base = ("--data", state, "process", CARD_DISPUTE, *SCRIPTED)
    full = run(*base, "--out", small_disk)
    assert full.returncode == 4
    assert "Traceback" not in full.stderr
    assert "kept" in full.stderr
    assert [path for path in small_disk.iterdir() if path.name[0] != "."] == []
    assert run(*base, "--out", tmp_path / "out").returncode == 0


def test_a_full_state_disk_is_said(small_disk: Path, tmp_path: Path) -> None:
    """When the state itself cannot be kept, the message says so and nothing is half done."""
    result = run("process", CARD_DISPUTE, "--out", small_disk, *SCRIPTED)
    assert result.returncode in (1, 4)
    assert "Traceback" not in result.stderr
    assert "error: " in result.stderr


def test_a_read_only_output_folder_is_said(small_disk: Path) -> None:
    """Read-only is found before any work."""
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    result = run("process", CARD_DISPUTE, "--out", small_disk / "out", *SCRIPTED)
    assert result.returncode == 4
    assert "--out" in result.stderr


# ---------------------------------------------------------------- the real engine


def test_the_demo_call_is_understood(tmp_path: Path) -> None:
    """With the real download-free recognizer: done, flagged, and the card number is gone."""
    result = run("process", CARD_DISPUTE, "--out", tmp_path)
    assert result.returncode == 0, result.stderr + result.stdout
    folder = only_folder(tmp_path)
    note = load(folder, "note.json")
    assert note["reason"] is not None
    flags = {flag["category"] for flag in note["escalations"]}
    assert flags & {"complaint", "callback_promised", "fraud"}
    assert "[CARD_NUMBER]" in (folder / "transcript.vtt").read_text()


def test_a_note_that_waits_for_approval_is_no_fault(tmp_path: Path) -> None:
    """A target gets it once a person approves; the command says so and ends well."""
    config = tmp_path / "site.toml"
    config.write_text(
        f'data = "{tmp_path / "state"}"\n[targets.house]\nuse = "folder"\n'
        f'options = {{ path = "{tmp_path / "house"}" }}\n'
    )
    done = run("--config", config, "process", CARD_DISPUTE, "--out", tmp_path / "out", *SCRIPTED,
               "--deliver", "house")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "once a person approves" in done.stdout
    assert not (tmp_path / "house").exists()
