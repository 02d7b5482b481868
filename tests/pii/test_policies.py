"""Profiles, actions and pseudonyms: what a policy file may say, and what the text then shows."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from redaction import Policy, Redactor, load_policy, replace
from redaction.hashes import value_hmac
from redaction.log_events import check_event
from redaction.tokens import turns_of

KEY = b"k" * 32


def policy_of(folder: Path, text: str) -> Policy:
    path = folder / "own.yaml"
    path.write_text(f"id: own\nversion: 1\nprofile: balanced\n{text}\n")
    return load_policy(path)


def shown(policy: Policy, *said: tuple[str, str]) -> list[str]:
    turns = turns_of(said)
    words = replace(turns, Redactor(policy).find(turns), policy)
    return [" ".join(word.text for word in turn) for turn in words]


LAST_FOUR = [
    ("my card number is 4111 1111 1111 1234", "[CARD_NUMBER_1234]"),
    ("my card number is four five three two nine nine one oh eight eight seven six four two four "
     "two", "[CARD_NUMBER_4242]"),
    ("my card number is forty five thirty two double nine ten eighty eight seven six four two "
     "triple four", "[CARD_NUMBER_2444]"),
    ("my card number is 4532 9910 8876 four two four two", "[CARD_NUMBER_4242]"),
    ("it's the card ending in four two four two", "[CARD_NUMBER_4242]"),
    ("it's the card ending 4242", "[CARD_NUMBER_4242]"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "name"), LAST_FOUR)
def test_last_four_digits_are_shown_spoken_or_written(tmp_path: Path, text: str, name: str) -> None:
    """The action `last_four` keeps the last four digits, however they were said."""
    policy = policy_of(tmp_path, "actions: {CARD_NUMBER: last_four}")
    assert name in shown(policy, ("customer", text))[0]


HIDDEN = [
    # eight digits or fewer: four of them would give half away
    ("customer", "my account number is four four one two seven eight nine one"),
    # "forty two" at the end is 42 or 40 2
    ("customer", "my card number is four five three two nine nine one oh eight eight seven sixty "
     "four twenty two forty two"),
    # corrected in the middle: which digits stand is not certain
    ("customer", "my card number is four five three two nine nine one oh eight eight seven six "
     "four two four no sorry five two"),
]  # fmt: skip


@pytest.mark.parametrize("said", HIDDEN)
def test_last_four_digits_in_doubt_are_not_shown(tmp_path: Path, said: tuple[str, str]) -> None:
    """Too few digits, two readings or a correction: the placeholder says the kind alone."""
    policy = policy_of(tmp_path, "actions: {CARD_NUMBER: last_four, ACCOUNT_NUMBER: last_four}")
    text = shown(policy, said)[0]
    assert "[CARD_NUMBER]" in text or "[ACCOUNT_NUMBER]" in text


def test_a_piece_of_a_card_is_not_its_last_four(tmp_path: Path) -> None:
    """Four digits in the middle of a number given over several turns are not shown."""
    policy = policy_of(tmp_path, "actions: {CARD_NUMBER: last_four}")
    texts = shown(
        policy,
        ("agent", "can i take the long number on the front"),
        ("customer", "four five three nine"),
        ("customer", "one four eight eight"),
    )
    assert texts[1:] == ["[CARD_NUMBER]", "[CARD_NUMBER]"]


def test_last_four_and_a_hash_never_meet() -> None:
    """A card number logged with its last four has no HMAC, and a log refuses one that has both."""
    assert value_hmac(KEY, "CARD_NUMBER", "4111111111111111") is not None
    assert value_hmac(KEY, "CARD_NUMBER", "4111111111111111", action="last_four") is None
    event = {
        "event": "redacted", "time": "2026-11-23T09:00:00Z", "call": "c", "label": "CARD_NUMBER",
        "action": "last_four", "value_hmac": "ab" * 32, "key_id": "1",
    }  # fmt: skip
    with pytest.raises(ValueError, match="last four"):
        check_event(event)


def test_keep_leaves_one_label_alone(tmp_path: Path) -> None:
    """`keep` shows a label's values and nothing else."""
    policy = policy_of(tmp_path, "actions: {PHONE: keep}")
    said = ("customer", "my phone is five one two five five five oh one three one and my pin is "
            "two two nine one")  # fmt: skip
    text = shown(policy, said)[0]
    assert "five one two five five five oh one three one" in text
    assert text.endswith("[PIN]")


def test_a_profile_finds_at_least_what_a_stricter_one_needs() -> None:
    """Precise lets more stand than balanced, balanced more than paranoid."""
    said = (
        ("agent", "what is your reference"),
        ("customer", "four four seven one nine two three eight and it was on the third of march"),
    )
    texts = {name: shown(load_policy(name), *said)[1] for name in ("precise", "balanced")}
    texts["paranoid"] = shown(load_policy("paranoid"), *said)[1]
    assert texts["precise"] == texts["balanced"] == said[1][1]
    assert "four four seven" not in texts["paranoid"]
    assert "third" not in texts["paranoid"]


def test_the_hash_names_what_was_applied(tmp_path: Path) -> None:
    """Any change of content changes the hash; the same content has the same one."""
    one = policy_of(tmp_path, "actions: {PHONE: keep}")
    two = policy_of(tmp_path, "actions: {PHONE: last_four}")
    assert one.sha256 == policy_of(tmp_path, "actions: {PHONE: keep}").sha256
    assert len({one.sha256, two.sha256, load_policy("balanced").sha256}) == 3
    assert all(len(p.sha256) == 64 for p in (one, two))


def test_pseudonyms_are_stable_within_a_call() -> None:
    """The same person has the same number in every turn; the next call starts from one."""
    policy = load_policy("balanced")
    texts = shown(
        policy,
        ("agent", "who am i speaking with"),
        ("customer", "dorothy whitcombe"),
        ("agent", "thank you and who is the account holder"),
        ("customer", "his name is leroy jenkins"),
        ("agent", "thanks dorothy so leroy jenkins is on the account"),
    )
    assert texts[1] == "[PERSON_1]"
    assert texts[3] == "his name is [PERSON_2]"
    assert texts[4] == "thanks [PERSON_1] so [PERSON_2] is on the account"
    assert shown(policy, ("customer", "my name is leroy jenkins"))[0] == "my name is [PERSON_1]"


def test_two_policies_at_once(tmp_path: Path) -> None:
    """Redactors with different policies, in threads at once, find what each finds alone."""
    policies = [
        load_policy("precise"), load_policy("balanced"), load_policy("paranoid"),
        policy_of(tmp_path, "actions: {CARD_NUMBER: last_four, PERSON: keep}"),
    ]  # fmt: skip
    said = (
        ("agent", "who am i speaking with"),
        ("customer", "dorothy whitcombe my card number is 4111 1111 1111 1111"),
        ("agent", "and your mail"),
        ("customer", "dot w at gmail dot com or kim@example.org since the third of march"),
        ("agent", "right and how did it go then"),
        ("customer", "on the eighth of june nineteen seventy four"),
    )
    alone = [shown(policy, *said) for policy in policies]
    assert len({str(texts) for texts in alone}) == 4
    redactors = [Redactor(policy) for policy in policies]
    wrong: list[int] = []

    def work(number: int) -> None:
        turns = turns_of(said)
        for _ in range(20):
            words = replace(turns, redactors[number].find(turns), policies[number])
            if [" ".join(w.text for w in turn) for turn in words] != alone[number]:
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(number % 4,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
