"""Traces, as a collector receives them over OTLP: from a request to its call of Stripe, found by the request's id."""

from __future__ import annotations

import gzip
import json
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from guided import Guided, guided
from nself.core import acting
from nself.core.settings import Settings, Value
from nself.domains.job import service as job
from nself.log import JsonFormatter
from nself.measure import measures
from nself.tracing import spans, switch
from ports import free_port
from serving import until


class Collector:
    def __init__(self) -> None:
        self.spans: list[tuple[str, Span]] = []
        self.headers: set[str | None] = set()

    def take(self, body: bytes) -> None:
        for part in ExportTraceServiceRequest.FromString(body).resource_spans:
            named = {one.key: one.value.string_value for one in part.resource.attributes}
            self.spans += [(named["service.name"], span) for scope in part.scope_spans for span in scope.spans]

    def of(self, trace: int) -> list[Span]:
        return [span for _, span in self.spans if int.from_bytes(span.trace_id) == trace]


@contextmanager
def collecting(port: int = 0) -> Iterator[tuple[str, Collector]]:
    found = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            found.headers.add(self.headers["Authorization"])
            found.take(gzip.decompress(body) if self.headers["Content-Encoding"] == "gzip" else body)
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", found
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def collector() -> Iterator[tuple[str, Collector]]:
    with collecting() as made:
        yield made


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("traces")


@pytest.fixture(scope="module")
def target(server: str, template: str, folder: Path, collector: tuple[str, Collector]) -> Iterator[Guided]:
    settings = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"{collector[0]}/",
        "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20mine",
        "OTEL_BSP_SCHEDULE_DELAY": "50",
        "BILLING_LOG_LEVEL": "debug",
    }
    with guided(server, template, folder, **settings) as made:
        yield made


def ask(target: Guided, path: str = "payment-intents/pi_123", **headers: str) -> str:
    """The request's id."""
    answer = requests.get(
        f"{target.url}/api/v1/{path}",
        headers={"Authorization": f"Bearer {target.keys['admin']}", **headers},
        timeout=60,
    )
    return answer.headers["Request-Id"]


def test_a_request_and_its_call_of_stripe_are_one_trace(
    target: Guided, collector: tuple[str, Collector], folder: Path
) -> None:
    request = ask(target)
    found = collector[1]
    until(lambda: any(one.kind == Span.SPAN_KIND_SERVER for one in found.of(spans.trace_of(request))))
    (root,) = [one for one in found.of(spans.trace_of(request)) if one.kind == Span.SPAN_KIND_SERVER]
    calls = [one for one in found.of(spans.trace_of(request)) if one is not root]
    assert root.name == "GET /api/v1/payment-intents/{payment_intent}" and not root.parent_span_id
    told = {one.key: one.value.string_value or one.value.int_value for one in root.attributes}
    assert told == {
        "http.request.method": "GET",
        "http.route": "/api/v1/payment-intents/{payment_intent}",
        "http.response.status_code": 200,
        "nself.task": request,
    }
    assert {one.parent_span_id for one in calls} == {root.span_id}
    assert "stripe GET payment_intents" in [one.name for one in calls]
    assert all(root.start_time_unix_nano <= one.start_time_unix_nano <= one.end_time_unix_nano for one in calls)
    assert {name for name, _ in found.spans} == {"nself-http"} and found.headers == {"Bearer mine"}
    (log,) = folder.rglob("*-http.log")
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    (line, *_) = [one for one in lines if one["message"] == "stripe_request" and one.get("task") == request]
    assert line["request_id"].startswith("req_") and line["request_id"] != request


def test_what_went_wrong_is_told(target: Guided, collector: tuple[str, Collector]) -> None:
    request, found = ask(target, "subscriptions/sub_none"), collector[1]
    until(lambda: found.of(spans.trace_of(request)))
    (root,) = found.of(spans.trace_of(request))
    assert {one.key: one.value.int_value for one in root.attributes}["http.response.status_code"] == 404
    assert root.status.code == Status.STATUS_CODE_UNSET  # the caller's mistake


def test_the_trace_of_the_caller_goes_on(target: Guided, collector: tuple[str, Collector]) -> None:
    found, trace, unwanted = collector[1], "4bf92f3577b34da6a3ce929d0e0e4736", "5bf92f3577b34da6a3ce929d0e0e4736"
    ask(target, traceparent=f"00-{unwanted}-00f067aa0ba902b7-00")
    ask(target, traceparent=f"00-{trace}-00f067aa0ba902b7-01")
    until(lambda: any(one.kind == Span.SPAN_KIND_SERVER for one in found.of(int(trace, 16))))
    (root,) = [one for one in found.of(int(trace, 16)) if one.kind == Span.SPAN_KIND_SERVER]
    assert root.parent_span_id.hex() == "00f067aa0ba902b7" and len(found.of(int(trace, 16))) >= 2
    assert not found.of(int(unwanted, 16))


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        "",
        "00",
        "01-" + "1" * 32 + "-" + "1" * 16 + "-01",
        "00-" + "0" * 32 + "-" + "1" * 16 + "-01",
        "00-" + "G" * 32,
    ],
)
def test_a_header_that_says_nothing_is_none(wrong: str | None) -> None:
    assert spans.caller(wrong) is None


def settings(address: str) -> Settings:
    return Settings([{"OTEL_EXPORTER_OTLP_ENDPOINT": Value(address, "test")}])


@pytest.fixture
def stopped() -> Iterator[None]:
    yield
    switch.stop()


@pytest.mark.usefixtures("stopped")
def test_a_job_is_a_trace_and_the_end_of_a_service_loses_none(target: Guided) -> None:
    with collecting() as (address, found):
        switch.start(settings(address), "worker")
        job.ensure(target.app)
        assert job.run_due(target.app) == 1
        switch.stop()
        assert measures.heard is None
    ((service, root),) = [(name, one) for name, one in found.spans if one.name.startswith("job ")]
    (task,) = [one.value.string_value for one in root.attributes if one.key == "nself.task"]
    assert (
        service == "nself-worker" and task.startswith("job_") and int.from_bytes(root.trace_id) == spans.trace_of(task)
    )


@pytest.mark.usefixtures("stopped")
def test_a_collector_that_is_away_holds_nobody_up_and_is_told_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
    caplog.set_level("INFO", "nself")

    def told() -> list[str]:
        return [one.message for one in caplog.records if one.message.startswith("tracing")]

    port = free_port()
    switch.start(settings(f"http://127.0.0.1:{port}"), "http")
    measures.observe("job", ("one", "ok"), 0.1)
    until(told)
    for _ in range(10_000):  # more than the queue holds
        measures.observe("job", ("many", "ok"), 0.1)
    with collecting(port) as (_, found):
        until(lambda: len(told()) == 2)
        until(lambda: found.spans)
        assert told() == ["tracing_failed", "tracing_back"]
    assert 0 < len(found.spans) < 10_000


def test_requests_do_not_wait_for_a_collector_that_never_answers(server: str, template: str, tmp_path: Path) -> None:
    """It takes connections; were they waited for, each request would take SEND_SECONDS."""
    with socket.create_server(("127.0.0.1", 0)) as hole:
        environ = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{hole.getsockname()[1]}",
            "OTEL_BSP_SCHEDULE_DELAY": "50",
        }
        with guided(server, template, tmp_path, **environ) as made:
            began = time.monotonic()
            assert all(ask(made).startswith("req_") for _ in range(20))
            assert time.monotonic() - began < 60
            (log,) = tmp_path.rglob("*-http.log")
            until(lambda: "tracing_failed" in log.read_text())
        assert log.read_text().count("tracing_failed") == 1


def why_off(caplog: pytest.LogCaptureFixture) -> str:
    """What the log says of it, once."""
    (line,) = [JsonFormatter("http").format(one) for one in caplog.records if one.message == "tracing_off"]
    return str(json.loads(line)["detail"])


def test_without_the_extra_the_service_goes_on_and_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "nself")
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    monkeypatch.delitem(sys.modules, "nself.tracing.otlp", raising=False)
    switch.start(settings("http://127.0.0.1:1"), "http")
    assert measures.heard is None
    assert "pip install 'nself-billing[otel]'" in why_off(caplog)


def test_an_address_that_is_none_keeps_no_service_from_starting(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "nself")
    switch.start(settings("nonsense"), "http")
    assert measures.heard is None
    assert "OTEL_EXPORTER_OTLP_ENDPOINT is 'nonsense'" in why_off(caplog)


@pytest.mark.usefixtures("stopped")
def test_variables_that_opentelemetry_refuses_keep_no_service_from_starting(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A queue that is smaller than the SDK's own batch of 512."""
    caplog.set_level("INFO", "nself")
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "100")
    switch.start(settings("http://127.0.0.1:1"), "http")
    assert measures.heard is None
    assert "max_queue_size" in why_off(caplog)


def test_what_is_measured_outside_of_a_task_is_a_trace_of_its_own() -> None:
    first, second = spans.place("stripe_request", None), spans.place("stripe_request", None)
    assert first.parent is None and first.trace != second.trace
    task = acting.new_task("job_7")
    assert spans.place("job", task) == (spans.trace_of("job_7"), task.span, None)
    assert spans.place("stripe_request", task)[::2] == (spans.trace_of("job_7"), task.span)
