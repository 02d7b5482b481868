"""Sorts short texts by a handful of examples for each label, and says how sure it is.

Kernel ridge regression, one against the rest, on likeness in words and, where there is an
embedding model, in vectors; the label's own name is one more example. All that is tuned is tuned
on answers for examples left out, which this method has in closed form. It never decides alone:
confidence and similarity are for two gates, and a person takes the rest.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voice_pipeline.ports import Embedder
from voice_pipeline.spoken.likeness import Likeness, said

Array = NDArray[np.float64]
Truth = NDArray[np.int64]  # index of the label of each example

PENALTIES = (0.1, 0.2, 0.4, 0.8, 1.6, 3.2)
TEMPERATURES = np.geomspace(0.02, 1.0, 40)
NEAR_WEIGHT = 4.0  # scale of similarity beside log-odds, so that one penalty fits both
FEWEST_TRIED = 50  # answers from which it is learnt how often they are right
NAME_WEIGHT = 2.0  # how many examples a label's name counts as
EMBEDDED = 0.5  # share of vectors in likeness, where there is an embedder
TUNED_ON = 2000  # examples at most on which penalty and temperature are chosen
MOST = 20_000  # examples: memory grows with the square, 1.6 GB here
BLOCK = 500  # rows of likeness computed at once


@dataclass(frozen=True, slots=True)
class Guess:
    """The most likely label of one text."""

    label: str
    confidence: float  # 0..1, calibrated
    similarity: float  # 0..1, to the nearest example of any label


@dataclass(frozen=True, slots=True)
class Trial:
    """What the classifier said of each text when its answer was known."""

    confidence: Array
    right: NDArray[np.bool_]
    similarity: Array


class FewShot:
    """A classifier fitted on labelled examples.

    Args:
        texts: examples, as people say it.
        labels: one a text; at least two different ones.
        embedder: adds likeness of vectors to likeness of words; None: words alone.
        names: how a label is said in words; default: the label, split into words.

    Raises:
        ValueError: fewer than two labels, no words at all, or more than `MOST` examples.
    """

    def __init__(
        self,
        texts: Sequence[str],
        labels: Sequence[str],
        *,
        embedder: Embedder | None = None,
        names: dict[str, str] | None = None,
    ) -> None:
        if len(set(labels)) < 2:
            raise ValueError("examples of at least two labels are needed")
        unique = list({(normal(text), label): text for text, label in zip(texts, labels,
                       strict=True)}.items())  # fmt: skip
        if len(unique) > MOST:
            raise ValueError(f"more than {MOST} examples")
        self.labels: list[str] = sorted(set(labels))
        self.embedder = embedder
        place = {label: index for index, label in enumerate(self.labels)}
        spoken = {label: (names or {}).get(label) or in_words(label) for label in self.labels}
        shared = Counter(normal(name) for name in spoken.values())
        named = [label for label in self.labels if shared[normal(spoken[label])] == 1]
        named = [label for label in named if said(spoken[label])]
        every = [text for _, text in unique] + [spoken[label] for label in named]
        if not any(said(text) for text in every):
            raise ValueError("no example has a word in it")
        self.examples = len(unique)
        self._truth = np.array(
            [place[label] for (_, label), _ in unique] + [place[label] for label in named]
        )
        weights = np.concatenate([np.ones(len(unique)), np.full(len(named), NAME_WEIGHT)])
        self._words = Likeness(every)
        self._known = self._seen(every)
        from threadpoolctl import threadpool_limits  # comes with scikit-learn

        # small matrices are solved faster by one thread than by threads that wait for one another
        with threadpool_limits(1 if len(every) <= TUNED_ON else None):
            self._fit(weights)

    @property
    def made_by(self) -> str:
        """Method and model; classifiers of different ones are never compared or mixed."""
        return f"fewshot 2, {self.embedder.made_by if self.embedder else 'words'}"

    def guess(self, texts: Sequence[str]) -> list[Guess]:
        """Return the most likely label of each text."""
        shares, near = self.shares(texts)
        sure = self._trusted(shares.max(axis=1), near) if texts else near
        return [
            Guess(self.labels[label], float(confidence), float(similarity))
            for label, confidence, similarity in zip(shares.argmax(axis=1), sure, near, strict=True)
        ]

    def shares(self, texts: Sequence[str]) -> tuple[Array, Array]:
        """Return probabilities, shape (texts, labels), and nearest similarities.

        They sum to one a text and may be weighed against other evidence; for one answer, `guess`
        is better calibrated.
        """
        if not texts:
            return np.zeros((0, len(self.labels))), np.zeros(0)
        seen = self._seen(texts)
        scores = seen.words @ self._word_model
        if seen.vectors is not None:
            scores = scores + seen.vectors @ self._vector_model
        return softmax(scores / self.temperature), _nearest(seen, self._known)

    def trial(self) -> Trial:
        """Return what was said of each example by a model that had not seen it."""
        return self._trial

    def tried(self, texts: Sequence[str], labels: Sequence[str]) -> Trial:
        """Return what is said of other texts whose labels are known."""
        guesses = self.guess(texts)
        return Trial(
            np.array([guess.confidence for guess in guesses]),
            np.array([guess.label == label for guess, label in zip(guesses, labels, strict=True)]),
            np.array([guess.similarity for guess in guesses]),
        )

    def _seen(self, texts: Sequence[str]) -> _Seen:
        words, near = self._words.vectors(texts)
        if self.embedder is None:
            return _Seen(words, near, None)
        vectors = self.embedder.embed(texts).astype(np.float64)
        return _Seen(words * np.sqrt(1 - EMBEDDED), near, vectors * np.sqrt(EMBEDDED))

    def _fit(self, weights: Array) -> None:
        """Choose penalty and temperature on what is left out, then fit on everything."""
        answers = 2.0 * np.eye(len(self.labels))[self._truth] - 1
        count = len(self._truth)
        if count > TUNED_ON:
            kept = np.unique(np.linspace(0, count - 1, TUNED_ON).astype(int))
        else:
            kept = np.arange(count)
        trial_likeness = _likeness(self._known, kept)
        self.penalty, self.temperature = min(
            (
                self._tuned(trial_likeness, answers[kept], weights[kept], kept, penalty)
                for penalty in PENALTIES
            ),
            key=lambda found: found[0],
        )[1:]
        likeness = trial_likeness if count <= TUNED_ON else _likeness(self._known, np.arange(count))
        solved, left_out = _ridge(likeness, answers, self.penalty / weights)
        self._word_model = self._known.words.T @ solved
        if self._known.vectors is not None:
            self._vector_model = self._known.vectors.T @ solved
        examples = slice(0, self.examples)
        left_out, truth = left_out[examples], self._truth[examples]
        near = _nearest(self._known, self._known, but_itself=True)[examples]
        if count > TUNED_ON:  # more examples make scores steeper than those it was chosen on
            self.temperature = _temperature(left_out, truth)[1]
        shares = softmax(left_out / self.temperature)
        right = shares.argmax(axis=1) == truth
        self._trust = _trust(_evidence(shares.max(axis=1), near), right)
        self._trial = Trial(self._trusted(shares.max(axis=1), near), right, near)

    def _trusted(self, share: Array, near: Array) -> Array:
        """Return how often an answer with this share and similarity is right."""
        if self._trust is None:
            return share
        return np.asarray(self._trust.predict_proba(_evidence(share, near))[:, 1])

    def _tuned(
        self, likeness: Array, answers: Array, weights: Array, kept: Truth, penalty: float
    ) -> tuple[float, float, float]:
        """Return the loss of a penalty, the penalty, and the temperature it wants."""
        _, left_out = _ridge(likeness, answers, penalty / weights)
        real = kept < self.examples
        loss, temperature = _temperature(left_out[real], self._truth[kept][real])
        return loss, penalty, temperature


@lru_cache(maxsize=4)
def fitted(
    texts: tuple[str, ...], labels: tuple[str, ...], names: tuple[tuple[str, str], ...] = ()
) -> FewShot:
    """Return the classifier of these examples; fitted once a process, whoever asks.

    Args:
        names: pairs of a label and how it is said.
    """
    return FewShot(texts, labels, names=dict(names))


@dataclass(frozen=True, slots=True)
class _Seen:
    """Texts as rows: words to tell labels apart, words for nearness, vectors where there are."""

    words: Any  # scipy CSR
    near: Any
    vectors: Array | None


def _likeness(known: _Seen, kept: Truth) -> Array:
    """Return how alike the kept examples are, shape (kept, kept); float32 where there are many."""
    kind: Any = np.float64 if len(kept) <= TUNED_ON else np.float32
    words = known.words[kept].astype(kind)
    turned = words.T.tocsr()
    found: Any = np.empty((len(kept), len(kept)), kind)
    for start in range(0, len(kept), BLOCK):
        found[start : start + BLOCK] = (words[start : start + BLOCK] @ turned).toarray()
    if known.vectors is not None:
        vectors: Any = known.vectors[kept].astype(kind)
        found += vectors @ vectors.T
    return np.asarray(found)


def _ridge(likeness: Array, answers: Array, penalties: Array) -> tuple[Array, Array]:
    """Solve kernel ridge regression.

    Returns:
        The dual coefficients, and for each example the scores of a model fitted without it:
        `y - a / diag(G)` with `G` the inverse of likeness plus penalties (Rifkin, Lippert 2007).
    """
    from scipy.linalg import lapack

    penalised = likeness.copy()
    penalised[np.diag_indices_from(penalised)] += penalties.astype(likeness.dtype)
    factor, invert = (
        (lapack.dpotrf, lapack.dpotri) if likeness.dtype == np.float64
        else (lapack.spotrf, lapack.spotri)
    )  # fmt: skip
    # likeness is symmetric, so its transpose is the Fortran order that LAPACK works on in place
    lower, failed = factor(penalised.T, lower=1, overwrite_a=1)
    inverse, failed_too = invert(lower, lower=1, overwrite_c=1)
    if failed or failed_too:
        raise ValueError("the examples' vectors are not finite")
    solved = _symmetric_product(inverse, answers.astype(likeness.dtype))
    return solved, answers - solved / np.diag(inverse)[:, None]


def _symmetric_product(lower: Array, right: Array) -> Array:
    from scipy.linalg import blas

    multiply = blas.dsymm if lower.dtype == np.float64 else blas.ssymm
    return np.asarray(multiply(1.0, lower, right, lower=1), np.float64)


def _temperature(scores: Array, truth: Truth) -> tuple[float, float]:
    """Return the smallest mean log loss, and the temperature that gives it."""
    rows = np.arange(len(truth))
    losses = [float(-np.log(softmax(scores / t)[rows, truth] + 1e-12).mean()) for t in TEMPERATURES]
    best = int(np.argmin(losses))
    return losses[best], float(TEMPERATURES[best])


def _evidence(share: Array, near: Array) -> Array:
    """Return what speaks for an answer, shape (texts, 3): log-odds, similarity, both together."""
    odds = np.log(np.clip(share, 1e-6, 1 - 1e-6) / np.clip(1 - share, 1e-6, 1))
    return np.stack([odds, NEAR_WEIGHT * near, odds * near], axis=1)


def _trust(evidence: Array, right: NDArray[np.bool_]) -> Any:
    """Fit how often answers are right (Platt 1999): softmax of ridge scores is too sure at the top
    and too modest at the bottom. None where there is too little to learn it from."""
    from sklearn.linear_model import LogisticRegression

    if len(right) < FEWEST_TRIED or right.all() or not right.any():
        return None
    return LogisticRegression(C=1.0).fit(evidence, right)


def _nearest(texts: _Seen, known: _Seen, *, but_itself: bool = False) -> Array:
    """Return the similarity of each text to the nearest example, 0..1; cosine of vectors where
    there are any, else of letter groups."""
    found = np.zeros(texts.near.shape[0])
    turned = known.near.T.tocsr()
    for start in range(0, len(found), BLOCK):
        rows = slice(start, start + BLOCK)
        if texts.vectors is not None and known.vectors is not None:
            alike = texts.vectors[rows] @ known.vectors.T / EMBEDDED
        else:
            alike = (texts.near[rows] @ turned).toarray()
        if but_itself:
            places = np.arange(alike.shape[0])
            alike[places, start + places] = 0.0
        found[rows] = alike.max(axis=1)
    return np.clip(found, 0.0, 1.0)


def softmax(scores: Array) -> Array:
    shifted = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True))


def normal(text: str) -> str:
    """Return the text as comparable words: contractions opened, fillers left out."""
    return " ".join(said(text))


def in_words(label: str) -> str:
    """Return a label as words: `card_arrival`, `CardArrival` and `card.arrival` alike."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])|[^\w']|_", " ", label)
    return " ".join(word for word in spaced.split() if not word.isdigit()).lower()
