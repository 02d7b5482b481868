"""What was found once in a call is found again: numbers read back, names, streets.

Decides by what the call itself has shown, under the policy's rules: what a rule that is switched
off found is nothing found. Refuses names and streets that are ordinary words.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from redaction.language import Language
from redaction.names import GREETING, PARTICLES, add_name, is_ordinary
from redaction.numbers import Run
from redaction.policy import Policy
from redaction.scene import Scene
from redaction.tokens import WORD

ECHO = 4  # digits that must be equal for a later run to be the same value again
FOLLOWED = 0.6  # score from which a name is looked for in the rest of the call
SPELLED_APART = 3  # turns between two pieces of a spelled name
LEAST_PART = 4  # letters of a part of an e-mail address that may be a name
_PARTS = re.compile(r"[a-z]+")


def numbers_again(scenes: Sequence[Scene], left: Sequence[tuple[Scene, Run]]) -> None:
    """Find a value of the call again where it is read back or repeated in part."""
    pieces: dict[str, str] = {}
    for scene in scenes:
        for span in scene.spans:
            if span.value and span.label not in ("DATE_TIME",):
                for at in range(min(len(span.value), 40) - ECHO + 1):
                    pieces.setdefault(span.value[at : at + ECHO], span.label)
    houses = {
        run.text for scene in scenes for span in scene.spans if span.label == "ADDRESS"
        for run in scene.runs_in(span.first, span.last)
    }  # fmt: skip
    for scene, run in left:
        before = scene.atoms[run.first - 1].text if run.first else ""
        if run.text in houses and before in ("not", "number") and not run.letters:
            scene.add(run.first, run.last, "ADDRESS", 0.6, "numbers", "echo",
                      "the number of an address found elsewhere")  # fmt: skip
            continue
        if (run.scaled and run.digits < ECHO + 2) or scene.taken(run.first, run.last):
            continue
        label = pieces.get(run.text[:ECHO]) if len(run.text) >= ECHO else None
        if len(run.text) == run.values == ECHO - 1:  # "after three five three"
            label = next((name for piece, name in pieces.items() if run.text in piece), None)
            if label:
                scene.add(run.first, run.last, label, 0.6, "numbers", "echo",
                          "three digits of a number found elsewhere")  # fmt: skip
            continue
        if label and (len(run.text) > ECHO or run.values >= ECHO - 1 or run.values == 1):
            scene.add(run.first, run.last, label, 0.7, "numbers", "echo",
                      "a number that repeats a part of one found elsewhere")  # fmt: skip


def names_again(scenes: Sequence[Scene], policy: Policy, lang: Language) -> None:
    """Find the names of a call again wherever they are said, but never those that are words.

    Args:
        scenes: the turns of one call, its names found.
        policy: which findings count; what it leaves out is no name.
        lang: the language pack.
    """
    known = _known(scenes, policy, lang)
    word_names = lang.words["word_names"]
    wordlike = known & word_names
    known = {
        name for name in known
        if len(name) > 2 and not is_ordinary(name, lang) and not lang.has("ordinary", name)
        and name not in word_names and not lang.has("titles", name)
        and name not in PARTICLES and name not in lang.words["leads"]
        and name not in lang.units and name not in lang.tens and name not in lang.teens
    }  # fmt: skip
    if not known and not wordlike:
        return
    for scene in scenes:
        silent = scene.lacks(known) and scene.lacks(wordlike)
        for at, atom in enumerate(() if silent else scene.atoms):
            text = atom.text.removesuffix("'s")
            before = scene.atoms[at - 1].text if at else ""
            if before == "you" and (at < 2 or scene.atoms[at - 2].text != "thank"):
                before = ""
            reason = ""
            if text in wordlike and before in GREETING:
                after = scene.atoms[at + 1].text if at + 1 < len(scene.atoms) else ""
                if after not in ("i", "the", "we", "you"):
                    reason = "a name found before, greeted"
            elif text in known:
                reason = "a name found elsewhere in the call"
            if reason and not scene.taken(at, at + 1):
                add_name(scene, at, at + 1, 0.7, "name.followed", reason)


def _known(scenes: Sequence[Scene], policy: Policy, lang: Language) -> set[str]:
    """Return every word that a name of the call is made of: said, spelled, or in an e-mail."""
    known: set[str] = set()
    spelled: list[tuple[Scene, str]] = []
    for scene in scenes:
        for span in scene.spans:
            if not policy.on(span.rule):
                continue
            atoms = scene.atoms[span.first : span.last]
            if span.detector == "letters":
                letters = span.value.lower()
                known.add(letters)
                if spelled and spelled[-1][0].speaker == scene.speaker and (
                    scene.turn - spelled[-1][0].turn <= SPELLED_APART
                ):  # fmt: skip
                    letters = spelled[-1][1] + letters
                    known.add(letters)
                spelled.append((scene, letters))
            elif span.label == "PERSON" and span.score >= FOLLOWED:
                known.update(atom.text for atom in atoms if atom.kind == WORD)
            elif span.label == "EMAIL":
                signs = [i for i, atom in enumerate(atoms) if atom.text in ("at", "@")]
                local = atoms[: signs[-1]] if signs else atoms[:1]
                text = local[0].text.partition("@")[0] if len(atoms) == len(local) == 1 else ""
                parts = [atom.text for atom in local if atom.kind == WORD] + _PARTS.findall(text)
                known.update(
                    part for part in parts
                    if len(part) >= LEAST_PART and not lang.has("email_marks", part)
                    and not lang.has("hosts", part) and not lang.has("domains", part)
                )  # fmt: skip
    return known


def streets_again(scenes: Sequence[Scene], policy: Policy, lang: Language) -> None:
    """Find a street of the call again where it is said without its number: "bracken rise".

    Args:
        scenes: the turns of one call, its addresses found.
        policy: which findings count.
        lang: the language pack.
    """
    streets = lang.words["street_types"]
    known: set[tuple[str, str]] = set()
    for scene in scenes:
        for span in scene.spans:
            if span.label == "ADDRESS" and policy.on(span.rule):
                words = [atom.text for atom in scene.atoms[span.first : span.last]]
                known.update(
                    (one, two) for one, two in pairwise(words)
                    if two in streets and one not in streets and not lang.has("common", one)
                    and not lang.has("directions", one) and one.isalpha() and len(one) > 1
                )  # fmt: skip
    for scene in scenes if known else ():
        for at in () if known.isdisjoint(scene.said.pairs) else range(len(scene.atoms) - 1):
            pair = (scene.atoms[at].text, scene.atoms[at + 1].text)
            if pair in known and not scene.taken(at, at + 2):
                scene.add(at, at + 2, "ADDRESS", 0.7, "places", "address.followed",
                          "a street found elsewhere in the call")  # fmt: skip
