"""Spans on their way to the collector. Needs the extra `otel`."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from time import time_ns

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from nself import log
from nself.core import acting
from nself.measure import Name
from nself.tracing.spans import TASKS, TRACED, attributes, failed, place, title, told

SEND_SECONDS = 5.0
"""Longest time for one answer of the collector."""
KINDS: dict[Name, SpanKind] = {
    "http_request": SpanKind.SERVER,
    "stripe_request": SpanKind.CLIENT,
    "webhook": SpanKind.CONSUMER,
}
SAMPLED = TraceFlags(TraceFlags.SAMPLED)
SCOPE = InstrumentationScope("nself")
# The library tells each try; who reads our log is told once, below.
logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)


class _Telling(SpanExporter):
    """Tells when the collector is away, and when it is back."""

    def __init__(self, exporter: SpanExporter, address: str) -> None:
        self._exporter, self._address, self._away = exporter, address, False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        found = self._exporter.export(spans)
        if (away := found is not SpanExportResult.SUCCESS) != self._away:
            self._away = away
            (log.warning if away else log.info)("tracing_failed" if away else "tracing_back", collector=self._address)
        return found

    def shutdown(self) -> None:
        self._exporter.shutdown()


class Sender:
    """A queue of bounded length, sent by a thread of its own: spans that it cannot hold are lost, and nobody waits."""

    def __init__(self, address: str, headers: dict[str, str], service: str) -> None:
        exporter = OTLPSpanExporter(address, headers=headers, timeout=SEND_SECONDS)
        self._processor = BatchSpanProcessor(_Telling(exporter, address))
        self._resource = Resource.create({"service.name": f"nself-{service}"})

    def hear(self, name: Name, labels: tuple[str, ...], seconds: float, times: int) -> None:
        """Something that was measured has just ended."""
        task, ended = acting.task.get(), time_ns()
        if name in TRACED and not (task and task.caller and not task.caller.sampled):
            began = ended - round(seconds * 1e9)
            self._processor.on_end(self._span(name, told(name, labels), task, (began, ended), times))

    def _span(
        self, name: Name, labels: dict[str, str], task: acting.Task | None, span: tuple[int, int], times: int
    ) -> ReadableSpan:
        at = place(name, task)
        return ReadableSpan(
            title(name, labels),
            context=SpanContext(at.trace, at.span, is_remote=False, trace_flags=SAMPLED),
            parent=None if at.parent is None else SpanContext(at.trace, at.parent, is_remote=name in TASKS),
            resource=self._resource,
            attributes=attributes(labels, task, times),
            kind=KINDS.get(name, SpanKind.INTERNAL),
            status=Status(StatusCode.ERROR if failed(labels) else StatusCode.UNSET),
            start_time=span[0],
            end_time=span[1],
            instrumentation_scope=SCOPE,
        )

    def end(self) -> None:
        self._processor.shutdown()
