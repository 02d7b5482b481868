"""GET /metrics: figures for Prometheus, made of an overview that is at most some seconds old.

Decides names and labels. A label is a state, a queue, a stage, a code or a kind, all of them words
of the code; nothing that somebody handed in is ever read for them. docs/operations.md lists them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import sqlalchemy as sa
from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response
from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    SummaryMetricFamily,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from voice_pipeline import __version__
from voice_pipeline.api.guard import GuardedRoute, allowed, open_to_all
from voice_pipeline.engine.queues import QUEUES
from voice_pipeline.errors import Retryable
from voice_pipeline.overview import Overview
from voice_pipeline.store.escalated import Standing
from voice_pipeline.store.tallies import TO_NOTE
from voice_pipeline.tracing import TRACEPARENT, Tracing

FRESH = 5.0  # seconds for which an overview is shown again
PREFIX = "voice_pipeline_"
Family = CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily | SummaryMetricFamily

# sums of the store -> (metric, label, what it is)
SUMS = {
    "calls": ("calls_ended", "status", "calls by how they ended"),
    "failed": ("calls_failed", "code", "calls that failed"),
    "held": ("calls_held", "code", "calls that were held for a person"),
    "retries": ("stage_retries", "stage", "attempts at a stage that are tried again"),
    "takeovers": ("takeovers", "", "runs that were taken over from workers that were gone"),
    "claims": ("claims", "result", "statements of notes, by whether their evidence holds"),
    "redactions": ("redactions", "kind", "findings of personal data"),
    "stage_audio": ("stage_audio_seconds", "stage", "seconds of recordings that stages worked on"),
}

OPEN = open_to_all("figures carry no data of calls")


def router(*, keyed: bool) -> APIRouter:
    """Return the route.

    Args:
        keyed: whoever asks needs a key with the permission `metrics.read`.
    """
    made = APIRouter(tags=["probes"], route_class=GuardedRoute)
    gate = Depends(allowed("metrics.read") if keyed else OPEN)

    @made.get(
        "/metrics",
        summary="Figures for Prometheus",
        dependencies=[gate],
        response_class=Response,
        responses={200: {"description": "text exposition format", "content": {"text/plain": {}}}},
    )
    def metrics(request: Request) -> Response:
        seen: Seen = request.app.state.seen
        return Response(
            generate_latest(seen.registry),
            media_type=CONTENT_TYPE_PLAIN_0_0_4,
            headers={"Cache-Control": "no-store"},
        )

    return made


class Seen:
    """The figures of one app: its own requests, and the whole service's state."""

    def __init__(self, overview: Callable[[], Overview], dead_after: float) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            PREFIX + "http_requests", "requests to this process",
            ("method", "route", "status"), registry=self.registry,
        )  # fmt: skip
        self._seconds = Histogram(
            PREFIX + "http_request_seconds", "time until a response begins",
            ("route",), registry=self.registry, buckets=(0.01, 0.05, 0.1, 0.5, 1, 5, 30),
        )  # fmt: skip
        ProcessCollector(registry=self.registry)
        self.registry.register(State(overview, dead_after))

    def request(self, scope: Scope, status: int, seconds: float) -> None:
        """Count a request under its route's pattern, never under its path."""
        route = _route(scope)
        method = scope["method"] if scope["method"] in METHODS else "other"
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)


class Watched:
    """Counts and traces every request."""

    def __init__(self, app: ASGIApp, seen: Seen, tracing: Tracing) -> None:
        self._app, self._seen, self._tracing = app, seen, tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, seconds, status = time.perf_counter(), 0.0, 500

        async def told(message: Message) -> None:
            nonlocal seconds, status
            if message["type"] == "http.response.start":
                seconds, status = time.perf_counter() - started, message["status"]
            await send(message)

        def parent() -> str:
            return Headers(scope=scope).get(TRACEPARENT, "")

        with self._tracing.span("http", parent, server=True) as span:
            try:
                await self._app(scope, receive, told)
            finally:
                self._seen.request(scope, status, seconds or time.perf_counter() - started)
                span.set_attribute("http.route", _route(scope))
                span.set_attribute("http.response.status_code", status)


def _route(scope: Scope) -> str:
    return str(getattr(scope.get("route"), "path", "none"))


METHODS = frozenset("GET HEAD POST PUT PATCH DELETE OPTIONS".split())


class State(Collector):
    """Turns an overview into metrics; looks again when the last look is some seconds old."""

    def __init__(self, overview: Callable[[], Overview], dead_after: float) -> None:
        self._look, self._dead_after = overview, dead_after
        self._lock = threading.Lock()
        self._last: Overview | None = None
        self._until = 0.0

    def describe(self) -> list[Family]:
        return []  # nothing is looked up at start

    def collect(self) -> Iterator[Family]:
        yield _gauge("build_info", "the release that answers", {(__version__,): 1.0}, ("version",))
        found = self._fresh()
        yield _gauge("database_up", "whether the database answered", {(): float(bool(found))})
        if found is not None:
            yield from _work(found)
            yield from self._workers(found)
            yield from _sums(found)

    def _fresh(self) -> Overview | None:
        with self._lock:
            if time.monotonic() >= self._until:
                try:
                    self._last = self._look()
                except (Retryable, sa.exc.SQLAlchemyError):
                    self._last = None
                self._until = time.monotonic() + FRESH
            return self._last

    def _workers(self, found: Overview) -> Iterator[Family]:
        ages = {
            queue: [w.seen for w in found.workers if queue in w.queues.split(",")]
            for queue in QUEUES
        }
        alive = {(q,): float(sum(a < self._dead_after for a in ages[q])) for q in QUEUES}
        yield _gauge("workers", "workers that were seen in time", alive, ("queue",))
        youngest = {(q,): max(0.0, min(seen)) for q, seen in ages.items() if seen}
        yield _gauge("worker_seen_seconds", "since one was last seen", youngest, ("queue",))


def _work(found: Overview) -> Iterator[Family]:
    states = {(state,): float(number) for state, number in found.calls.items()}
    yield _gauge("calls", "calls that have not ended well", states, ("status",))
    names = ("queue", "work")
    kind = {d: (d.queue, "backfill" if d.backfill else "live") for d in found.queues}
    waiting = {kind[d]: float(d.waiting) for d in found.queues}
    yield _gauge("queue_waiting", "runs that wait", waiting, names)
    oldest = {kind[d]: d.oldest for d in found.queues}
    yield _gauge("queue_oldest_seconds", "for which the oldest has waited", oldest, names)
    running = {kind[d]: float(d.running) for d in found.queues}
    yield _gauge("queue_running", "runs under way", running, names)
    letters = {("call", code): float(n) for code, n in found.failed.items()}
    letters |= {("delivery", state): float(n) for state, n in found.deliveries.items()}
    yield _gauge("dead_letters", "what has failed and waits for a person", letters,
                 ("kind", "code"))  # fmt: skip
    yield from _targets(found)
    yield _gauge("review_waiting", "notes that a person must approve", {(): float(found.review)})
    yield _gauge("review_oldest_seconds", "age of the oldest of them", {(): found.review_oldest})
    yield from _escalations(found.escalations)
    yield _gauge("disk_free_bytes", "of the data folder's disk", {(): float(found.disk_free)})
    yield _gauge("disk_size_bytes", "of the data folder's disk", {(): float(found.disk_size)})


def _targets(found: Overview) -> Iterator[Family]:
    """A target that was named for one run counts as its kind: its place is nobody's business."""
    waiting: dict[tuple[str, ...], float] = {}
    oldest, failing, paused = dict(waiting), dict(waiting), dict(waiting)
    for one in found.targets:
        name = one.target.partition(":")[0]
        waiting[name,] = waiting.get((name,), 0.0) + one.waiting
        oldest[name,] = max(oldest.get((name,), 0.0), one.oldest)
        if one.failing_since is not None:
            failing[name, one.code or ""] = found.at - one.failing_since
        if one.paused_by is not None:
            paused[name,] = 1.0
    yield _gauge("target_waiting", "deliveries that wait for a target", waiting, ("target",))
    yield _gauge("target_oldest_seconds", "age of the oldest of them", oldest, ("target",))
    yield _gauge("target_failing_seconds", "for which a target has been failing", failing,
                 ("target", "code"))  # fmt: skip
    yield _gauge("target_paused", "1: a person paused it", paused, ("target",))


def _escalations(standing: Standing) -> Iterator[Family]:
    """Categories and severities are words of the policy pack, checked when it was loaded."""
    counts = {(one.state, one.category, one.severity): float(one.number) for one in standing.counts}
    yield _gauge("escalations", "escalations that are not resolved", counts,
                 ("state", "category", "severity"))  # fmt: skip
    late = {(one.category, one.severity): float(one.number) for one in standing.late}
    yield _gauge("escalations_overdue", "late, and nobody has acknowledged", late,
                 ("category", "severity"))  # fmt: skip
    yield _gauge("escalation_overdue_oldest_seconds", "for which the oldest has been overdue",
                 {(): standing.oldest})  # fmt: skip
    yield _gauge("notices_failing", "notices that were tried and are not there",
                 {(): float(standing.failing)})  # fmt: skip


def _sums(found: Overview) -> Iterator[Family]:
    for name, (metric, label, about) in SUMS.items():
        family = CounterMetricFamily(PREFIX + metric, about, labels=[label] if label else [])
        for value, amount in found.sums.get(name, {}).items():
            family.add_metric([value] if label else [], amount)
        yield family
    stages = SummaryMetricFamily(PREFIX + "stage_seconds", "time of stages", labels=["stage"])
    runs = found.sums.get("stage_runs", {})
    for stage, seconds in found.sums.get("stage_seconds", {}).items():
        stages.add_metric([stage], count_value=int(runs.get(stage, 0)), sum_value=seconds)
    yield stages
    times = HistogramMetricFamily(
        PREFIX + "to_note_seconds", "from the end of an upload to its note", labels=["work"]
    )
    spent = found.sums.get("to_note_seconds", {})
    for work in ("live", "backfill"):
        counts = found.sums.get(f"to_note_{work}", {})
        reached, buckets = 0.0, []
        for bound in TO_NOTE:
            reached += counts.get(f"{bound:g}", 0.0)
            buckets.append(("+Inf" if bound == float("inf") else str(bound), reached))
        times.add_metric([work], buckets=buckets, sum_value=spent.get(work, 0.0))
    yield times


def _gauge(
    name: str, about: str, values: Mapping[Any, float], labels: tuple[str, ...] = ()
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(PREFIX + name, about, labels=labels)
    for given, value in values.items():
        family.add_metric(given, value)
    return family
