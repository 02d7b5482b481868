"""Word search by BM25: in SQLite's FTS5 where this Python has it, in Python where not.

Both count the same stems with the same formula and agree to rounding (a test says so). The index
is built in memory from the articles it may return, so nothing else can be found in it.
"""

from __future__ import annotations

import math
import sqlite3
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

LEAST = 1e-6  # FTS5's floor for the weight of a term that most documents have
K1, B = 1.2, 0.75  # Robertson and Zaragoza 2009; FTS5 has them built in
TITLE_WEIGHT = 4.0  # a title word counts as often in the text: best of 1, 2, 4, 8 when tried
# Documents of average length that hold no term, as if the collection were part of a larger one:
# else a word that two of three articles share would weigh nothing.
BACKGROUND = 50
_FILLER = "\x00"  # no text has it


@dataclass(frozen=True, slots=True)
class Document:
    """What is searched of one article: stems, in order."""

    title: tuple[str, ...]
    text: tuple[str, ...]


class WordIndex(Protocol):
    """The seam for other engines: PostgreSQL's tsvector would be one more class here."""

    def scores(self, wanted: Sequence[str]) -> dict[int, float]:
        """Return BM25 by place of the document, higher is better; only those with a term."""


def word_index(documents: Sequence[Document]) -> WordIndex:
    """Return the fastest index that this Python can build."""
    return FtsIndex(documents) if has_fts5() else PythonIndex(documents)


def has_fts5() -> bool:
    """Tell whether this Python's SQLite can search texts."""
    try:
        with sqlite3.connect(":memory:") as database:
            database.execute("create virtual table probe using fts5(text)")
    except sqlite3.OperationalError:
        return False
    return True


class FtsIndex:
    """BM25 by SQLite's FTS5."""

    def __init__(self, documents: Sequence[Document]) -> None:
        self._lock = threading.Lock()  # calls of several threads share one connection
        self._database = sqlite3.connect(":memory:", check_same_thread=False)
        self._database.execute(
            "create virtual table articles using fts5(title, text, tokenize='unicode61')"
        )
        filler = _coded([_FILLER] * _average(documents))
        self._database.executemany(
            "insert into articles(rowid, title, text) values (?, ?, ?)",
            [(at, _coded(d.title), _coded(d.text)) for at, d in enumerate(documents)]
            + [(len(documents) + at, "", filler) for at in range(BACKGROUND)],
        )

    def scores(self, wanted: Sequence[str]) -> dict[int, float]:
        if not wanted:
            return {}
        query = " OR ".join(f'"{_code(term)}"' for term in dict.fromkeys(wanted))
        with self._lock:
            rows = self._database.execute(
                f"select rowid, -bm25(articles, {TITLE_WEIGHT}, 1.0) from articles "
                "where articles match ?",
                (query,),
            ).fetchall()
        return {int(at): float(score) for at, score in rows}


class PythonIndex:
    """The same in plain Python, for a SQLite without FTS5."""

    def __init__(self, documents: Sequence[Document]) -> None:
        self._counts: dict[str, dict[int, float]] = {}
        self._lengths = [len(d.title) + len(d.text) for d in documents]
        filler = BACKGROUND * _average(documents)
        self._n = len(documents) + BACKGROUND
        self._mean = (sum(self._lengths) + filler) / self._n
        for at, document in enumerate(documents):
            for words, weight in ((document.title, TITLE_WEIGHT), (document.text, 1.0)):
                for term, count in Counter(words).items():
                    found = self._counts.setdefault(term, {})
                    found[at] = found.get(at, 0.0) + weight * count

    def scores(self, wanted: Sequence[str]) -> dict[int, float]:
        total: dict[int, float] = {}
        for term in dict.fromkeys(wanted):
            found = self._counts.get(term, {})
            rare = math.log((self._n - len(found) + 0.5) / (len(found) + 0.5))
            for at, count in found.items():
                length = 1 - B + B * self._lengths[at] / self._mean
                gain = max(rare, LEAST) * count * (K1 + 1) / (count + K1 * length)
                total[at] = total.get(at, 0.0) + gain
        return total


def _average(documents: Sequence[Document]) -> int:
    lengths = [len(d.title) + len(d.text) for d in documents]
    return max(1, round(sum(lengths) / max(1, len(lengths))))


def _coded(terms: Sequence[str]) -> str:
    return " ".join(map(_code, terms))


def _code(term: str) -> str:
    """Write a term so that FTS5 reads exactly one token of it, whatever signs it has."""
    return "t" + term.encode().hex()
