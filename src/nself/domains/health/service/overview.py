"""The whole system on one page, and the errors of the last hours."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import msgspec

from nself.app import App
from nself.core.entrypoint import Rows
from nself.core.errors import BillingError
from nself.core.period import since
from nself.domains.connection.service import intents
from nself.domains.document.service import queue as documents
from nself.domains.health import rules
from nself.domains.health.inputs import ListErrors, ShowOverview
from nself.domains.health.model import ErrorRow, Overview
from nself.domains.health.service import measured
from nself.domains.measurement import service as measurement
from nself.domains.notification.service import show as mail
from nself.domains.operation.service import maintenance
from nself.domains.stack import service as stack
from nself.domains.stack.inputs import ShowStatus
from nself.domains.stack.model import NoLog
from nself.domains.usage.inputs import ShowAggregation
from nself.domains.usage.service import inspect
from nself.domains.webhook.service import show as webhook
from nself.process.table import DEFAULT

LOGS = ("billing", "mail", "postgres", "stripe-mock", "nginx")
BAD = ("warning", "error", "critical")


def overview(app: App, given: ShowOverview) -> Overview:
    """Starts nothing, asks Stripe nothing."""
    usual = {row.name for row in DEFAULT.usual(app.settings)} - {"stripe-mock"}
    rows = [row for row in stack.states(app, ShowStatus()) if row.service in usual]
    down = [row.service for row in rows if row.state != "running"]
    found = Overview(
        mode=app.settings.text("STRIPE_MODE"),
        services=f"{len(rows) - len(down)} of {len(rows)} run",
        not_running=down,
        database="not asked: it does not run" if "postgres" in down else "answers",
        maintenance=_maintenance(app),
        notes=["nself billing health looks closer", *([f"nself start {' '.join(down)}"] if down else [])],
    )
    if "postgres" in down:
        return found
    try:
        return _with_figures(app, found)
    except BillingError as error:
        return msgspec.structs.replace(found, database=error.message, notes=[*found.notes, "nself db test-connection"])


def _maintenance(app: App) -> str:
    found = maintenance.current(app)
    if found is None:
        return "off"
    return f"on since {found.since:%Y-%m-%dT%H:%M:%SZ} by {found.by}: {found.message}"


def _with_figures(app: App, found: Overview) -> Overview:
    """Raises DatabaseUnavailable."""
    lag, hooks = inspect.show_lag(app, ShowAggregation()), webhook.undone(app)
    with app.db.reading() as tx:
        wishes, pdfs = intents.counts(tx, app.settings.live), documents.counts(tx)
        made = measurement.between(tx, measured.span(app, "1h"))
        mails = mail.waiting(tx)

    def count(name: str, *, errors: bool = False) -> int:
        return sum(one.count for one in made if one.name == name and (rules.is_error(one) or not errors))

    return msgspec.structs.replace(
        found,
        usage_not_folded=lag.pending_events,
        usage_buffered=lag.buffered_events,
        webhooks_waiting=hooks.waiting,
        webhooks_failed=hooks.failed,
        changes_pending=wishes.pending,
        changes_failed=wishes.failed,
        mails_waiting=mails,
        documents_waiting=pdfs.waiting,
        stripe_calls_1h=count(rules.STRIPE),
        stripe_failures_1h=count(rules.STRIPE, errors=True),
        requests_1h=count(rules.HTTP),
        request_errors_1h=count(rules.HTTP, errors=True),
    )


def errors(app: App, given: ListErrors) -> Rows[ErrorRow]:
    """What the logs tell of failures, like ones together, the newest first. Raises InvalidParameter."""
    began = since(given.last, app.clock(), app.timezone, "last")
    found = dict[tuple[str, str], ErrorRow]()
    for source, line in _bad_lines(app, began):
        error, at = rules.said(line), rules.told_at(line)
        before = found.get((source, error))
        found[source, error] = ErrorRow(
            source=source,
            error=error,
            times=(before.times if before else 0) + 1,
            last_at=max(at, before.last_at) if before else at,
            example=rules.example(line),
            help=f"nself logs {source} --since {given.last} --grep {str(line['message']).split()[0]}",
        )
    rows = sorted(found.values(), key=lambda one: one.last_at, reverse=True)[: given.limit]
    return Rows(rows, [] if rows else [f"no error in the last {given.last}"])


def _bad_lines(app: App, began: datetime) -> Iterator[tuple[str, dict[str, object]]]:
    for source in LOGS:
        try:
            for line in stack.entries(app, source, began):
                if line.get("level") in BAD and "message" in line and rules.told_at(line) >= began:
                    yield source, line
        except NoLog:
            continue
