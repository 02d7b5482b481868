"""A small model that reads names and addresses in context: how turns become its input, and back.

Decides on tokens, windows and spans. Refuses numbers in a name, and holds no word list. spaCy is
imported when a model is loaded, not before; the file is a zip of a spaCy configuration and weights.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Container, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any

from redaction.encoder import Encoder
from redaction.tokens import DIGITS, WORD, Atom

LABELS = ("O", "PERSON", "ADDRESS")
BEFORE = 8  # atoms of the turn before that a window takes in: what the model's layers can reach
BETWEEN = "|"  # stands between the turn before and the turn
TAILS = ("'s", "'m", "'re", "'ll", "'ve", "'d", "n't")
CONFIG, WEIGHTS, ABOUT = "config.cfg", "weights.bin", "about.json"
FORMAT = 1
KEEP = 0.5  # a neighbour belongs to a span from this share of the confidence that a span needs
BATCH = 128  # windows


@dataclass(frozen=True, slots=True)
class Guess:
    """A span of atoms that the model takes for a name or an address."""

    first: int
    last: int  # exclusive
    label: str
    sure: float  # 0..1, of its surest atom


def pieces(atoms: Sequence[Atom]) -> tuple[list[str], list[int]]:
    """Return the tokens of atoms, and for each token its atom; -1 for a mark of punctuation."""
    tokens: list[str] = []
    owners: list[int] = []
    shouted = _shouted(atoms)
    for index, atom in enumerate(atoms):
        if atom.kind == WORD:
            text = atom.text.capitalize() if atom.capital and not shouted else atom.text
            tail = _tail(text) if "'" in text else ""
            tokens.append(text[: len(text) - len(tail)])
            owners.append(index)
            if tail:
                tokens.append(tail)
                owners.append(-1)
        else:
            tokens.append("0" * min(len(atom.text), 5) if atom.kind == DIGITS else atom.kind)
            owners.append(index)
        if atom.stop or atom.comma:
            tokens.append("." if atom.stop else ",")
            owners.append(-1)
    return tokens, owners


def _shouted(atoms: Sequence[Atom]) -> bool:
    """Whether capitals say nothing here: most words are written in them."""
    if not any(atom.upper for atom in atoms):
        return False
    words = [atom for atom in atoms if atom.kind == WORD and len(atom.text) > 1]
    return 2 * sum(atom.upper for atom in words) > len(words)


def _tail(text: str) -> str:
    return next((tail for tail in TAILS if text.endswith(tail) and len(text) > len(tail)), "")


@dataclass(frozen=True, slots=True)
class Shown:
    """What the model sees of a turn: the end of the turn before, a mark, the turn."""

    tokens: list[str]
    own: int  # where the turn's own tokens begin
    owners: list[int]  # the atom of each of them; -1 for a mark of punctuation


def window(before: Sequence[Atom], atoms: Sequence[Atom]) -> Shown:
    """Return the tokens of a turn behind the end of the turn before."""
    context, _ = pieces(before[-BEFORE:])
    tokens, owners = pieces(atoms)
    return Shown([*context, BETWEEN, *tokens], len(context) + 1, owners)


class NamesModel:
    """A loaded model. What it keeps between calls is the vectors of public words, no others."""

    def __init__(self, nlp: Any, public: Container[str] = frozenset()) -> None:
        """Wrap a pipeline.

        Args:
            nlp: spaCy's embedding, encoder and tagger, as the recipe makes them.
            public: lower-case words whose vectors may be remembered; a customer's never are.
        """
        self._nlp = nlp
        self._encoder = Encoder(nlp, public)

    def read(
        self, turns: Sequence[Sequence[Atom]], needed: float, wanted: Sequence[int]
    ) -> list[list[Guess]]:
        """Read a conversation.

        Args:
            turns: atoms of each turn, in order.
            needed: how sure the model must be of a span's surest atom, 0..1.
            wanted: indexes of the turns to read; the others are context.

        Returns:
            For each turn its spans, in order.
        """
        guesses: list[list[Guess]] = [[] for _ in turns]
        for start in range(0, len(wanted), BATCH):
            some = wanted[start : start + BATCH]
            seen = [window(turns[at - 1] if at else (), turns[at]) for at in some]
            read = self._encoder.read([(w.tokens, w.own) for w in seen])
            for at, shown, rows in zip(some, seen, read, strict=True):
                if not len(rows) or rows[:, 1:].sum(axis=1).max() < needed:
                    continue
                sure = [(0.0, 0.0)] * len(turns[at])
                for owner, row in zip(shown.owners, rows.tolist(), strict=True):
                    if owner >= 0:
                        sure[owner] = (row[1], row[2])
                guesses[at] = spans(turns[at], sure, needed)
        return guesses

    def scores(self, windows: Sequence[Sequence[str]]) -> list[Any]:
        """Return for each window an array (tokens, LABELS) of probabilities, as spaCy has them.

        The recipe judges with it, and a test holds `read` against it.
        """
        from spacy.tokens import Doc

        docs = [Doc(self._nlp.vocab, words=list(tokens)) for tokens in windows]
        for _, pipe in self._nlp.pipeline[:-1]:
            docs = list(pipe.pipe(docs, batch_size=BATCH))
        found: list[Any] = self._nlp.pipeline[-1][1].model.predict(docs)
        return found


def spans(atoms: Sequence[Atom], sure: Sequence[tuple[float, float]], needed: float) -> list[Guess]:
    """Join what the model says of single atoms.

    Args:
        atoms: the atoms of a turn.
        sure: for each atom the probabilities of PERSON and ADDRESS.
        needed: see `NamesModel.read`.
    """
    found = []
    at = 0
    while at < len(atoms):
        label = _label(sure[at])
        if sum(sure[at]) < needed * KEEP or (label == "PERSON" and atoms[at].kind != WORD):
            at += 1
            continue
        last = at + 1
        while (
            last < len(atoms)
            and sum(sure[last]) >= needed * KEEP
            and _label(sure[last]) == label
            and not (label == "PERSON" and (atoms[last].kind != WORD or atoms[last - 1].stop))
        ):
            last += 1
        best = max(sum(pair) for pair in sure[at:last])
        if best >= needed:
            found.append(Guess(at, last, label, round(best, 2)))
        at = last
    return found


def _label(pair: tuple[float, float]) -> str:
    return "PERSON" if pair[0] >= pair[1] else "ADDRESS"


@lru_cache(maxsize=8)
def file_sha256(path: Path) -> str:
    """Return the hash that names a model; computed once a process.

    Raises:
        ValueError: there is no such file.
    """
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise ValueError(
            f"{path.name}: no names model there ({type(error).__name__}); give the path of its file"
        ) from None


_LOADING = Lock()


def load_names(path: Path, public: frozenset[str] = frozenset()) -> NamesModel:
    """Load a names model; once a process, however many threads ask at its start.

    Args:
        path: the file.
        public: see `NamesModel`.

    Raises:
        ValueError: the file is not there or no names model of this format.
    """
    with _LOADING:
        return _loaded(path, public)


@lru_cache(maxsize=4)
def _loaded(path: Path, public: frozenset[str]) -> NamesModel:
    from spacy.util import load_model_from_config
    from thinc.api import Config

    try:
        with zipfile.ZipFile(path) as file:
            about = json.loads(file.read(ABOUT))
            config, weights = file.read(CONFIG), file.read(WEIGHTS)
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path.name} is no names model ({type(error).__name__})") from None
    if about.get("format") != FORMAT or tuple(about.get("labels", ())) != LABELS:
        raise ValueError(f"{path.name} is a names model of another format: train it anew")
    nlp = load_model_from_config(Config().from_bytes(config), auto_fill=True)
    nlp.from_bytes(weights, exclude=["vocab", "tokenizer"])
    return NamesModel(nlp, public)
