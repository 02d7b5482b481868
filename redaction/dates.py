"""Dates as people say them, and whether one is a birthday or a card's expiry.

Decides by month names, ordinals and years in words or digits. A date without context is DATE_TIME,
which policies keep by default.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from redaction.language import Language
from redaction.numbers import Run
from redaction.scene import Scene
from redaction.tokens import DIGITS, ORDINAL, Atom

MAX_CORRECTION = 4  # words between a day and its correction
WAIT = 3  # turns between a question for a birthday and its answer or read-back
LONGEST = 12  # words of such an answer
BETWEEN = frozenset({"of", "the", "and", "o'", "o", "in", "a", "to", "for", "ate", "won", "slash",
                     "dash", "day", "month", "year", "it's"})  # fmt: skip
OLD_YEAR = 2012  # a full date before this year, without context, is likelier a birthday than not


@dataclass(slots=True)
class Date:
    first: int
    last: int
    year: int | None
    full: bool  # day, month and year
    lone: bool = False  # a month and nothing else


def find_dates(atoms: Sequence[Atom], runs: Sequence[Run], lang: Language) -> list[Date]:
    """Return the dates of one turn that name a month."""
    found: list[Date] = []
    months, fillers = lang.words["months"], lang.words["fillers"]
    coded = {at for run in runs if run.letters for at in range(run.first, run.last)}
    plain = [run for run in runs if not run.letters]
    ends = {run.last: run for run in plain}
    starts = {run.first: run for run in plain}
    for at, atom in enumerate(atoms):
        if (
            atom.text not in months
            or (found and at < found[-1].last)
            or at in coded  # a NATO letter of a code
        ):
            continue
        first, last = at, at + 1
        day = False
        back = at - 1
        while back >= 0 and atoms[back].text in ("of", "the", *fillers):
            back -= 1
        if back >= 0 and not atoms[back].stop and _day(atoms, back, ends, lang):
            first = _day_start(atoms, back, ends, lang)
            day = True
        ahead = at + 1
        while ahead < len(atoms) and (atoms[ahead].text in ("the", "of", *fillers)):
            ahead += 1
        year: int | None = None
        if ahead < len(atoms) and (not atoms[at].stop or len(atom.text) <= 4):
            if not day and (atoms[ahead].kind == ORDINAL or atoms[ahead].text in lang.ordinals):
                last, day = ahead + 1, True
            elif (
                not day
                and atoms[ahead].text in lang.tens
                and ahead + 1 < len(atoms)
                and atoms[ahead + 1].text in lang.ordinals
            ):
                last, day = ahead + 2, True
            elif run := starts.get(ahead):
                last, day = run.last, day or len(run.text) != 4
                year = _year(run.text) if len(run.text) > 2 else None
            if day and year is None:
                last = _corrected(atoms, last, lang)
            if last > at + 1 and year is None:
                after = last
                while after < len(atoms) and atoms[after].text in ("of", "in", *fillers):
                    after += 1
                run = starts.get(after)
                if run is not None and run.digits <= 4 and not run.letters:
                    last, year = run.last, _year(run.text)
        if atom.text in ("may", "march", "mar", "sep", "dec", "jan", "sun") and last == first + 1:
            continue
        found.append(Date(first, last, year, day and year is not None, last == first + 1))
    found.extend(_numbered(atoms, runs, lang))
    return found


def _corrected(atoms: Sequence[Atom], last: int, lang: Language) -> int:
    """Return the end of a day that is said again: "the fourteenth no sorry the fifteenth"."""
    ahead = last
    while ahead < len(atoms) and ahead - last < MAX_CORRECTION and (
        atoms[ahead].text in lang.words["corrections"] or atoms[ahead].text in ("the", "of")
        or lang.has("fillers", atoms[ahead].text)
    ):  # fmt: skip
        ahead += 1
    day = ahead < len(atoms) and (
        atoms[ahead].kind == ORDINAL or atoms[ahead].text in lang.ordinals
    )
    return ahead + 1 if day and ahead > last else last


def answer_date(scene: Scene, lang: Language) -> None:
    """Take a birthday in any order of numbers while it is asked for or read back."""
    item = scene.waiting("DOB")
    atoms = scene.atoms
    if item is None or not item.asked or scene.turn - item.turn > WAIT or scene.heading.stalls:
        return
    own = not scene.answers(item)
    if len(atoms) > LONGEST or (own and not item.answered):
        return
    parts: list[int] = []
    for at, atom in enumerate(atoms):
        if _part(atom, lang):
            parts.append(at)
        elif parts and atom.text not in BETWEEN and not lang.has("fillers", atom.text):
            break
    if len(parts) < (3 if own else 2):
        return
    first, last = parts[0], parts[-1] + 1
    after = atoms[last].text if last < len(atoms) else ""
    if after in lang.words["units_after"]:
        return
    if after in lang.homophones and last + 1 == len(atoms):
        last += 1
    if first and atoms[first - 1].text in ("the", *lang.homophones):
        first -= 1
    scene.add(first, last, "DOB", 0.6, "dates", "dob.answer",
              "numbers of a date while a birthday is asked for")  # fmt: skip
    scene.answered("DOB", 4)


def _part(atom: Atom, lang: Language) -> bool:
    text = atom.text
    return (
        atom.kind in (DIGITS, ORDINAL) or text in lang.ordinals or text in lang.units
        or text in lang.teens or text in lang.tens or lang.has("months", text)
        or text in ("hundred", "thousand", "oh")
    )  # fmt: skip


def _numbered(atoms: Sequence[Atom], runs: Sequence[Run], lang: Language) -> list[Date]:
    """Return dates that give the month by its number: "twelfth of the first eighty two"."""
    found = []
    starts = {run.first: run for run in runs}
    for at in range(len(atoms) - 3):
        if atoms[at].text not in lang.ordinals or atoms[at + 1].text != "of":
            continue
        month = at + 3 if atoms[at + 2].text == "the" else at + 2
        if month + 1 >= len(atoms) or atoms[month].text not in lang.ordinals:
            continue
        run = starts.get(month + 1)
        if run is not None and run.digits in (2, 4):
            first = at - 1 if at and atoms[at - 1].text in lang.tens else at
            found.append(Date(first, run.last, _year(run.text), True))
    return found


def _day(atoms: Sequence[Atom], at: int, ends: dict[int, Run], lang: Language) -> bool:
    text = atoms[at].text
    if atoms[at].kind == ORDINAL or text in lang.ordinals:
        return True
    run = ends.get(at + 1)
    return run is not None and not run.letters and 1 <= run.digits <= 2


def _day_start(atoms: Sequence[Atom], at: int, ends: dict[int, Run], lang: Language) -> int:
    run = ends.get(at + 1)
    if run is not None:
        return run.first
    if at and atoms[at - 1].text in lang.tens:
        return at - 1
    return at


def _year(text: str) -> int | None:
    if not text.isdigit():
        return None
    tail = text[-4:]
    if len(text) >= 4 and 1900 <= int(tail) <= 2099:
        return int(tail)
    if len(text) in (2, 3, 4):
        two = int(text[-2:])
        return 1900 + two if two > 29 else 2000 + two
    return None


def written_dates(atoms: Sequence[Atom]) -> list[Date]:
    """Return dates of digits in one written word: 12/04/1985, 1985-04-12."""
    found: list[Date] = []
    if [atom.kind for atom in atoms].count(DIGITS) < 3:
        return found
    at = 0
    while at + 2 < len(atoms):
        three = atoms[at : at + 3]
        ends = at + 3 == len(atoms) or atoms[at + 3].word != three[0].word
        iso = three[0].text.startswith(("19", "20")) and len(three[0].text) == 4  # 2026-11-24T0930
        if all(a.kind == DIGITS and a.word == three[0].word for a in three) and (ends or iso):
            texts = [a.text for a in three]
            lengths = tuple(map(len, texts))
            if lengths[0] == 4 and _calendar(texts[2], texts[1]):
                found.append(Date(at, at + 3, _year(texts[0]), True))
            elif (
                (lengths[2] == 2 or (lengths[2] == 4 and 1900 <= int(texts[2]) <= 2099))
                and lengths[0] <= 2
                and _calendar(texts[0], texts[1])
            ):
                found.append(Date(at, at + 3, _year(texts[2]), True))
            at += 3
        else:
            at += 1
    return found


def _calendar(one: str, two: str) -> bool:
    if len(one) > 2 or len(two) > 2:
        return False
    a, b = sorted((int(one), int(two)))
    return 1 <= a <= 12 and 1 <= b <= 31
