"""Secrets: what is said while a card code, PIN, password or security answer is asked for.

Decides by the open question alone: the answer is a finding even where it is no number, because
recognizers mishear digits. Refuses stalls ("hold on, let me find it") and counter-questions.
"""

from __future__ import annotations

from collections.abc import Sequence

from redaction.dialogue import Cue
from redaction.language import Language
from redaction.numbers import is_quantity
from redaction.scene import Scene
from redaction.tokens import DIGITS, WORD, Atom

SECRETS = ("CARD_CVV", "PIN", "PASSWORD", "SECURITY_ANSWER", "USERNAME")
NUMERIC = frozenset({"CARD_CVV", "PIN"})
LONG = 10  # words: a longer turn without a number or letter is talk, not a secret
MAX_ANSWER = 12  # words of a misheard or spoken secret
LINK_REACH, FAR_LINK = 4, 11  # words to an "is" behind the name of a secret, to an "it's"
WAIT = 2  # turns between a question for a secret and its answer
SYMBOLS = frozenset(
    {"exclamation", "capital", "question", "hash", "hashtag", "dollar", "asterisk", "star",
     "ampersand", "underscore", "percent", "plus", "pound", "at"}
)  # fmt: skip
SYMBOL_ENDS = frozenset({"mark", "point", "sign", "symbol", "key"})
LINKS = ("is", "it's", "was", "be", "equals", "its", "colon", "dot", "to")


def label_secrets(scene: Scene, lang: Language, policy_unparsed: bool) -> None:
    """Add spans for secrets named in this turn or answered in it."""
    said = _named_here(scene, lang)
    _mixed(scene)
    _spelled_out(scene, lang)
    item = scene.waiting(*SECRETS)
    if item is None or not item.asked or scene.turn - item.turn > WAIT or said:
        return
    heading = scene.heading
    before = item.answered and item.answered_at != scene.turn
    if before or heading.question or heading.stalls or not scene.answers(item):
        return
    if not policy_unparsed:
        return
    atoms = scene.atoms
    if item.topic in NUMERIC:
        digits = [s for s in scene.spans if s.label == item.topic]
        if digits:
            _neighbours(scene, lang, item.topic)
            return
    if len(atoms) > LONG and not scene.runs:
        return
    later = scene.open[scene.open.index(item) + 1 :]
    if any(other.asked and other.topic not in SECRETS for other in later):
        return  # something else was asked after it
    counted = {
        at for run in scene.runs if is_quantity(atoms, run, lang)
        for at in range(run.first, run.last)
    }  # fmt: skip
    content = [
        i for i, atom in enumerate(atoms)
        if (i not in counted or item.topic not in NUMERIC) and _content(atom, lang, item.topic)
    ]  # fmt: skip
    if item.topic in ("SECURITY_ANSWER", "PASSWORD", "USERNAME"):
        content = [i for i, atom in enumerate(atoms) if _plain(atom, lang)]
    if not content or len(content) > MAX_ANSWER:
        return
    if all(lang.has("common", atoms[i].text) for i in content) and item.topic not in NUMERIC:
        return
    first, last = content[0], content[-1] + 1
    if last - first > MAX_ANSWER + 6:
        return
    scene.add(first, last, item.topic, 0.88, "answers", f"{item.topic.lower()}.answer",
              "the answer to an open question for a secret")  # fmt: skip
    scene.answered(item.topic, 4)


def _content(atom: Atom, lang: Language, topic: str) -> bool:
    text = atom.text
    if topic in NUMERIC and ((text in lang.homophones and len(text) > 1) or _number(text, lang)):
        return True
    if topic in NUMERIC and lang.has("everyday", text):
        return False
    return not (lang.has("leads", text) or lang.has("fillers", text) or lang.has("common", text))


def _plain(atom: Atom, lang: Language) -> bool:
    if atom.kind == DIGITS or _number(atom.text, lang):
        return True
    return not (lang.has("leads", atom.text) or lang.has("fillers", atom.text))


def _number(text: str, lang: Language) -> bool:
    return text in lang.units or text in lang.teens or text in lang.tens or text in lang.repeats


def _neighbours(scene: Scene, lang: Language, topic: str) -> None:
    """Widen a numeric secret over misheard neighbours."""
    for span in scene.spans:
        if span.label != topic:
            continue
        while span.first and _content(scene.atoms[span.first - 1], lang, topic):
            span.first -= 1
        while span.last < len(scene.atoms) and _content(scene.atoms[span.last], lang, topic):
            span.last += 1


def _symbols(atoms: Sequence[Atom], at: int) -> int:
    """Return the end of spoken symbols: "exclamation mark", "dollar sign"."""
    if at < len(atoms) and atoms[at - 1].text in SYMBOLS and atoms[at].text in SYMBOL_ENDS:
        at += 1
    while at < len(atoms) and atoms[at].text in SYMBOLS and not atoms[at - 1].stop:
        at += 1
        if at < len(atoms) and atoms[at].text in SYMBOL_ENDS:
            at += 1
    return at


def _spelled_out(scene: Scene, lang: Language) -> None:
    """Find "capital r rover two thousand exclamation mark": nothing but a password is said so."""
    atoms = scene.atoms
    if scene.lacks(SYMBOL_ENDS) or scene.lacks(lang.words["letter_case"]):
        return
    for at in range(1, len(atoms) - 1):
        if atoms[at].text not in SYMBOLS or atoms[at + 1].text not in SYMBOL_ENDS:
            continue
        cases = [
            place for place in range(max(0, at - MAX_ANSWER), at - 1)
            if lang.has("letter_case", atoms[place].text) and len(atoms[place + 1].text) == 1
        ]  # fmt: skip
        if cases and not any(atom.stop for atom in atoms[cases[0] : at]):
            scene.add(cases[0], _symbols(atoms, at), "PASSWORD", 0.8, "answers",
                      "password.spelled", "capitals and symbols said one by one")  # fmt: skip


def _mixed(scene: Scene) -> None:
    """Find words of letters and digits ("tractorboys78") while a password is talked about."""
    item = scene.waiting("PASSWORD", "USERNAME")
    if item is None:
        return
    atoms = scene.atoms
    for at in range(1, len(atoms)):
        one, two = atoms[at - 1], atoms[at]
        if two.glued and {one.kind, two.kind} == {WORD, DIGITS} and len(one.text + two.text) > 4:
            last = at + 1
            while last < len(atoms) and atoms[last].glued:
                last += 1
            if not scene.taken(at - 1, last):
                scene.add(at - 1, last, item.topic, 0.7, "answers", f"{item.topic.lower()}.mixed",
                          "letters and digits in one word while a secret is open")  # fmt: skip


def _value(scene: Scene, cue: Cue, lang: Language) -> int | None:
    """Return where the value behind the name of a secret may begin; None where nothing says so."""
    atoms, at = scene.atoms, cue.last
    if atoms[at - 1].text in LINKS:
        return at
    after = atoms[at].text if at < len(atoms) else "no"
    idle = lang.has("no_secret", after) or lang.has("leads", after)
    if atoms[at - 1].text.endswith("'s") and not idle:
        return at  # "the password's pineapple"
    if (link := _link(atoms, at, LINK_REACH, LINKS)) is not None:
        return link + 1
    telling = cue.topic in ("USERNAME", "PASSWORD") and not scene.heading.question
    if not telling or at >= len(atoms):
        return None
    if _content(atoms[at], lang, cue.topic) and any(at <= r.first <= at + 2 for r in scene.runs):
        return at  # "the password bluebird nineteen"
    link = _link(atoms, at, FAR_LINK, ("it's",))
    return None if link is None else link + 1


def _link(atoms: Sequence[Atom], first: int, reach: int, words: Sequence[str]) -> int | None:
    """Return the first of these words near an atom and in its sentence."""
    for at in range(first, min(len(atoms), first + reach)):
        if atoms[at].text in words:
            return at
        if atoms[at].stop:
            break
    return None


def _named_here(scene: Scene, lang: Language) -> bool:
    """Find "my password is ..." in the turn itself."""
    atoms = scene.atoms
    found = False
    for cue in scene.heading.cues:
        if cue.topic not in SECRETS or cue.topic in NUMERIC:
            continue
        at = _value(scene, cue, lang)
        if at is None:
            continue
        if scene.heading.asks and any(
            a.text in ("what", "what's", "your") for a in atoms[max(0, cue.first - 4) : at]
        ):
            continue
        while at < len(atoms) and (
            lang.has("fillers", atoms[at].text)
            or atoms[at].text in ("all", "the", "my", "it's", "word")
        ):
            at += 1
        end = at
        while end < len(atoms) and end - at < 6:
            text = atoms[end].text
            if end > at and lang.has("common", text) and not _number(text, lang):
                break
            lead = lang.has("leads", text) and not lang.has("letter_case", text)
            if end == at and (lead or lang.has("no_secret", text)):
                break
            end += 1
            if atoms[end - 1].stop:
                break
        for run in scene.runs:
            if at <= run.first <= end + 2 and run.last > end and end > at:
                end = run.last
        if any(at <= run.first < end and is_quantity(atoms, run, lang) for run in scene.runs):
            continue  # "a letter with a passcode takes five to seven days"
        end = _symbols(atoms, end) if end > at else end
        if end > at:
            scene.add(at, end, cue.topic, 0.92, "answers", f"{cue.topic.lower()}.named",
                      "what follows the name of a secret")  # fmt: skip
            found = True
    return found
