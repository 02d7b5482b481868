"""E-mail addresses, web addresses and IP addresses, written or spoken.

Decides by an anchor ("dot com", "at gmail", dotted numbers) and grows left and right from it.
Refuses words of ordinary talk in front of the local part.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from redaction.language import Language
from redaction.scene import Scene
from redaction.tokens import DIGITS, EMAIL, IP, URL, WORD, Atom

_SPLIT = re.compile(r"[@._+-]")
MAX_LOCAL = 40  # atoms of a spelled local part
MAX_DOMAIN = 26
VERSIONS = frozenset({"version", "firmware", "release", "build", "update"})
LEADS_BEFORE = 8  # words like "it's" or "um" in front of them
SHORT_PIECE = 6  # words of a piece in which an "at" alone is the sign
WORDS_BEFORE = 3  # ordinary words at the beginning of a local part
OWN_REACH = 12  # words between "our site" and its address
MARK_REACH = 4  # words between an "underscore" and ordinary words of the same address
MAX_OCTET = 6  # words of one number of an IP address
LONG = 9  # digits in a web address that are no date
JOINS = ("dash", "hyphen", "slash", "underscore")
DOTS = ("dot", "period", "point")


_DIGITS = re.compile(r"\d+")


def label_internet(scene: Scene, lang: Language) -> None:
    """Add spans for e-mail, web and IP addresses of one turn."""
    for at, atom in enumerate(scene.atoms):
        if atom.kind == EMAIL:
            scene.add(at, at + 1, "EMAIL", 0.99, "internet", "email.written", "an e-mail address")
        elif atom.text == "@" and atom.glued and at + 1 < len(scene.atoms):
            first = at - 1
            while first and scene.atoms[first].glued:
                first -= 1
            scene.add(first, at + 2, "USERNAME", 0.8, "internet", "username.written",
                      "a name with an at sign in one word")  # fmt: skip
        elif atom.kind == URL:
            _url(scene, at, at + 1, lang)
            _number_in_url(scene, at)
        elif atom.kind == IP and not VERSIONS.intersection(
            before.text for before in scene.atoms[max(0, at - 2) : at]
        ):
            scene.add(at, at + 1, "IP_ADDRESS", 0.9, "internet", "ip.written", "an IP address")
    _spoken_ip(scene, lang)
    _spoken(scene, lang)
    _underscored(scene)
    _world_wide(scene, lang)


def _underscored(scene: Scene) -> None:
    """Find "baz underscore trout eighty eight": what has an underscore and is no address."""
    atoms = scene.atoms
    for at in () if scene.lacks(("underscore",)) else range(1, len(atoms) - 1):
        if atoms[at].text != "underscore" or scene.taken(at - 1, at + 2):
            continue
        before, after = scene.run_before(at), scene.run_at(at + 1)
        first = before.first if before else at - 1
        last = after.last if after else at + 2
        number = scene.run_at(last)
        last = number.last if number else last
        scene.add(first, last, "USERNAME", 0.7, "internet", "username.underscore",
                  "words joined by an underscore")  # fmt: skip


def _world_wide(scene: Scene, lang: Language) -> None:
    """Find "www dot my dash claim dot example slash p": whatever its last part is."""
    atoms = scene.atoms
    for at in () if scene.lacks(("www", "w")) else range(len(atoms) - 2):
        first = at
        if atoms[at].text == "w":
            if not all(atom.text == "w" for atom in atoms[at : at + 3]):
                continue
            at += 2
        elif atoms[at].text != "www":
            continue
        last = at + 1
        while last + 1 < len(atoms) and atoms[last].text in (*DOTS, *JOINS):
            run = scene.run_at(last + 1)
            last = run.last if run else last + 2
            if atoms[last - 1].stop:
                break
        if last > at + 2 and not scene.covered(first, last):
            _url(scene, first, last, lang)


def _spoken(scene: Scene, lang: Language) -> None:
    atoms = scene.atoms
    n = len(atoms)
    until = 0
    if scene.lacks(DOTS) and scene.lacks(lang.words["hosts"]):
        return
    for at in range(n):
        if at < until or atoms[at].kind != WORD:
            continue
        text = atoms[at].text
        if text in DOTS and at + 1 < n and (top := _top_level(atoms, at, lang)):
            last = top
            while (
                last + 1 < n
                and atoms[last].text in DOTS
                and (top := _top_level(atoms, last, lang) or _tail(atoms, last))
            ):
                last = top
            sign = _at_sign(atoms, at, lang)
        elif (
            at + 1 < n
            and lang.has("hosts", text + atoms[at + 1].text)
            and (at and atoms[at - 1].text in ("at", "@"))
        ):  # "at hot mail dot com"
            last, sign = at + 2, at - 1
            if last + 1 < n and atoms[last].text in DOTS:
                last += 2
        elif lang.has("hosts", text) and at and atoms[at - 1].text in ("at", "@"):
            last, sign = at + 1, at - 1
            if last + 1 < n and atoms[last].text in DOTS:
                last += 2
            elif last < n and lang.has("domains", atoms[last].text) and atoms[last].text == "com":
                last += 1
        else:
            continue
        if sign is not None:
            first = _from_cue(scene, _local(scene, sign, lang), lang)
            if first < sign or _piece(scene, sign, lang):
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


def _from_cue(scene: Scene, first: int, lang: Language) -> int:
    """Return where an address begins whose first words are ordinary: "my email's front desk at"."""
    near = scene.cues_before(first, WORDS_BEFORE + LEADS_BEFORE)
    starts = [cue.last for cue in near if cue.topic == "EMAIL"]
    item = scene.waiting("EMAIL")
    if item is not None and item.asked:
        starts.append(0)
    for start in starts:
        while start < first and (
            lang.has("leads", scene.atoms[start].text)
            or lang.has("fillers", scene.atoms[start].text)
        ):
            start += 1
        between = scene.atoms[start:first]
        if between and len(between) <= WORDS_BEFORE and not any(atom.stop for atom in between):
            return start
    return first


def _tail(atoms: Sequence[Atom], dot: int) -> int:
    """Return the end of one more short part of a domain at the end of its sentence: "dot in"."""
    ends = dot + 2 == len(atoms) or atoms[dot + 1].stop or atoms[dot + 1].comma
    return dot + 2 if ends and len(atoms[dot + 1].text) <= 3 else 0


def _piece(scene: Scene, sign: int, lang: Language) -> bool:
    """Whether an "at" begins its turn: the rest of an address whose begin was said before."""
    return all(
        atom.text in lang.words["leads"] or atom.text in lang.words["fillers"]
        for atom in scene.atoms[:sign]
    )


def _top_level(atoms: Sequence[Atom], dot: int, lang: Language) -> int:
    """Return the end of the last part of a domain behind a dot: "com", "co", "n g"; 0: none."""
    text = atoms[dot + 1].text
    if lang.has("domains", text):
        return dot + 2
    lone = len(text) == 1 and text.isalpha() and dot + 2 < len(atoms)
    if lone and len(atoms[dot + 2].text) == 1 and atoms[dot + 2].text.isalpha():
        ahead = dot + 3
        more = ahead < len(atoms) and len(atoms[ahead].text) == 1  # still spelling
        known = lang.has("domains", text + atoms[dot + 2].text)
        return 0 if more and not known else ahead
    host = dot > 1 and atoms[dot - 2].text in ("at", "@")
    known = lang.has("common", text) or lang.has("leads", text) or text in lang.units
    if host and len(text) > 1 and (not known or len(text) == 2) and atoms[dot + 1].kind == WORD:
        return dot + 2
    return 0


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
                or any(
                    lang.has("email_marks", other.text)
                    for other in atoms[max(0, back - MARK_REACH) : back]
                )
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
    """Add a web address. One with a path, or said to be one's own, may lead to a person."""
    atoms = scene.atoms
    least = max(0, first - MAX_DOMAIN)
    while dot := next((at for at in range(first - 1, max(least, first - 4), -1)
                       if atoms[at].text in DOTS), 0):  # fmt: skip
        first = dot - 1  # "portal dot westmarch housing dot org"
    text = atoms[first].text
    path = "/" in text.removeprefix("https://").removeprefix("http://") or text.startswith("http")
    path = path or any(atom.text == "slash" for atom in atoms[first:last])
    while last + 1 < len(atoms) and atoms[last].text == "slash":
        path = True
        last += 2
        while last < len(atoms) and (len(atoms[last].text) == 1 or atoms[last].kind == DIGITS):
            last += 1
    before = {atom.text for atom in atoms[max(0, first - OWN_REACH) : first]}
    if before & {"my", "our", "mine", "ours"} and not scene.agent:
        rule, score, reason = "url.own", 0.7, "a web address of the speaker's own"
    elif path and not scene.agent:
        rule, score, reason = "url.path", 0.6, "a web address with a path"
    else:
        rule, score, reason = "url.any", 0.4, "a web address"
    scene.add(first, last, "URL", score, "internet", rule, reason)


def _number_in_url(scene: Scene, at: int) -> None:
    """Find a web address that carries a long number, whatever is done with web addresses."""
    digits = max(map(len, _DIGITS.findall(scene.atoms[at].text)), default=0)
    if digits >= LONG:
        label = "CARD_NUMBER" if 13 <= digits <= 19 else "ACCOUNT_NUMBER"
        scene.add(at, at + 1, label, 0.75, "internet", "url.number",
                  "a web address with a long number in it")  # fmt: skip


def follow(scenes: Sequence[Scene], lang: Language) -> None:
    """Find parts of an e-mail address again where they are read back: "jo dot smith, same host"."""
    parts: set[str] = set()
    for scene in scenes:
        for span in scene.spans:
            if span.label == "EMAIL":
                for atom in scene.atoms[span.first : span.last]:
                    parts.update(part for part in _SPLIT.split(atom.text) if len(part) > 2)
    parts = {part for part in parts if part not in DOTS and not lang.has("hosts", part)
             and not lang.has("common", part) and not lang.has("everyday", part)
             and not lang.has("domains", part) and not lang.has("email_marks", part)}  # fmt: skip
    for scene in scenes:
        at = 0
        while parts and at < len(scene.atoms):
            last = at
            while last < len(scene.atoms) and _part(scene.atoms[last], parts, lang):
                last += 1
            texts = [atom.text for atom in scene.atoms[at:last]]
            marked = any(lang.has("email_marks", text) for text in texts[1:])
            if marked and parts.intersection(texts) and not scene.taken(at, last):
                scene.add(at, last, "EMAIL", 0.65, "internet", "email.followed",
                          "parts of an e-mail address found elsewhere in the call")  # fmt: skip
            at = max(last, at + 1)


def _part(atom: Atom, parts: set[str], lang: Language) -> bool:
    text = atom.text
    lone = len(text) == 1 and text not in ("a", "i")
    return text in parts or lone or lang.has("email_marks", text)


def _spoken_ip(scene: Scene, lang: Language) -> None:
    """Find four small numbers with a dot between each; a zero alone is no run."""
    if scene.lacks(DOTS):
        return
    atoms = scene.atoms
    ends = [at for at, atom in enumerate(atoms) if atom.text in DOTS]
    for one, two, three in zip(ends, ends[1:], ends[2:], strict=False):
        if two - one > MAX_OCTET or three - two > MAX_OCTET:
            continue
        first = _octet(scene, one, -1, lang)
        last = _octet(scene, three, 1, lang)
        between = [*range(one + 1, two), *range(two + 1, three)]
        inner = two > one + 1 and three > two + 1
        if any(atom.text in VERSIONS for atom in atoms[max(0, first - 3) : first]):
            continue
        if (
            first < one
            and last > three + 1
            and inner
            and all(_spoken_digit(atoms[at], lang) for at in between)
        ):
            scene.add(first, last, "IP_ADDRESS", 0.9, "internet", "ip.spoken",
                      "four numbers with dots between them")  # fmt: skip


def _octet(scene: Scene, dot: int, step: int, lang: Language) -> int:
    """Return where the numbers beside a dot begin (step -1) or end (step 1, exclusive)."""
    at = dot + step
    while 0 <= at < len(scene.atoms) and abs(at - dot) < MAX_OCTET:
        if not _spoken_digit(scene.atoms[at], lang):
            break
        at += step
        if step > 0 and scene.atoms[at - 1].stop:
            break
    return at + 1 if step < 0 else at


def _spoken_digit(atom: Atom, lang: Language) -> bool:
    text = atom.text
    return (
        atom.kind == DIGITS or text in lang.units or text in lang.tens or text in lang.teens
        or text in lang.weak or text in lang.repeats or text in lang.scales or text == "and"
    )  # fmt: skip


def answer_email(scene: Scene, lang: Language) -> None:
    """Take a piece of an e-mail address that is given over several turns."""
    atoms = scene.atoms
    if scene.heading.question or scene.heading.stalls or len(atoms) > MAX_LOCAL:
        return
    marked = any(
        (atom.kind == WORD and (atom.text in DOTS or atom.text in ("@", "underscore")))
        or lang.has("hosts", atom.text)
        or (atom.text == "at" and len(atoms) <= SHORT_PIECE)
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
