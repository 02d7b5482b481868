"""How many of the flags that a careful reader raises the rules raise, and how many others.

Recall first: a missed flag is a customer lost or harmed, a needless one a look. Every figure has
its n and a Wilson interval; figures on our own scripted calls say nothing of real ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from voice_pipeline.metrics.notes import Noted, noted, read_labelled
from voice_pipeline.metrics.report import Figure, Report, bootstrap, proportion
from voice_pipeline.policy.pack import Pack
from voice_pipeline.ports import Analyst


def evaluate(data: Path, *, analyst: Analyst | None = None, pack: Pack | None = None) -> Report:
    """Run analysis and rules over labelled calls.

    Args:
        data: a folder with `truth.jsonl`.

    Raises:
        BadInput: there is no truth, or it cannot be read.
    """
    return report(noted(read_labelled(data), analyst=analyst, pack=pack))


def report(calls: Sequence[Noted]) -> Report:
    """Compare flags by call and category; two flags of one category count once."""
    raised = [frozenset(flag.category for flag in call.note.escalations) for call in calls]
    wanted = [call.truth.flags for call in calls]
    hits = sum(len(got & want) for got, want in zip(raised, wanted, strict=True))
    figures = [
        proportion("recall", hits, sum(map(len, wanted)), "expected flags"),
        proportion("precision", hits, sum(map(len, raised)), "raised flags"),
        proportion(
            "calls without flags left alone",
            sum(not got for got, want in zip(raised, wanted, strict=True) if not want),
            sum(not want for want in wanted),
            "calls without expected flags",
        ),
        _per_call(raised),
    ]
    for category in sorted(frozenset().union(*wanted, *raised)):
        expected = sum(category in want for want in wanted)
        both = sum(category in g and category in w for g, w in zip(raised, wanted, strict=True))
        figures.append(proportion(f"recall {category}", both, expected, "calls"))
        figures.append(
            proportion(
                f"precision {category}", both, sum(category in got for got in raised), "calls"
            )
        )
    rows = tuple(
        {
            "id": call.truth.id,
            "missed": sorted(want - got),
            "beside": sorted(got - want),
            "raised": sorted(got),
        }
        for call, got, want in zip(calls, raised, wanted, strict=True)
    )
    return Report("escalation", len(calls), tuple(figures), rows)


def _per_call(raised: Sequence[frozenset[str]]) -> Figure:
    def mean(sample: Sequence[frozenset[str]]) -> float:
        return sum(map(len, sample)) / len(sample) if sample else 0.0

    low, high = bootstrap(raised, mean)
    return Figure("flags per call", mean(raised), len(raised), "calls", low, high)
