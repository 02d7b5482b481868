"""`calls erase` and its kin as users type them, on a call that was really processed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command import CARD_DISPUTE, load, only_folder, run

MARK = "quokkatown"  # an invented word of an invented transcript

SAID = f"""WEBVTT

00:00:00.500 --> 00:00:04.000
<v agent>Thank you for calling {MARK} support, how can I help?

00:00:04.500 --> 00:00:09.000
<v customer>My {MARK} parcel did not arrive, I want a refund of forty pounds please.

00:00:09.500 --> 00:00:12.000
<v agent>I will send the {MARK} refund today.
"""


@pytest.fixture
def processed(tmp_path: Path) -> tuple[Path, str]:
    """A call processed with a transcript that was made elsewhere, full of a marker."""
    (tmp_path / "said.vtt").write_text(SAID)
    done = run(
        "process", CARD_DISPUTE, "--out", tmp_path / "out", "--transcript", tmp_path / "said.vtt",
        "--meta", f"customer_ref={MARK}", "--deliver", f"folder:{tmp_path / 'crm'}",
    )  # fmt: skip
    assert done.returncode in (0, 5), done.stderr
    return tmp_path / "out", only_folder(tmp_path / "out").name


@pytest.mark.slow
def test_a_held_call_is_released_and_its_note_edited(processed: tuple[Path, str]) -> None:
    """The transcript does not fit, so it is held; a person releases it, and says what it was."""
    out, call = processed
    state, decides = ("--data", out / ".state", "calls"), ("--reason", "heard it", "--by", "lee")
    assert load(out / call, "result.json")["status"] == "held"
    early = run(*state, "approve", call, *decides)
    assert (early.returncode, "no_review_waits" in early.stderr) == (3, True)
    assert run(*state, "release", call, *decides).returncode == 0
    new = {"summary": ["A parcel is late."], "facts": ["It is blue."], "actions": ["None."]}
    (out.parent / "new.json").write_text(json.dumps({**new, "urgency": "high"}))
    edited = run(*state, "edit", call, "--changes", out.parent / "new.json", *decides, "--json")
    assert json.loads(edited.stdout)["status"] == "done", edited.stderr
    assert run("process", CARD_DISPUTE, "--out", out,
               "--transcript", out.parent / "said.vtt").returncode == 0  # fmt: skip
    note = load(out / call, "note.json")
    assert [claim["text"] for claim in note["summary"]] == ["A parcel is late."]
    page = (out / call / "note.md").read_text()
    assert all(text in page for text in ("A parcel is late. (in a person's words)", "It is blue."))
    assert MARK in json.dumps(load(out / call, "transcript.json"))
    assert '"override"' in (out / call / "redaction_log.jsonl").read_text()
    assert run("log", "verify", out / call / "redaction_log.jsonl").returncode == 0
    listed = run(*state, "decisions", call)
    assert [line.split()[1] for line in listed.stdout.splitlines()] == ["released", "edited"]


@pytest.mark.slow
def test_a_processed_call_goes_from_every_file(processed: tuple[Path, str]) -> None:
    """Preview, hold, erase, receipt, search: no file of the folder and no line holds the marker."""
    out, call = processed
    state = ("--data", out / ".state", "calls")
    decides = ("--reason", f"{MARK} asks", "--by", "M. Lee")
    preview = run(*state, "erase", call, "--preview", "--json")
    assert json.loads(preview.stdout)["would_erase"]["result folders"] == 1
    assert run(*state, "hold", call, *decides).returncode == 0
    refused = run(*state, "erase", call, "--reason", "asks", "--by", "M. Lee")
    assert refused.returncode == 1
    assert "legal_hold" in refused.stderr
    assert (out / call / "result.json").exists()
    assert run(*state, "erase", call, "--verify").returncode == 1
    assert run(*state, "unhold", call, *decides).returncode == 0
    unsaid = run(*state, "erase", call, "--by", "M. Lee")
    assert (unsaid.returncode, "no_reason" in unsaid.stderr) == (3, True)

    erased = run(*state, "erase", call, "--reason", "asks", "--by", "M. Lee", "--json")

    assert erased.returncode == 0, erased.stderr
    receipt = out.parent / "receipt.json"
    receipt.write_text(erased.stdout)
    told = json.loads(erased.stdout)
    assert told["erased"]["data keys"] == 1
    checked = run(*state, "erase", "--receipt", receipt)
    assert (checked.returncode, "nothing is left" in checked.stdout) == (0, True)
    assert run(*state, "erase", told["erasure"], "--verify").returncode == 0
    for file in out.rglob("*"):
        assert not file.is_file() or MARK.encode() not in file.read_bytes(), file
    for output in (preview, refused, erased, checked):
        assert MARK not in output.stdout + output.stderr
    assert not (out / call).exists()
    receipt.write_text(erased.stdout.replace("M. Lee", "M. Loo"))
    assert run(*state, "erase", "--receipt", receipt).returncode == 3
    again = run("process", CARD_DISPUTE, "--out", out, "--transcript", out.parent / "said.vtt")
    assert "(erased)" in again.stderr
    assert run(*state, "erase", call, "--verify").returncode == 0
