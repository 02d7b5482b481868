"""Where 'automatic' begins: two gates set from a wanted error rate on answers that are known.

A text is automatic if it is as near to an example as most examples are to one another, and its
confidence is in a range whose answers were right often enough. It refuses to promise anything
from fewer than 50 answers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from voice_pipeline.spoken.fewshot import Trial

FEWEST = 50  # known answers; an error rate of some percent is not seen in fewer
ERROR_RATE = 0.06  # wanted among automatic answers, where nobody says otherwise
# Share of the examples that are less like any other than an automatic text must be. Words say less
# about likeness than vectors do, so they must be nearer.
ALONE = {"words": 0.2, "vectors": 0.1}
CAUTIOUS = 0.8  # confidence where there are too few answers to learn one from
FLOOR = 0.5  # what is more likely wrong than right is never automatic
NEVER = 1.01  # a gate that nothing passes


@dataclass(frozen=True, slots=True)
class Gates:
    """Both must be passed."""

    confidence: float
    similarity: float
    automatic: float | None = None  # share of the known answers that pass; None: too few to say
    error: float | None = None  # share of wrong ones expected among those

    def pass_(self, confidence: float, similarity: float) -> bool:
        return confidence >= self.confidence and similarity >= self.similarity


def nearness(trial: Trial, *, vectors: bool) -> float:
    """Return the similarity that all but the loneliest of the texts reach."""
    return float(np.quantile(trial.similarity, ALONE["vectors" if vectors else "words"]))


def learn(trial: Trial, error_rate: float, *, similarity: float) -> Gates:
    """Return the widest gates behind which the error stays within the rate.

    The error is taken as the mean of two estimates, that counted and that which the confidences
    themselves promise (the first is noisy, the second only as good as the calibration), plus one
    standard error: the fewer answers, the more cautious.

    Args:
        trial: known answers by a model that had not seen them.
        error_rate: 0..1.
        similarity: the other gate; only what passes it is looked at.

    Raises:
        ValueError: fewer than `FEWEST` answers.
    """
    if len(trial.right) < FEWEST:
        raise ValueError(f"at least {FEWEST} labelled texts are needed to set gates")
    near = (trial.similarity >= similarity) & (trial.confidence >= FLOOR)
    order = np.argsort(-np.where(near, trial.confidence, -1.0), kind="stable")[: int(near.sum())]
    sure, right = trial.confidence[order], trial.right[order]
    passed = np.arange(1, len(order) + 1)
    error = (np.cumsum(~right) + np.cumsum(1 - sure)) / (2 * passed)
    margin = np.sqrt(error * (1 - error) / passed)
    within = np.flatnonzero(error + margin <= error_rate)
    if not len(within):
        return Gates(NEVER, similarity, 0.0, 0.0)
    last = within[-1]
    return Gates(
        max(FLOOR, float(sure[last])),
        similarity,
        float(passed[last] / len(trial.right)),
        float(error[last]),
    )


def default(trial: Trial, *, vectors: bool) -> Gates:
    """Return the gates where nobody has set any."""
    similarity = nearness(trial, vectors=vectors)
    if len(trial.right) < FEWEST:
        return Gates(CAUTIOUS, similarity)
    return learn(trial, ERROR_RATE, similarity=similarity)
