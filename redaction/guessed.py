"""What the names model says, held against what is known of the call.

Decides which of its spans count: ordinary words need a question or a capital, numbers are left to
those who read numbers. Under rules of their own stand the doubtful ones, which only the paranoid
profile takes (`rules_off` of the others).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

from redaction.labels import LABELS
from redaction.language import Language
from redaction.model import Guess, NamesModel
from redaction.scene import Scene
from redaction.tokens import WORD, Atom

LONGEST_HOUSE = 5  # digits of a house number; more are a number of another kind
EVERYDAY = ("common", "everyday", "leads", "fillers", "months", "days", "units_after", "money",
             "things")  # fmt: skip
ORDINARY = ("ordinary", *EVERYDAY)  # no names; a street may be called so
EDGES = ("leads", "fillers", "months", "days", "units_after")  # no address begins or ends so
ENDINGS = (("s", ""), ("es", ""), ("ies", "y"), ("ed", ""), ("d", ""), ("ing", ""), ("ing", "e"),
           ("er", ""), ("r", ""), ("rs", ""), ("ly", ""), ("y", ""))  # fmt: skip
OF_LABELS = frozenset(word.lower() for label in LABELS for word in label.split("_"))
LONE = 0.9  # how sure the model must be of one word in lower case that nobody asked for
LONE_PLACE = 0.97  # ... and of a place without a number and a street word
BASE, SPREAD = 0.3, 0.4  # score of a span: never above what rules say of the same words


def guess(
    scenes: Sequence[Scene], model: NamesModel, needed: float, lang: Language, *, weak: bool
) -> None:
    """Add the spans of the model to the turns.

    Args:
        scenes: the turns of one call, after the rules.
        model: the names model.
        needed: how sure it must be, 0..1.
        lang: the language pack.
        weak: doubtful spans count too; else turns that could hold no others are not read.
    """
    dull: dict[tuple[str, bool], bool] = {}  # words of this call that are no candidates
    wanted = [
        at for at, scene in enumerate(scenes)
        if weak or _worth_reading(scene, dull, lang)
        or _asked(scene, "PERSON") or _asked(scene, "ADDRESS")
    ]  # fmt: skip
    found = model.read([scene.atoms for scene in scenes], needed, wanted)
    for scene, guesses in zip(scenes, found, strict=True):
        for item in guesses:
            if _placeholder(scene.atoms[item.first : item.last]) or _cue(scene, item):
                continue
            if item.label == "PERSON":
                _person(scene, item, lang)
            else:
                _address(scene, item, lang)


def _person(scene: Scene, item: Guess, lang: Language) -> None:
    first, last = _trimmed(scene.atoms, item, lambda atom: _plain(atom, lang, ORDINARY))
    words = [
        (at, atom) for at, atom in enumerate(scene.atoms[first:last], first)
        if not lang.has("titles", atom.text)
    ]  # fmt: skip
    if not words:
        return
    asked = _asked(scene, "PERSON")
    doubtful = all(_doubtful(scene, at, atom, lang) for at, atom in words)
    if len(words) == 1 and item.sure < LONE:
        at, atom = words[0]
        text = atom.text.removesuffix("'s")
        known = lang.has("given", text) or lang.has("surnames", text)
        doubtful = doubtful or not (known or _stands_out(scene, at))
    if asked and doubtful:  # "can you spell your name", "... because i'm at an airport"
        asked = not all(_small(atom, lang) for _, atom in words)
    if len(words) > 1 and lang.has("firms", words[-1][1].text) and words[-1][1].capital:
        doubtful, asked = True, False  # "Brightwell Energy"
    rule = "name.model.word" if doubtful and not asked else "name.model"
    _add(scene, first, last, item, rule, "a name in the context of its turn, by the names model")


def _small(atom: Atom, lang: Language) -> bool:
    """Whether a word is one of those that all talk is made of, and not written as a name."""
    text = atom.text
    return not (atom.capital or lang.has("word_names", text)) and (
        lang.has("common", text) or lang.has("leads", text)
    )


def _doubtful(scene: Scene, at: int, atom: Atom, lang: Language) -> bool:
    """Whether a word of a name is more likely none: ordinary, a letter, an acronym, a code word."""
    if len(atom.text) == 1 or atom.upper or _plain(atom, lang, ORDINARY):
        return True
    if any(lang.has(name, atom.text) for name in ("nato", "other_names", "countries")):
        return True
    return lang.has("word_names", atom.text) and not _stands_out(scene, at)


def _stands_out(scene: Scene, at: int) -> bool:
    """Whether a capital says more than that a sentence begins."""
    return scene.atoms[at].capital and at > 0 and not scene.atoms[at - 1].stop


def _address(scene: Scene, item: Guess, lang: Language) -> None:
    numbers = {
        at
        for run in scene.runs
        for at in range(run.first, run.last)
        if run.digits > LONGEST_HOUSE or (scene.taken(run.first, run.last) and run.digits)
    }
    start = item.first
    for at in range(item.first, item.last + 1):
        if at < item.last and at not in numbers:
            continue
        piece = Guess(start, at, item.label, item.sure)
        start = at + 1
        first, last = _trimmed(
            scene.atoms, piece, lambda atom: any(lang.has(name, atom.text) for name in EDGES)
        )  # fmt: skip
        if first >= last:
            continue
        counted = any(atom.kind != WORD or _number(atom, lang) for atom in scene.atoms[first:last])
        known = counted or scene.run_before(first) or _asked(scene, "ADDRESS")
        lists = EVERYDAY if known else ORDINARY  # "fourteen larkspur", not "the sea view"
        bare = all(
            atom.kind != WORD
            or len(atom.text) == 1
            or _number(atom, lang)
            or _plain(atom, lang, lists)
            or lang.has("street_types", atom.text)
            for atom in scene.atoms[first:last]
        )
        if any(
            lang.has("units_after", scene.atoms[at].text)
            and scene.run_before(at) is not None
            and not lang.has("street_units", scene.atoms[at].text)
            for at in range(first + 1, min(last + 1, len(scene.atoms)))
        ):
            continue  # "67 megabits download"
        street = any(
            lang.has("street_types", atom.text) and not lang.has("street_weak", atom.text)
            for atom in scene.atoms[first:last]
        )
        words = [atom for atom in scene.atoms[first:last] if atom.kind == WORD]
        alone = all(lang.has("countries", atom.text) for atom in words)  # "a licence of Illinois"
        things = counted and not street and _things(words[-1:], lang)
        if alone or things:
            weak = not _asked(scene, "ADDRESS")
        elif _asked(scene, "ADDRESS"):
            weak = bare and not counted
        else:
            weak = bare or (not street and item.sure < (LONE if counted else LONE_PLACE))
        rule = "address.model.weak" if weak else "address.model"
        _add(scene, first, last, piece, rule,
             "an address in the context of its turn, by the names model")  # fmt: skip


def _things(words: Sequence[Atom], lang: Language) -> bool:
    """Whether a word is the plural of an ordinary one: "five axles"."""
    return any(
        atom.text.endswith("s") and not atom.capital and _plain(atom, lang, ORDINARY)
        for atom in words
    )


def _add(scene: Scene, first: int, last: int, item: Guess, rule: str, reason: str) -> None:
    score = round(BASE + SPREAD * item.sure, 2)
    scene.add(first, last, item.label, score, "model", rule, reason)


def _trimmed(atoms: Sequence[Atom], item: Guess, plain: Callable[[Atom], bool]) -> tuple[int, int]:
    """Cut ordinary words from the edges of a span, unless it holds nothing else."""
    first, last = item.first, item.last
    while first < last and plain(atoms[first]) and not atoms[first].capital:
        first += 1
    while last > first and plain(atoms[last - 1]) and not atoms[last - 1].capital:
        last -= 1
    return (first, last) if first < last else (item.first, item.last)


def _plain(atom: Atom, lang: Language, lists: Sequence[str] = EVERYDAY) -> bool:
    """Whether a word is an ordinary one, or ends like one, and no name."""
    text = atom.text.removesuffix("'s")
    if text in _all_of(lists, lang):
        return True
    if len(text) < 2 or (lang.has("word_names", text) and not lang.has("months", text)):
        return False
    if text in lang.words["given"] or text in lang.words["surnames"]:
        return False
    known = _all_of(lists, lang, names=True)
    return any(text.removesuffix(end) + put in known for end, put in ENDINGS if text.endswith(end))


@lru_cache(maxsize=16)
def _all_of(lists: Sequence[str], lang: Language, *, names: bool = False) -> frozenset[str]:
    """Return the words of several lists; without those that are names too, if not asked for."""
    words = frozenset[str]().union(*(lang.words[name] for name in lists))
    if names:
        return words
    return frozenset(
        word for word in words
        if len(word) > 1 and not (lang.has("word_names", word) and not lang.has("months", word))
    )  # fmt: skip


def _placeholder(atoms: Sequence[Atom]) -> bool:
    """Whether nothing stands here but what a redactor put in place of a value: [PERSON_1]."""
    words = [atom for atom in atoms if atom.kind == WORD]
    return bool(words) and all(atom.upper and atom.text in OF_LABELS for atom in words)


def _cue(scene: Scene, item: Guess) -> bool:
    """Whether a span lies within words that name a kind of value: "see vee vee"."""
    return any(
        cue.first <= item.first and item.last <= cue.last and cue.topic != "PERSON"
        for cue in scene.heading.cues
    )


def _worth_reading(scene: Scene, dull: dict[tuple[str, bool], bool], lang: Language) -> bool:
    """Whether any word of a turn is neither an ordinary one nor a number.

    Beside a number a plant or a trade may be a street ("fourteen larkspur"): fewer are ordinary.
    """
    numbers = bool(scene.runs)
    lists = EVERYDAY if numbers else ORDINARY
    for atom in scene.atoms:
        if atom.kind == WORD:
            known = dull.get((atom.text, numbers))
            if known is None:
                known = _plain(atom, lang, lists) or _number(atom, lang)
                dull[atom.text, numbers] = known
            if not known:
                return True
    return False


def _number(atom: Atom, lang: Language) -> bool:
    text = atom.text
    return text in lang.units or text in lang.teens or text in lang.tens or text in lang.scales


def _asked(scene: Scene, topic: str) -> bool:
    question = scene.waiting(topic)
    return question is not None and question.asked and question.speaker != scene.speaker
