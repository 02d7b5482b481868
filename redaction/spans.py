"""Findings in words back to characters of the text that the words were read from.

Decides where a value begins and ends between punctuation. Refuses to cut into a word.
"""

from __future__ import annotations

from collections.abc import Sequence

from redaction.records import Finding, Word

Token = tuple[str, int, int]  # word, start, end (code points, end exclusive)
_LEFT = "\"'“‘«*_"
_RIGHT = ".,;:!?\"'”’»*_…"
_PAIRS = {"(": ")", "[": "]", "{": "}"}


def spell(
    text: str, tokens: Sequence[Token], findings: Sequence[Finding], names: Sequence[str]
) -> tuple[str, list[tuple[int, int]]]:
    """Return a text with each finding replaced by its name, and where the findings stood.

    Args:
        text: what the tokens were read from.
        tokens: its words.
        findings: in these words, in order.
        names: a placeholder for each.
    """
    parts, places, position = [], [], 0
    for finding, name in zip(findings, names, strict=True):
        start, end = tokens[finding.first][1], tokens[finding.last - 1][2]
        start, end = trim(text, start, end, possessive=finding.label == "PERSON")
        places.append((start, end))
        parts += [text[position:start], name]
        position = end
    parts.append(text[position:])
    return "".join(parts), places


def trim(text: str, start: int, end: int, *, possessive: bool = True) -> tuple[int, int]:
    """Return a span without the punctuation around it; never an empty one."""
    a, b = start, end
    while a < b - 1 and (
        text[a] in _LEFT or (text[a] in _PAIRS and _PAIRS[text[a]] not in text[a:b])
    ):
        a += 1
    while b > a + 1:
        if text[b - 1] in _RIGHT or (
            text[b - 1] in ")]}"
            and not any(
                left in text[a : b - 1] for left, right in _PAIRS.items() if right == text[b - 1]
            )
        ):
            b -= 1
        elif possessive and text[b - 2 : b] in ("'s", "’s") and b - 2 > a:
            b -= 2
        else:
            break
    return a, b


def placeholders(
    rendered: tuple[tuple[Word, ...], ...], findings: tuple[Finding, ...]
) -> list[str]:
    """Return the placeholder of every finding, as `rendering.replace` wrote it."""
    names, shift, turn = [], 0, -1
    for finding in findings:
        if finding.turn != turn:
            turn, shift = finding.turn, 0
        names.append(rendered[turn][finding.first - shift].text)
        shift += finding.last - finding.first - 1
    return names
