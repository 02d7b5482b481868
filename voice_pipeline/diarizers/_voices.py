"""How many voices there are, and which frame is whose.

Decides by consistency: one person sounds alike in the two halves of a second and a half, a
difference of sounds does not last that long. Refuses to find more than four people, and to give a
frame to two of them.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voice_pipeline.diarizers._cepstra import Features

Labels = NDArray[np.int64]  # shape (windows,) or (frames,)
Statistics = NDArray[np.float64]  # shape (windows, 2 * CEPSTRA)

MOST_SPEAKERS = 4
# Clustering: mean and deviation over windows, Ward's criterion (Ward 1963).
WINDOW = 150  # frames of 10 ms
HOP = 75
MOST_WINDOWS = 1500  # clustered at once; longer calls are thinned evenly (memory grows squared)
LEAST_WINDOWS = 8  # fewer show nothing
# Two groups of windows are two people when the halves of a window agree on which group they belong
# to: the correlation of the halves along the line between the groups (split-half reliability,
# Spearman 1910), less one standard error (Fisher 1915) so that few windows need more. Chosen on 17
# recordings of one person and 72 of several (`tests/bench/voices.py --seed 1`, the samples, five
# real ones): every bound within 0.05 counts the same number of people right.
HALVES_LEAST = 100  # frames: shorter windows have no halves to compare
TWO_PEOPLE = 0.45
# Most calls have two people, and speech at the same time sounds like somebody else: a third and a
# fourth person must be clearer, and say more.
MORE_PEOPLE = 0.65
LEAST_OF_TWO = 5  # windows of the smaller group
LEAST_OF_MORE = 8
# Resegmentation: one mixture a voice, Viterbi with a price for changing; figures of the prototype.
MIXTURE = 8
MIXTURE_FRAMES = 6000  # frames a mixture is fitted on
CHANGE_PRICE = 60.0  # nats
ROUNDS = 4
LEAST_VOICE = 60  # frames a voice must have to be modelled
SCORED_AT_ONCE = 20_000  # frames


@dataclass(frozen=True, slots=True)
class Windows:
    """Stretches of 1.5 s: where each lies among the frames, and how it and its halves sound."""

    first: Labels  # frame numbers of the feature array
    last: Labels  # exclusive
    whole: Statistics
    front: Statistics
    back: Statistics
    halved: NDArray[np.bool_]  # long enough for its halves to be compared


def tell_apart(
    features: Features,
    times: Labels,
    runs: Sequence[tuple[int, int]],
    stride: int,
    wanted: int | None,
    most: int,
) -> Labels:
    """Return the voice of every frame, numbered by who speaks first.

    Args:
        features: of the frames in which somebody speaks, shape (frames, coefficients).
        times: the number of each frame in the recording, 10 ms each.
        runs: stretches without a rest, in frames of the recording, [start, end).
        stride: frames of the recording that one feature frame stands for.
        wanted: how many people there are; None: as many as sound different.
        most: no more people than that.
    """
    labels = np.zeros(len(features), dtype=np.int64)
    windows = _windows(features, times, runs)
    if wanted == 1 or most == 1 or len(windows.whole) < LEAST_WINDOWS:
        return labels
    if wanted is None:
        groups = _count(windows, most)
    else:
        groups = _cluster(_scaled(windows.whole, windows.whole), wanted)
    people = int(groups.max()) + 1
    if people == 1:
        return labels
    votes = np.zeros((len(features), people))
    for first, last, group in zip(windows.first, windows.last, groups, strict=True):
        votes[first:last, group] += 1
    found = _resegment(features, votes.argmax(axis=1), people, stride)
    by_first = list(dict.fromkeys(found.tolist()))
    order = np.zeros(people, dtype=np.int64)
    order[by_first] = np.arange(len(by_first))
    return np.asarray(order[found], dtype=np.int64)


# ---------------------------------------------------------------- windows


def _windows(features: Features, times: Labels, runs: Sequence[tuple[int, int]]) -> Windows:
    """Return windows of 1.5 s every 0.75 s within the stretches of activity."""
    spans: list[tuple[int, int]] = []
    for start, end in runs:
        if end - start <= WINDOW:
            spans.append((start, end))
        else:
            starts = range(start, end - WINDOW // 2, HOP)
            spans += [(at, min(end, at + WINDOW)) for at in starts]
    edges = np.array(spans, dtype=np.int64).reshape(-1, 2)
    first, middle, last = (
        np.searchsorted(times, at) for at in (edges[:, 0], edges.mean(axis=1), edges[:, 1])
    )
    told = (last - first >= 4) & (middle - first >= 2) & (last - middle >= 2)
    first, middle, last, edges = first[told], middle[told], last[told], edges[told]
    return Windows(
        first=first,
        last=last,
        whole=_statistics(features, first, last),
        front=_statistics(features, first, middle),
        back=_statistics(features, middle, last),
        halved=edges[:, 1] - edges[:, 0] >= HALVES_LEAST,
    )


def _statistics(features: Features, first: Labels, last: Labels) -> Statistics:
    rows = [
        np.concatenate([features[a:b].mean(axis=0), features[a:b].std(axis=0)])
        for a, b in zip(first.tolist(), last.tolist(), strict=True)
    ]
    return np.asarray(rows, dtype=np.float64).reshape(-1, 2 * features.shape[1])


def _scaled(statistics: Statistics, by: Statistics) -> Statistics:
    return np.asarray((statistics - by.mean(axis=0)) / (by.std(axis=0) + 1e-6))


# ---------------------------------------------------------------- how many people


def _count(windows: Windows, most: int) -> Labels:
    """Return the group of each window: groups are split while their halves are two people.

    The clearest split is made first, so that `most` keeps what is clearest.
    """
    groups = np.zeros(len(windows.whole), dtype=np.int64)
    splits = {0: _split(windows, np.arange(len(groups)))}
    while len(splits) < most:
        bars = {0: (TWO_PEOPLE, LEAST_OF_TWO)} if len(splits) == 1 else {}
        sure = {
            group: sureness
            for group, (sureness, sides) in splits.items()
            if sureness >= bars.get(group, (MORE_PEOPLE, LEAST_OF_MORE))[0]
            and min(len(side) for side in sides) >= bars.get(group, (0.0, LEAST_OF_MORE))[1]
        }
        if not sure:
            break
        group = max(sure, key=lambda number: sure[number])
        left, right = splits[group][1]
        groups[right] = len(splits)
        splits[len(splits)] = _split(windows, right)
        splits[group] = _split(windows, left)
    return groups


def _split(windows: Windows, where: Labels) -> tuple[float, tuple[Labels, Labels]]:
    """Return how sure it is that these windows are two people, -1..1, and which are whose."""
    nobody = where[:0]
    halved = windows.halved[where]
    if len(where) < LEAST_WINDOWS or halved.sum() < LEAST_OF_TWO:
        return -1.0, (where, nobody)
    own = windows.whole[where]
    scaled = _scaled(own, own)
    side = _cluster(scaled, 2) == 1
    line = scaled[side].mean(axis=0) - scaled[~side].mean(axis=0)
    front, back = (
        _scaled(half[where][halved], own) @ line for half in (windows.front, windows.back)
    )
    if not front.std() or not back.std():
        return -1.0, (where, nobody)
    likeness = min(float(np.corrcoef(front, back)[0, 1]), 0.999)
    error = 1 / np.sqrt(max(1, halved.sum() - 3))
    return float(np.tanh(np.arctanh(likeness) - error)), (where[~side], where[side])


def _cluster(statistics: Statistics, groups: int) -> Labels:
    """Return the group of every window."""
    from sklearn.cluster import AgglomerativeClustering

    groups = min(groups, len(statistics))
    every = -(-len(statistics) // MOST_WINDOWS)
    thinned = statistics[::every]
    found = AgglomerativeClustering(groups, linkage="ward").fit_predict(thinned)
    if every == 1:
        return np.asarray(found, dtype=np.int64)
    centres = np.stack([thinned[found == group].mean(axis=0) for group in range(groups)])
    apart = [np.square(statistics - centre).sum(axis=1) for centre in centres]
    return np.asarray(np.argmin(apart, axis=0), dtype=np.int64)


# ---------------------------------------------------------------- which frame is whose


def _resegment(features: Features, voices: Labels, people: int, stride: int) -> Labels:
    """Return the voices after fitting a mixture on each and assigning every frame anew."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    scaled = (features - features.mean(axis=0)) / (features.std(axis=0) + np.float32(1e-6))
    scores = np.zeros((len(scaled), people), dtype=np.float32)
    for _ in range(ROUNDS):
        for voice in range(people):
            own = scaled[voices == voice]
            if len(own) < max(MIXTURE, LEAST_VOICE // stride):
                return voices
            mixture = GaussianMixture(
                MIXTURE, covariance_type="diag", random_state=0, reg_covar=1e-2, max_iter=20
            )
            with warnings.catch_warnings():  # stopping early is meant: see max_iter
                warnings.simplefilter("ignore", ConvergenceWarning)
                mixture.fit(own[:: -(-len(own) // MIXTURE_FRAMES)])
            for at in range(0, len(scaled), SCORED_AT_ONCE):
                part = slice(at, at + SCORED_AT_ONCE)
                scores[part, voice] = mixture.score_samples(scaled[part]) * stride
        again = _smoothest(scores)
        if np.array_equal(again, voices):
            break
        voices = again
    return voices


def _smoothest(scores: NDArray[np.float32]) -> Labels:
    """Return the likeliest sequence of voices when every change has its price (Viterbi 1967).

    Args:
        scores: log likelihood of every voice, shape (frames, voices).
    """
    frames, people = scores.shape
    came_from = np.zeros((frames, people), dtype=np.int8)
    best = np.zeros(people)
    everybody = np.arange(people)
    for at in range(frames):
        leader = int(best.argmax())
        changes = best < best[leader] - CHANGE_PRICE
        came_from[at] = np.where(changes, leader, everybody)
        best = np.maximum(best, best[leader] - CHANGE_PRICE) + scores[at]
        best -= best.max()
    voices = np.zeros(frames, dtype=np.int64)
    voice = int(best.argmax())
    for at in range(frames - 1, -1, -1):
        voices[at] = voice
        voice = int(came_from[at, voice])
    return voices
