"""Street addresses and postcodes as spoken or written.

Decides by a street word with a number before it, by a state with a zip, and by an open question
for an address. Refuses a street word alone ("the road", "no way").
"""

from __future__ import annotations

from redaction.dialogue import find_all, match
from redaction.language import Language
from redaction.numbers import is_quantity
from redaction.scene import Scene
from redaction.tokens import DIGITS, WORD
from redaction.towns import MAX_CITY, find_states, find_towns, is_unknown

LONGEST_HOUSE = 4  # digits of a house number
HOUSES = frozenset({"cottage", "house", "farm", "lodge", "barn", "villa", "croft", "mill"})
MAX_NAME = 4  # words of a street name
MAX_TAIL = 16  # atoms after the street: flat, town, state, zip
MAX_HOUSE = 5  # words of a house's name between "deliver to" and its street
SHORT_ANSWER = 9  # words
STREET_NAMES = frozenset({"church", "station", "school", "mill", "high", "main", "spring", "market",
                          "water", "old", "new", "center", "lake", "river", "king's", "queen's",
                          "long", "green", "park", "bridge", "college"})  # fmt: skip
# words before a street word that make it another thing: "six mile drive", "two bedroom lodge"
DISTANCES = frozenset({"mile", "miles", "hour", "minute", "km", "kilometre", "kilometer", "bed",
                       "bedroom", "bedroomed", "berth", "storey", "story", "foot", "wheel", "car",
                       "star", "way", "point", "ex"})  # fmt: skip
LINKS = frozenset(
    {
        "off",
        "near",
        "opposite",
        "in",
        "and",
        "at",
        "the",
        "comma",
        "of",
        "on",
        "um",
        "uh",
        "that's",
        "it's",
    }
)


def label_places(scene: Scene, lang: Language, asked: bool) -> None:
    """Add spans for the addresses of one turn.

    Args:
        scene: the turn, its numbers already read.
        lang: the language pack.
        asked: an address was asked for, or this turn names one.
    """
    atoms = scene.atoms
    until = 0
    for at, atom in enumerate(() if scene.lacks(lang.words["street_types"]) else atoms):
        if at < until or atom.kind != WORD or not lang.has("street_types", atom.text):
            continue
        after = atoms[at + 1].text if at + 1 < len(atoms) else ""
        if lang.has("units_after", atom.text) and lang.has("units_after", after):
            continue  # "32 square metres"
        if atom.text.endswith("s") and not atom.capital and scene.run_before(at) is not None:
            continue  # "two cottages"
        first = _house(scene, at, lang, asked)
        if first is None:
            continue
        last = _tail(scene, at + 1, lang)
        scene.add(first, last, "ADDRESS", 0.85, "places", "address.street", "a street address")
        until = last
    _fields(scene, lang)
    find_states(scene, lang)
    _unit_numbers(scene, lang, asked)
    find_towns(scene, lang)


def _house(scene: Scene, street: int, lang: Language, asked: bool) -> int | None:
    """Return the first atom of the address whose street word is at `street`."""
    atoms = scene.atoms
    weak = lang.has("street_weak", atoms[street].text)
    back = street
    names = 0
    numbered: int | None = None
    while back > 0 and names <= MAX_NAME:
        run = scene.run_before(back)
        if run is not None and run.digits and back <= street:
            if back < len(atoms) and atoms[back].text in lang.ordinals and run.values == 1:
                back, numbered = run.first, run.first  # "west forty second street"
                continue
            if names or not weak:
                return _unit_before(scene, run.first, lang)
            return None
        previous = atoms[back - 1]
        if previous.stop and back != street:
            break
        text = previous.text
        house = scene.run_before(back - 1) if text == "the" and back == street else None
        if house is not None and house.digits <= LONGEST_HOUSE and not weak:
            return _unit_before(scene, house.first, lang)  # "fourteen the crescent"
        if text in DISTANCES:
            return None  # "a six hundred mile drive"
        flat = len(text) == 1 and back > 1 and scene.run_before(back - 1) is not None
        if flat and text.isalpha():  # "two a tanners hill"
            back -= 1
            continue
        if previous.text in lang.ordinals or lang.has("directions", text):
            back -= 1
            continue
        ordinary = lang.has("common", text) and not lang.has("word_names", text)
        begins = back < 2 or atoms[back - 2].stop
        plain = begins or not previous.capital or len(text) < 4
        asking = text in lang.lists["questions"]
        if text in LINKS or asking or (ordinary and plain and text not in STREET_NAMES):
            break
        names += 1
        back -= 1
    if numbered is not None:
        return numbered
    if names > 1 and not weak and back and atoms[back].text == "old":
        return back - 1 if atoms[back - 1].text == "the" else back  # "the old forge mill lane"
    if asked and names and not weak:
        return back
    if asked and names and atoms[street].text in HOUSES and is_unknown(atoms[street - 1], lang):
        ahead = atoms[street + 1 : street + 1 + MAX_HOUSE]
        if not any(lang.has("street_types", atom.text) for atom in ahead):
            return back  # "still at hawthorn cottage"
    if (
        names
        and not weak
        and back
        and atoms[back - 1].text in ("on", "at")
        and back > 1
        and atoms[back - 2].text
        in ("live", "lives", "living", "i'm", "house", "apartment", "flat", "moved", "stay")
    ):
        return back
    return None


def _unit_before(scene: Scene, first: int, lang: Language) -> int:
    """Take in "flat 3b" in front of a house number."""
    atoms = scene.atoms
    back = first
    for _ in range(2):
        edge = back
        while edge > 0 and atoms[edge - 1].text in ("comma", "um", "uh"):
            edge -= 1
        run = scene.run_before(edge)
        if run is not None and run.first and lang.has("street_units", atoms[run.first - 1].text):
            back = run.first - 1
        elif edge and lang.has("street_units", atoms[edge - 1].text):
            back = edge - 1
        else:
            break
    return back - 1 if back and atoms[back - 1].text == "number" else back


def _tail(scene: Scene, at: int, lang: Language) -> int:
    """Return the end of an address whose street ends at `at`: unit, town, state, zip."""
    atoms = scene.atoms
    last = at
    city = 0
    begin = at
    while at < len(atoms) and at - begin < MAX_TAIL:
        text = atoms[at].text
        if at > begin and atoms[at - 1].stop and at == last and city and text in ("i", "and", "my"):
            break
        run = scene.run_at(at)
        if run is not None:
            at = last = run.last
            continue
        state = match(atoms, at, lang.lists["states"])
        if state is not None:
            at = last = state[0]
            city = 0
            continue
        if lang.has("street_units", text) or lang.has("directions", text):
            at += 1
            if len(text) > 1 and text not in (
                "number",
                "room",
                "house",
                "block",
                "building",
                "floor",
                "lot",
            ):
                last = at
            continue
        if (
            lang.has("state_codes", text)
            and city
            and not (lang.has("common", text) and not atoms[at].capital)
        ):
            at = last = at + 1
            continue
        if (
            text == "i"
            or text.startswith("i'")
            or (text in LINKS and at > begin and atoms[at - 1].stop)
        ):
            break
        if text in LINKS:
            at += 1
            continue
        plain = lang.has("common", text) or lang.has("units_after", text) or lang.has("leads", text)
        if plain and not (atoms[at].capital and not atoms[at - 1].stop):
            break
        city += 1
        if city > MAX_CITY:
            break
        at = last = at + 1
    return last


def _fields(scene: Scene, lang: Language) -> None:
    """Find what follows "the city is" or "in the state of"."""
    atoms = scene.atoms
    for _, end in find_all(atoms, lang.lists["place_fields"], scene.said):
        last = end
        state = match(atoms, end, lang.lists["states"]) if end < len(atoms) else None
        if state is not None:
            last = state[0]
        while state is None and last < len(atoms) and last < end + MAX_CITY:
            if lang.has("common", atoms[last].text) and (not atoms[last].capital):
                break
            last += 1
            if atoms[last - 1].stop:
                break
        if last > end:
            scene.add(end, last, "ADDRESS", 0.6, "places", "address.field",
                      "what follows the name of a part of an address")  # fmt: skip


def _unit_numbers(scene: Scene, lang: Language, asked: bool) -> None:
    """Find "apartment 4b" and "po box 12" on their own."""
    atoms = scene.atoms
    for run in scene.runs:
        if not run.first or not run.digits or len(run.text) > 6:
            continue
        before = atoms[run.first - 1].text
        if before in ("apartment", "apt", "flat", "suite") or (
            before == "box" and run.first > 1 and atoms[run.first - 2].text in ("po", "o", "office")
        ):
            first = run.first - 1
            if before == "box":
                first -= 1
                if first and atoms[first].text in ("o", "office"):
                    first -= 1
            last = _tail(scene, run.last, lang) if before == "box" or asked else run.last
            if not scene.taken(first, run.last) or asked:
                scene.add(first, last, "ADDRESS", 0.6, "places", "address.unit",
                          "a flat, apartment or box number")  # fmt: skip


def answer_place(scene: Scene, lang: Language, fresh: bool) -> None:
    """Take the answer to an open question for an address, from its first to its last word.

    Args:
        scene: the turn.
        lang: the language pack.
        fresh: the question was asked right before, or a piece of its answer was given there.
    """
    atoms = scene.atoms
    if scene.heading.stalls or scene.heading.question:
        return
    content = [at for at in range(len(atoms)) if _of_place(scene, at, lang)]
    if not content:
        return
    first, last = content[0], content[-1] + 1
    if fresh and len(atoms) <= SHORT_ANSWER and _whole(scene, content, lang):
        while first and not lang.has("leads", atoms[first - 1].text):
            first -= 1
        if first and atoms[first - 1].text == "the":
            first -= 1
    elif not _reads_as_place(scene, content, lang):
        return
    scene.add(first, last, "ADDRESS", 0.6, "places", "address.asked",
              "the answer to an open question for an address")  # fmt: skip


def _of_place(scene: Scene, at: int, lang: Language) -> bool:
    atom = scene.atoms[at]
    after = scene.atoms[at + 1].text if at + 1 < len(scene.atoms) else ""
    if atom.text in lang.tens and after in lang.ordinals:
        return False  # a day of the month
    if atom.kind == DIGITS or any(r.first <= at < r.last and r.digits for r in scene.runs):
        return True
    text = atom.text
    return atom.kind == WORD and (
        lang.has("directions", text) or lang.has("street_types", text)
        or (len(text) > 1 and not lang.has("common", text) and not lang.has("leads", text)
            and not lang.has("fillers", text)
            and (atom.capital or not lang.has("everyday", text)))
    )  # fmt: skip


def _whole(scene: Scene, content: list[int], lang: Language) -> bool:
    """Whether a short answer holds more place than talk, and no verb of the talk around it."""
    talk = [
        atom.text for at, atom in enumerate(scene.atoms)
        if at not in content and not lang.has("leads", atom.text)
        and not lang.has("fillers", atom.text) and atom.text not in LINKS
    ]  # fmt: skip
    counts = any(run.scaled or is_quantity(scene.atoms, run, lang) for run in scene.runs)
    return len(talk) <= len(content) and len(talk) <= 2 and not counts


def _reads_as_place(scene: Scene, content: list[int], lang: Language) -> bool:
    atoms = scene.atoms
    first, last = content[0], content[-1] + 1
    named = any(lang.has("street_types", atoms[i].text) for i in range(first, last))
    numbered = any(
        r.digits >= 2 and not r.scaled and not is_quantity(atoms, r, lang) for r in scene.runs
    )
    if len(content) * 2 < last - first and not (named and numbered):
        return False
    counted = any(r.digits for r in scene.runs)
    return (named and counted) or numbered or (not counted and len(content) <= 4)


def grow(scene: Scene, lang: Language) -> None:
    """Widen the addresses of a turn: over the town behind a number, and the house before a street.

    "I live at 2270 magnolia bend": the number was found by its cue alone. "Deliver to the old
    rectory church lane": the house has a name. "16 quarry bank matlock d e four ...": what stands
    between a number and a postcode is an address whatever it is called.
    """
    atoms = scene.atoms
    for span in scene.spans:
        if span.label == "POSTCODE" or (span.label == "ADDRESS" and span.rule.endswith("zip")):
            back = span.first
            while back and span.first - back < MAX_TAIL and _before_postcode(scene, back - 1, lang):
                back -= 1
            numbers = [run.first for run in scene.runs_in(back, span.first)]
            capital = back < span.first and all(
                atoms[at].capital or atoms[at].kind != WORD for at in range(back, span.first)
            )
            if numbers or (capital and span.first - back >= 2):
                span.first = min([back, *numbers] if capital else numbers)
                span.label = "ADDRESS"
        if span.label != "ADDRESS":
            continue
        if span.rule in ("address.cue", "address.asked", "address.mentioned"):
            span.last = max(span.last, _tail(scene, span.last, lang))
            while span.first and lang.has("street_units", atoms[span.first - 1].text):
                span.first -= 1
        for cue in scene.cues_before(span.first, MAX_HOUSE):
            if (
                cue.topic == "ADDRESS"
                and cue.last < span.first
                and not any(atoms[at].stop for at in range(cue.last, span.first))
            ):
                start = cue.last
                while start < span.first and (
                    atoms[start].text in ("the", "is", "to", "at", "now", "um", "uh", "it's")
                ):
                    start += 1
                plain = sum(
                    (lang.has("leads", atoms[at].text) and atoms[at].text != "number")
                    or atoms[at].text in ("and", "but", "so")
                    for at in range(start, span.first)
                )
                if not plain:
                    span.first = start


def _before_postcode(scene: Scene, at: int, lang: Language) -> bool:
    atom = scene.atoms[at]
    if atom.stop:
        return False
    if scene.run_over(at):
        return True
    text = atom.text
    if atom.kind != WORD or lang.has("leads", text):
        return text == "comma"
    return atom.capital or lang.has("street_types", text) or not lang.has("common", text)
