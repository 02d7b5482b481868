"""A language pack as look-up tables. Decides how data files are read; holds no word of its own."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import Any

import yaml

from redaction.tokens import Vocabulary

SURE = ("units", "teens", "tens", "scales", "repeats")
NUMBERS = ("units", "teens", "tens", "scales", "repeats", "weak", "homophones")
_GROUP = re.compile(r"\(([^()]*)\)")
_HERE = Path(__file__).parent / "languages"

Tagged = tuple[tuple[tuple[str, ...], str], ...]  # (words of a phrase, its tag), longest first


class Phrases(dict[str, Tagged]):
    """Phrases by their first word; `pairs` has those of two words and more by the first two."""

    def __init__(self, found: Mapping[str, Tagged]) -> None:
        super().__init__(found)
        self.single: dict[str, str] = {}
        pairs: dict[tuple[str, str], list[tuple[tuple[str, ...], str]]] = {}
        for phrase in (phrase for tagged in found.values() for phrase in tagged):
            words, tag = phrase
            if len(words) == 1:
                self.single.setdefault(words[0], tag)
            else:
                pairs.setdefault((words[0], words[1]), []).append(phrase)
        self.pairs: dict[tuple[str, str], Tagged] = {
            key: tuple(tagged) for key, tagged in pairs.items()
        }
        self.singles, self.couples = frozenset(self.single), frozenset(self.pairs)


@dataclass(frozen=True, slots=True, eq=False)
class Language:
    """Everything the recognizers know about one language."""

    code: str
    units: Mapping[str, str]  # word -> one digit
    teens: Mapping[str, str]
    tens: Mapping[str, str]
    scales: Mapping[str, str]  # word -> zeros
    repeats: Mapping[str, int]
    weak: Mapping[str, str]
    homophones: Mapping[str, str]
    ordinals: Mapping[str, str]
    words: Mapping[str, frozenset[str]]  # name of a word list -> its words
    lists: Mapping[str, Phrases]  # name of a phrase list -> its phrases
    topics: Phrases  # phrases that open a topic, tagged with its label
    short_topics: Phrases  # ... in a short turn that asks
    near: Mapping[str, str]  # word right before a number -> its topic
    vocabulary: Vocabulary  # for reading words into atoms
    heads: frozenset[str]  # words that are a phrase which opens or closes a question
    pairs: frozenset[tuple[str, str]]  # first two words of longer ones
    sure: frozenset[str]  # words without one of which a turn without digits holds no number
    counts: frozenset[str]  # words that may begin a number or a spelled letter

    def has(self, name: str, word: str) -> bool:
        return word in self.words[name]


def expand(phrase: str) -> list[str]:
    """Return every reading of a phrase with (a|b|) groups."""
    parts = _GROUP.split(phrase)
    if any(char in part for part in parts for char in "()"):
        raise ValueError(f"language pack: groups do not nest: {phrase}")
    choices = [part.split("|") if index % 2 else [part] for index, part in enumerate(parts)]
    return sorted({" ".join("".join(choice).split()) for choice in product(*choices)} - {""})


def _split(text: str) -> list[str]:
    depth, start, found = 0, 0, []
    for index, char in enumerate(text):
        depth += (char == "(") - (char == ")")
        if char == "," and depth == 0:
            found.append(text[start:index])
            start = index + 1
    return [part.strip() for part in [*found, text[start:]] if part.strip()]


def phrases(tagged: Iterable[tuple[str, str]]) -> Phrases:
    """Return a table from the first word to the phrases that begin with it, longest first.

    Args:
        tagged: (comma-separated phrases, tag) pairs.
    """
    table: dict[str, set[tuple[tuple[str, ...], str]]] = {}
    for text, tag in tagged:
        for phrase in _split(text):
            for reading in expand(phrase):
                words = tuple(reading.replace("-", " ").split())
                table.setdefault(words[0], set()).add((words, tag))
    return Phrases(
        {
            first: tuple(sorted(found, key=lambda item: (-len(item[0]), item)))
            for first, found in table.items()
        }
    )


@lru_cache(maxsize=8)
def load_language(code: str) -> Language:
    """Load a language pack.

    Args:
        code: name of a file in redaction/languages, without `.yaml`.

    Raises:
        ValueError: there is no such pack.
    """
    path = _HERE / f"{code}.yaml"
    if not re.fullmatch(r"[a-z]{2}(_[a-z]+)?", code) or not path.is_file():
        known = ", ".join(sorted(item.stem for item in _HERE.glob("*.yaml")))
        raise ValueError(f"no language pack of that name; there are: {known}")
    raw: dict[str, Any] = yaml.load(
        path.read_text("utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    )
    numbers, names, street = raw["numbers"], raw["names"], raw["street"]
    spaced: dict[str, str] = {
        key: raw.get(key, "")
        for key in ("joiners", "corrections", "sound_alikes", "letter_alikes", "fillers",
                    "units_after", "units_before", "money", "months", "days", "leads", "common",
                    "everyday")
    }  # fmt: skip
    spaced |= {
        "nato": raw["letters"]["nato"],
        "letter_sounds": raw["letters"]["sounds"],
        "letter_case": raw["letters"]["case"],
        "weak_letters": raw["letters"]["weak"],
        "email_marks": raw["email"]["marks"],
        "domains": raw["email"]["domains"],
        "hosts": raw["email"]["hosts"],
        "street_types": street["types"],
        "street_weak": street["weak"],
        "street_units": street["units"],
        "directions": street["directions"],
        "state_codes": street["state_codes"],
        "titles": names["titles"],
        "other_names": names["other_names"],
        "word_names": names["word_names"],
        "given": names["given"],
        "things": names["things"],
        "firms": names.get("firms", ""),
        "countries": names.get("countries", ""),
        "no_secret": raw["no_secret"],
        "surnames": names["surnames"],
    }
    listed = {
        "backchannels": raw["backchannels"],
        "as_in": raw["letters"]["as_in"],
        "acronyms": raw["letters"]["acronyms"],
        "states": street["states"],
        "place_fields": street["fields"],
        "town_leads": street.get("town_leads", ""),
        "asks": raw["asks"],
        "topic_changes": raw["topic_changes"],
        "stalls": raw["stalls"],
        "endings": raw["endings"],
        "name_leads": names["leads"],
        "name_strong_leads": names["strong_leads"],
        "name_medium_leads": names["medium_leads"],
        "questions": raw["questions"],
        "greetings": names["greetings"],
        "closings": names["closings"],
        "agent_openings": names["agent_openings"],
        "own_name_leads": names["own_name_leads"],
    }
    words = {name: frozenset(text.split()) for name, text in spaced.items()}
    words["ordinary"] = words["everyday"] | _word_file(path.with_suffix(".words"))
    lists = {name: phrases([(text, name)]) for name, text in listed.items()}
    topics = phrases((text, label) for label, text in raw["topics"].items())
    steering = [topics, *(lists[n] for n in ("asks", "questions", "topic_changes", "stalls"))]
    return Language(
        code=raw["language"],
        units=numbers["units"],
        teens=numbers["teens"],
        tens=numbers["tens"],
        scales=numbers["scales"],
        repeats=numbers["repeats"],
        weak=numbers["weak"],
        homophones=numbers["homophones"],
        ordinals=numbers["ordinals"],
        words=words,
        lists=lists,
        topics=topics,
        short_topics=phrases((text, label) for label, text in raw["short_topics"].items()),
        near={word: label for label, text in raw["near"].items() for word in text.split()},
        vocabulary=Vocabulary(
            words["common"] | words["leads"] | words["ordinary"], _any_of(numbers)
        ),
        heads=frozenset(word for table in steering for word in table.single),
        pairs=frozenset(pair for table in steering for pair in table.pairs),
        sure=frozenset(word for kind in SURE for word in numbers[kind]).union(
            words["nato"], words["letter_sounds"], words["letter_case"]
        ),
        counts=frozenset(word for kind in NUMBERS for word in numbers[kind]).union(
            words["nato"], words["letter_sounds"], words["letter_case"]
        ),
    )


def _word_file(path: Path) -> frozenset[str]:
    """Read further everyday words; a pack can do without. Lines that begin with # are comments."""
    if not path.is_file():
        return frozenset()
    lines = path.read_text("utf-8").splitlines()
    return frozenset(word for line in lines if line[:1] != "#" for word in line.split())


def _any_of(numbers: Mapping[str, Mapping[str, str]]) -> re.Pattern[str]:
    """Return a pattern for any number word of three letters or more, the longest first."""
    kinds = ("teens", "tens", "units", "repeats", "scales")
    words = {word for kind in kinds for word in numbers[kind] if len(word) > 2}
    words -= {f"{word}s" for word in words}  # "fours" is no beginning of "fourseven"
    return re.compile("|".join(sorted(map(re.escape, words), key=lambda word: (-len(word), word))))
