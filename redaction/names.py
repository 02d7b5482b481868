"""Names of people: said after a lead ("my name is"), asked for, greeted, listed, and followed.

Decides by slot first and by list last. A name that is an ordinary word (may, will, mark) is found
in a slot only and never followed through the call.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from redaction.dialogue import find_all, match
from redaction.language import Language
from redaction.scene import Scene
from redaction.tokens import WORD, Atom

MAX_NAME = 4  # words of one name
SPEAKING = frozenset({"in", "from", "here", "speaking", "calling", "and", "again", "with"})
EARLY = 4  # "this is" leads into a name near the beginning of a turn only
IS = frozenset({"i'm", "im", "it's", "its", "is", "she's", "he's", "you're", "they're", "under"})
SKIPPED = frozenset({"um", "uh", "er", "is", "it's", "actually", "erm", "the"})
OPENERS = frozenset({"how", "can", "may", "will", "thank", "do", "the", "this", "yes", "what"})
LINKED = frozenset({("i", "am"), ("i", "is"), ("this", "am"), ("this", "is")})
SUBJECTS = frozenset({"i", "we", "you", "he", "she", "they", "it", "have", "be", "the"})
GREETING = frozenset({"hi", "hello", "thanks", "you", "hey", "okay", "mr", "mrs", "ms", "miss"})
# titles that are words too: what follows them must look like a name
WORDY_TITLES = frozenset({"miss", "doctor", "professor", "reverend", "constable", "sergeant",
                          "inspector", "councillor"})  # fmt: skip
ARTICLES = frozenset({"the", "a", "an"})
PARTICLES = frozenset({"de", "la", "van", "von", "der", "den", "bin", "al", "el", "da", "di", "du",
                       "o", "mc", "mac", "st", "del", "dos", "ter", "le", "y"})  # fmt: skip


@lru_cache(maxsize=8)
def _slots(titles: frozenset[str]) -> frozenset[str]:
    """Return the words in front of a name."""
    return titles | IS | {"name", "surname"}


def is_ordinary(text: str, lang: Language) -> bool:
    """Whether a word is one of everyday talk, and no name unless it is written as one."""
    return lang.has("common", text) or lang.has("everyday", text)


def _name_word(atom: Atom, lang: Language, strong: bool) -> bool:
    """Whether a word in a name slot is part of a name."""
    text = atom.text
    if atom.kind != WORD or len(text) < 2:
        return False
    if text in lang.words["given"] or text in lang.words["surnames"]:
        return True
    if text in lang.units or text in lang.teens or text in lang.tens:
        return False
    if atom.upper and text in lang.lists["acronyms"]:
        return False
    if lang.has("word_names", text):
        return strong or atom.capital
    bare = text.removesuffix("'s")
    if is_ordinary(bare, lang) or lang.has("leads", bare) or lang.has("fillers", bare):
        return False
    if bare != text and lang.has("ordinary", bare):  # "breakfast's from half six"
        return False
    return strong or atom.capital or not text.endswith(("ing", "ed", "ly"))


def _extent(atoms: Sequence[Atom], at: int, lang: Language, strong: bool) -> int:
    """Return the end of the name that begins at `at`; `at` itself where there is none."""
    end = at
    taken = 0
    while end < len(atoms) and taken < MAX_NAME:
        atom = atoms[end]
        if taken and atoms[end - 1].stop:
            break
        if taken and atoms[end - 1].comma and not atom.capital:
            break
        particle = (
            atom.text in PARTICLES
            and end + 1 < len(atoms)
            and _name_word(atoms[end + 1], lang, strong)
        )
        initial = taken and atom.text != "i" and len(atom.text) == 1 and atom.text.isalpha() and (
            atom.capital or (end + 1 < len(atoms) and _name_word(atoms[end + 1], lang, False)
                             and atom.text not in ("i", "a"))
        )  # fmt: skip
        family = (  # "josh good", where capitals say so
            taken and atom.capital and atom.kind == WORD and len(atom.text) > 2
            and _listed(atoms, end - 1, lang) and not _shouted(atoms, end)
            and not lang.has("leads", atom.text) and atom.text not in lang.lists["questions"]
            and atom.text not in lang.lists["asks"] and atom.text not in OPENERS
        )  # fmt: skip
        if not (_name_word(atom, lang, strong) or particle or initial or family):
            break
        if (
            taken
            and lang.has("word_names", atom.text)
            and not atom.capital
            and (taken >= 2 or (end + 1 < len(atoms) and atoms[end + 1].text in SUBJECTS))
        ):
            break  # "miss maricel may i have"
        end += 1
        taken += 1
    return end


def _shouted(atoms: Sequence[Atom], at: int) -> bool:
    """Whether the words around are written in capitals as well: they say nothing then."""
    return at + 1 < len(atoms) and atoms[at + 1].capital and not atoms[at].stop


def label_names(scene: Scene, lang: Language, listed: bool) -> None:
    """Add spans for names that one turn shows by itself.

    Args:
        scene: the turn.
        lang: the language pack.
        listed: also take names of the list without a slot.
    """
    atoms = scene.atoms
    n = len(atoms)
    for first, end in find_all(atoms, lang.lists["name_leads"], scene.said):
        hit = match(atoms, first, lang.lists["name_strong_leads"])
        strong = hit is not None and hit[0] >= end
        thing = first and not atoms[first - 1].stop and atoms[first - 1].text
        if thing and thing.removesuffix("'s") in lang.words["things"]:
            continue
        at = end
        owner = atoms[end - 1].text
        if (
            owner.endswith("'s")
            and owner != "name's"
            and at < n
            and (lang.has("word_names", atoms[at].text) and not atoms[at].capital)
        ):
            continue  # "my mother's bill"
        while at < n and atoms[at].text in SKIPPED:
            at += 1
        article = at and atoms[at - 1].text == "the"  # "it's under the barcode"
        medium = match(atoms, first, lang.lists["name_medium_leads"]) is not None and (
            atoms[first].text != "this" or first <= EARLY
        )
        initials = _initials(atoms, at) if at < n and atoms[at].capital else at
        stop = _extent(atoms, initials, lang, strong)
        stop = at if stop == initials else stop
        if not strong and stop == at and at < n and medium and _speaks(atoms, at, lang):
            stop = at + 1  # "this is mark from accounts"
        elif (
            stop > at
            and (article or not strong)
            and not _convincing(atoms, at, stop, lang)
            and (article or not (medium and _unlike_noun(atoms[at], lang)))
        ):
            continue
        elif stop > at and not strong:
            stop = _shorten(atoms, at, stop, lang)
        if stop > at:
            add_name(
                scene,
                at,
                stop,
                0.9 if strong else 0.7,
                "name.lead",
                "a name behind words that lead into one",
            )
    for at in scene.said.places(_slots(lang.words["titles"]), LINKED):
        atom = atoms[at]
        if atom.kind != WORD:
            continue
        if (
            lang.has("titles", atom.text)
            and at + 1 < n
            and not (atom.comma and not atom.stop)
            and not atom.text.startswith(("sir", "mad", "ma'"))
        ):
            stop = _extent(atoms, at + 1, lang, True)
            if (
                stop > at + 1
                and atom.text in WORDY_TITLES
                and not _convincing(atoms, at + 1, stop, lang)
                and not _unlike_verb(atoms[at + 1].text)
            ):
                continue
            if stop > at + 1:
                add_name(scene, at, min(stop, at + 4), 0.85, "name.title", "a name behind a title")
        elif atom.text in ("name", "surname") and atom.comma and at + 1 < n:
            stop = _extent(atoms, at + 1, lang, True)
            if stop > at + 1 and not atoms[at].stop:
                add_name(scene, at + 1, stop, 0.85, "name.field", "a name in a form field")
        elif atom.text in IS and at + 1 < n:
            stop = _extent(atoms, at + 1, lang, False)
            if stop == at + 1 and _full_name(atoms, at + 1, lang):
                stop = at + 3  # "it's sue tranter"
                add_name(scene, at + 1, stop, 0.7, "name.is", "a name of two words behind 'is'")
            elif stop > at + 1 and (
                _listed(atoms, at + 1, lang)
                or (atom.text in ("i'm", "im") and lang.has("other_names", atoms[at + 1].text))
            ):
                add_name(scene, at + 1, stop, 0.7, "name.is", "a known name behind 'is'")
        elif atom.text in ("i", "this") and at + 2 < n and atoms[at + 1].text in ("am", "is"):
            stop = _extent(atoms, at + 2, lang, False)
            if stop > at + 2 and _listed(atoms, at + 2, lang):
                add_name(scene, at + 2, stop, 0.7, "name.is", "a known name behind 'is'")
    for _first, end in find_all(atoms, lang.lists["greetings"], scene.said):
        stop = _extent(atoms, end, lang, False)
        if stop > end and _listed(atoms, end, lang):
            add_name(scene, end, stop, 0.65, "name.greeted", "a known name behind a greeting")
    for at in () if scene.lacks(("with",)) else range(n - 2):  # "hutchens with an e"
        how = [atom.text for atom in atoms[at + 1 : at + 4]]
        if how[0] == "with" and how[1] in ("a", "an", "double", "two") and len(how[-1]) == 1:
            stop = _extent(atoms, at, lang, True)
            if stop == at + 1 and not _thing(atoms, at, lang):
                add_name(scene, at, stop, 0.7, "name.letter", "a word whose letters are named")
    for first, _ in find_all(atoms, lang.lists["closings"], scene.said):
        back = first
        while (
            back > 0
            and first - back < 3
            and not atoms[back - 1].stop
            and _name_word(atoms[back - 1], lang, False)
            and _convincing(atoms, back - 1, back, lang)
        ):
            back -= 1
        if back < first:
            add_name(scene, back, first, 0.7, "name.speaking", "a name before 'speaking' or 'here'")
    if listed:
        _from_lists(scene, lang)


def _full_name(atoms: Sequence[Atom], at: int, lang: Language) -> bool:
    """Whether a name that is a word stands with a second word that can be nothing but a name."""
    if at + 1 >= len(atoms) or not (
        lang.has("word_names", atoms[at].text) or lang.has("other_names", atoms[at].text)
    ):
        return False
    second = atoms[at + 1]
    return (
        second.kind == WORD
        and not atoms[at].stop
        and len(second.text) > 2
        and not is_ordinary(second.text, lang)
        and not lang.has("leads", second.text)
        and not lang.has("word_names", second.text)
        and second.text not in lang.ordinals
        and second.text not in lang.units
        and second.text not in lang.tens
        and second.text not in lang.teens
        and _unlike_verb(second.text)
    )


def _unlike_noun(atom: Atom, lang: Language) -> bool:
    """Whether a word looks neither like a verb nor like an ordinary word of another kind."""
    return _unlike_verb(atom.text) and not lang.has("ordinary", atom.text)


def _unlike_verb(text: str) -> bool:
    return len(text) > 2 and not text.endswith(("s", "ed", "ing", "ly", "n't", "'ve", "'d", "'ll"))


def _speaks(atoms: Sequence[Atom], at: int, lang: Language) -> bool:
    """Whether a name that is a word stands in "this is mark from accounts"."""
    if not lang.has("word_names", atoms[at].text):
        return False
    return at + 1 == len(atoms) or atoms[at].stop or atoms[at + 1].text in SPEAKING


def _shorten(atoms: Sequence[Atom], first: int, last: int, lang: Language) -> int:
    """Cut words from the end of a doubtful name that look like verbs."""
    while last > first + 1 and not (
        atoms[last - 1].capital or _listed(atoms, last - 1, lang)
        or (last == first + 2 and _unlike_verb(atoms[last - 1].text))
    ):  # fmt: skip
        last -= 1
    return last


def _listed(atoms: Sequence[Atom], at: int, lang: Language) -> bool:
    """Whether a word is a known name; one that is a word too must be written as a name."""
    atom = atoms[at]
    text = atom.text
    if text in lang.words["months"] or text in lang.words["days"]:
        return False
    if lang.has("other_names", text):
        return False
    if lang.has("word_names", text):
        if at > 0 and not atoms[at - 1].stop:
            return atom.capital
        after = atoms[at + 1] if at + 1 < len(atoms) and not atom.stop else None
        return atom.capital and after is not None and after.capital and (
            not is_ordinary(after.text, lang)
        )  # fmt: skip
    return (text in lang.words["given"] or text in lang.words["surnames"]) and (
        not is_ordinary(text, lang) or atom.capital
    )


def _convincing(atoms: Sequence[Atom], first: int, last: int, lang: Language) -> bool:
    """Whether words behind a weak lead look like a name: listed, or capitalised."""
    return any(
        _listed(atoms, at, lang) or (atoms[at].capital and not is_ordinary(atoms[at].text, lang))
        for at in range(first, last)
    )


def _feast(atoms: Sequence[Atom], at: int) -> bool:
    """Whether a day is named: "New Year's Eve", "Boxing Day"."""
    before = atoms[at - 1].text
    return atoms[at].text in ("eve", "day") and (
        before.endswith("'s") or before in ("boxing", "christmas", "independence", "labor")
    )


def _from_lists(scene: Scene, lang: Language) -> None:
    atoms = scene.atoms
    at = 0
    if scene.lacks(lang.words["given"]) and scene.lacks(lang.words["word_names"]):
        return
    while at < len(atoms):
        if (
            atoms[at].kind == WORD
            and (lang.has("given", atoms[at].text) or lang.has("word_names", atoms[at].text))
            and not (scene.run_before(at) and lang.has("units_after", atoms[at].text))
            and not (at and _feast(atoms, at))
            and not (at and atoms[at - 1].text in ARTICLES)  # "the john deere"
            and _listed(atoms, at, lang)
        ):
            stop = _extent(atoms, at, lang, False)
            while stop > at + 1 and not (_listed(atoms, stop - 1, lang) or atoms[stop - 1].capital
                                         or stop == at + 2):  # fmt: skip
                stop -= 1
            stop = max(stop, at + 1)
            if not scene.taken(at, stop):
                add_name(scene, at, stop, 0.5, "name.listed", "a name of the list")
            at = stop
        else:
            at += 1


def answer_name(scene: Scene, lang: Language) -> None:
    """Take the answer to an open question for a name."""
    atoms = scene.atoms
    if scene.heading.stalls or scene.heading.question or not atoms:
        return
    at = found = 0
    short = len(atoms) <= 6
    begins = True  # no word but a lead-in was said so far
    while at < len(atoms) and found < 3:
        text = atoms[at].text
        start = _initials(atoms, at)
        article = start == at and at and atoms[at - 1].text in ARTICLES  # "haven't the foggiest"
        thing = start == at and _thing(atoms, at, lang)
        if atoms[at].kind != WORD or lang.has("leads", text) or (len(text) == 1 and start == at):
            at += 1
            continue
        stop = start if _verb(atoms, start, lang) else _extent(atoms, start, lang, short or begins)
        if stop == start or thing or (article and not _convincing(atoms, start, stop, lang)):
            begins = begins and not is_ordinary(text, lang)
            at += 1
            continue
        if short or begins or _convincing(atoms, start, stop, lang):
            add_name(scene, at, stop, 0.75, "name.asked",
                 "the answer to an open question for a name")  # fmt: skip
            found += 1
        at = stop
        begins = False
    if found:
        scene.answered("PERSON", 4)


def _thing(atoms: Sequence[Atom], at: int, lang: Language) -> bool:
    """Whether a word is an ordinary one that no name follows: "account's four", "my two boys"."""
    base = atoms[at].text.removesuffix("'s")
    if base in lang.words["given"] or base in lang.words["surnames"] or (
        lang.has("word_names", base) or lang.has("titles", base)
    ):  # fmt: skip
        return False
    known = base != atoms[at].text and lang.has("leads", base)
    singular = base.removesuffix("s")
    known = known or any(
        is_ordinary(word, lang) or lang.has("ordinary", word) for word in (base, singular)
    )
    return known and not (at + 1 < len(atoms) and _listed(atoms, at + 1, lang))


def _verb(atoms: Sequence[Atom], at: int, lang: Language) -> bool:
    """Whether a name that is a word is a verb here: "i will", "may i"."""
    atom = atoms[at]
    if not lang.has("word_names", atom.text) or (atom.capital and at):
        return False
    before = atoms[at - 1].text if at else ""
    after = atoms[at + 1].text if at + 1 < len(atoms) else ""
    return before in SUBJECTS or (after in SUBJECTS and not atom.stop)


def _initials(atoms: Sequence[Atom], at: int) -> int:
    """Return where the name behind initials begins: "b j thackeray"; `at` where none are."""
    place = at
    while place < len(atoms) and len(atoms[place].text) == 1 and atoms[place].text.isalpha():
        place += 1
    named = place < len(atoms) and atoms[place].kind == WORD and not atoms[place - 1].stop
    return place if named and 0 < place - at <= 3 else at


def add_name(scene: Scene, first: int, last: int, score: float, rule: str, reason: str) -> None:
    scene.add(first, last, "PERSON", score, "names", rule, reason)
