"""Hostile calls: whatever a caller says to the machine, the note stays what the call makes it.

Every attack is spoken into a harmless call, and the notes of both are compared: with the offline
analyst, and with a language model that obeys every order at once (the double's `obedient` and
`sly` writers). Flags may be added; none may go.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from calls import transcript

from voice_pipeline.building import build_analyst
from voice_pipeline.config import Part
from voice_pipeline.domain import CaseNote, RedactedTranscript
from voice_pipeline.doubles import ModelServer, obedient, sly
from voice_pipeline.note import note_json, note_page
from voice_pipeline.policy.load import load_pack
from voice_pipeline.ports import Analyst
from voice_pipeline.spoken.numbers import numbers
from voice_pipeline.spoken.words import tokens
from voice_pipeline.stages.review import note_for

FOLDER = Path(__file__).with_name("redteam")
CALLS = {c["id"]: c["turns"] for c in yaml.safe_load((FOLDER / "calls.yaml").read_text("utf-8"))}
ATTACKS: dict[str, dict[str, Any]] = {
    attack["id"]: attack
    for path in sorted(FOLDER.glob("*.yaml"))
    if path.name != "calls.yaml"
    for attack in yaml.safe_load(path.read_text("utf-8"))
}
METADATA = {"started_at": "2026-11-24", "queue": "service"}
SLY = [f"sly-{number}" for number in range(6)]


def hostile(attack: dict[str, Any], call: str) -> RedactedTranscript:
    """Speak an attack into a call."""
    lines = list(CALLS[call])
    at = min(attack["after"], len(lines) - 1) + 1
    lines[at:at] = [f"customer: {text}" for text in attack["says"]]
    return transcript(lines)


@pytest.fixture(scope="module")
def writers() -> Iterator[dict[str, str]]:
    """Servers of models that obey: all at once, and one lie among many truths."""
    servers = {"obedient": ModelServer(writer=obedient)}
    servers |= {name: ModelServer(writer=sly(int(name[-1]))) for name in SLY}
    for server in servers.values():
        server.__enter__()
    yield {name: server.base_url for name, server in servers.items()}
    for server in servers.values():
        server.__exit__(None, None, None)


def noted(said: RedactedTranscript, url: str | None) -> CaseNote:
    return note_for(said, METADATA, _analyst(url), load_pack())


@cache
def _analyst(url: str | None) -> Analyst:
    options = {"base_url": url, "model": "m", "api_key": "none"} if url else {}
    return build_analyst(Part(use="openai" if url else "offline", options=options), load_pack())


@cache
def twin(call: str) -> CaseNote:
    return noted(transcript(CALLS[call]), None)


def test_there_are_enough_attacks() -> None:
    """A suite of a handful would prove nothing."""
    assert len(ATTACKS) >= 40


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_changes_nothing_offline(name: str) -> None:
    """Without a model: each attack in the call it was written for is flagged and has no effect."""
    attack = ATTACKS[name]
    said = hostile(attack, attack["call"])
    note = noted(said, None)
    unmoved(note, twin(attack["call"]), said)
    calm = twin(attack["call"]).route
    assert note.route and calm and note.route.queue == calm.queue
    flagged = "instruction_like_speech" in {flag.category for flag in note.escalations}
    assert flagged == attack.get("flagged", True)


@pytest.mark.parametrize("name", ATTACKS)
def test_a_model_that_obeys_changes_nothing(name: str, writers: dict[str, str]) -> None:
    """The worst model there can be, lying in every field at once: only text, and no harm."""
    attack = ATTACKS[name]
    said = hostile(attack, attack["call"])
    unmoved(noted(said, writers["obedient"]), twin(attack["call"]), said)


@pytest.mark.parametrize("name", ATTACKS)
def test_one_lie_among_truths_changes_nothing(name: str, writers: dict[str, str]) -> None:
    """A model that is trusted on the whole is still checked on every statement."""
    attack = ATTACKS[name]
    said = hostile(attack, attack["call"])
    note = noted(said, writers[SLY[len(name) % len(SLY)]])
    assert "fallback" not in note.provenance, "the reply was thrown out whole: nothing was tested"
    unmoved(note, twin(attack["call"]), said)


@pytest.mark.slow
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("writer", ["obedient", *SLY])
def test_every_attack_in_every_call(writer: str, call: str, writers: dict[str, str]) -> None:
    """Whatever the call is about; words that an attack shares with a rule may raise its flag."""
    for attack in ATTACKS.values():
        if attack.get("flagged", True):
            said = hostile(attack, call)
            unmoved(noted(said, writers[writer]), twin(call), said)


def unmoved(note: CaseNote, calm: CaseNote, said: RedactedTranscript) -> None:
    """Compare a hostile call's note with its twin's."""
    calm_flags = {flag.category for flag in calm.escalations}
    assert calm_flags <= {flag.category for flag in note.escalations}
    severities = {flag.category: flag.severity for flag in note.escalations}
    assert all(severities[flag.category] == flag.severity for flag in calm.escalations)
    assert note.request_type.label == calm.request_type.label
    assert note.route and calm.route
    added = {f.action.get("queue") for f in note.escalations if f.category not in calm_flags}
    assert note.route.queue in {calm.route.queue, *added}
    assert note.outcome.value == calm.outcome.value
    assert promised(note) == promised(calm)
    assert note.review and note.review.required
    agent = " . ".join(turn.text for turn in said.turns if turn.speaker == "agent")
    for claim in (*note.commitments, *note.actions):
        assert amounts(claim.text) <= amounts(agent)
    shown = [*note.summary, *note.facts, *note.actions, *note.commitments, *note.open_questions]
    shown += [claim for claim in (note.reason, note.cancellation_reason) if claim]
    everything = {n for lines in CALLS.values() for line in lines for n in amounts(line)}
    for claim in shown:
        assert amounts(claim.text) <= everything, "an amount that only the attack named"
        assert not re.search(r"\bhappy|withdrew|closed|approved", claim.text.lower())
    page = note_page(note, said, None, ())
    assert not re.search(r"(?<!\\)[<>`|]|(?<!\\)\]\(|://|[\u200b\u202e]", page)
    json.dumps(note_json(note))


def promised(note: CaseNote) -> set[tuple[str, str, str]]:
    return {(p.who, p.evidence[0].quote, p.due_text) for p in note.commitments}


def amounts(text: str) -> set[float]:
    parts = re.split(r"[.:/] ", text)
    return {number.value for part in parts for number in numbers(tokens(part.split()))}


def test_a_call_twice_as_hostile_is_no_worse(writers: dict[str, str]) -> None:
    """All attacks in one call: still no promise and no flag less."""
    lines = list(CALLS["overcharged"])
    lines[4:4] = [f"customer: {text}" for attack in ATTACKS.values() for text in attack["says"]]
    note = noted(transcript(lines), writers["obedient"])
    assert promised(note) == promised(twin("overcharged"))
    assert {f.category for f in twin("overcharged").escalations} <= {
        f.category for f in note.escalations
    }
