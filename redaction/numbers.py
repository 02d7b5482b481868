"""Runs of spoken or written digits and letters, with their words; text is never rewritten.

Decides where a number begins and ends and which digits it may stand for (several readings where
the grouping is ambiguous). Refuses to say what the number is: that takes the conversation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from redaction.language import Language
from redaction.tokens import AMOUNT, DIGITS, IP, ORDINAL, TIME, WORD, Atom

MAX_GAP = 4  # words of hesitation or correction inside one number ("no sorry it's")
MANGLED = 12  # words looked at around a homophone; half of them must be like digits
LONG = 7  # digits that are a number by themselves
WHOLE = 15  # digits after which a comma begins another value ("4111 ... 1111, 04/28, 771")
MAX_CODE = 5  # letters written together beside digits ("QQ 12 34 56 C", "MORGA657054")
MAX_READINGS = 4  # groupings kept per run
# what a recognizer writes for the last digit of a number, and what may follow it
SOUNDS_LIKE = frozenset({"for", "fore", "to", "too", "ate", "won", "tree", "fife", "niner", "nein"})
EACH = frozenset({"a", "an", "per", "each", "every"})
ENDS = frozenset({"and", "um", "uh", "okay", "yeah", "yes", "that's", "thanks", "please", "does"})
CORRECTION = frozenset({"no", "sorry", "wait", "actually", "mean", "correction", "scratch", "oops"})


@dataclass(slots=True)
class Run:
    """Atoms `first` to `last` (exclusive) of one turn, read as one string of characters."""

    first: int
    last: int
    text: str  # the likeliest reading: digits and upper-case letters
    digits: int
    letters: int
    values: int  # how many number atoms it has; "two thousand" has two
    readings: tuple[str, ...]  # other groupings
    scaled: bool  # holds hundred or thousand
    mixed: bool = False  # letters and digits written as one word
    corrected: bool = False
    singles: int = 0  # elements of one digit, or of one digit repeated


@dataclass(slots=True)
class _Element:
    first: int
    last: int
    text: str
    letter: bool
    strong: bool
    tens: bool = False  # may take a unit
    scale: str = ""


def _number(atoms: Sequence[Atom], at: int, lang: Language) -> _Element | None:
    """Return the number element at `at`, weak ones included."""
    atom = atoms[at]
    text = atom.text
    if atom.kind == DIGITS:
        return _Element(at, at + 1, text, False, True)
    if atom.kind != WORD:
        return None
    if value := lang.units.get(text):
        return _Element(at, at + 1, value, False, True)
    if value := lang.teens.get(text):
        return _Element(at, at + 1, value, False, True)
    if value := lang.tens.get(text):
        return _Element(at, at + 1, value, False, True, tens=True)
    if text in lang.repeats and at + 1 < len(atoms) and atoms[at + 1].text not in lang.repeats:
        following = _number(atoms, at + 1, lang)
        times = lang.repeats[text]
        if following is not None and not following.scale and not following.letter:
            return _Element(at, following.last, following.text * times, False, following.strong)
        letter = atoms[at + 1].text
        if len(letter) == 1 and letter.isalpha():
            return _Element(at, at + 2, letter.upper() * times, True, True)
        return None
    if zeros := lang.scales.get(text):
        return _Element(at, at + 1, "", False, False, scale=zeros)
    if value := lang.weak.get(text):
        return _Element(at, at + 1, value, False, False)
    return None


def _letter(atoms: Sequence[Atom], at: int, lang: Language) -> _Element | None:
    """Return the spelled letter at `at`: "s", "s as in sam", "sierra", "capital s"."""
    atom = atoms[at]
    text = atom.text
    if atom.kind != WORD:
        return None
    n = len(atoms)
    if lang.has("letter_case", text) and at + 1 < n and len(atoms[at + 1].text) == 1:
        inner = _letter(atoms, at + 1, lang)
        return inner and _Element(at, inner.last, inner.text, True, True)
    single = text if len(text) == 1 and text.isalpha() else ""
    if not single and lang.has("letter_sounds", text):
        single = "z"
    if not single and len(text) <= MAX_CODE and _code(atoms, at, lang):
        return _Element(at, at + 1, text.upper(), True, True)
    if not single:
        if lang.has("nato", text):
            return _Element(at, at + 1, text[0].upper(), True, False)
        return None
    if single == "x" and at + 1 < n and atoms[at + 1].text == "ray":
        return _Element(at, at + 2, "X", True, True)
    for words, _ in lang.lists["as_in"].get(atoms[at + 1].text if at + 1 < n else "", ()):
        end = at + 1 + len(words)
        if (
            end < n
            and all(atoms[at + 1 + k].text == word for k, word in enumerate(words))
            and atoms[end].text[:1] == single
            and len(atoms[end].text) > 1
            and not (len(words) == 1 and atoms[end].text in lang.units)
        ):
            return _Element(at, end + 1, single.upper(), True, True)
    return _Element(at, at + 1, single.upper(), True, not lang.has("weak_letters", single))


def scan(atoms: Sequence[Atom], lang: Language, barred: frozenset[int] = frozenset()) -> list[Run]:
    """Return the runs of one turn, left to right, not overlapping.

    Args:
        atoms: the turn.
        lang: the language pack.
        barred: atoms that are spoken for: words of a cue ("the three digits"), written dates.
    """
    runs: list[Run] = []
    if not _may_hold(atoms, lang):
        return runs
    elements = _elements(atoms, lang, barred)
    group: list[_Element] = []
    length = 0
    for element in elements:
        full = length >= WHOLE and atoms[element.first - 1].comma
        if full and length == WHOLE and len(element.text) == 1:  # "4, 1, 1, ... 1": the last digit
            full = not all(atoms[one.last - 1].comma for one in group)
        if group and not full and _joined(atoms, group[-1].last, element, lang):
            group.append(element)
            length += len(element.text)
        else:
            _close(atoms, group, runs, lang)
            group = [element]
            length = len(element.text)
    _close(atoms, group, runs, lang)
    return runs


def _may_hold(atoms: Sequence[Atom], lang: Language) -> bool:
    """Whether a run can stand in a turn at all: a cheap test for ordinary talk."""
    sure, weak = lang.sure, lang.words["weak_letters"]
    letter = False
    for atom in atoms:
        text = atom.text
        if text in sure or atom.kind == DIGITS or atom.glued:
            return True
        if letter and text in lang.lists["as_in"]:
            return True
        letter = len(text) == 1
        if letter and text not in weak:
            return True
    return False


def _elements(atoms: Sequence[Atom], lang: Language, barred: frozenset[int]) -> list[_Element]:
    found: list[_Element] = []
    at, n = 0, len(atoms)
    counts = lang.counts
    longest = MAX_CODE if any(atom.kind == DIGITS for atom in atoms) else 1
    while at < n:
        atom = atoms[at]
        plain = atom.text not in counts and atom.kind == WORD and len(atom.text) > longest
        if plain or at in barred or _pronoun(atoms, at, lang):
            at += 1
            continue
        if atoms[at].text == "o" and _spelled(atoms, at, lang):
            element: _Element | None = _Element(at, at + 1, "O", True, True)
        else:
            element = _number(atoms, at, lang) or _letter(atoms, at, lang)
        if element is None:
            value = lang.homophones.get(atoms[at].text)
            if value is not None and _between(atoms, at, lang):
                element = _Element(at, at + 1, value, False, False)
        if element is None:
            at += 1
            continue
        found.append(element)
        at = element.last
    return found


def _pronoun(atoms: Sequence[Atom], at: int, lang: Language) -> bool:
    """Whether "one" stands for a thing: "this one", "the hacked one"."""
    if atoms[at].text != "one" or not at or atoms[at - 1].stop:
        return False
    before = atoms[at - 1].text
    if before in ("this", "that", "which", "new", "old", "other", "another", "every", "no", "any"):
        return True
    return before == "the" and not (at + 1 < len(atoms) and _solid(atoms, at + 1, lang))


def _code(atoms: Sequence[Atom], at: int, lang: Language) -> bool:
    """Whether letters written together belong to the digits beside them."""
    text = atoms[at].text
    if lang.has("common", text) or lang.has("units_after", text) or lang.has("months", text):
        return False
    glued = atoms[at].glued or (at + 1 < len(atoms) and atoms[at + 1].glued)
    beside = [atoms[i] for i in (at - 1, at + 1) if 0 <= i < len(atoms)]
    return (glued or atoms[at].upper) and any(atom.kind == DIGITS for atom in beside)


def _spelled(atoms: Sequence[Atom], at: int, lang: Language) -> bool:
    """Whether an "o" stands between letters and is one of them, not a zero."""
    beside = [atoms[i] for i in (at - 1, at + 1) if 0 <= i < len(atoms)]
    return not any(_solid(atoms, i, lang) for i in (at - 1, at + 1)) and any(
        len(atom.text) == 1 and atom.text.isalpha() and atom.text != "o" for atom in beside
    )


def _solid(atoms: Sequence[Atom], at: int, lang: Language) -> bool:
    """Whether a word that is surely a number stands at `at`."""
    if not 0 <= at < len(atoms):
        return False
    text = atoms[at].text
    if text in lang.repeats:  # "o double d s" spells
        return at + 1 == len(atoms) or len(atoms[at + 1].text) > 1 or atoms[at + 1].kind == DIGITS
    return (
        atoms[at].kind == DIGITS
        or text in lang.units
        or text in lang.teens
        or text in lang.tens
        or text == "oh"
    )


def is_digit(atoms: Sequence[Atom], at: int, lang: Language) -> bool:
    """Whether a word that may be a digit stands between two that are: "five owe three"."""
    text = atoms[at].text
    alike = text in lang.weak or text in lang.homophones or lang.has("sound_alikes", text)
    return alike and (_solid(atoms, at - 1, lang) and _solid(atoms, at + 1, lang))


def _between(atoms: Sequence[Atom], at: int, lang: Language) -> bool:
    """Whether a homophone at `at` may be a digit: solid numbers on both sides, or two on one."""
    if 0 < at < len(atoms) - 1 and atoms[at - 1].kind == atoms[at + 1].kind == DIGITS:
        return False  # "9 to 12"
    if _mangled(atoms, at, lang):
        return True
    left, right = _solid(atoms, at - 1, lang), _solid(atoms, at + 1, lang)
    if atoms[at].stop:
        right = False
    if left and right:
        return True
    if left and (at + 1 == len(atoms) or atoms[at].stop or atoms[at + 1].text in ENDS):
        return atoms[at].text in SOUNDS_LIKE and any(
            _solid(atoms, at - back, lang) for back in (2, 3, 4)
        )
    if left and atoms[at].text in lang.homophones and at + 2 < len(atoms):
        # "four for to one": two homophones in a row
        return atoms[at + 1].text in lang.homophones and _solid(atoms, at + 2, lang)
    if right and at > 1 and atoms[at - 1].text in lang.homophones:
        return _solid(atoms, at - 2, lang)
    return False


def _mangled(atoms: Sequence[Atom], at: int, lang: Language) -> bool:
    """Whether a homophone stands in a long row of them and of digits: "ate won seven for for"."""
    first = last = at
    while first and last - first < MANGLED and _like_digit(atoms, first - 1, lang):
        first -= 1
    while last + 1 < len(atoms) and last - first < MANGLED and _like_digit(atoms, last + 1, lang):
        last += 1
    if atoms[at].text not in SOUNDS_LIKE or last - first + 1 < MANGLED // 2:
        return False
    sure = sum(_solid(atoms, place, lang) for place in range(first, last + 1))
    return sure >= 2


def _like_digit(atoms: Sequence[Atom], at: int, lang: Language) -> bool:
    return _solid(atoms, at, lang) or atoms[at].text in SOUNDS_LIKE


def _joined(atoms: Sequence[Atom], end: int, element: _Element, lang: Language) -> bool:
    gap = element.first - end
    if atoms[end - 1].stop and not element.strong and not element.letter:
        return False  # "... five one two. Oh, and"
    if gap == 0:
        article = element.letter and not (element.strong or atoms[element.first].capital)
        return not (article and atoms[end - 1].comma)  # "b j o, a blue one"
    if gap > MAX_GAP:
        return False
    joiners, corrections = lang.words["joiners"], lang.words["corrections"]
    between = atoms[end : element.first]
    if all(atom.text in joiners for atom in between):
        return not (element.letter and not element.strong)
    return (
        not element.letter
        and element.strong
        and all(atom.text in joiners or atom.text in corrections for atom in between)
        and any(atom.text in CORRECTION for atom in between)
    )


def _close(atoms: Sequence[Atom], group: list[_Element], runs: list[Run], lang: Language) -> None:
    """Turn joined elements into a run; weak ones at the edges fall off."""
    while group and not _keeps(atoms, group, 0):
        group = group[1:]
    while group and not _keeps(atoms, group, -1):
        group = group[:-1]
    if not group:
        return
    strong_digits = sum(1 for e in group if not e.letter and (e.strong or e.scale))
    letters = [e for e in group if e.letter]
    if not strong_digits and len(letters) < 2:
        return
    text, other, scaled = _read(group)
    digits = sum(char.isdigit() for char in text)
    first, last = group[0].first, group[-1].last
    runs.append(
        Run(
            first,
            last,
            text,
            digits,
            len(text) - digits,
            len(group),
            tuple(other),
            scaled,
            singles=sum(len(set(e.text)) == 1 and not e.tens for e in group),
            mixed=any(atoms[i].glued for i in range(first + 1, last)) and bool(letters),
            corrected=any(
                atoms[i].text in CORRECTION for i in range(first, last) if atoms[i].kind == WORD
            ),
        )
    )


def _keeps(atoms: Sequence[Atom], group: list[_Element], edge: int) -> bool:
    """Whether the element at the edge may stand there."""
    element = group[edge]
    if element.strong:
        return True
    if element.scale:
        return edge == -1 and len(group) > 1
    if len(group) < 2:
        return False
    text = atoms[element.first].text
    inner = group[1] if edge == 0 else group[-2]
    touching = inner.first - element.last if edge == 0 else element.first - inner.last
    zero = not element.letter and set(element.text) == {"0"}  # "oh", "treble oh"
    if touching > 0:  # "... one uh oh": a last zero after a hesitation, not "one and oh by the way"
        ends = element.last == len(atoms) or atoms[element.last - 1].stop
        strong = sum(len(e.text) for e in group if e.strong and not e.letter)
        return zero and (edge == 0 or ends) and strong >= LONG
    if element.letter:
        if len(text) > 1:  # a NATO word beside another letter
            return inner.letter
        sure = sum(1 for e in group if e.letter and e.strong)
        return (
            (inner.letter and len(group) > 2 and (inner.strong or sure >= 2))
            or (sure >= 2 and len(group) > 3)
            or atoms[element.first].glued
            or (edge == 0 and atoms[inner.first].glued)
        )
    if zero:
        return True
    if text in SOUNDS_LIKE and (edge == -1 or len(group) >= MANGLED // 2):
        return sum(1 for e in group if not e.letter) >= 3
    return sum(1 for e in group if e.strong and not e.letter) >= 3


def _read(group: Sequence[_Element]) -> tuple[str, list[str], bool]:
    """Return the likeliest characters, other groupings, and whether a scale word was read."""
    text = ""
    other = [""]
    scaled = False
    pending = ""  # tens that may take the next unit
    for element in group:
        if element.scale:
            scaled = True
            text += element.scale
            other = [reading + element.scale for reading in other]
            pending = ""
            continue
        piece = element.text
        if pending and len(piece) == 1 and piece != "0" and not element.letter:
            text = text[:-1] + piece  # "forty two" is 42 ...
            fused = [reading[:-1] + piece for reading in other]
            other = (fused + [reading + piece for reading in other])[:MAX_READINGS]  # ... or 40 2
            pending = ""
        elif scaled and text.endswith("00") and len(piece) <= 2 and not element.letter:
            text = text[: -len(piece)] + piece  # "four hundred twelve" is 412
            other = [reading + piece for reading in other]
            pending = piece if element.tens else ""
        else:
            text += piece
            other = [reading + piece for reading in other]
            pending = piece if element.tens else ""
    return text, [reading for reading in dict.fromkeys(other) if reading != text], scaled


def is_quantity(atoms: Sequence[Atom], run: Run, lang: Language) -> bool:
    """Whether a run counts or measures something, or names a place in a list."""
    after = atoms[run.last].text if run.last < len(atoms) else ""
    apart = atoms[run.last - 1].stop or (atoms[run.last - 1].comma and after == "pound")
    if after and not apart and after in lang.words["units_after"]:
        return True
    unit = atoms[run.last + 1].text if run.last + 1 < len(atoms) else ""
    if after in EACH and not apart and unit in lang.words["units_after"]:
        return True  # "one oh four a month"
    if after and atoms[run.last].kind in (AMOUNT, TIME):
        return False
    before = atoms[run.first - 1].text if run.first else ""
    return run.digits <= 4 and run.values <= 2 and before in lang.words["units_before"]


def has_number(atoms: Sequence[Atom], lang: Language) -> bool:
    """Whether anything in the turn reads as a number."""
    return any(
        atom.kind in (DIGITS, ORDINAL, IP) or (atom.kind == WORD and _solid(atoms, i, lang))
        for i, atom in enumerate(atoms)
    )
