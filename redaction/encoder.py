"""Runs the names model's layers with NumPy: what spaCy computes, for the rows that count.

Decides nothing: a test holds it against spaCy. A word is embedded once, from spaCy's own features
of it; of each layer only those rows are computed that a later row looks at. Refuses to remember
words that are not public: what a customer said is forgotten with the call.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

Rows = NDArray[np.float32]

TINY = 1e-8  # added to a variance, as thinc does
MAX_PUBLIC = 20_000  # words whose vectors are remembered, 300 bytes each


class Encoder:
    """Embedding, residual layers of windows (maxout, layer normalisation), softmax."""

    def __init__(self, nlp: Any, public: Container[str]) -> None:
        self._public = public
        (_, embeds), (_, tags) = nlp.pipeline
        embed, encode = embeds.model.layers
        self._embed = _Embedding(nlp.vocab, embed)
        self._layers = [_Layer(node) for node in encode.layers[0].layers]
        self._around = self._layers[0].around
        self._pad = self._around * len(self._layers)  # zeros between windows
        softmax = tags.model.layers[1].layers[0]
        self._out = np.ascontiguousarray(softmax.get_param("W").T)
        self._bias = softmax.get_param("b")
        self._known: dict[str, Rows] = {}
        # matrices this small are slower on several threads, which then wait for each other
        self._threads = ThreadpoolController()

    def read(self, windows: Sequence[tuple[Sequence[str], int]]) -> list[Rows]:
        """Return probabilities.

        Args:
            windows: tokens, and where those begin that are asked for.

        Returns:
            For each window an array (asked tokens, labels).
        """
        with self._threads.limit(limits=1, user_api="blas"):
            scores, ends = self._read(windows)
        return np.split(scores, ends[:-1])

    def _read(self, windows: Sequence[tuple[Sequence[str], int]]) -> tuple[Rows, NDArray[np.intp]]:
        """Return the asked tokens' rows one after the other, and where each window's end."""
        table, numbers = self._embedded(windows)
        pad, places, spans, at = self._pad, [0] * self._pad, [], self._pad
        for tokens, own in windows:
            places += [numbers[token] for token in tokens]
            places += [0] * pad
            spans.append((at + own, at + len(tokens)))
            at += len(tokens) + pad
        scores = self._scores(table[np.array(places)], spans)
        return scores, np.cumsum([b - a for a, b in spans])

    def _scores(self, x: Rows, spans: Sequence[tuple[int, int]]) -> Rows:
        index = np.arange(len(x))  # of each place its row in x
        for depth, layer in enumerate(self._layers, 1):
            reach = self._around * (len(self._layers) - depth)
            rows = np.concatenate([np.arange(a - reach, b + reach) for a, b in spans])
            x = layer(x, index, rows)
            index = np.zeros(len(index), np.intp)
            index[rows] = np.arange(len(rows))
        scores: Rows = x @ self._out + self._bias
        scores = np.exp(scores - scores.max(axis=1, keepdims=True))
        scores /= scores.sum(axis=1, keepdims=True)
        return scores

    def _embedded(
        self, windows: Sequence[tuple[Sequence[str], int]]
    ) -> tuple[Rows, dict[str, int]]:
        """Return the vectors of all tokens, a row of zeros first, and the row of each token."""
        known = self._known
        words = dict.fromkeys(token for tokens, _ in windows for token in tokens)
        new = [word for word in words if word not in known]
        fresh: dict[str, Rows] = {}
        if new:
            fresh = dict(zip(new, self._embed(new), strict=True))
            for word in new:
                if word.lower() in self._public and len(known) < MAX_PUBLIC:
                    known[word] = fresh[word].copy()
        rows = [known[word] if word in known else fresh[word] for word in words]
        table = np.stack([np.zeros_like(rows[0]), *rows])
        return table, {word: row for row, word in enumerate(words, 1)}


class _Embedding:
    """Vectors of words: rows of hashed tables for each feature, side by side, then a maxout."""

    def __init__(self, vocab: Any, embed: Any) -> None:
        from spacy.attrs import intify_attr

        features, _, tables, maxout, _ = embed.layers
        self._strings = vocab.strings
        self._features = [
            vocab.lex_attr_getters[intify_attr(name)] for name in features.attrs["columns"]
        ]
        hashed = [table.layers[1] for table in tables.layers[0].layers]
        self._tables = [(table.get_param("E"), int(table.attrs["seed"])) for table in hashed]
        self._ops = embed.ops
        self._mix = _Maxout(maxout.layers[0].layers[0])

    def __call__(self, words: Sequence[str]) -> Rows:
        parts = []
        for feature, (vectors, seed) in zip(self._features, self._tables, strict=True):
            # asking for a hash keeps no string
            ids = np.array([self._strings[feature(word)] for word in words], dtype=np.uint64)
            keys = self._ops.hash(ids, seed) % len(vectors)
            parts.append(vectors[keys].sum(axis=1))
        return self._mix(np.concatenate(parts, axis=1))


class _Maxout:
    """The largest of several linear pieces, then layer normalisation."""

    def __init__(self, chain: Any) -> None:
        maxout, norm = chain.layers
        weights = maxout.get_param("W")  # (width, pieces, inputs)
        self._pieces = weights.shape[1]
        # pieces first: the largest is then found over whole blocks
        self._weights = np.ascontiguousarray(
            weights.transpose(2, 1, 0).reshape(weights.shape[2], -1)
        )
        self._bias = np.ascontiguousarray(maxout.get_param("b").T.reshape(-1))
        self._gain, self._shift = norm.get_param("G"), norm.get_param("b")
        self._mean = np.full(weights.shape[0], 1 / weights.shape[0], np.float32)

    def __call__(self, x: Rows) -> Rows:
        y = x @ self._weights
        y += self._bias
        best: Rows = y.reshape(len(x), self._pieces, -1).max(axis=1)
        best -= (best @ self._mean)[:, None]
        scale = np.einsum("ij,ij->i", best, best) / best.shape[1] + TINY
        best *= (scale**-0.5)[:, None]
        best *= self._gain
        best += self._shift
        return best


class _Layer:
    """One residual layer: neighbours side by side, then a maxout."""

    def __init__(self, residual: Any) -> None:
        expand, rest = residual.layers[0].layers[:2]
        self.around = int(expand.attrs["window_size"])
        self._reach = np.arange(-self.around, self.around + 1)
        self._mix = _Maxout(rest.layers[0])

    def __call__(self, x: Rows, index: NDArray[np.intp], rows: NDArray[np.intp]) -> Rows:
        seen = x[index[rows[:, None] + self._reach]].reshape(len(rows), -1)
        mixed = self._mix(seen)
        mixed += x[index[rows]]
        return mixed
