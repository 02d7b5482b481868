"""Traces: one a call, over API, queues and workers; off unless somebody asked for them."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import INVALID_SPAN
from quick import Running, hand_in, running, settled

from voice_pipeline import kit
from voice_pipeline.config import load_settings
from voice_pipeline.errors import BadInput, Misconfigured
from voice_pipeline.tracing import Tracing, exporting

# A client's own trace, as its header says it.
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
HEADER = f"00-{TRACE}-{PARENT}-01"


@pytest.fixture(scope="module")
def spans() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture(scope="module")
def service(
    tmp_path_factory: pytest.TempPathFactory, spans: InMemorySpanExporter
) -> Iterator[Running]:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    with ExitStack() as stack:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(kit, "build_tracing", lambda _settings: Tracing(provider))
            folder = tmp_path_factory.mktemp("traces") / "data"
            run = stack.enter_context(running(folder, serve={"lanes": ["gpu"]}))
        yield run


def of_call(spans: InMemorySpanExporter, call: str) -> dict[str, ReadableSpan]:
    return {
        span.name: span
        for span in spans.get_finished_spans()
        if (span.attributes or {}).get("voice_pipeline.call") == call
    }


def test_a_call_is_one_trace_from_its_upload_on(
    service: Running, spans: InMemorySpanExporter
) -> None:
    """The stage that another worker did in its lane stands in the trace of the client's upload."""
    with service.client() as client:
        client.headers["traceparent"] = HEADER
        call = hand_in(client)
        settled(client, call)
    found = of_call(spans, call)
    assert {"call", "queue calls", "queue gpu", "stage ingest", "stage transcribe",
            "stage release"} <= set(found)  # fmt: skip
    assert {f"{span.context.trace_id:032x}" for span in found.values()} == {TRACE}
    upload = next(
        span for span in spans.get_finished_spans()
        if (span.attributes or {}).get("http.route") == "/v1/calls"
        and f"{span.context.trace_id:032x}" == TRACE
    )  # fmt: skip
    assert upload.parent is not None and f"{upload.parent.span_id:016x}" == PARENT
    whole, heard = found["call"], found["stage transcribe"]
    assert whole.parent is not None and whole.parent.span_id == upload.context.span_id
    assert heard.start_time is not None and heard.end_time is not None
    assert whole.start_time is not None and whole.start_time <= heard.start_time


def test_spans_say_codes_and_no_content(service: Running, spans: InMemorySpanExporter) -> None:
    """A stage that failed shows its code; no span, event or attribute has a word of the call."""
    with service.client() as client:
        failed = hand_in(client, b"broken sound", "wombat.wav", agent="kwanary")
        settled(client, failed)
        settled(client, hand_in(client, b"RIFF aardvark", "wombat.wav", agent="kwanary"))
        client.get("/v1/search", params={"q": "kwanary"})
    span = of_call(spans, failed)["stage ingest"]
    assert not span.status.is_ok and span.attributes is not None
    assert span.attributes["voice_pipeline.code"] == "damaged_audio"
    text = " ".join(one.to_json() for one in spans.get_finished_spans()).lower()
    said = ["kwanary", "wombat", "aardvark", "parcel", "four one", "header is broken"]
    assert not [word for word in said if word in text]


def test_off_means_nothing_happens() -> None:
    """Without a collector no span is made, no id kept, and nothing that could send is loaded."""
    off = kit.build_tracing(load_settings(None))
    assert not off.on and off.current() is None
    with off.span("call", lambda: pytest.fail("nobody asks"), call="c") as span:
        assert span is INVALID_SPAN
    with pytest.raises(BadInput), off.span("call"):
        raise BadInput("bad")


def test_spans_arrive_at_a_collector() -> None:
    """OTLP over HTTP, with the headers of the settings, to the address of the settings only."""
    arrived: list[tuple[str, str | None, int]] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["content-length"])
            self.rfile.read(length)
            arrived.append((self.path, self.headers["x-key"], length))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    server = HTTPServer(("127.0.0.1", 0), Collector)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    endpoint = f"http://127.0.0.1:{server.server_port}/v1/traces"
    tracing = exporting(endpoint, {"x-key": "k"}, "1")
    with tracing.span("call", call="c1"):
        pass
    tracing.close()
    server.shutdown()
    assert [(path, key) for path, key, _ in arrived] == [("/v1/traces", "k")]
    assert arrived[0][2] > 50


def test_a_collector_without_the_sdk_is_said_at_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who sets an endpoint and lacks the extra learns which to install."""
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    chosen = load_settings(None, telemetry={"otlp_endpoint": "http://127.0.0.1:1/v1/traces"})
    with pytest.raises(Misconfigured, match="telemetry") as caught:
        kit.build_tracing(chosen)
    assert caught.value.code == "telemetry_missing"


def test_the_trace_is_kept_with_the_call(service: Running) -> None:
    """Another machine finds it: the register has the traceparent of the upload."""
    with service.client() as client:
        client.headers["traceparent"] = HEADER
        call = hand_in(client)
        settled(client, call)
    row = service.service.kit.store.register.get(call)
    assert row is not None and row.trace is not None and row.trace.split("-")[1] == TRACE
