"""The `redact` command: order, offsets, echoes, bad lines, and no network."""

from __future__ import annotations

import io
import json
import socket
import subprocess
import sys
from typing import Any

import pytest

from redaction import Redactor, load_policy
from redaction.jsonl import redact_lines
from redaction.policy import parse_policy


def run(*lines: str) -> tuple[int, list[dict[str, Any]], str]:
    out, err = io.StringIO(), io.StringIO()
    code = redact_lines(lines, out, err, Redactor(load_policy("balanced")))
    return code, [json.loads(line) for line in out.getvalue().splitlines()], err.getvalue()


def test_offsets_are_code_points_of_the_input() -> None:
    """Spans point at exactly the value, without the punctuation around it."""
    text = "🙂 Sure: it's 4111 1111 1111 1111, thanks."
    code, (out,), _ = run(json.dumps({"id": "a", "text": text}))
    (span,) = out["spans"]
    assert code == 0
    assert text[span["start"] : span["end"]] == "4111 1111 1111 1111"
    assert out["text"] == "🙂 Sure: it's [CARD_NUMBER], thanks."
    assert set(span) == {"start", "end", "label", "score", "detector", "rule"}


def test_turns_keep_their_speakers_and_numbers() -> None:
    """Speakers are echoed as they were, turns count from 0, other fields stay."""
    turns = [
        {"speaker": "AGENT", "text": "your pin?"},
        {"speaker": "Bob-2", "text": "two two one one"},
    ]
    code, (out,), _ = run(json.dumps({"id": 7, "turns": turns, "metadata": {"team": "x"}}))
    assert code == 0
    assert [turn["speaker"] for turn in out["turns"]] == ["AGENT", "Bob-2"]
    assert out["spans"][0]["turn"] == 1
    assert out["metadata"] == {"team": "x"}


def test_no_findings_is_an_empty_list() -> None:
    """A text without personal data comes back as it was, with no spans."""
    code, (out,), _ = run('{"id": 1, "text": "thank you, goodbye"}')
    assert (code, out) == (0, {"id": 1, "text": "thank you, goodbye", "spans": []})


BAD = [
    "nope", "[1, 2]", '{"id": "x"}', '{"id": "x", "text": 5}', '{"id": "x", "turns": {}}',
    '{"id": "x", "turns": [5]}', '{"id": "x", "turns": [{"speaker": "a"}]}',
    '{"id": "x", "text": "a", "turns": []}', "[" * 5000,
]  # fmt: skip


@pytest.mark.parametrize("line", BAD)
def test_a_bad_line_never_stops_the_others(line: str) -> None:
    """A bad line gives an error record in its place, one line on stderr, and exit code 3."""
    good = '{"id": 1, "text": "my pin is two two nine one"}'
    code, out, err = run(good, line, good)
    assert code == 3
    assert [("error" in record) for record in out] == [False, True, False]
    assert err.count("\n") == 1
    assert "two" not in err


def test_the_command_needs_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Written forms are checked with sockets blocked: nothing is fetched."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    _, (out,), _ = run('{"id": 1, "text": "mail kim@example.org, card 5555555555554444"}')
    assert [span["label"] for span in out["spans"]] == ["EMAIL", "CARD_NUMBER"]


def test_module_command_runs() -> None:
    """`python -m redaction` reads standard input, writes standard output, and says 2 on misuse."""
    line = json.dumps({"id": 1, "text": "my pin is two two nine one"})
    done = subprocess.run(
        [sys.executable, "-m", "redaction", "--profile", "paranoid"],
        input=line, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0
    assert json.loads(done.stdout)["text"] == "my pin is [PIN]"
    wrong = subprocess.run(
        [sys.executable, "-m", "redaction", "--profile", "brave"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert wrong.returncode == 2
    assert "Traceback" not in wrong.stderr


@pytest.mark.parametrize(
    "change",
    [{"actions": {"NOPE": "keep"}}, {"actions": {"CARD_CVV": "last_four"}}, {"surprise": 1},
     {"actions": {"PHONE": "shred"}}, {"custom": [{"id": "x"}]},
     {"custom": [{"id": "x", "pattern": "(a+)+"}]},
     {"custom": [{"id": "x", "label": "a b", "phrases": ["q"]}]}],
)  # fmt: skip
def test_a_wrong_policy_is_refused(change: dict[str, Any]) -> None:
    """Unknown labels, actions and keys, and patterns that are refused, never load."""
    base = {
        "id": "t", "version": 1, "profile": "balanced", "digits_without_context": 7,
        "digits_with_context": 2, "threshold": 0.3, "agent_first_name": "keep",
        "references": "keep", "presidio": False,
    }  # fmt: skip
    parse_policy(base)
    with pytest.raises(ValueError, match=r"\w"):
        parse_policy({**base, **change})


def test_unknown_profile_and_language() -> None:
    """A profile that does not exist is an error that names those that do."""
    with pytest.raises(ValueError, match="precise, balanced, paranoid"):
        load_policy("brave")


def test_presidio_users_get_our_recognizer() -> None:
    """Our recognizers work inside Presidio, and Presidio's inside ours."""
    from presidio_analyzer import AnalyzerEngine, Pattern, PatternRecognizer, RecognizerRegistry

    from redaction.presidio import SpokenRecognizer
    from redaction.tokens import turns_of
    from redaction.written import blank_nlp_engine

    registry = RecognizerRegistry(recognizers=[SpokenRecognizer()], supported_languages=["en"])
    engine = AnalyzerEngine(
        registry=registry, nlp_engine=blank_nlp_engine(), supported_languages=["en"]
    )
    text = "my social is one two three forty five six seven eight nine"
    (hit,) = engine.analyze(text, language="en")
    assert (hit.entity_type, text[hit.start : hit.end]) == (
        "SSN", "one two three forty five six seven eight nine",
    )  # fmt: skip

    badge = PatternRecognizer("BADGE", patterns=[Pattern("badge", r"QX\d{3}", 0.9)])
    redactor = Redactor(load_policy("balanced"), recognizers=[badge])
    (found,) = redactor.find(turns_of([("agent", "badge QX123 please")]))
    assert (found.label, found.detector) == ("BADGE", "presidio")
