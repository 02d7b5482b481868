"""Summaries that anyone can make: what a note must beat to be worth its rules.

The first three turns, and TextRank (Mihalcea & Tarau 2004): the sentences that share most words
with all others, by PageRank with damping 0.85.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import numpy as np

from voice_pipeline.domain import RedactedTranscript
from voice_pipeline.spoken.words import comparable

SENTENCES = 3
DAMPING = 0.85
ROUNDS = 50  # far beyond convergence for calls of hundreds of sentences
_SENTENCE_END = re.compile(r"(?<=[.?!])\s+")


def lead(transcript: RedactedTranscript) -> str:
    """Return the first turns of a call."""
    return " ".join(turn.text for turn in transcript.turns[:SENTENCES])


def textrank(transcript: RedactedTranscript) -> str:
    """Return the most central sentences of a call, in the order in which they were said."""
    sentences = [
        sentence
        for turn in transcript.turns
        for sentence in _SENTENCE_END.split(turn.text)
        if sentence.strip()
    ]
    words = [
        {form for word in sentence.split() for form in comparable(word)} for sentence in sentences
    ]
    ranks = _ranks(words)
    best = sorted(range(len(sentences)), key=lambda at: -ranks[at])[:SENTENCES]
    return " ".join(sentences[at] for at in sorted(best))


def _ranks(words: Sequence[set[str]]) -> list[float]:
    n = len(words)
    if n == 0:
        return []
    likeness = np.array([[0.0 if a is b else _likeness(a, b) for b in words] for a in words])
    totals = likeness.sum(axis=1, keepdims=True)
    moves = np.divide(likeness, totals, out=np.full((n, n), 1.0 / n), where=totals > 0)
    ranks = np.full(n, 1.0 / n)
    for _ in range(ROUNDS):
        ranks = (1 - DAMPING) / n + DAMPING * moves.T @ ranks
    return [float(rank) for rank in ranks]


def _likeness(a: set[str], b: set[str]) -> float:
    if len(a) < 2 or len(b) < 2:
        return 0.0
    return len(a & b) / (math.log(len(a)) + math.log(len(b)))
