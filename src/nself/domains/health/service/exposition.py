"""`/metrics`: what all processes of this project counted, and how things stand, in Prometheus' text format (0.0.4).

The names are a promise: docs/metrics.md lists them, docs/alerts.yml builds on them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from nself.app import App
from nself.core.errors import BillingError
from nself.db.connect import unavailable
from nself.domains.connection.service import intents
from nself.domains.document.service import queue as documents
from nself.domains.health import store
from nself.domains.health.model import Sample
from nself.domains.job import service as job
from nself.domains.job.inputs import ListJobs
from nself.domains.measurement import service as measurement
from nself.domains.measurement.model import Total
from nself.domains.notification.service import show as mail
from nself.domains.operation.service import maintenance
from nself.domains.usage.inputs import ShowAggregation
from nself.domains.usage.service import collector, inspect
from nself.domains.webhook.service import show as webhook
from nself.measure import BOUNDS, LABELS, Name

HISTOGRAMS: dict[Name, tuple[str, str]] = {
    "http_request": ("nself_http_requests_seconds", "Requests to the HTTP API"),
    "stripe_request": ("nself_stripe_requests_seconds", "Calls to Stripe, each try"),
    "job": ("nself_jobs_seconds", "Scheduled work"),
    "webhook_delivery": ("nself_webhook_deliveries_seconds", "Deliveries of webhooks; outcome is ok or why refused"),
    "webhook": ("nself_webhooks_seconds", "Processing of events"),
    "mail": ("nself_notifications_seconds", "Tries to send mail and webhooks of our own"),
    "pdf": ("nself_documents_seconds", "Making of PDFs"),
    "stripe_cache": ("nself_stripe_cache_seconds", "Reads that the cache may answer"),
    "operation": (
        "nself_operations_seconds",
        "Long operations that whoever asked waited for; asked_by is request or command, outcome ok or failed",
    ),
    "database": (
        "nself_database_waits_seconds",
        "Waits for a connection of a busy pool; outcome is waited, no_connection or, of a statement, cancelled",
    ),
}
GAUGES = {
    "nself_up": "1 while the database answers",
    "nself_maintenance": "1 while the API is closed for maintenance",
    "nself_disk_free_ratio": "Share that is free of the project's file system, or of the embedded database's where that has less",
    "nself_memory_available_ratio": "Share of the machine's memory that is available",
    "nself_usage_buffered_events": "Events that wait on disk for the database",
    "nself_usage_pending_events": "Stored events that no rollup counts yet",
    "nself_usage_lag_seconds": "How far rollups are behind",
    "nself_usage_last_timestamp_seconds": "When usage last came in; 0 = never",
    "nself_webhooks_waiting": "Events that wait to be processed",
    "nself_webhooks_failed": "Events that failed for good",
    "nself_webhooks_oldest_waiting_seconds": "Age of the oldest event that waits",
    "nself_webhooks_last_timestamp_seconds": "When a webhook last came in; 0 = never",
    "nself_intents_pending": "Changes at Stripe that wait",
    "nself_intents_failed": "Changes that Stripe refused for good",
    "nself_intents_oldest_pending_seconds": "Age of the oldest change that waits",
    "nself_jobs_stuck": "Pieces of scheduled work whose worker does not answer",
    "nself_mails_waiting": "Mails that wait to be sent",
    "nself_documents_waiting": "PDFs that wait to be made",
    "nself_documents_failed": "PDFs that could not be made",
    "nself_stripe_key_age_seconds": "How long this project has known its present Stripe key",
}


def exposition(app: App) -> str:
    """Also while the database is away: nself_up is 0 then, and what only it knows is missing."""
    found = {one.name: one.value for one in _local(app)}
    totals: list[Total] = []
    try:
        found |= {one.name: one.value for one in _stored(app)} | {"nself_up": 1}
        with app.db.reading() as tx:
            totals = measurement.ever(tx)
    except Exception as error:
        if not (isinstance(error, BillingError) or unavailable(error)):
            raise
        found["nself_up"] = 0
    gauges = (line for name, help in GAUGES.items() if name in found for line in _gauge(name, help, found[name]))
    histograms = (line for name, (shown, help) in HISTOGRAMS.items() for line in _histogram(name, shown, help, totals))
    return "\n".join([*gauges, *histograms, ""])


def _local(app: App) -> Iterator[Sample]:
    """What is known without the database."""
    disks, memory = [store.disk(one) for one in store.places(app.project).values()], store.memory()
    yield Sample("nself_maintenance", int(maintenance.current(app) is not None))
    yield Sample("nself_disk_free_ratio", min(one.free / max(1, one.total) for one in disks))
    yield Sample("nself_memory_available_ratio", memory.free / max(1, memory.total))
    yield Sample("nself_usage_buffered_events", collector.waiting(app).events)
    key = app.settings.text("STRIPE_SECRET_KEY")
    if key:
        yield Sample("nself_stripe_key_age_seconds", store.key_age(app.project, key, app.clock()))


def _stored(app: App) -> Iterator[Sample]:
    """Raises DatabaseUnavailable."""
    now = app.clock()
    lag, hooks = inspect.show_lag(app, ShowAggregation()), webhook.undone(app)
    with app.db.reading() as tx:
        wishes, pdfs = intents.counts(tx, app.settings.live), documents.counts(tx)
        mails, used_at = mail.waiting(tx), inspect.last_recorded_at(tx)
    yield Sample("nself_usage_pending_events", lag.pending_events)
    yield Sample("nself_usage_lag_seconds", lag.lag_seconds)
    yield Sample("nself_usage_last_timestamp_seconds", _at(used_at))
    yield Sample("nself_webhooks_waiting", hooks.waiting)
    yield Sample("nself_webhooks_failed", hooks.failed)
    yield Sample("nself_webhooks_oldest_waiting_seconds", _age(hooks.oldest_waiting_at, now))
    yield Sample("nself_webhooks_last_timestamp_seconds", _at(hooks.last_received_at))
    yield Sample("nself_intents_pending", wishes.pending)
    yield Sample("nself_intents_failed", wishes.failed)
    yield Sample("nself_intents_oldest_pending_seconds", _age(wishes.oldest_pending_at, now))
    yield Sample("nself_jobs_stuck", len(job.list_jobs(app, ListJobs(status="stuck"))))
    yield Sample("nself_mails_waiting", mails)
    yield Sample("nself_documents_waiting", pdfs.waiting)
    yield Sample("nself_documents_failed", pdfs.failed)


def _at(at: datetime | None) -> float:
    return at.timestamp() if at else 0


def _age(at: datetime | None, now: datetime) -> float:
    return max(0.0, (now - at).total_seconds()) if at else 0


def _gauge(name: str, help: str, value: float) -> Iterable[str]:
    return f"# HELP {name} {help}", f"# TYPE {name} gauge", f"{name} {value}"


def _histogram(name: Name, shown: str, help: str, totals: Iterable[Total]) -> Iterator[str]:
    yield f"# HELP {shown} {help}"
    yield f"# TYPE {shown} histogram"
    for one in totals:
        if one.name == name:
            labels = ",".join(
                f'{label}="{_escaped(value)}"' for label, value in zip(LABELS[name], one.labels, strict=True)
            )
            reached = 0
            for bound, count in zip((*BOUNDS, "+Inf"), one.counts, strict=True):
                reached += count
                yield f'{shown}_bucket{{{labels},le="{bound}"}} {reached}'
            yield f"{shown}_sum{{{labels}}} {one.seconds}"
            yield f"{shown}_count{{{labels}}} {one.count}"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
