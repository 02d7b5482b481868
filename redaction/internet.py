"""E-mail addresses, web addresses and IP addresses, written or spoken.

Decides by an anchor ("dot com", "at gmail", dotted numbers) and grows left and right from it.
Refuses words of ordinary talk in front of the local part.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from redaction.language import Language
from redaction.scene import Scene
from redaction.tokens import DIGITS, EMAIL, IP, URL, WORD, Atom

MAX_LOCAL = 40  # atoms of a spelled local part
MAX_DOMAIN = 26
DOTS = ("dot", "period", "point")


def label_internet(scene: Scene, lang: Language) -> None:
    """Add spans for e-mail, web and IP addresses of one turn."""
    for at, atom in enumerate(scene.atoms):
        if atom.kind == EMAIL:
            scene.add(at, at + 1, "EMAIL", 0.99, "internet", "email.written", "an e-mail address")
        elif atom.kind == URL:
            _url(scene, at, at + 1, lang)
        elif atom.kind == IP:
            scene.add(at, at + 1, "IP_ADDRESS", 0.9, "internet", "ip.written", "an IP address")
    _spoken_ip(scene)
    _spoken(scene, lang)


def _spoken(scene: Scene, lang: Language) -> None:
    atoms = scene.atoms
    n = len(atoms)
    until = 0
    for at in range(n):
        if at < until or atoms[at].kind != WORD:
            continue
        text = atoms[at].text
        if text in DOTS and at + 1 < n and lang.has("domains", atoms[at + 1].text):
            last = at + 2
            while (
                last + 1 < n
                and atoms[last].text in DOTS
                and lang.has("domains", atoms[last + 1].text)
            ):
                last += 2
            sign = _at_sign(atoms, at, lang)
        elif lang.has("hosts", text) and at and atoms[at - 1].text in ("at", "@"):
            last, sign = at + 1, at - 1
            if last + 1 < n and atoms[last].text in DOTS:
                last += 2
            elif last < n and lang.has("domains", atoms[last].text) and atoms[last].text == "com":
                last += 1
        else:
            continue
        if sign is not None:
            first = _local(scene, sign, lang)
            if first < sign:
                scene.add(first, last, "EMAIL", 0.95, "internet", "email.spoken",
                          "an e-mail address as spoken")  # fmt: skip
                until = last
                continue
        host = _host(atoms, at, lang)
        if lang.has("hosts", atoms[host].text):
            first = _local(scene, host, lang)
            scene.add(first, last, "EMAIL", 0.7, "internet", "email.no_at",
                      "an e-mail host without its at sign")  # fmt: skip
        else:
            _url(scene, host, last, lang)
        until = last


def _at_sign(atoms: Sequence[Atom], dot: int, lang: Language) -> int | None:
    """Return the index of "at" before a spoken domain."""
    for back in range(dot - 1, max(-1, dot - MAX_DOMAIN), -1):
        text = atoms[back].text
        if text in ("at", "@"):
            return back
        if atoms[back].stop or (
            len(text) > 1
            and back < dot - 5
            and lang.has("common", text)
            and text not in ("as", "in", "for", "like")
        ):
            return None
    return None


def _local(scene: Scene, sign: int, lang: Language) -> int:
    """Return the first atom of the local part that ends at `sign`."""
    atoms = scene.atoms
    first = sign
    if first and atoms[first - 1].text == "sign":
        first -= 1
    back = first - 1
    while back >= 0 and sign - back <= MAX_LOCAL:
        atom = atoms[back]
        text = atom.text
        if atom.stop:
            break
        run = scene.run_before(back + 1)
        if run is not None and run.letters:  # "r as in romeo" is one piece
            first = run.first
            back = first - 1
            continue
        joined = back + 1 < sign and lang.has("email_marks", atoms[back + 1].text)
        if (
            atom.kind == DIGITS
            or (len(text) == 1 and text not in ("a", "i"))
            or lang.has("email_marks", text)
            or text in lang.units
            or text in lang.tens
            or text in lang.teens
            or text in lang.repeats
            or text in lang.weak
            or lang.has("nato", text)
        ):
            first = back
        elif lang.has("leads", text.removesuffix("'s")) or lang.has("common", text):
            spelled = text in ("as", "in", "for", "like", "a", "i", "capital", "all", "then", "and")
            if (
                (joined and back >= 1)
                or (spelled and back and len(atoms[back - 1].text) == 1)
                or (back + 1 == sign and not lang.has("leads", text))
            ):
                first = back
            else:
                break
        else:
            first = back
        back -= 1
    return first


def _host(atoms: Sequence[Atom], dot: int, lang: Language) -> int:
    """Return the first atom of a spoken host name that ends at `dot`."""
    for back in range(dot - 1, max(-1, dot - 12), -1):  # "w w w dot janet bakes cakes dot com"
        text = atoms[back].text
        if text == "www" or (
            text == "w" and back > 1 and atoms[back - 1].text == atoms[back - 2].text == "w"
        ):
            return back if text == "www" else back - 2
    first = dot - 1 if dot else dot
    back = first - 1
    while back >= 0 and dot - back <= MAX_DOMAIN and not atoms[back].stop:
        text = atoms[back].text
        if (
            text in DOTS
            or (len(text) == 1 and text not in ("a", "i"))
            or atoms[back + 1].text in DOTS
        ):
            first = back
        else:
            break
        back -= 1
    return max(0, first)


def _url(scene: Scene, first: int, last: int, lang: Language) -> None:
    before = [atom.text for atom in scene.atoms[max(0, first - 5) : first]]
    own = "my" in before
    scene.add(
        first, last, "URL", 0.7 if own else 0.4, "internet", "url.own" if own else "url.any",
        "a web address of the speaker's own" if own else "a web address",
    )  # fmt: skip


def _spoken_ip(scene: Scene) -> None:
    """Find four small numbers with a dot between each."""
    runs, atoms = scene.runs, scene.atoms
    for at in range(len(runs) - 3):
        four = runs[at : at + 4]
        if all(
            one.last + 1 == two.first and atoms[one.last].text in DOTS
            for one, two in pairwise(four)
        ) and not any(run.letters for run in four):
            scene.add(four[0].first, four[-1].last, "IP_ADDRESS", 0.9, "internet", "ip.spoken",
                      "four numbers with dots between them")  # fmt: skip


def answer_email(scene: Scene, lang: Language) -> None:
    """Take a piece of an e-mail address that is given over several turns."""
    atoms = scene.atoms
    if scene.heading.question or scene.heading.stalls or len(atoms) > MAX_LOCAL:
        return
    marked = any(
        (atom.kind == WORD and (atom.text in DOTS or atom.text in ("at", "@", "underscore")))
        or lang.has("hosts", atom.text)
        for atom in atoms
    )
    spelled = any(run.letters >= 2 for run in scene.runs)
    if not marked and not spelled:
        return
    first, last = 0, len(atoms)
    while first < last and lang.has("leads", atoms[first].text) and len(atoms[first].text) > 1:
        first += 1
    while last > first and lang.has("leads", atoms[last - 1].text) and atoms[last - 1].text != "at":
        last -= 1
    if first < last:
        scene.add(first, last, "EMAIL", 0.75, "internet", "email.asked",
                  "a piece of an e-mail address that was asked for")  # fmt: skip
