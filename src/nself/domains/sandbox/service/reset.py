"""Putting everything back: the sandbox, the local tables, and with `--fixtures guide` settings and services.

The services that would write meanwhile are stopped first. A reset that was killed is repaired by the next one.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager

import msgspec

from nself import log
from nself.app import App
from nself.core.clock import monotonic
from nself.domains.customer import service as customer
from nself.domains.database import service as database
from nself.domains.mirror import service as mirror
from nself.domains.notification.service import outbox
from nself.domains.quota.inputs import SetQuota
from nself.domains.quota.service import journal
from nself.domains.quota.service import limits as quota
from nself.domains.sandbox import rules, store
from nself.domains.sandbox.inputs import ResetSandbox
from nself.domains.sandbox.model import ResetDone, ResetUnconfirmed, ResetUnderWay, TestModeOnly
from nself.domains.sandbox.service import load
from nself.domains.setting import service as setting
from nself.domains.stack import service as stack
from nself.domains.stack.inputs import RestartServices, ShowStatus, StartServices, StopServices
from nself.domains.subscription import rules as subscription
from nself.domains.usage.service import aggregate, collector, record
from nself.domains.webhook.service import endpoints, process
from nself.domains.webhook.service.receive import receive
from nself.gateway import signature

KEPT_TABLES = (
    "billing_api_keys",
    "billing_operators",
    "billing_operator_links",
    "billing_operator_sessions",
    "billing_service_runs",
    "billing_service_interruptions",
)
"""Who was given a key or an account goes on with it; since when services run has nothing to do with the sandbox."""
MEASURED = ("billing_measured", "billing_measurements")
"""What was measured is kept too, but not where everything begins anew with the guide's fixtures."""


def reset(app: App, given: ResetSandbox) -> ResetDone:
    """Raises TestModeOnly, ResetUnconfirmed, ResetUnderWay, LiveRowsHere, and what its steps raise."""
    if app.settings.live:
        raise TestModeOnly()
    if not given.yes:
        raise ResetUnconfirmed()
    app.ensure_project()
    with _alone(app):
        return _reset(app, given)


@contextmanager
def _alone(app: App) -> Generator[None]:
    """One reset at a time; the lock is gone with its process."""
    descriptor = os.open(app.project.state / "reset.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ResetUnderWay() from None
    else:
        yield
    finally:
        os.close(descriptor)


def _reset(app: App, given: ResetSandbox) -> ResetDone:
    began, guide = monotonic(), given.fixtures == "guide"
    database.refuse_live_rows(app)
    before = {row.service for row in stack.status(app, ShowStatus()) if row.state == "running"}
    changed, kept = setting.replace_all(app, rules.GUIDE_SETTINGS, rules.KEPT_SETTINGS) if guide else ([], None)
    stack.stop(app, StopServices(services=["billing", "mail"]))
    _sandbox_runs(app)
    collector.forget(app)
    journal.forget(app)
    emptied = database.empty(app, KEPT_TABLES if guide else (*KEPT_TABLES, *MEASURED))
    store.admin(app.settings.integer("STRIPE_MOCK_PORT"), "POST", "reset", {})
    loaded = _load_guide(app) if guide else {}
    started = stack.start(app, StartServices(services=[] if guide else sorted(before)))
    log.info("sandbox_reset", fixtures=given.fixtures, emptied=emptied, settings=changed)
    return ResetDone(
        fixtures=given.fixtures,
        loaded=loaded,
        emptied=emptied,
        settings=changed,
        settings_kept_in=str(kept.relative_to(app.project.root)) if kept else None,
        services=[f"{row.service} {row.state}" for row in started],
        seconds=round(monotonic() - began, 1),
    )


def _sandbox_runs(app: App) -> None:
    """With the settings of now."""
    (mock,) = stack.status(app, ShowStatus(services=["stripe-mock"]))
    if mock.changed:
        stack.restart(app, RestartServices(services=["stripe-mock"]))
    elif mock.state != "running":
        stack.start(app, StartServices(services=["stripe-mock"]))


def _load_guide(app: App) -> dict[str, int]:
    """The guide's objects in the sandbox, their mirrors here, and its user with quota and usage."""
    port = app.settings.integer("STRIPE_MOCK_PORT")
    endpoint = rules.endpoint(endpoints.receiver_url(app), rules.GUIDE_SETTINGS["STRIPE_WEBHOOK_SECRET"])
    loaded = store.admin(port, "POST", "fixtures", {"set": "guide"})["loaded"]
    loaded |= store.admin(port, "POST", "fixtures", {"objects": [endpoint]})["loaded"]
    load.load_at_start(app)
    customer.create_users(app, {rules.GUIDE_USER: rules.GUIDE_EMAIL})
    for one in (*app.stripe.listed("customers"), *app.stripe.listed("invoices")):
        mirror.refresh(app, one["object"], one["id"], "fixtures")
    metric, limit = rules.GUIDE_QUOTA
    quota.set_quota(app, SetQuota(user=rules.GUIDE_USER, metric=metric, limit=limit, mode="overage"))
    record.ingest(app, list(rules.guide_usage(app.clock())), "guide")
    aggregate.aggregate(app)
    for event in app.stripe.listed("events"):
        _deliver(app, msgspec.json.encode(event))
    while process.process_due(app):
        pass
    _post_mail(app)
    return loaded


def _post_mail(app: App) -> None:
    newest = next(one for one in app.stripe.listed("invoices") if one["status"] == "paid")
    note = rules.guide_mail(subscription.invoice_data(newest))
    app.db.transact(lambda tx: outbox.post(app, tx, [note], app.clock()))


def _deliver(app: App, body: bytes) -> None:
    """As Stripe would: signed, through the receiver."""
    secret = rules.GUIDE_SETTINGS["STRIPE_WEBHOOK_SECRET"]
    receive(app, body, signature.sign(body, secret, app.clock()))
