"""`process --transcript` as its users meet it: one call, many, bad files, kill and resume."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path

import pytest
from command import CARD_DISPUTE, SAMPLES, load, only_folder, run
from vendor_files import ALL

from voice_pipeline.errors import BadInput, Misconfigured
from voice_pipeline.pairing import Transcripts, read_transcript
from voice_pipeline.transcribers import imported


def test_an_imported_call_without_transcript_is_refused() -> None:
    """The transcriber `imported` hears nothing itself."""
    with pytest.raises(Misconfigured, match="--transcript"):
        imported.create(imported.Options()).transcribe([], language=None, progress=print)


def test_a_folder_is_matched_by_name(tmp_path: Path) -> None:
    """NAME.json or NAME.wav.json for NAME.wav; none or two are refused."""
    (tmp_path / "one.json").write_text(ALL["own"]())
    (tmp_path / "two.wav.vtt").write_text(ALL["webvtt"]())
    (tmp_path / "two.wav").write_bytes(b"")
    (tmp_path / "both.vtt").write_text(ALL["webvtt"]())
    (tmp_path / "both.srt").write_text(ALL["srt"]())
    folder = Transcripts(tmp_path)
    assert folder.beside(Path("calls/one.wav")).name == "one.json"
    assert folder.beside(Path("calls/two.wav")).name == "two.wav.vtt"
    assert read_transcript(tmp_path / "one.json")
    for name in ("both.wav", "none.wav"):
        with pytest.raises(BadInput) as caught:
            folder.beside(Path(name))
        assert caught.value.code == "transcript_missing"


def truth_as_vtt(target: Path, identifier: str = "card-dispute") -> Path:
    lines = map(json.loads, (SAMPLES / "truth.jsonl").read_text().splitlines())
    call = next(line for line in lines if line["id"] == identifier)
    cues = ["WEBVTT\n"]
    for turn in call["turns"]:
        start, end = (f"{int(t) // 60:02d}:{t % 60:06.3f}" for t in (turn["start"], turn["end"]))
        cues.append(f"{start} --> {end}\n<v {turn['speaker']}>{turn['text']}\n")
    target.write_text("\n".join(cues))
    return target


def personal(identifier: str) -> list[str]:
    """What is personal in a sample call, as far as it is long enough to tell."""
    lines = map(json.loads, (SAMPLES / "truth.jsonl").read_text().splitlines())
    call = next(line for line in lines if line["id"] == identifier)
    spans = (call["turns"][p["turn"]]["text"][p["start"] : p["end"]] for p in call["pii"])
    found = [text.lower() for text in spans if len(text.split()) >= 4]
    assert found
    return found


def everything(folder: Path) -> bytes:
    return b"".join(p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file())


def test_a_call_with_its_transcript(tmp_path: Path) -> None:
    """Killed, run again, run once more: one result, sealed, and nothing raw in any file."""
    out, vtt = tmp_path / "out", truth_as_vtt(tmp_path / "call.vtt")
    base = ("process", CARD_DISPUTE, "--out", out, "--transcript", vtt)
    killed = run(*base, crash_at="diarize:before")
    assert killed.returncode == -signal.SIGKILL
    assert b"WEBVTT" not in everything(out)  # what waits is sealed
    assert any("ImportedTranscript" in path.name for path in out.rglob("*"))
    done = run(*base)
    assert done.returncode == 0, done.stderr
    result = load(only_folder(out), "result.json")
    assert result["transcriber"] == "imported (WebVTT)"
    assert {"channel_assumed", "confidence_unknown"} <= {w["code"] for w in result["warnings"]}
    assert not any("ImportedTranscript" in path.name for path in out.rglob("*"))  # it is destroyed
    raw = everything(out).lower()
    for secret in personal("card-dispute"):
        assert secret.encode() not in raw
    before = {path: path.read_bytes() for path in only_folder(out).iterdir()}
    assert run(*base).returncode == 0
    assert {path: path.read_bytes() for path in only_folder(out).iterdir()} == before


def test_another_transcript_is_another_call(tmp_path: Path) -> None:
    """The call id follows recording, settings and transcript."""
    from voice_pipeline.intake import identify

    plain, one, other = (identify(CARD_DISPUTE, "auto", "en", t)[0] for t in (None, b"a", b"b"))
    assert len({plain, one, other}) == 3
    assert identify(CARD_DISPUTE, "auto", "en", b"a")[0] == one
    assert identify(CARD_DISPUTE, "auto", "en")[0] == plain


def test_a_transcript_of_another_call_holds(tmp_path: Path) -> None:
    """Nothing leaves, exit code 5, and the reason is written down."""
    vtt = truth_as_vtt(tmp_path / "other.vtt", "branch-hours")
    done = run("process", CARD_DISPUTE, "--out", tmp_path / "out", "--transcript", vtt)
    assert done.returncode == 5, done.stderr
    reasons = {r["code"] for r in load(only_folder(tmp_path / "out"), "note.json")["reasons"]}
    assert "transcript_mismatch" in reasons


def test_bad_transcripts_are_one_line_each(tmp_path: Path) -> None:
    """A folder of bad transcripts: a line for each, exit code 3, no traceback, no content."""
    calls, texts = tmp_path / "calls", tmp_path / "texts"
    calls.mkdir()
    texts.mkdir()
    bad = {"empty": b"", "cut": ALL["deepgram"]().encode()[:-9], "page": b"<html>4532 1111</html>"}
    for name, data in bad.items():
        shutil.copy(CARD_DISPUTE, calls / f"{name}.flac")
        (texts / f"{name}.json").write_bytes(data)
    shutil.copy(CARD_DISPUTE, calls / "lonely.flac")
    done = run("process", calls, "--out", tmp_path / "out", "--transcript", texts)
    assert done.returncode == 3
    lines = done.stderr.splitlines()
    assert len(lines) == 4
    assert all(line.startswith("error: ") and line.endswith(")") for line in lines)
    assert "4532" not in done.stderr
    assert {line.rsplit("(", 1)[1] for line in lines} == {
        "empty_file)", "transcript_damaged)", "transcript_unknown)", "transcript_missing)"
    }  # fmt: skip


def test_usage_that_cannot_be_meant(tmp_path: Path) -> None:
    """One transcript for many recordings, or beside a transcriber, is a usage error."""
    vtt = truth_as_vtt(tmp_path / "call.vtt")
    many = run("process", SAMPLES / "audio", "--out", tmp_path / "out", "--transcript", vtt)
    assert many.returncode == 2
    assert "a folder with a transcript for each" in " ".join(many.stderr.replace("│", " ").split())
    both = run(
        "process", CARD_DISPUTE, "--out", tmp_path / "out", "--transcript", vtt,
        "--transcriber", "pocketsphinx",
    )  # fmt: skip
    assert both.returncode == 2
    gone = run("process", CARD_DISPUTE, "--out", tmp_path / "o", "--transcript", tmp_path / "no")
    assert gone.returncode == 3
