"""The small commands, and the promise that none of them reaches for the network."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from command import CARD_DISPUTE, SAMPLES, run

TURNS = [
    {"speaker": "Agent", "text": "thank you for calling how can i help", "start": 0.0, "end": 2.0},
    {"speaker": "Caller", "text": "i want to cancel my contract and my card number is four one one"
     " one one one one one one one one one one one one one", "start": 2.5, "end": 9.0},
    {"speaker": "Agent", "text": "i will call you back tomorrow", "start": 9.5, "end": 11.0},
]  # fmt: skip


def test_analyse_redacts_before_it_reads() -> None:
    """Turns come in raw, a note with flags and route comes out, and the number is nowhere."""
    metadata = {"started_at": "2026-11-23", "note": "card 4532 9910 8876 4242"}
    line = json.dumps({"id": "a", "turns": TURNS, "metadata": metadata})
    done = run("analyse", stdin=line)
    assert done.returncode == 0, done.stderr
    assert "4532" not in done.stdout
    answer = json.loads(done.stdout)
    assert answer["id"] == "a"
    assert {"cancellation", "callback_promised"} <= {f["category"] for f in answer["escalations"]}
    assert answer["route"]["queue"]
    assert answer["note"]["commitments"][0]["due"] == "2026-11-24"
    assert "one one one" not in done.stdout


def test_analyse_goes_on_after_a_bad_line() -> None:
    """Order is kept; a bad line has an error and a place, the rest is done."""
    good = json.dumps({"id": "b", "turns": TURNS})
    lines = ["nonsense", '{"id": 1}', '{"id": 2, "turns": [{"speaker": 3, "text": ""}]}', good]
    done = run("analyse", stdin="\n".join(lines))
    assert done.returncode == 3
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [answer["id"] for answer in answers] == [None, 1, 2, "b"]
    assert ["error" in answer for answer in answers] == [True, True, False, False]
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("turns", [[], [{"speaker": "agent", "text": "hello"}]])
def test_analyse_has_nothing_to_say_about_nothing(turns: list[dict[str, str]]) -> None:
    """No turns, or one side alone: a code instead of an invention."""
    done = run("analyse", stdin=json.dumps({"id": 1, "turns": turns}))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["note"]["status"].startswith("no_summary:")


def test_doctor_says_what_is_missing_and_how_to_get_it(tmp_path: Path) -> None:
    """Every missing part has its price and its cure."""
    done = run("--data", tmp_path, "doctor", "--json")
    assert done.returncode == 0, done.stdout
    checks = {check["name"]: check for check in json.loads(done.stdout)}
    whisper = checks["model whisper-large-v3-turbo"]
    assert whisper["state"] == "absent"
    assert "models pull" in whisper["cure"]
    assert checks["model en-us-telephone"]["state"] == "ok"
    assert checks["policy pack"]["state"] == "ok"


def test_models_verify() -> None:
    """Our own artefacts match their hashes."""
    done = run("models", "verify")
    assert done.returncode == 0
    assert "en-us-telephone: ok" in done.stdout


def test_policy_check_names_file_and_line(tmp_path: Path) -> None:
    """The shipped pack is whole; a typo is found where it stands."""
    assert run("policy", "check").returncode == 0
    pack = tmp_path / "pack"
    source = Path(__file__).parents[1] / "voice_pipeline" / "policy" / "default"
    subprocess.run(["cp", "-r", str(source), str(pack)], check=True)
    rules = pack / "rules" / "complaints.yaml"
    rules.write_text(rules.read_text().replace("severity: high", "severity: hihg", 1))
    done = run("policy", "check", pack)
    assert done.returncode == 1
    assert "complaints.yaml:" in done.stdout


def test_evaluate_states_n_and_interval() -> None:
    """No bare numbers: each figure has what it rests on."""
    done = run("evaluate", "escalation", "--data", SAMPLES, "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["calls"] >= 12
    assert all(figure["n"] >= 0 and figure["unit"] for figure in report["figures"])


def test_evaluate_without_truth_says_so(tmp_path: Path) -> None:
    """A folder without truth.jsonl is bad input."""
    assert run("evaluate", "asr", "--data", tmp_path).returncode == 3


OFFLINE = """
import socket, sys
def refuse(self, address, *rest):
    raise SystemExit(f"reached for {address}")
socket.socket.connect = refuse
socket.socket.connect_ex = refuse
socket.getaddrinfo = lambda *a, **k: refuse(None, a)
from voice_pipeline.cli import main
main()
"""


@pytest.mark.parametrize(
    "arguments",
    [
        ("process", str(CARD_DISPUTE), "--out", "OUT", "--transcriber", "scripted:create"),
        ("redact",),
        ("analyse",),
        ("doctor",),
        ("models", "list"),
        ("models", "verify"),
        ("policy", "check"),
    ],
    ids=lambda arguments: arguments[0],
)
def test_nothing_phones_home(arguments: tuple[str, ...], tmp_path: Path) -> None:
    """With every socket refused, every command does its work."""
    line = json.dumps({"id": 1, "turns": [{"speaker": "a", "text": "mail me at jo@example.com"}]})
    done = subprocess.run(
        [sys.executable, "-c", OFFLINE, *[a.replace("OUT", str(tmp_path)) for a in arguments]],
        input=line,
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
    )
    assert done.returncode == 0, done.stderr
