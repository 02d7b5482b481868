"""Numbers whose digits a recognizer wrote as other words: "heaven four free", "6:13", "$45".

Decides only where a number is asked for, named right before, or found already: there, words that
sound like digits are digits, and one foreign word between two of them belongs to the number.
Refuses what counts or measures something, and everything outside such a place.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from redaction.classify import LOCAL
from redaction.labels import REFERENCE
from redaction.language import Language
from redaction.numbers import CORRECTION, ENDS, Run
from redaction.scene import Scene, Span
from redaction.shapes import SHAPES, by_length
from redaction.tokens import AMOUNT, DIGITS, ORDINAL, TIME, WORD

NUMBERS = frozenset({
    "CARD_NUMBER", "CARD_CVV", "CARD_EXPIRY", "SSN", "PHONE", "ACCOUNT_NUMBER", "SORT_CODE",
    "ROUTING_NUMBER", "PIN", "DOB", "NATIONAL_INSURANCE", "MEDICAL_ID", "TAX_ID", "IBAN",
    "PASSPORT", "DRIVER_LICENSE", "VEHICLE_REG", "POSTCODE",
})  # fmt: skip
DATES = frozenset({"DOB", "CARD_EXPIRY"})
DIGITS_ALONE = frozenset({
    "CARD_NUMBER", "CARD_CVV", "CARD_EXPIRY", "SSN", "PHONE", "SORT_CODE", "ROUTING_NUMBER", "PIN",
    "DOB",
})  # fmt: skip
HESITATION = frozenset({"hang", "hold"})
DENSE, DENSE_SURE = 9, 7  # words like digits, and of them sure ones, that are a number anywhere
PIECE, SHORTEST = 6, 2  # words of a turn that continues an answer, and of one that is all answer
NAMED = frozenset({"DRIVER_LICENSE"})  # may begin with letters of a name said as a word
WAIT = 3  # turns between a question, or the last piece of its answer, and a piece
LEAD_IN = 6  # words between a cue and its number: "on the back is uh"
SUM = 6  # words of a sum of money, and one
LONGEST = 60  # words of a number
AROUND = 12  # words beside a number that was found
MOST_WORDS = 12  # a longer turn is talk unless it names the number
SURE, LIKE, BETWEEN, OTHER, PLAIN = "sure", "like", "between", "other", "plain"
LIKELY = (SURE, LIKE)
# characters from which a number is whole; of other kinds the least that they have
USUAL = {
    "CARD_NUMBER": 15,
    "PIN": 4,
    "PHONE": 10,
    "ACCOUNT_NUMBER": 8,
    "MEDICAL_ID": 10,
    "VEHICLE_REG": 7,
    "IBAN": 22,
    "TAX_ID": 9,
    "DRIVER_LICENSE": 16,
    "PASSPORT": 9,
    "POSTCODE": 6,
}


def mend(scenes: Sequence[Scene], left: Sequence[tuple[Scene, Run]], lang: Language) -> None:
    """Add spans for mangled numbers, and over the mangled edges of those found.

    Args:
        scenes: the turns of one call, every readable number labelled.
        left: numbers of which nothing says what they are.
        lang: the language pack.
    """
    unlabelled: dict[int, list[Run]] = {}
    for scene, run in left:
        unlabelled.setdefault(scene.turn, []).append(run)
    for scene in scenes:
        kinds: dict[tuple[bool, bool], list[str]] = {}
        for place in _places(scene, unlabelled.get(scene.turn, ()), lang):
            sort = (place.label not in DIGITS_ALONE, place.label in DATES)
            if sort not in kinds:
                kinds[sort] = _barred(scene)
            known = kinds[sort]
            for at in range(place.first, place.last):
                known[at] = known[at] or _kind(scene, at, lang, *sort)
            found = _Search(scene, place, known, lang).found()
            if found is not None:
                _add(scene, found, place)


@dataclass(frozen=True, slots=True)
class _Place:
    """Atoms among which a number is expected, and what it must touch or begin near."""

    label: str
    first: int
    last: int
    anchor: tuple[int, int] | None  # a number found there; else it begins in the first words
    whole: bool = False  # the turn answers a question
    goes_on: bool = False  # ... of whose answer a part was heard
    dense: bool = False  # nothing says that a number is here, but many digits do


def _places(scene: Scene, unlabelled: Sequence[Run], lang: Language) -> Iterator[_Place]:
    atoms, cues = scene.atoms, scene.heading.cues
    whole: set[str] = set()  # labels of numbers that have all their digits
    for span in list(scene.spans):
        if span.label not in NUMBERS:
            continue
        if _is_whole(scene, span, lang):
            whole.add(span.label)
        else:
            yield _Place(span.label, max(0, span.first - AROUND),
                         min(len(atoms), span.last + AROUND), (span.first, span.last))  # fmt: skip
    for at, cue in enumerate(cues):
        after = cues[at + 1].first if at + 1 < len(cues) else len(atoms)
        after = min(after, cue.last + LONGEST)
        if cue.topic in NUMBERS and not scene.heading.question and cue.last < after:
            yield _Place(cue.topic, cue.last, after, None)
    if not cues and not scene.heading.question:
        yield from (place for place in _answers(scene) if place.label not in whole)
    ahead = sum(run.digits for run in unlabelled)
    for run in unlabelled:
        if ahead < DENSE_SURE:
            break
        if run.digits > 1 and not scene.taken(run.first, run.last):
            last = min(len(atoms), run.first + LONGEST)
            yield _Place(by_length(ahead, False), run.first, last, None, dense=True)
        ahead -= run.digits


def _is_whole(scene: Scene, span: Span, lang: Language) -> bool:
    """Whether a number has all its digits: what stands beside it is something else."""
    beside = scene.atoms[max(0, span.first - 2) : span.first]
    beside += scene.atoms[span.last : span.last + 3]
    if any(atom.text in CORRECTION or atom.text in HESITATION for atom in beside):
        return False  # "the twelfth no the thirteenth of september", "one oh hang on zero one"
    months, inside = lang.words["months"], scene.atoms[span.first : span.last]
    if any(atom.text in months for atom in inside):  # whole with its day
        day = any(atom.text in lang.ordinals or atom.kind == ORDINAL for atom in inside)
        return day or inside[0].text not in months or inside[-1].kind == DIGITS
    characters = sum(len(run.text) for run in scene.runs_in(span.first, span.last))
    return characters >= _usual(span.label)


def _answers(scene: Scene) -> Iterator[_Place]:
    """Return the whole turn for each number that it may be the answer to."""
    for item in scene.open:
        fresh = scene.turn - max(item.turn, item.answered_at) <= WAIT
        if item.topic not in NUMBERS or not (item.asked and fresh and scene.answers(item)):
            continue
        if any(o.topic in LOCAL and o.asked and o.turn >= item.turn for o in scene.open):
            continue
        goes_on = 0 < item.answered < _usual(item.topic)
        yield _Place(item.topic, 0, len(scene.atoms), None, whole=True, goes_on=goes_on)


def _barred(scene: Scene) -> list[str]:
    """Return what is known of each atom at first: cues and references are no digits of a person."""
    kinds = [""] * len(scene.atoms)
    barred = [(cue.first, cue.last) for cue in scene.heading.cues]
    barred += [(span.first, span.last) for span in scene.kept if span.label == REFERENCE]
    for first, last in barred:
        kinds[first:last] = [PLAIN] * (last - first)
    return kinds


def _kind(scene: Scene, at: int, lang: Language, letters: bool, dates: bool) -> str:
    """Say what an atom may be inside a number."""
    atom = scene.atoms[at]
    text = atom.text
    if text == "one" and at and lang.has("leads", scene.atoms[at - 1].text):
        after = scene.atoms[at + 1].text if at + 1 < len(scene.atoms) else ""
        if after in ("is", "was", "ending", "on", "that", "at", "with"):
            return PLAIN
    if atom.kind in (DIGITS, TIME, AMOUNT) or (dates and text in lang.words["months"]):
        return SURE
    if dates and text in ("of", "the", "th", "st", "nd", "rd"):
        return BETWEEN
    if atom.kind == ORDINAL or text in lang.ordinals:
        return SURE
    if atom.kind != WORD:
        return OTHER
    if (
        text in lang.units or text in lang.teens or text in lang.tens or text in lang.scales
        or text in lang.repeats
    ):  # fmt: skip
        return SURE
    if text == "oh":
        return SURE
    if letters and len(text) == 1:
        return LIKE if lang.has("weak_letters", text) else SURE
    if text in lang.homophones or text in lang.weak or lang.has("sound_alikes", text):
        return LIKE
    if letters and (lang.has("letter_alikes", text) or lang.has("nato", text)):
        return LIKE
    if text in lang.words["joiners"] or text in lang.words["corrections"]:
        return BETWEEN
    plain = any(lang.has(name, text) for name in ("leads", "units_after", "units_before", "days"))
    return PLAIN if plain else OTHER


class _Search:
    """Looks for one number in one place of one turn."""

    def __init__(self, scene: Scene, place: _Place, kinds: Sequence[str], lang: Language) -> None:
        self._atoms = scene.atoms
        self._place = place
        self._kinds = kinds
        self._lang = lang

    def found(self) -> tuple[int, int] | None:
        """Return the atoms of the number, where the place holds one."""
        place, kinds = self._place, self._kinds
        if place.goes_on and len(kinds) <= PIECE and PLAIN not in kinds:
            said = [at for at, kind in enumerate(kinds) if kind != BETWEEN]
            like = [at for at in said if kinds[at] != OTHER]
            known = len(like) > 1 or place.label in DIGITS_ALONE or SURE in kinds
            if like and known and 2 * len(like) >= len(said):
                edges = said if len(said) <= SHORTEST else like
                return edges[0], edges[-1] + 1
        start = self._start()
        first, last = place.anchor or (start, start)
        while first > place.first and place.anchor and self._goes_on(first - 1, -1):
            first -= 1
        while last < place.last and self._goes_on(last, 1):
            last += 1
        first, last = self._trimmed(first, last)
        return (first, last) if first < last and self._enough(first, last) else None

    def _start(self) -> int:
        """Return the first atom of a number that nobody read; the end of the place without one."""
        place, kinds = self._place, self._kinds
        for at in range(place.first, place.last):
            following = [*kinds[at + 1 : min(at + 3, place.last)], PLAIN, PLAIN]
            small = self._small(at)
            if kinds[at] == SURE or (kinds[at] == LIKE and (not small or following[0] in LIKELY)):
                return at
            odd = kinds[at] == OTHER and not (small or place.whole)
            if odd and following[0] == SURE and following[1] in LIKELY:
                return at  # "sort code Someday sixteen fourteen"
            lead = kinds[at] == BETWEEN or self._lang.has("leads", self._atoms[at].text)
            if not place.whole and (not lead or at - place.first >= LEAD_IN):
                break
        return place.last

    def _goes_on(self, at: int, step: int) -> bool:
        """Whether a number goes on over an atom: a digit, or one other word before the next."""
        place, kinds, atoms = self._place, self._kinds, self._atoms
        seam = at - 1 if step > 0 else at
        if seam >= 0 and atoms[seam].stop:
            return False
        if kinds[at] in LIKELY:
            return True
        if place.label in NAMED and step < 0 and kinds[at] == OTHER and not self._ordinary(at):
            return True
        if kinds[at] == PLAIN or atoms[at].comma or atoms[at].stop:
            return False
        beyond = at + step
        while place.first <= beyond < place.last and kinds[beyond] == BETWEEN:
            beyond += step
        if not place.first <= beyond < place.last:
            return False
        return kinds[beyond] == SURE if kinds[at] == OTHER else kinds[beyond] in LIKELY

    def _trimmed(self, first: int, last: int) -> tuple[int, int]:
        """Drop small words from the edges: "... nine [for] my wife" is talk."""
        kinds, atoms = self._kinds, self._atoms
        begin, end = self._place.anchor or (last, first)
        while last > max(first, end):
            at = last - 1
            ends = last == len(atoms) or atoms[at].stop or atoms[at].comma
            ends = ends or atoms[last].text in ENDS
            if kinds[at] == SURE or (kinds[at] == LIKE and (ends or not self._small(at))):
                break
            last = at
        while first < min(last, begin):
            begins = not first or atoms[first - 1].stop or atoms[first - 1].comma
            if kinds[first] in (SURE, OTHER) or (
                kinds[first] == LIKE and (begins or not self._small(first))
            ):
                break
            first += 1
        return first, last

    def _enough(self, first: int, last: int) -> bool:
        """Whether it is a number: enough of it surely digits, and nothing that it counts."""
        place, kinds, atoms, lang = self._place, self._kinds, self._atoms, self._lang
        if place.anchor is not None:
            return (first, last) != place.anchor
        inside = range(first, last)
        sure = sum(kinds[at] == SURE for at in inside)
        like = sum(kinds[at] == LIKE for at in inside)
        if place.dense:
            return sure >= DENSE_SURE and sure + like >= DENSE
        after = atoms[last].text if last < len(atoms) else ""
        counted = after in lang.words["units_after"] and not atoms[last - 1].stop
        scaled = any(atoms[at].text in lang.scales for at in inside)
        if counted and (scaled or sure + like < SHAPES[place.label].low):
            return False
        if scaled and sure + like < SUM:
            return False  # "two hundred and fifty"
        if place.label in DATES:
            dated = any(atoms[at].text in lang.words["months"] for at in inside)
            return sure >= 1 and sure + like >= (2 if dated else 3) and not scaled
        if not any(len(atoms[at].text) > 1 or atoms[at].kind != WORD for at in inside):
            return False  # letters alone
        least = min(SHAPES[place.label].low, 3)
        if place.whole and len(atoms) > MOST_WORDS:
            return sure >= 2 and sure + like >= least + 1
        return sure + like >= least and (sure >= 1 or like >= 3)

    def _ordinary(self, at: int) -> bool:
        return self._lang.has("ordinary", self._atoms[at].text) or self._small(at)

    def _small(self, at: int) -> bool:
        """Whether a word is one of those that talk is full of."""
        text = self._atoms[at].text
        return self._lang.has("common", text) or self._lang.has("leads", text)


def _usual(label: str) -> int:
    return USUAL.get(label, SHAPES[label].low)


def _add(scene: Scene, found: tuple[int, int], place: _Place) -> None:
    first, last = found
    if scene.covered(first, last):
        return
    scene.add(first, last, place.label, 0.55, "numbers", "mangled",
              "words that sound like digits, where a number is asked for or named")  # fmt: skip
    if place.anchor is None:
        scene.answered(place.label, last - first)
