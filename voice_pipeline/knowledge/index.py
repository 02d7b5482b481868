"""Finds the articles that answer a question, or says that there is none.

By vectors where a model is set, with exact hits of rare codes pulled in; by words else, helped by
what the policy pack knows of how people ask. An index is built from the articles that may be found
and holds no other: what is not approved, out of date, or meant for somebody else is not in it.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from voice_pipeline.errors import Misconfigured
from voice_pipeline.knowledge.article import Article, Audience, Passage, passages
from voice_pipeline.knowledge.lexical import BACKGROUND, Document, word_index
from voice_pipeline.knowledge.terms import terms
from voice_pipeline.ports import Embedder, Vectors

Scores = NDArray[np.float64]

# Words: one rare word in common counts 1, the same topic up to TOPIC. TOPIC and floor were chosen
# together, TOPIC of 1, 1.5, 2, 3 and 4, on the dev half of samples/knowledge.
TOPIC = 3.0
HALF = 1.5  # sum at which the score is 0.5
# Below these there is `no article`, chosen on the dev half as well.
FLOOR_WORDS = 0.50
FLOOR_VECTORS = 0.24  # cosine, MiniLM class; another model may want another one
NEARLY = 0.7  # share of the floor at which others stand beside a best that has passed it
# What a customer may be shown needs more.
FLOOR_CITED_WORDS = 0.70
FLOOR_CITED_VECTORS = 0.35


class Topics(Protocol):
    """What a policy pack knows of how people ask: `spoken.fewshot.FewShot` is one."""

    labels: list[str]

    def shares(self, texts: Sequence[str], /) -> tuple[Scores, Scores]:
        """Return probabilities, shape (texts, labels), and nearness to the examples."""


@dataclass(frozen=True, slots=True)
class Hit:
    """An article that may answer, with the passage to look at."""

    article: Article
    passage: Passage
    score: float  # 0..1; comparable between questions to one index only
    why: str  # vectors | words | exact
    citable: bool  # sure enough to stand in a letter to a customer


class Knowledge:
    """The articles that a run may use, with an index for each reader and language."""

    def __init__(
        self,
        articles: Sequence[Article],
        *,
        topics: Callable[[], Topics] | None = None,
        embedder: Embedder | None = None,
        vectors_of: Callable[[Article], Vectors] | None = None,
    ) -> None:
        """
        Args:
            articles: approved and in date; `Library.usable` or `Library.pinned` gives them.
            topics: makes the classifier that bridges words; asked for on first use.
            embedder: turns questions into vectors.
            vectors_of: returns an article's vectors by that embedder, one a passage.
        """
        self.articles = tuple(articles)
        self._topics, self._embedder = topics, embedder
        self._vectors_of = vectors_of
        self._indexes: dict[tuple[Audience, str], Index] = {}

    def __bool__(self) -> bool:
        return bool(self.articles)

    @property
    def sha256(self) -> str:
        return fingerprint(self.articles, self._embedder)

    def search(
        self, questions: Sequence[str], *, audience: Audience, locale: str, limit: int = 5
    ) -> list[Hit]:
        """Return what answers any of the questions best, best first; empty: no article.

        Args:
            questions: redacted texts that ask for the same, for example the caller's first turns.
            locale: ISO 639-1, with a region where one is known: en, en-GB.
        """
        if (audience, locale) not in self._indexes:
            chosen = [
                a for a in self.articles if audience in a.audience and speaks(a.locale, locale)
            ]
            self._indexes[audience, locale] = Index(
                chosen, topics=self._topics, embedder=self._embedder, vectors_of=self._vectors_of
            )
        return self._indexes[audience, locale].search(questions, limit)


class Index:
    """One set of articles, ready to be searched."""

    def __init__(
        self,
        articles: Sequence[Article],
        *,
        topics: Callable[[], Topics] | None = None,
        embedder: Embedder | None = None,
        vectors_of: Callable[[Article], Vectors] | None = None,
    ) -> None:
        self._articles = list(articles)
        self._passages = [passages(article) for article in articles]
        self._documents = [
            Document(
                tuple(terms(article.title)),
                tuple(term for p in parts for term in terms(f"{p.heading} {p.text}")),
            )
            for article, parts in zip(articles, self._passages, strict=True)
        ]
        self._words = word_index(self._documents)
        self._holders = Counter(
            term for d in self._documents for term in {*d.title, *d.text}
        )  # term -> articles that hold it
        n = len(self._articles) + BACKGROUND
        self._one = math.log((n - 0.5) / 1.5)  # weight of a word that one article holds
        self._topics = topics
        self._on_topic: Scores | None = None
        self._embedder = embedder
        self._vectors: list[Vectors] = []
        if embedder is not None:
            of = vectors_of or (lambda article: embed_article(article, embedder))
            for article, parts in zip(articles, self._passages, strict=True):
                vectors = of(article)
                if vectors.shape != (len(parts), embedder.dimension):
                    raise Misconfigured(
                        f"the vectors of article {article.id} are of another model or text; "
                        "run `voice-pipeline knowledge index`",
                        code="embedding_mismatch",
                    )
                self._vectors.append(vectors)

    def search(self, questions: Sequence[str], limit: int = 5) -> list[Hit]:
        asked = [text for text in dict.fromkeys(questions) if text.strip()]
        if not asked or not self._articles:
            return []
        wanted = [terms(text) for text in asked]
        if self._embedder is not None:
            scores, best = self._by_vectors(asked)
            floor, cited, why = FLOOR_VECTORS, FLOOR_CITED_VECTORS, "vectors"
        else:
            scores = self._by_words(asked, wanted)
            best = [self._best_passage(at, wanted) for at in range(len(self._articles))]
            floor, cited, why = FLOOR_WORDS, FLOOR_CITED_WORDS, "words"
        exact = self._exact({term for each in wanted for term in each})
        found = bool(exact) or float(scores.max()) >= floor
        order = sorted(
            range(len(self._articles)), key=lambda at: (at not in exact, -scores[at], at)
        )
        return [
            Hit(
                self._articles[at],
                self._passages[at][best[at] if at not in exact else self._best_passage(at, wanted)],
                round(float(min(1.0, max(0.0, scores[at]))), 3),
                "exact" if at in exact else why,
                bool(scores[at] >= cited or at in exact),
            )
            for at in order
            if found and (scores[at] >= NEARLY * floor or at in exact)
        ][:limit]

    def _by_vectors(self, asked: Sequence[str]) -> tuple[Scores, list[int]]:
        """Return each article's best cosine over questions and passages, and the passage."""
        assert self._embedder is not None
        questions = self._embedder.embed(asked).T
        likeness = [(vectors @ questions).max(axis=1) for vectors in self._vectors]
        return (
            np.array([float(each.max()) for each in likeness]),
            [int(each.argmax()) for each in likeness],
        )

    def _by_words(self, asked: Sequence[str], wanted: Sequence[Sequence[str]]) -> Scores:
        total = np.zeros((len(asked), len(self._articles)))
        for row, each in enumerate(wanted):
            for at, score in self._words.scores(each).items():
                total[row, at] = score / self._one
        if self._topics is not None:
            shares, _ = self._topics().shares(asked)
            total += TOPIC * shares @ self._topic_shares().T
        best = np.asarray(total.max(axis=0))
        return best / (best + HALF)

    def _topic_shares(self) -> Scores:
        """Return what each article is about, shape (articles, labels): title and text in equal
        parts, as the classifier sees them."""
        if self._on_topic is None:
            assert self._topics is not None
            topics = self._topics()
            rows = []
            for article, parts in zip(self._articles, self._passages, strict=True):
                shares, _ = topics.shares([article.title, *(part.text for part in parts)])
                rows.append((shares[0] + shares[1:].mean(axis=0)) / 2)
            self._on_topic = np.array(rows)
        return self._on_topic

    def _best_passage(self, at: int, wanted: Sequence[Sequence[str]]) -> int:
        """Return the passage that shares the rarest words with the questions; else the first."""
        asked = {term for each in wanted for term in each}

        def shared(place: int) -> float:
            part = self._passages[at][place]
            return sum(
                1 / self._holders[term]
                for term in asked & set(terms(f"{part.heading} {part.text}"))
            )

        return max(range(len(self._passages[at])), key=lambda place: (shared(place), -place))

    def _exact(self, asked: set[str]) -> set[int]:
        """Return articles that alone hold a code of the question: `e104`, `1099`."""
        codes = {term for term in asked if _is_code(term) and self._holders[term] == 1}
        return {
            at
            for at, document in enumerate(self._documents)
            if codes and codes & {*document.title, *document.text}
        }


def embed_article(article: Article, embedder: Embedder) -> Vectors:
    """Return an article's vectors, one a passage, each with its title: shape (passages, dim)."""
    return embedder.embed([f"{article.title}. {p.heading}. {p.text}" for p in passages(article)])


def fingerprint(articles: Sequence[Article], embedder: Embedder | None) -> str:
    """Return the sha256 of what an index over these articles would be."""
    parts = sorted(article.sha256 for article in articles)
    parts.append(embedder.made_by if embedder is not None else "words")
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _is_code(term: str) -> bool:
    """Tell whether a term names one thing: letters with digits, or a number that is no year."""
    digits = sum(c.isdigit() for c in term)
    mixed = 0 < digits < len(term) and term.isalnum()
    return mixed or (term.isdecimal() and len(term) >= 3 and not 1900 <= int(term) < 2100)


def speaks(article: str, wanted: str) -> bool:
    """Tell whether an article's locale serves a reader's: en serves en-GB, en-US does not."""
    language, _, region = article.partition("-")
    other, _, other_region = wanted.partition("-")
    return language == other and (not region or not other_region or region == other_region)
