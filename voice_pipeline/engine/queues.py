"""The queues: what waits for which kind of worker, and how much of it runs at once.

A call waits in `calls` and its CPU stages run wherever it was taken up. Stages whose lane has
workers of its own wait there meanwhile. Deliveries wait in the outbox; `crm` names those who work
it off. Priority 1 is live work; backfill comes after it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dbos import DBOS

from voice_pipeline.errors import Misconfigured

CALLS, GPU, LLM, CRM = "calls", "gpu", "llm", "crm"
RUN = (CALLS, GPU, LLM)  # queues of runs
QUEUES = (*RUN, CRM)
SAME = {"cpu": CALLS}  # other names that people give
LIVE, BACKFILL = 1, 10  # priorities, the lowest first
QUEUE_POLL = 0.2  # seconds between looks for waiting work


@dataclass(frozen=True, slots=True)
class Limits:
    """How many runs of a queue one process works on at once."""

    calls: int = 4
    gpu: int = 8
    llm: int = 4


@dataclass(frozen=True, slots=True)
class Lanes:
    """Which kinds of work leave the run of their call; fixed when a call starts."""

    names: tuple[str, ...] = ()
    priority: int = LIVE

    def plain(self) -> dict[str, Any]:
        """Return what a journal keeps of it; empty: a run that was started, not queued."""
        return {"lanes": list(self.names), "priority": self.priority}

    @classmethod
    def build(cls, kept: Mapping[str, Any]) -> Lanes:
        return cls(tuple(kept.get("lanes", ())), kept.get("priority", LIVE))


@dataclass(frozen=True, slots=True)
class Duty:
    """What a process does beside starting calls of its own."""

    queues: tuple[str, ...] = ()  # that it works off
    limits: Limits = field(default_factory=Limits)
    dead_after: float = 60.0  # seconds without a sign of life

    @property
    def beats(self) -> bool:
        return bool(self.queues)


def queue_names(given: Sequence[str]) -> tuple[str, ...]:
    """Return the queues that people name, each once.

    Raises:
        Misconfigured: there is no queue of a name.
    """
    names = [SAME.get(name.strip(), name.strip()) for name in given if name.strip()]
    unknown = sorted(set(names) - set(QUEUES))
    if unknown or not names:
        raise Misconfigured(
            f"no queue {', '.join(unknown) or 'is named'}; there are {', '.join(QUEUES)} "
            "(cpu is calls)",
            code="unknown_queue",
        )
    return tuple(dict.fromkeys(names))


def register(limits: Limits) -> None:
    """Make the queues known; after launch, by processes that work them off."""
    for name in RUN:
        DBOS.register_queue(
            name,
            worker_concurrency=getattr(limits, name),
            polling_interval_sec=QUEUE_POLL,
            on_conflict="always_update",
        )
