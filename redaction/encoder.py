"""Runs the names model's layers with NumPy: what spaCy computes, for the rows that count.

Decides nothing: a test holds it against spaCy. A word is embedded once, by spaCy itself; of each
layer only those rows are computed that a later row looks at. Refuses to remember words that are
not public: what a customer said is forgotten with the call.
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
        self._nlp = nlp
        self._public = public
        (_, embeds), (_, tags) = nlp.pipeline
        embed, encode = embeds.model.layers
        self._embed = embed
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
        table, numbers = self._embedded(windows)
        pad, places, spans, at = self._pad, [0] * self._pad, [], self._pad
        for tokens, own in windows:
            places += [numbers[token] for token in tokens]
            places += [0] * pad
            spans.append((at + own, at + len(tokens)))
            at += len(tokens) + pad
        with self._threads.limit(limits=1, user_api="blas"):
            scores = self._scores(table[np.array(places)], spans)
        ends = np.cumsum([b - a for a, b in spans])
        return np.split(scores, ends[:-1])

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
        from spacy.tokens import Doc

        known = self._known
        words = dict.fromkeys(token for tokens, _ in windows for token in tokens)
        new = [word for word in words if word not in known]
        fresh: dict[str, Rows] = {}
        if new:
            with self._nlp.memory_zone():  # or spaCy would keep every word it ever saw
                vectors = self._embed.predict([Doc(self._nlp.vocab, words=new)])[0]
            fresh = dict(zip(new, vectors, strict=True))
            for word in new:
                if word.lower() in self._public and len(known) < MAX_PUBLIC:
                    known[word] = fresh[word].copy()
        rows = [known[word] if word in known else fresh[word] for word in words]
        table = np.stack([np.zeros_like(rows[0]), *rows])
        return table, {word: row for row, word in enumerate(words, 1)}


class _Layer:
    """One residual layer: neighbours side by side, maxout, layer normalisation."""

    def __init__(self, residual: Any) -> None:
        expand, rest = residual.layers[0].layers[:2]
        maxout, norm = rest.layers[0].layers
        weights = maxout.get_param("W")  # (width, pieces, inputs)
        self.around = int(expand.attrs["window_size"])
        self._pieces = weights.shape[1]
        # pieces first: the largest is then found over whole blocks
        self._weights = np.ascontiguousarray(
            weights.transpose(2, 1, 0).reshape(weights.shape[2], -1)
        )
        self._bias = np.ascontiguousarray(maxout.get_param("b").T.reshape(-1))
        self._gain, self._shift = norm.get_param("G"), norm.get_param("b")

    def __call__(self, x: Rows, index: NDArray[np.intp], rows: NDArray[np.intp]) -> Rows:
        around = np.arange(-self.around, self.around + 1)
        seen = x[index[rows[:, None] + around]].reshape(len(rows), -1)
        y = (seen @ self._weights + self._bias).reshape(len(rows), self._pieces, -1)
        best: Rows = y[:, 0]
        for piece in range(1, self._pieces):
            best = np.maximum(best, y[:, piece])
        best = best - best.mean(axis=1, keepdims=True)
        scale = np.einsum("ij,ij->i", best, best) / best.shape[1] + TINY
        best *= (scale**-0.5)[:, None]
        best *= self._gain
        best += self._shift
        best += x[index[rows]]
        return best
