"""Towns and states: somebody lives there, or a zip code or a state's code stands behind them.

Decides by words that lead into a town where somebody lives, by a zip, by the code of a state.
Refuses countries, firms and whatever is a word of everyday talk.
"""

from __future__ import annotations

from redaction.dialogue import find_all, match
from redaction.language import Language
from redaction.scene import Scene
from redaction.tokens import WORD, Atom

MAX_TOWN = 2  # words of a town that nobody asked for
MAX_CITY = 3  # words of a town in an address
EARLY = 4  # atoms: a piece of an address begins its turn


def find_towns(scene: Scene, lang: Language) -> None:
    """Find the town that somebody lives in: "I'm in Mildura"."""
    atoms = scene.atoms
    for _, first in find_all(atoms, lang.lists["town_leads"], scene.said):
        last = first
        while last < len(atoms) and last - first < MAX_TOWN and is_unknown(atoms[last], lang):
            last += 1
            if atoms[last - 1].stop or atoms[last - 1].comma:
                break
        firm = last < len(atoms) and lang.has("firms", atoms[last].text)
        if last > first and not firm and not scene.taken(first, last):
            scene.add(first, last, "ADDRESS", 0.6, "places", "address.town",
                      "a town where somebody lives")  # fmt: skip
    for at in () if scene.agent else range(1, len(atoms)):  # "Sumner, IL"
        town = atoms[at - 1]
        if (
            atoms[at].upper
            and lang.has("state_codes", atoms[at].text)
            and (town.capital and town.comma and town.kind == WORD and not town.upper)
        ):
            first = (
                at - 2 if at > 1 and atoms[at - 2].capital and not atoms[at - 2].stop else at - 1
            )
            scene.add(first, at + 1, "ADDRESS", 0.6, "places", "address.town",
                      "a town with the code of its state")  # fmt: skip


def find_states(scene: Scene, lang: Language) -> None:
    """Find a state or its code right before a five-digit zip, with the town before it."""
    atoms = scene.atoms
    for run in scene.runs:
        if run.letters or run.digits not in (5, 9) or not run.first:
            continue
        first = None
        for back in (1, 2):
            at = run.first - back
            if at >= 0:
                hit = match(atoms, at, lang.lists["states"])
                if hit is not None and hit[0] == run.first:
                    first = at
        at = run.first - 1
        if (
            first is None
            and lang.has("state_codes", atoms[at].text)
            and (atoms[at].capital or not lang.has("common", atoms[at].text))
            and len(atoms[at].text) == 2
        ):
            first = at
        if first is None:
            continue
        for _ in range(2):
            if first and _may_be_town(atoms[first - 1], lang):
                first -= 1
        scene.add(first, run.last, "ADDRESS", 0.8, "places", "address.state_zip",
                  "a state with its zip code")  # fmt: skip


def town_piece(scene: Scene, lang: Language) -> None:
    """Take "in Milford" while an address is being given."""
    atoms = scene.atoms
    for at in range(min(len(atoms) - 1, EARLY)):
        if atoms[at].text not in ("in", "near"):
            continue
        last = at + 1
        while last < len(atoms) and last <= at + MAX_CITY and _may_be_town(atoms[last], lang):
            last += 1
            if atoms[last - 1].stop or atoms[last - 1].comma:
                break
        if last > at + 1 and not lang.has("months", atoms[at + 1].text):
            scene.add(at + 1, last, "ADDRESS", 0.8, "places", "address.town",
                      "a town while an address is being given")  # fmt: skip
            return


def is_unknown(atom: Atom, lang: Language) -> bool:
    """Whether a word is none of everyday talk, no country, no number and no abbreviation."""
    text = atom.text.removesuffix("'s")
    return (
        atom.kind == WORD
        and len(text) > 2
        and not atom.upper
        and text not in lang.counts
        and text not in lang.ordinals
        and not text.endswith(("ing", "ed", "ly"))
        and not any(
            lang.has(name, word)
            for name in ("ordinary", "common", "leads", "fillers", "countries", "months", "days",
                         "street_types", "firms", "units_after")
            for word in (text, text.removesuffix("s"))
        )
    )  # fmt: skip


def _may_be_town(atom: Atom, lang: Language) -> bool:
    return (
        atom.kind == WORD
        and not atom.stop
        and len(atom.text) > 1
        and not lang.has("common", atom.text)
        and not lang.has("leads", atom.text)
    )
