"""Traces: one a call, from its upload over every queue and worker to its delivery.

Off unless an endpoint is configured, and then nothing of it runs. Spans hold names, ids, codes and
seconds; an exception's message or stack never enters one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from opentelemetry import trace
from opentelemetry.trace import INVALID_SPAN, Span, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from voice_pipeline.errors import Misconfigured, PipelineError

TRACEPARENT = "traceparent"
Parent = Callable[[], str | None]


class Tracing:
    """Makes spans with one provider, or none at all."""

    def __init__(self, provider: Any = None) -> None:
        """
        Args:
            provider: a TracerProvider of the OpenTelemetry SDK; None: off.
        """
        self.on = provider is not None
        self._provider = provider
        self._tracer = provider.get_tracer("voice_pipeline") if self.on else None
        self._form = TraceContextTextMapPropagator()

    @contextmanager
    def span(
        self,
        name: str,
        parent: Parent | None = None,
        *,
        since: float | None = None,
        server: bool = False,
        **facts: str | int | float,
    ) -> Iterator[Span]:
        """Time what is done inside; an error leaves its code and passes on.

        Args:
            name: a word of the code.
            parent: gives the traceparent to join where no span of this process is open.
            since: when it began, seconds since the epoch, if that is over already.
            server: it answers somebody's request.
            facts: attributes; never content.
        """
        if self._tracer is None:
            yield INVALID_SPAN
            return
        context = None
        if parent is not None and not trace.get_current_span().get_span_context().is_valid:
            context = self._form.extract({TRACEPARENT: parent() or ""})
        with self._tracer.start_as_current_span(
            name,
            context=context,
            kind=SpanKind.SERVER if server else SpanKind.INTERNAL,
            attributes={f"voice_pipeline.{key}": value for key, value in facts.items()},
            start_time=None if since is None else int(since * 1e9),
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                yield span
            except BaseException as error:
                code = error.code if isinstance(error, PipelineError) else type(error).__name__
                span.set_attribute("voice_pipeline.code", code)
                span.set_status(Status(StatusCode.ERROR))
                raise

    def waited(self, name: str, since: float, parent: Parent, **facts: Any) -> None:
        """Add a span of something that began at `since` and ends now."""
        if self.on:
            with self.span(name, parent, since=min(since, time.time()), **facts):
                pass

    def current(self) -> str | None:
        """Return the traceparent of the open span; None: there is none, or tracing is off."""
        carrier: dict[str, str] = {}
        if self.on:
            self._form.inject(carrier)
        return carrier.get(TRACEPARENT)

    def close(self) -> None:
        """Send what is left."""
        if self._provider is not None:
            self._provider.shutdown()


def exporting(endpoint: str, headers: Mapping[str, str], version: str) -> Tracing:
    """Return tracing that sends its spans to a collector (OTLP over HTTP).

    Args:
        endpoint: full URL, for example http://collector:4318/v1/traces
        headers: sent with them, for example a key.
        version: of this release.

    Raises:
        Misconfigured: the OpenTelemetry SDK is not installed (code `telemetry_missing`).
    """
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise Misconfigured(
            "telemetry.otlp_endpoint is set and the OpenTelemetry SDK is not installed; "
            "pip install 'voice-pipeline[telemetry]'",
            code="telemetry_missing",
        ) from error
    provider = TracerProvider(
        resource=Resource.create({"service.name": "voice-pipeline", "service.version": version})
    )
    exporter = OTLPSpanExporter(endpoint=endpoint, headers=dict(headers), timeout=5)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return Tracing(provider)
