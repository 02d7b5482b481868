"""What stands in a finding, written one way, so that a spoken and a written value are equal.

Decides what a log may know of a value: what was done, how many digits, a keyed hash. Refuses to
return the value: `mark` reads it, hashes it and forgets it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from redaction.hashes import NEVER_HASHED, HashKey, value_hmac
from redaction.language import Language
from redaction.numbers import scan
from redaction.policy import Policy
from redaction.records import Finding, Mark, Turn, Word
from redaction.tokens import ORDINAL, atoms_of
from redaction.values import last_four
from redaction.widen import NUMBER_LABELS, SOUND_ALIKE

# Read as their letters and digits alone; words around these are hesitation.
CODES = NUMBER_LABELS | {"IBAN", "PASSPORT", "DRIVER_LICENSE", "VEHICLE_REG", "POSTCODE"}
INTERNET = frozenset({"EMAIL", "URL", "USERNAME", "IP_ADDRESS"})
# PCI DSS 4.0.1 3.5.1.1 allows a keyed hash of the entire card number, not of a piece of one.
CARD = range(13, 20)
# Digits of a card code or PIN; where one was talked about, so short a number may be one.
SHORT = 6


def marks(
    turns: Sequence[Turn],
    findings: Sequence[Finding],
    policy: Policy,
    language: Language,
    *,
    key: HashKey | None,
    asked: frozenset[str] = frozenset(),
) -> tuple[Mark, ...]:
    """Return what a log may say of each finding's value, in the order of the findings.

    Args:
        turns: the conversation that `findings` were found in.
        findings: in word coordinates.
        policy: says what is done with each label.
        language: how its numbers are said.
        key: of the call; None: no hashes.
        asked: labels that were asked for, answered or not.
    """
    named = asked | {finding.label for finding in findings}
    doubts = bool(NEVER_HASHED & named), "CARD_NUMBER" in named
    return tuple(_mark(turns[f.turn].words, f, policy, language, key, *doubts) for f in findings)


def _mark(
    said: Sequence[Word],
    finding: Finding,
    policy: Policy,
    language: Language,
    key: HashKey | None,
    secretive: bool,
    carded: bool,
) -> Mark:
    label = finding.label
    action = policy.action(label)
    shown = action == "last_four" and last_four(said, finding.first, finding.last, language)
    done = "last_four" if shown else "placeholder"
    if label in NEVER_HASHED:
        return Mark(done)
    value = reading(said[finding.first : finding.last], label, language)
    digits = sum(char.isdigit() for char in value)
    mark = Mark(done, digits or None)
    short = secretive and value.isdigit() and digits <= SHORT
    # named by its length alone, a number may be the piece of a card that is read back
    card = label == "CARD_NUMBER" or (carded and finding.rule.endswith(".length"))
    piece = card and digits not in CARD
    if key is None or not value or short or piece:
        return mark
    return replace(mark, value_hmac=value_hmac(key.secret, label, value, action=action))


def reading(words: Sequence[Word], label: str, language: Language) -> str:
    """Return a value in its written form: "four one double seven" and "41-77" both as "4177".

    Numbers become digits, spelled letters one word, hesitation goes. Dates keep the order in
    which they were said.
    """
    atoms = atoms_of(words, {})
    runs = {run.first: run for run in scan(atoms, language)}
    code, internet = label in CODES, label in INTERNET
    parts: list[str] = []
    at = 0
    while at < len(atoms):
        run = runs.get(at)
        if run is not None:
            parts.append(run.text.casefold())
            at = run.last
            continue
        text, kind = atoms[at].text, atoms[at].kind
        at += 1
        number = text.rstrip("stndrh") if kind == ORDINAL else language.ordinals.get(text, "")
        if code:
            alike = language.homophones.get(text, "") if text in SOUND_ALIKE else ""
            parts.append(alike or number)
        elif internet:
            if text not in language.words["email_marks"] and text not in ("at", "@"):
                parts.append("".join(char for char in text if char.isalnum()))
        elif number and parts and parts[-1] in language.tens.values() and len(number) == 1:
            parts[-1] = parts[-1][0] + number  # "twenty second"
        elif number:
            parts.append(number)
        elif text not in language.words["fillers"]:
            parts.append(text.removesuffix("'s"))
    return ("" if code or internet else " ").join(part for part in parts if part)
