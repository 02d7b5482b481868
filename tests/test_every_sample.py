"""Every sample call through the real engine: understood or held, flagged right, nothing leaked.

Leaks are looked for where the truth says that personal data was spoken: the recognizer may have
heard something else there, which must not survive either.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command import SAMPLES, load, run
from vcon_files import DRAFT, independent, schema_faults, signer

from voice_pipeline.audio import blocks
from voice_pipeline.cli.exchange import channels_of
from voice_pipeline.vcon import sign, verify

pytestmark = pytest.mark.slow

DIGITS = frozenset(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety "
    "double triple oh".split()
)
# Not account numbers yet: a read-back whose words were misheard on both ends keeps its edges.
NUMBERS = frozenset({"CARD_NUMBER", "CARD_CVV", "SSN", "PHONE"})
LEAST_UNDERSTOOD = 9  # of the samples; telephone ones may be held
MUTED = 0.9  # of a number's time, which is estimated from its place in the turn
# A request that the recognizer garbled can cost a flag; it must stay rare.
MOST_MISSED = 0.1


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Result folders by sample id."""
    out = tmp_path_factory.mktemp("samples")
    done = run("process", SAMPLES, "--out", out, timeout=1800)
    assert done.returncode in (0, 5), done.stderr
    by_name = {load(path.parent, "result.json")["source"]["name"]: path.parent
               for path in out.glob("*/result.json")}  # fmt: skip
    return {truth["id"]: by_name[Path(truth["file"]).name] for truth in truths()}


def truths() -> list[dict[str, Any]]:
    return [json.loads(line) for line in (SAMPLES / "truth.jsonl").read_text().splitlines()]


def done_ones(results: dict[str, Path]) -> Iterator[tuple[dict[str, Any], Path]]:
    for truth in truths():
        if load(results[truth["id"]], "result.json")["status"] == "done":
            yield truth, results[truth["id"]]


def spoken_numbers(truth: dict[str, Any]) -> Iterator[tuple[int, float, float]]:
    """Channel, start and end (seconds) of each personal number, from its place in its turn."""
    for span in truth["pii"]:
        turn = truth["turns"][span["turn"]]
        if span["label"] in NUMBERS and "start" in turn:
            length = turn["end"] - turn["start"]
            first, last = (turn["start"] + length * span[e] / len(turn["text"])
                           for e in ("start", "end"))  # fmt: skip
            yield turn["channel"], first, last


def test_enough_are_understood(results: dict[str, Path]) -> None:
    """The download-free engine understands the wideband calls."""
    assert len(list(done_ones(results))) >= LEAST_UNDERSTOOD


def test_held_ones_say_why_and_hold_nothing(results: dict[str, Path]) -> None:
    """A held call has its reasons, its log, and no word of what was said."""
    for truth in truths():
        folder = results[truth["id"]]
        if load(folder, "result.json")["status"] == "held":
            names = {path.name for path in folder.iterdir()}
            assert names == {"result.json", "note.json", "redaction_log.jsonl"}
            assert load(folder, "note.json")["reasons"]


def test_expected_flags(results: dict[str, Path]) -> None:
    """On calls that were understood, rules fire where they should."""
    expected = missed = 0
    for truth, folder in done_ones(results):
        found = {flag["category"] for flag in load(folder, "note.json")["escalations"]}
        expected += len(truth["flags"])
        missed += len(set(truth["flags"]) - found)
    assert missed <= MOST_MISSED * expected


def test_numbers_are_silent(results: dict[str, Path]) -> None:
    """Where a card, phone or account number was spoken, the muted audio is zero."""
    for truth, folder in done_ones(results):
        with (folder / "audio.redacted.flac").open("rb") as file:
            sound = np.concatenate(list(blocks(file)), axis=1)
        rate = round(sound.shape[1] / load(folder, "result.json")["source"]["duration"])
        for channel, start, end in spoken_numbers(truth):
            heard = sound[min(channel, sound.shape[0] - 1), int(start * rate) : int(end * rate)]
            assert np.mean(heard == 0) >= MUTED, (truth["id"], start, end)


def test_numbers_are_gone_from_the_text(results: dict[str, Path]) -> None:
    """No number word stands in the middle of a personal number's time, whatever was heard."""
    for truth, folder in done_ones(results):
        turns = load(folder, "transcript.json")["turns"]
        words = [(turn["channel"], word) for turn in turns for word in turn["words"]]
        for channel, start, end in spoken_numbers(truth):
            inside = {
                word["text"]
                for heard_on, word in words
                if heard_on == channel
                and start + 0.3 <= (word["start"] + word["end"]) / 2 <= end - 0.3
            }
            assert not DIGITS & inside, (truth["id"], start, inside)


def test_nothing_that_a_note_must_not_say(results: dict[str, Path]) -> None:
    """No personal value and no invention in any note."""
    for truth, folder in done_ones(results):
        note = json.dumps(load(folder, "note.json")).lower()
        assert [text for text in truth["must_not"] if text.lower() in note] == [], truth["id"]


def test_every_vcon_is_sound_and_can_be_signed(results: dict[str, Path]) -> None:
    """Each released call's vCon keeps the draft's rules, and another JOSE library verifies it."""
    for truth, folder in done_ones(results):
        file = (folder / "call.vcon.json").read_bytes()
        document = json.loads(file)
        assert verify(file, channels=channels_of).faults == (), truth["id"]
        assert not DRAFT.is_dir() or schema_faults(document) == [], truth["id"]
        signed = sign(file, document["uuid"], signer().credentials())
        assert verify(signed, certificates=[signer().certificate]).ok
        assert independent(signed, signer().key.public_key()) == file
    for truth in truths():
        folder = results[truth["id"]]
        assert (folder / "call.vcon.json").exists() == (
            load(folder, "result.json")["status"] == "done"
        )


def test_no_personal_word_is_in_a_vcon(results: dict[str, Path]) -> None:
    """Neither whole values nor their words one after the other, in any part of the file."""
    for truth, folder in done_ones(results):
        document = load(folder, "call.vcon.json")
        words = " ".join(w["text"] for w in document["analysis"][0]["body"]["words"]).lower()
        document["dialog"][0].pop("body")
        text = json.dumps(document, ensure_ascii=False).lower()
        for span in truth["pii"]:
            value = truth["turns"][span["turn"]]["text"][span["start"] : span["end"]].lower()
            if len(value.split()) >= 4 or span["label"] == "PERSON":
                assert not re.search(rf"\b{re.escape(value)}\b", text), truth["id"]
                assert not re.search(rf"\b{re.escape(value)}\b", words), truth["id"]


def test_most_facts_are_found(results: dict[str, Path]) -> None:
    """Four of five facts that a good note must hold are there, though words were misheard."""
    expected = found = 0
    for truth, folder in done_ones(results):
        note = json.dumps(load(folder, "note.json")).lower()
        for fact in truth["facts"]:
            expected += 1
            found += any(phrase in note for phrase in fact["any"])
    assert found >= 0.8 * expected
