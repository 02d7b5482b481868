"""Findings to text: each becomes one placeholder word that spans its time.

Decides what the placeholder says under the policy's action; names get numbers that are stable
within a call. Refuses overlapping findings and ones outside their turn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from redaction.language import load_language
from redaction.policy import Policy
from redaction.records import Finding, Turn, Word
from redaction.tokens import normalise
from redaction.values import last_four


def replace(
    turns: Sequence[Turn], findings: Sequence[Finding], policy: Policy | None = None
) -> tuple[tuple[Word, ...], ...]:
    """Return the words of every turn with each finding replaced by one placeholder word.

    Args:
        turns: the conversation that `findings` were found in.
        findings: not overlapping, in any order.
        policy: for the actions `last_four`; without one, everything becomes a placeholder.

    Raises:
        ValueError: a finding lies outside its turn or overlaps another.
    """
    people = _people(turns, findings)
    by_turn: dict[int, list[Finding]] = {}
    for finding in findings:
        if not 0 <= finding.turn < len(turns) or not (
            0 <= finding.first < finding.last <= len(turns[finding.turn].words)
        ):
            raise ValueError(f"a finding lies outside turn {finding.turn}")
        by_turn.setdefault(finding.turn, []).append(finding)
    rendered = []
    for index, turn in enumerate(turns):
        words: list[Word] = []
        position = 0
        for finding in sorted(by_turn.get(index, ()), key=lambda item: item.first):
            if finding.first < position:
                raise ValueError(f"findings overlap in turn {index}")
            words.extend(turn.words[position : finding.first])
            words.append(_placeholder(turn, finding, people, policy))
            position = finding.last
        words.extend(turn.words[position:])
        rendered.append(tuple(words))
    return tuple(rendered)


def _placeholder(
    turn: Turn, finding: Finding, people: Mapping[tuple[int, int], int], policy: Policy | None
) -> Word:
    words = turn.words[finding.first : finding.last]
    name = finding.label
    if finding.label == "PERSON":
        name = f"PERSON_{people[finding.turn, finding.first]}"
    elif policy is not None and policy.action(finding.label) == "last_four":
        shown = last_four(turn.words, finding.first, finding.last, load_language(policy.language))
        name = f"{finding.label}_{shown}" if shown else name
    starts = [word.start for word in words if word.start is not None]
    ends = [word.end for word in words if word.end is not None]
    confident = [word.confidence for word in words if word.confidence is not None]
    return Word(
        f"[{name}]",
        finding.start if finding.start is not None else min(starts, default=None),
        finding.end if finding.end is not None else max(ends, default=None),
        min(confident, default=None),
    )


def _people(turns: Sequence[Turn], findings: Sequence[Finding]) -> dict[tuple[int, int], int]:
    """Number the people of a call: names that share a word are one person."""
    numbers: dict[str, int] = {}
    given: dict[tuple[int, int], int] = {}
    count = 0
    for finding in sorted(findings, key=lambda item: (item.turn, item.first)):
        if finding.label != "PERSON" or finding.turn >= len(turns):
            continue
        parts = [
            "".join(c for c in normalise(word.text).lower() if c.isalpha()).removesuffix("s")
            for word in turns[finding.turn].words[finding.first : finding.last]
        ]
        if all(len(part) <= 1 for part in parts):
            parts = ["".join(parts)]
        known = [numbers[part] for part in parts if part in numbers and len(part) > 1]
        if known:
            number = known[0]
        else:
            count += 1
            number = count
        for part in parts:
            if len(part) > 1:
                numbers.setdefault(part, number)
        given[finding.turn, finding.first] = number
    return given
