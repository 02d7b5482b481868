"""What a log may know of a value: equal ones can be told, and none can be read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redaction import Redactor, Turn, Word, load_policy
from redaction.hashes import NEVER_HASHED, HashKey
from redaction.language import load_language
from redaction.log_events import EVENTS, FIELDS, MEANINGS
from redaction.policy import parse_policy
from redaction.reading import marks, reading
from redaction.records import Finding, Mark
from redaction.tokens import tokenize
from voice_pipeline.domain import Transcript
from voice_pipeline.errors import Permanent
from voice_pipeline.stages.redact import redact
from voice_pipeline.store import Store

ENGLISH = load_language("en")
KEY = HashKey.of_call(bytes(range(32)), "c1")
BALANCED = load_policy("balanced")
CARD = "four one one one one one one one one one one one one one one one"
DIGIT = "zero one two three four five six seven eight nine".split()


def words(text: str) -> tuple[Word, ...]:
    return tuple(Word(word, None, None) for word, _, _ in tokenize(text))


def mark(label: str, text: str, *, key: HashKey | None = KEY, **more: Any) -> Mark:
    """The mark of a finding that is a whole turn."""
    turn = Turn("customer", words(text))
    rule = more.pop("rule", "asked")
    finding = Finding(label, 0, 0, len(turn.words), 0.9, "numbers", rule, "")
    policy = more.pop("policy", BALANCED)
    (found,) = marks([turn], [finding], policy, ENGLISH, key=key, **more)
    return found


@pytest.mark.parametrize(
    ("label", "spoken", "written"),
    [
        ("ACCOUNT_NUMBER", "four one double seven", "4177"),
        ("CARD_NUMBER", CARD, "4111 1111 1111 1111"),
        ("CARD_NUMBER", CARD, "4111-1111-1111-1111"),
        ("PHONE", "oh two oh seven nine four six uh oh nine five eight", "020 7946 0958"),
        ("PHONE", "triple five oh one double four", "555-0144"),
        ("ACCOUNT_NUMBER", "forty two seventeen", "4217"),
        ("NATIONAL_INSURANCE", "q q one two three four five six c", "QQ 12 34 56 C"),
        ("EMAIL", "jane dot doe at example dot com", "Jane.Doe@example.com"),
        ("ADDRESS", "forty two Oak Street", "42 oak street"),
        ("ADDRESS", "one fifty West twenty second Street", "150 West 22nd Street"),
        ("PERSON", "s m i t h", "Smith"),
        ("PERSON", "Ann  LEE's", "ann lee"),
    ],
)
def test_spoken_equals_written(label: str, spoken: str, written: str) -> None:
    """A value gets the same hash however it was said or written."""
    said, wrote = mark(label, spoken), mark(label, written)
    assert said.value_hmac
    assert said == wrote


@given(digits=st.lists(st.integers(0, 9), min_size=7, max_size=19))
@settings(deadline=None)
def test_digits_one_by_one_equal_the_number(digits: Sequence[int]) -> None:
    """Any number said digit by digit reads as it is written, in groups or not."""
    text = "".join(map(str, digits))
    spoken = " ".join(DIGIT[digit] for digit in digits)
    assert reading(words(spoken), "PHONE", ENGLISH) == text
    grouped = " ".join(text[at : at + 4] for at in range(0, len(text), 4))
    assert reading(words(grouped), "PHONE", ENGLISH) == text


@pytest.mark.parametrize("label", sorted(NEVER_HASHED))
def test_secrets_leave_neither_hash_nor_length(label: str) -> None:
    """Of card codes, PINs, passwords and security answers the log knows nothing but the place."""
    assert mark(label, "one two three four five six seven") == Mark("placeholder")


def test_a_card_with_its_last_four_has_no_hash() -> None:
    """Beside the last four digits a hash would help to find the rest, also where it was spoken."""
    policy = parse_policy({**json.loads(BALANCED.text), "actions": {"CARD_NUMBER": "last_four"}})
    written = mark("CARD_NUMBER", "4111 1111 1111 1111", policy=policy)
    assert written == Mark("last_four", 16)
    assert mark("CARD_NUMBER", CARD, policy=policy) == Mark("last_four", 16)


def test_a_piece_of_a_card_has_no_hash() -> None:
    """The standard allows a keyed hash of the entire number only."""
    assert mark("CARD_NUMBER", "4111 1111") == Mark("placeholder", 8)
    card = frozenset({"CARD_NUMBER"})
    assert mark("SSN", "411111111", asked=card).value_hmac
    assert not mark("SSN", "411111111", asked=card, rule="ssn.length").value_hmac


def test_a_short_number_beside_a_secret_has_no_hash() -> None:
    """Where a card code was asked for, three digits under another name may be that code."""
    assert mark("ACCOUNT_NUMBER", "123").value_hmac
    assert not mark("ACCOUNT_NUMBER", "123", asked=frozenset({"CARD_CVV"})).value_hmac
    assert mark("ACCOUNT_NUMBER", "1234567", asked=frozenset({"CARD_CVV"})).value_hmac


def test_without_a_key_there_is_no_hash() -> None:
    """Whoever redacts without a store gets marks without hashes."""
    assert mark("PHONE", "5550144", key=None) == Mark("placeholder", 7)


def test_the_key_never_shows() -> None:
    """A traceback or a log line with the key prints its name."""
    assert KEY.secret.hex() not in repr(KEY)
    assert repr(KEY.secret) not in repr(KEY)
    assert KEY.id in repr(KEY)


def test_keys_are_of_one_call_and_end_with_it(tmp_path: Path) -> None:
    """Each call has its own key, the same after a restart; without the call there is none."""
    store = Store(tmp_path)
    for call in ("c1", "c2"):
        store.open_call(call)
    one = store.hash_key("c1")
    assert one != store.hash_key("c2")
    store.close()
    again = Store(tmp_path)
    assert again.hash_key("c1") == one
    with pytest.raises(Permanent) as caught:
        again.hash_key("c3")
    assert caught.value.code == "erased"
    again.close()


def transcript(*lines: tuple[str, str]) -> Transcript:
    turns = tuple(Turn(speaker, words(text)) for speaker, text in lines)
    return Transcript("c1", "en", turns, "t", "d", (1.0,), (1.0,), ((),))


def test_the_redact_stage_marks_every_finding() -> None:
    """A number said twice, once spoken and once written, has one hash; a name kept is noted."""
    said = transcript(
        ("agent", "hello this is Maria speaking can I take your phone number"),
        ("customer", "it is two oh two five five five oh one four four"),
        ("agent", "so 202-555-0144 thank you"),
        ("agent", "and your order number please"),
        ("customer", "order number A 7 7 1 2 9"),
    )
    found = redact(said, redactor=Redactor(BALANCED), key=KEY)
    assert len(found.marks) == len(found.findings)
    phones = [
        m.value_hmac for f, m in zip(found.findings, found.marks, strict=True) if f.label == "PHONE"
    ]
    assert len(phones) == 2
    assert len(set(phones)) == 1
    assert found.key_id == KEY.id
    kept = {(f.label, f.turn): f.reason for f in found.suppressed}
    assert "first name" in kept["PERSON", 0]
    assert any(label == "REFERENCE" for label, _ in kept)
    taken = {(f.turn, at) for f in found.findings for at in range(f.first, f.last)}
    assert not taken & {(f.turn, at) for f in found.suppressed for at in range(f.first, f.last)}
    assert found.threshold == BALANCED.threshold
    assert found.detectors[0].startswith("redaction ")
    assert "maria" not in repr(found).lower()
    assert "0144" not in repr(found)


def test_every_event_and_field_is_described() -> None:
    """docs/log.md is written from the tables: each has all names and no other."""
    head = {"count", "root", "public_key", "signature"}
    used = {name for needed, allowed in EVENTS.values() for name in needed | allowed}
    common = {"schema", "seq", "prev_hash", "event", "time", "call", "tenant", "actor", "mode"}
    assert used | common | head == set(FIELDS)
    assert set(EVENTS) | {"head"} == set(MEANINGS)
