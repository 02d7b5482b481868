"""The other fields of a JSON record: words, alternates, titles, metadata. Nothing raw stays in any.

Decides which fields are a form of what was said (searched together, the same findings in all) and
which are texts of their own. Refuses to guess at a word list it does not understand: its words are
searched as one text and go where they are personal.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from redaction.shapes import luhn
from redaction.tokens import normalise, tokenize

# fields that hold the same speech in another form; what is inside them is one too
FORMS = frozenset(
    "lexical written display itn masked_itn maskeditn normalized normalised transcript alternates "
    "alternatives nbest n_best hypotheses words tokens items raw_text punctuated".split()
)
# fields of one item of a word list that hold the word
WORDS = ("word", "punctuated_word", "text", "content", "value", "token", "w", "lexical", "written",
         "display")  # fmt: skip
ENDS = ("end", "end_time", "endtime", "stop", "end_ms")
# fields that operators file under: identifiers stay in them, payment data and the like go
KEPT = re.compile(
    r"id|call_ref|customer_ref|agent|team|queue|started_at|direction|language|refund_limit|type"
    r"|.*(?:_id|_ref|_at|_time|time|uuid|sha256|hash|url)|start|end|channel|speaker|created|updated"
    r"|timestamp|locale|version|model|status|duration|offset",
    re.IGNORECASE,
)
SPEAKER_DIGITS = 9  # a speaker's name with so many digits is no name
SIMILAR = 0.5  # of a field's words that the speech has too
MANY = 3  # words, or digits, that say something
USUAL = (15, 16)  # digits of most cards
LARGEST = 1e20
_CARD = re.compile(r"[3-6]\d{12,18}")
_WORD = re.compile(r"[^\W_]+")


@dataclass(slots=True)
class Field:
    """One string, or one column of a word list, to be searched."""

    text: str
    tokens: list[tuple[str, int, int]]
    form: bool  # of the speech it stands beside; else a text of its own
    kept: bool = False  # an identifier that only payment data and the like leave
    follows: bool = False  # digits beside speech: gone when something was found in that
    shown: str = ""  # set when the findings are known
    found: list[tuple[int, int, str]] = field(default_factory=list)  # first, last, placeholder


class Walk:
    """Goes through a record's fields twice: once to collect them, once to put in what is shown."""

    def __init__(self, said: str) -> None:
        """Prepare a walk over fields that stand beside a text."""
        self._said = set(_WORD.findall(normalise(said).lower()))
        self.fields: list[Field] = []
        self._next = -1  # collecting

    @property
    def forms(self) -> list[Field]:
        return [one for one in self.fields if one.form]

    @property
    def texts(self) -> list[Field]:
        return [one for one in self.fields if not one.form]

    def collect(self, fields: dict[str, Any]) -> None:
        """Read every field."""
        self._walk(fields, "", False)

    def show(self, fields: dict[str, Any]) -> dict[str, Any]:
        """Return the fields as they may be shown."""
        self._next = 0
        shown: dict[str, Any] = self._walk(fields, "", False)
        return shown

    def _walk(self, value: Any, key: str, inside: bool) -> Any:
        inside = inside or key.lower() in FORMS
        if isinstance(value, str):
            return self._text(value, key, inside)
        if isinstance(value, bool) or value is None:
            return value
        if isinstance(value, int | float):
            return "[CARD_NUMBER]" if _card(value) else value
        if isinstance(value, dict):
            return {
                self._text(name, "", False) if _telling(name) or " " in name else name: self._walk(
                    item, name, inside and not KEPT.fullmatch(name)
                )
                for name, item in value.items()
            }
        columns = _columns(value)
        if not columns:
            return [self._walk(item, key, inside) for item in value]
        fields = [
            self._field(lambda column=column: self._column(column, inside)) for column in columns  # type: ignore[misc]
        ]  # fmt: skip
        return _rows(value, fields) if self._next >= 0 else value

    def _text(self, text: str, key: str, inside: bool) -> str:
        plain = text.isascii() and " " not in text and not _telling(text)
        if plain and not inside and (len(text) < 2 or KEPT.fullmatch(key)):
            return text
        return self._field(lambda: self._read(text, key, inside)).shown

    def _field(self, make: Callable[[], Field]) -> Field:
        if self._next < 0:
            self.fields.append(make())
            return self.fields[-1]
        self._next += 1
        return self.fields[self._next - 1]

    def _read(self, text: str, key: str, inside: bool) -> Field:
        kept = bool(KEPT.fullmatch(key)) and not inside
        form = not kept and (inside or self._similar(text))
        letters = any(char.isalpha() for char in text)
        digits = sum(char.isdigit() for char in normalise(text))
        return Field(
            text,
            tokenize(text),
            form,
            kept,
            not form and not kept and digits >= MANY and not letters,
        )

    def _column(self, words: Sequence[str], inside: bool) -> Field:
        text = " ".join(words)
        tokens, at = [], 0
        for word in words:
            tokens.append((word, at, at + len(word)))
            at += len(word) + 1
        return Field(text, tokens, inside or self._similar(text))

    def _similar(self, text: str) -> bool:
        words = set(_WORD.findall(normalise(text).lower()))
        return len(words) >= MANY and len(words & self._said) >= SIMILAR * len(words)


def holds_number(name: str) -> bool:
    """Whether a speaker's name must be searched: it holds a number or an address."""
    return "@" in name or sum(char.isdigit() for char in normalise(name)) >= SPEAKER_DIGITS


def _telling(text: str) -> bool:
    """Whether a string without blanks may say something personal by its digits or marks."""
    return "@" in text or sum(char.isdigit() for char in normalise(text)) >= MANY


def _columns(items: Sequence[Any]) -> list[list[str]]:
    """Return the columns of a word list: each item's word in each of its forms; none if no list."""
    if len(items) < 1 or not all(isinstance(item, str | dict) for item in items):
        return []
    records = [item for item in items if isinstance(item, dict)]
    keys = [key for key in WORDS if any(isinstance(item.get(key), str) for item in records)]
    columns = [[_word(item, key) for item in items] for key in keys or [""]]
    if any(not word or len(word.split()) > 1 for word in columns[0]):
        return []
    return [["_".join(word.split()) for word in column] for column in columns]


def _word(item: Any, key: str) -> str:
    """Return an item's word under a key, else under any, else the first of its alternatives."""
    if isinstance(item, str):
        return item.strip()
    for name in (key, *WORDS):
        if isinstance(item.get(name), str) and item[name].strip():
            return str(item[name]).strip()
    for inner in item.values():
        if isinstance(inner, list) and inner and isinstance(inner[0], dict):
            return _word(inner[0], key)
    return ""


def _rows(items: Sequence[Any], fields: Sequence[Field]) -> list[Any]:
    """Return a word list with one item for each stretch that a finding covers in any column."""
    names: dict[int, str] = {}
    joined: set[int] = set()  # items that continue the one before
    for column in fields:
        for first, last, name in column.found:
            joined.update(range(first + 1, last))
            for at in range(first, last):
                names.setdefault(at, name)
    shown: list[Any] = []
    for at, item in enumerate(items):
        if at not in names:
            shown.append(_harmless(item))
        elif at in joined and at - 1 in names:
            if isinstance(item, dict) and isinstance(shown[-1], dict):
                shown[-1].update((k, v) for k, v in item.items() if k.lower() in ENDS)
        else:
            shown.append(_covered(item, names[at]))
    return shown


def _covered(item: Any, name: str) -> Any:
    if isinstance(item, str):
        return name
    kept = {
        key: value for key, value in item.items()
        if (not isinstance(value, str | list | dict) and key not in WORDS)
        or (isinstance(value, str) and KEPT.fullmatch(key) and len(value) < 20 and key not in WORDS)
    }  # fmt: skip
    return {**kept, next((key for key in WORDS if key in item), "word"): name}


def _harmless(item: Any) -> Any:
    """Return an item that no finding covers, without what only its other parts could say."""
    if not isinstance(item, dict):
        return item
    return {
        key: value for key, value in item.items()
        if key in WORDS or not isinstance(value, str | int) or isinstance(value, bool)
        or len(str(value)) < SPEAKER_DIGITS or KEPT.fullmatch(key)
    }  # fmt: skip


def _card(value: float) -> bool:
    """Whether a number can be a card's: no count, price or time is so long and begins like one."""
    text = f"{value:.0f}" if abs(value) < LARGEST else ""
    return bool(_CARD.fullmatch(text)) and (len(text) in USUAL or luhn(text))
