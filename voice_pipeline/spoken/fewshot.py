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

PENALTIES = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2)
TEMPERATURES = np.geomspace(0.02, 1.0, 40)
NEAR_WEIGHT = 4.0  # scale of similarity beside log-odds, so that one penalty fits both
FEWEST_TRIED = 50  # answers from which it is learnt how often they are right
NAME_WEIGHT = 2.0  # how many examples a label's name counts as
EMBEDDED = 0.7  # share of vectors in likeness, where there is an embedder
STEEP = 2.0  # how much more a near example says than a far one: likeness is exp(STEEP * (x - 1))
DEALS = 5  # ways in which examples are dealt out over folds; answers are the mean over all
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
        said_as = {(normal(text), label): text for text, label in zip(texts, labels, strict=True)}
        # in an order of their own, so that the order in which they came changes no answer
        unique = sorted(said_as.items(), key=lambda one: (one[0][1], one[0][0]))
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
        return f"fewshot 3, {self.embedder.made_by if self.embedder else 'words'}"

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
        scores = np.zeros((len(texts), len(self.labels)))
        for start in range(0, len(texts), BLOCK):
            rows = slice(start, start + BLOCK)
            scores[rows] = _likeness(seen.at(rows), self._known, self._turned) @ self._model
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
        self._turned = self._known.words.T.tocsr()
        trial_likeness = _among(self._known, kept)
        self.penalty = min(
            PENALTIES,
            key=lambda penalty: self._loss(
                trial_likeness, answers[kept], weights[kept], kept, penalty
            ),
        )
        likeness = trial_likeness if count <= TUNED_ON else _among(self._known, np.arange(count))
        self._model, inverse = _ridge(likeness, answers, self.penalty / weights)
        left_out = _dealt_out(self._model, inverse, answers, _folds(self._truth, self.examples))
        examples = slice(0, self.examples)
        left_out, truth = left_out[examples], self._truth[examples]
        near = _nearest(self._known, self._known, but_itself=True)[examples]
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

    def _loss(
        self, likeness: Array, answers: Array, weights: Array, kept: Truth, penalty: float
    ) -> float:
        """Return the log loss of a penalty on examples left out one by one."""
        solved, inverse = _ridge(likeness, answers, penalty / weights)
        left_out = answers - solved / np.diag(inverse)[:, None]
        real = kept < self.examples
        return _temperature(left_out[real], self._truth[kept][real])[0]


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

    def at(self, rows: slice | Truth) -> _Seen:
        vectors = None if self.vectors is None else self.vectors[rows]
        return _Seen(self.words[rows], self.near[rows], vectors)


def _likeness(texts: _Seen, known: _Seen, turned: Any) -> Array:
    """Return how alike texts and examples are, shape (texts, examples).

    Args:
        turned: the examples' words, features first.
    """
    found = (texts.words @ turned).toarray()
    if texts.vectors is not None and known.vectors is not None:
        found += texts.vectors @ known.vectors.T
    return np.asarray(np.exp(STEEP * (found - 1), out=found))


def _among(known: _Seen, kept: Truth) -> Array:
    """Return how alike the kept examples are, shape (kept, kept); float32 where there are many."""
    kind: Any = np.float64 if len(kept) <= TUNED_ON else np.float32
    some = known.at(kept)
    turned = some.words.T.tocsr()
    found: Any = np.empty((len(kept), len(kept)), kind)
    for start in range(0, len(kept), BLOCK):
        rows = slice(start, start + BLOCK)
        found[rows] = _likeness(some.at(rows), some, turned)
    return np.asarray(found)


def _ridge(likeness: Array, answers: Array, penalties: Array) -> tuple[Array, Array]:
    """Solve kernel ridge regression.

    Returns:
        The dual coefficients, and the inverse of likeness plus penalties, of which only diagonal
        and lower triangle hold.
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
    return solved, inverse


def _folds(truth: Truth, examples: int) -> Truth:
    """Deal the examples of every label out over folds, shape (deals, examples and names).

    As many folds as a label has examples, so that each holds about one of every label. Names are
    in no fold (-1).
    """
    counts = np.bincount(truth[:examples])
    many = max(2, round(float(np.median(counts[counts > 0]))))
    rank = np.zeros(len(truth), np.int64)
    for label in range(len(counts)):
        own = np.flatnonzero(truth[:examples] == label)
        rank[own] = np.arange(len(own))
    found = np.stack([(rank + deal * truth) % many for deal in range(1, DEALS + 1)])
    found[:, examples:] = -1
    return found


def _dealt_out(solved: Array, inverse: Array, answers: Array, folds: Truth) -> Array:
    """Return the scores of each example by models fitted without its fold, the mean over deals.

    `y - inverse(G_ff) a_f` with `G` the inverse, `a` the coefficients and `f` a fold (Rifkin and
    Lippert 2007). An example that is left out alone weakens its own label and no other, and
    answers look worse than they are; one of every label leaves the balance.
    """
    left_out = np.zeros_like(answers)
    for deal in folds:
        for fold in range(deal.max() + 1):
            out = np.flatnonzero(deal == fold)
            block = np.tril(inverse[np.ix_(out, out)])
            block += np.tril(block, -1).T
            left_out[out] += answers[out] - np.linalg.solve(block, solved[out])
    return left_out / len(folds)


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
