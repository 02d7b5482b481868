"""Numbers given in pieces: "four one double seven", "mm hmm", "double oh two one", "yep".

Decides which turns of one speaker continue each other, and pools their evidence: a piece is what
the number is that it belongs to. Refuses pieces of a reference, and counts, prices and measures.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from redaction.classify import is_bare
from redaction.language import Language
from redaction.numbers import Run, is_quantity
from redaction.policy import Policy
from redaction.scene import Scene
from redaction.shapes import by_length

SHORT = 5  # words of the other side between two pieces: "mm hmm go on"
APART = 3  # turns between two pieces: the other side, and a word of the speaker's own
ASIDE = 2  # words of one's own between or around pieces: "uh yeah", "and finish is"
CHAIN = 6  # characters in pieces that are a number by themselves
LEAST = 2  # characters of a piece


@dataclass(slots=True)
class _Piece:
    scene: Scene
    runs: list[Run]


def join_pieces(
    scenes: Sequence[Scene], left: Sequence[tuple[Scene, Run]], policy: Policy, lang: Language
) -> None:
    """Add spans for pieces of a number that their own turn does not give away.

    Args:
        scenes: the call, every number labelled that its turn or an open question explains.
        left: numbers without a label.
        policy: how many digits are a number by themselves.
        lang: the language pack.
    """
    unlabelled = {(scene.turn, run.first) for scene, run in left}
    chains: dict[str, list[_Piece]] = {}  # by speaker: a read-back does not break a chain
    for scene in scenes:
        short = len(scene.atoms) <= SHORT or is_bare(scene, lang)
        for speaker, chain in chains.items():
            if speaker != scene.speaker and not short:
                _close(chain, unlabelled, policy, lang)
                chain.clear()
        own = chains.setdefault(scene.speaker, [])
        if own and not scene.runs and len(scene.atoms) <= ASIDE:
            continue
        piece = _piece(scene, lang, bool(own))
        if own and (piece is None or scene.turn - own[-1].scene.turn > APART):
            _close(own, unlabelled, policy, lang)
            own.clear()
            piece = _piece(scene, lang, False)
        if piece is not None:
            own.append(piece)
    for chain in chains.values():
        _close(chain, unlabelled, policy, lang)


def _piece(scene: Scene, lang: Language, continuing: bool) -> _Piece | None:
    """Return the numbers of a turn that is nothing else, or that ends with one."""
    runs = [run for run in scene.runs if len(run.text) >= LEAST]
    inside = {at for run in runs for at in range(run.first, run.last)}
    around = [
        atom for at, atom in enumerate(scene.atoms)
        if at not in inside and not lang.has("leads", atom.text)
        and not lang.has("joiners", atom.text)
    ]  # fmt: skip
    if runs and (not around or (continuing and len(around) <= ASIDE)):
        return _Piece(scene, runs)
    if continuing or not runs or scene.heading.question:
        return None
    last = runs[-1]
    ends = all(
        atom.text in lang.words["fillers"] or atom.text in lang.words["joiners"]
        for atom in scene.atoms[last.last :]
    )
    return _Piece(scene, [last]) if ends else None


def _close(
    chain: Sequence[_Piece], unlabelled: set[tuple[int, int]], policy: Policy, lang: Language
) -> None:
    """Label what is unlabelled in a chain of two pieces and more."""
    if len(chain) < 2:
        return
    known: Counter[str] = Counter()
    open_: list[tuple[Scene, Run]] = []
    characters = digits = 0
    for piece in chain:
        for run in piece.runs:
            if is_quantity(piece.scene.atoms, run, lang):
                return
            if not run.scaled:  # "four thousand" may begin a card, but proves nothing
                characters += len(run.text)
                digits += run.digits
            labels = [
                span.label
                for span in piece.scene.spans
                if span.first < run.last and run.first < span.last and span.label != "DATE_TIME"
            ]
            if labels:
                known[labels[-1]] += len(run.text)
            elif run.digits and (piece.scene.turn, run.first) not in unlabelled:
                return  # a reference, an amount: its pieces stay as well
            else:
                open_.append((piece.scene, run))
    if known:
        label = known.most_common(1)[0][0]
    elif characters >= min(CHAIN, policy.digits_without_context) and digits * 2 >= characters:
        label = by_length(characters, bool(characters - digits))
    else:
        return
    for scene, run in open_:
        scene.add(
            run.first, run.last, label, 0.65, "numbers", "pieces",
            "a piece of a number that is given over several turns", value=run.text,
        )  # fmt: skip
