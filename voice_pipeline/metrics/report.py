"""How figures are stated: a value, how many it rests on, and an interval. Never a bare number."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value with what it rests on."""

    name: str
    value: float
    n: int  # what it rests on: words, spans, calls ... as `unit` says
    unit: str
    low: float | None = None  # 95 % interval
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """What an evaluation found."""

    suite: str
    calls: int
    figures: tuple[Figure, ...]
    rows: tuple[Mapping[str, Any], ...] = ()  # one a call, or whatever is counted
    notes: tuple[str, ...] = field(default=())  # what was not measured, and why
    slices: tuple[Mapping[str, Any], ...] = ()  # one a value of something by which calls differ

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def wilson(hits: int, n: int, z: float = 1.96) -> tuple[float, float]:
    """Return the Wilson score interval of a proportion (Wilson 1927); (0, 1) for n = 0."""
    if n == 0:
        return 0.0, 1.0
    share = hits / n
    centre = share + z * z / (2 * n)
    spread = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    low, high = (centre - spread) / scale, (centre + spread) / scale
    return max(0.0, min(low, share)), min(1.0, max(high, share))  # rounding must not exclude it


def proportion(name: str, hits: int, n: int, unit: str) -> Figure:
    low, high = wilson(hits, n)
    return Figure(name, hits / n if n else 0.0, n, unit, low, high)


def by_call(name: str, calls: Sequence[tuple[int, int]], unit: str) -> Figure:
    """Return a proportion over all units of some calls, with an interval by call.

    What one caller says belongs together, so whole calls are resampled. At 0 and 1, where
    resampling shows no spread, it is Wilson's interval for as many calls as count.

    Args:
        calls: hits and units of each call.
    """
    counted = [call for call in calls if call[1]]
    hits, n = sum(hits for hits, _ in counted), sum(units for _, units in counted)

    def share(sample: Sequence[tuple[int, int]]) -> float:
        return sum(hits for hits, _ in sample) / max(1, sum(units for _, units in sample))

    if 0 < hits < n:
        low, high = bootstrap(counted, share)
    elif hits:
        low, high = wilson(len(counted), len(counted))
    else:
        low, high = wilson(0, len(counted))
    return Figure(name, hits / n if n else 0.0, n, unit, low, high)


def bootstrap(
    calls: Sequence[T], figure: Callable[[Sequence[T]], float], rounds: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """Return the 95 % percentile interval of `figure`, resampling whole calls (Efron 1979)."""
    if len(calls) < 2:
        value = figure(calls)
        return value, value
    draw = random.Random(seed)
    values = sorted(figure([draw.choice(calls) for _ in calls]) for _ in range(rounds))
    return values[int(0.025 * rounds)], values[min(rounds - 1, int(0.975 * rounds))]


def interval(
    calls: Sequence[T], figure: Callable[[Sequence[T]], float]
) -> tuple[float | None, float | None]:
    """Return `bootstrap`, or nothing for a single call, which says nothing about others."""
    return bootstrap(calls, figure) if len(calls) > 1 else (None, None)
