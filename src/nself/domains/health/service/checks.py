"""Looks at each part of the system. A check never raises: what it cannot find out is what it tells."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

from nself.app import App
from nself.core.clock import monotonic
from nself.core.errors import BillingError
from nself.core.period import Period
from nself.db.connect import unavailable
from nself.domains.catalog import service as catalog
from nself.domains.connection.inputs import TestConnection
from nself.domains.connection.service import intents, walk
from nself.domains.database import service as database
from nself.domains.database.inputs import ShowStatus as ShowDatabase
from nself.domains.document.service import queue as documents
from nself.domains.health import rules, store
from nself.domains.health.inputs import Component, ShowHealth
from nself.domains.health.model import Check, Health, State
from nself.domains.job import service as job
from nself.domains.job.inputs import ListJobs
from nself.domains.measurement import service as measurement
from nself.domains.notification.inputs import ShowConfig as ShowMail
from nself.domains.notification.service import show as mail
from nself.domains.operation.service import maintenance
from nself.domains.quota.inputs import ShowJournal
from nself.domains.quota.service import journal
from nself.domains.setting import service as setting
from nself.domains.stack import service as stack
from nself.domains.stack.inputs import ShowStatus
from nself.domains.usage.inputs import ShowAggregation, ShowCollector, UsageStatus
from nself.domains.usage.service import collector, inspect
from nself.domains.usage.service import show as usage
from nself.domains.webhook.inputs import WebhookStatus
from nself.domains.webhook.service import status as webhook

RECENT = timedelta(minutes=15)
NEEDED = ("http", "worker", "usage-collector", "pdf-generator", "mail")
Look = Callable[[App], Iterator[Check]]


def health(app: App, given: ShowHealth) -> Health:
    """What is wrong now, part by part. Starts nothing and changes nothing."""
    began = monotonic()
    components: list[Component] = [given.component] if given.component else list(LOOKS)
    found = [check for one in components for check in _looked(app, one, LOOKS[one])]
    failed = sum(one.state == "failed" for one in found)
    return Health(
        healthy=not failed,
        mode=app.settings.text("STRIPE_MODE"),
        failed=failed,
        warnings=sum(one.state == "warning" for one in found),
        milliseconds=round((monotonic() - began) * 1000),
        checks=found,
    )


def _looked(app: App, component: Component, look: Look) -> list[Check]:
    found = list[Check]()
    try:
        found.extend(look(app))
    except Exception as error:  # one part that cannot be looked at must not hide the others
        known = error if isinstance(error, BillingError) else unavailable(error)
        help = known.hint[0] if known and known.hint else "nself logs billing --level error --tail 20"
        found.append(rules.check(component, "answers", "failed", known.message if known else str(error), help))
    return found


def _services(app: App) -> Iterator[Check]:
    for row in stack.states(app, ShowStatus()):
        if row.service not in NEEDED and not (row.service == "postgres" and row.state != "external"):
            continue
        state: State = "ok" if row.state == "running" else "failed"
        detail = f"{row.state}{', ' + row.note if row.note else ''}"
        if row.changed and state == "ok":
            yield rules.check("services", row.service, "warning", detail, f"nself restart {row.service}")
        else:
            yield rules.check("services", row.service, state, detail, f"nself start {row.service}")

    found = maintenance.current(app)
    yield rules.check(
        "services",
        "maintenance",
        "warning" if found else "ok",
        f"on: {found.message}" if found else "off",
        "nself maintenance off",
    )


def _settings(app: App) -> Iterator[Check]:
    bad, unread = list(setting.unusable(app)), app.settings.notes
    for one in bad:
        yield rules.check("settings", one.name, "failed" if one.wrong else "warning", one.detail, one.help)
    for note in unread:
        yield rules.check("settings", "files", "warning", note, "nself env list --changed")
    if not bad and not unread:
        yield rules.check("settings", "values", "ok", "all can be used")
    if (app.project.config / "overage-tiers.yml").exists():  # reading writes the defaults where there is none
        catalog.overage_prices(app)
        yield rules.check("settings", "prices", "ok", "overage-tiers.yml can be read")


def _database(app: App) -> Iterator[Check]:
    found = database.status(app, ShowDatabase())
    yield rules.check("database", "answers", "ok", f"{found.server}, {found.size}")
    used = found.connections * 100 // max(1, found.max_connections)
    yield rules.free(
        "database",
        "connections",
        100 - used,
        100 - rules.CONNECTIONS_HIGH,
        1,
        f"{found.connections} of {found.max_connections}",
        "nself env set BILLING_DB_POOL_SIZE=5",
    )
    odd = found.migrations_changed or found.migrations_missing
    yield rules.check(
        "database", "schema", "warning" if odd else "ok", f"{found.migrations_applied} migrations", "nself db status"
    )


def _stripe(app: App) -> Iterator[Check]:
    walked = walk.test_connection(app, TestConnection())
    for one in walked.steps:
        if one.state in ("failed", "warning") and one.step != "webhook":
            yield rules.check(
                "stripe",
                one.step,
                one.state,
                walked.cause or one.detail,
                walked.help or "nself billing stripe test-connection",
            )
    if walked.ok:
        yield rules.check("stripe", "answers", "ok", f"{walked.account}, {walked.mode} mode")
    now = app.clock()
    with app.db.reading() as tx:
        wishes = intents.counts(tx, app.settings.live)
        made = measurement.between(tx, Period(now - RECENT, now + RECENT), rules.STRIPE)
    calls, failed = sum(one.count for one in made), sum(one.count for one in made if rules.is_error(one))
    share = failed * 100 // calls if calls else 0
    yield rules.check(
        "stripe",
        "calls",
        "warning" if share >= rules.FAILING else "ok",
        f"{failed} of {calls} failed in the last {RECENT // timedelta(minutes=1)} minutes",
        "nself billing metrics requests --last 1h",
    )
    late = bool(wishes.oldest_pending_at and now - wishes.oldest_pending_at > rules.LATE)
    yield rules.check(
        "stripe",
        "changes",
        "warning" if late or wishes.failed else "ok",
        f"{wishes.pending} wait, {wishes.failed} were refused for good",
        f"nself billing stripe intents --state {'pending' if late else 'failed'}",
    )
    yield _charging(app)


def _charging(app: App) -> Check:
    """An emergency's switch that was left on is as silent as an outage."""
    switches = {"BILLING_SAFE_MODE": True, "BILLING_AUTO_PAYMENT": False, "BILLING_QUEUE_PAYMENTS": True}
    held = [name for name, when in switches.items() if app.settings.flag(name) == when]
    if not held:
        return rules.check("stripe", "charging", "ok", "payments are made at once")
    told = " and ".join(f"{name} is {str(switches[name]).lower()}" for name in held)
    back = " ".join(f"{name}={str(not switches[name]).lower()}" for name in held)
    wait = intents.unpaid(app).queued
    return rules.check("stripe", "charging", "warning", f"{told}: {wait} payments wait", f"nself env set {back}")


def _usage(app: App) -> Iterator[Check]:
    found = collector.status(app, ShowCollector())
    for one in found.problems:
        yield rules.check("usage", one.code, "failed", one.cause, one.mend)
    if not found.problems:
        yield rules.check("usage", "collector", "ok", f"{found.collector}, {found.buffered_events} in the buffer")
    lag = inspect.show_lag(app, ShowAggregation())
    late = lag.lag_seconds > max(rules.LATE.total_seconds(), 3 * app.settings.seconds("USAGE_AGGREGATION_INTERVAL"))
    yield rules.check(
        "usage",
        "aggregation",
        "warning" if late else "ok",
        f"{lag.lag_seconds} s behind",
        "nself billing usage aggregate",
    )
    law = usage.status(app, UsageStatus())
    yield rules.check(
        "usage",
        "conservation",
        "ok" if law.balanced else "failed",
        "accepted = counted + duplicate + rejected + pending" if law.balanced else "the counts do not add up",
        "nself billing usage status",
    )


def _webhooks(app: App) -> Iterator[Check]:
    found = webhook.status(app, WebhookStatus())
    for one in found.problems:
        yield rules.check("webhooks", one.cause, "warning", one.detail, one.command)
    yield rules.check(
        "webhooks",
        "processing",
        "failed" if found.lag_seconds > rules.LATE.total_seconds() else "ok",
        f"{found.waiting} wait, {found.failed} failed, {found.received_1h} came in the last hour",
        "nself billing webhook queue-status",
    )


def _quotas(app: App) -> Iterator[Check]:
    enforced = app.settings.flag("QUOTA_ENFORCEMENT_ENABLED")
    yield rules.check(
        "quotas",
        "enforcement",
        "ok" if enforced else "warning",
        "on" if enforced else "off: every request is allowed",
        "nself env set QUOTA_ENFORCEMENT_ENABLED=true",
    )
    resets = job.schedule(app, "quota_reset")
    yield rules.check(
        "quotas",
        "resets",
        "warning" if resets.note else "ok",
        resets.note or f"next {resets.next_at:%H:%M:%SZ}",
        "nself restart billing",
    )
    left = journal.status(app, ShowJournal())
    yield rules.check(
        "quotas",
        "journal",
        "warning" if left.waiting_requests else "ok",
        f"{left.waiting_requests} requests that were let through wait to be settled",
        "nself billing quota journal",
    )


def _jobs(app: App) -> Iterator[Check]:
    stuck = job.list_jobs(app, ListJobs(status="stuck"))
    yield rules.check(
        "jobs",
        "stuck",
        "warning" if stuck else "ok",
        ", ".join(one.type for one in stuck) or "none",
        "nself billing jobs clear --status stuck",
    )
    failing = [one for one in sorted(job.kinds(app)) if (last := _last(app, one)) and last == "failed"]
    yield rules.check(
        "jobs",
        "failing",
        "warning" if failing else "ok",
        ", ".join(failing) or "none",
        "nself billing jobs list --status failed",
    )


def _last(app: App, type: str) -> str | None:
    """How the newest finished piece of work of that kind ended."""
    over = [one for one in job.list_jobs(app, ListJobs(type=type)) if one.finished_at]
    return over[0].status if over else None


def _mail(app: App) -> Iterator[Check]:
    found = mail.show_config(app, ShowMail())
    if not found.enabled:
        yield rules.check("mail", "enabled", "ok", "off: nobody is mailed (MAIL_ENABLED)")
        return
    for one in found.problems:
        yield rules.check("mail", "setup", "warning", one, "nself billing email show-config")
    yield rules.check("mail", "queue", "ok", f"{found.queued} wait")


def _documents(app: App) -> Iterator[Check]:
    with app.db.reading() as tx:
        counts = documents.counts(tx)
    yield rules.check(
        "documents",
        "pdfs",
        "warning" if counts.failed else "ok",
        f"{counts.waiting} wait, {counts.failed} could not be made",
        "nself billing invoice list",
    )


def _machine(app: App) -> Iterator[Check]:
    for name, folder in store.places(app.project).items():
        disk = store.disk(folder)
        yield rules.free(
            "machine",
            name,
            disk.percent,
            rules.DISK_LOW,
            rules.DISK_FULL,
            f"{disk.percent} % free, {disk.free // 2**20} MB: {folder}",
            "nself db partition billing_usage",
        )
    memory = store.memory()
    yield rules.free(
        "machine",
        "memory",
        memory.percent,
        rules.MEMORY_LOW,
        1,
        f"{memory.percent} % available, {memory.free // 2**20} MB",
        "nself status",
    )


LOOKS: dict[Component, Look] = {
    "services": _services,
    "settings": _settings,
    "database": _database,
    "stripe": _stripe,
    "usage": _usage,
    "webhooks": _webhooks,
    "quotas": _quotas,
    "jobs": _jobs,
    "mail": _mail,
    "documents": _documents,
    "machine": _machine,
}
