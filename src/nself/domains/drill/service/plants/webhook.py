"""Chapter 6: the endpoint, events that come twice, late or in the wrong order."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable

from nself.db.connect import Tx
from nself.domains.drill import store
from nself.domains.drill.service.bench import Bench, Drill
from nself.gateway import signature

ENDPOINT = "we_123"
STATUS = "nself billing webhook status"
IDEMPOTENCY = "nself billing webhook show-idempotency evt_123"
QUEUE = "nself billing webhook queue-status"
ORDER = "nself billing webhook show-order --object sub_123"
RESTART = "nself restart billing"
CLEAN = "nself billing webhook deduplicate --execute"
REPLAY = "nself billing webhook replay --status failed --since 24h"


def endpoint(bench: Bench, **changes: object) -> None:
    """By hand in the Dashboard."""
    bench.sandbox("POST", "edit", {"kind": "webhook_endpoint", "id": ENDPOINT, "changes": changes})


def damage(act: Callable[[Tx, str], None]) -> Callable[[Bench], None]:
    """To what is stored of evt_123. An effect and the mark that it was made are one transaction here: only a hand parts them."""

    def plant(bench: Bench) -> None:
        with bench.app() as app, app.db.transaction() as tx:
            act(tx, "evt_123")

    return plant


def change(bench: Bench, name: str) -> None:
    """Something happens to sub_123 at Stripe."""
    bench.sandbox("POST", "edit", {"kind": "subscription", "id": "sub_123", "changes": {"metadata": {"drill": name}}})


def events(bench: Bench, *statuses: str) -> int:
    return sum(one["status"] in statuses for one in bench.json("billing webhook events --object sub_123"))


def processed(bench: Bench, name: str) -> None:
    """Something happens to sub_123, and its event is worked at."""
    before = events(bench, "processed")

    def worked_at() -> bool:
        return events(bench, "processed") > before

    change(bench, name)
    bench.wait(worked_at)


# Issue 6.1


def stopped(bench: Bench) -> None:
    bench.nself("stop http")


def led_astray(kind: str, scheme: str) -> Callable[[Bench], None]:
    """The endpoint's address is that of a prop."""

    def plant(bench: Bench) -> None:
        endpoint(bench, url=f"{scheme}://127.0.0.1:{bench.prop(kind)}/webhooks/stripe")

    return plant


def led_back(bench: Bench) -> None:
    bench.end_props()
    with bench.app() as app:
        port = app.settings.integer("BILLING_PORT")
    endpoint(bench, url=f"http://127.0.0.1:{port}/webhooks/stripe")


def switched_off(bench: Bench) -> None:
    endpoint(bench, status="disabled")


def switched_on(bench: Bench) -> None:
    endpoint(bench, status="enabled")


# Issue 6.2


def sent_twice(bench: Bench) -> None:
    """Stripe sends what evt_123 says once more, as another event."""
    with bench.app() as app:
        event = next(one for one in app.stripe.listed("events", limit=100) if one["id"] == "evt_123")
        body = json.dumps({**event, "id": "evt_124"}).encode()
        header = signature.sign(body, app.settings.secrets("STRIPE_WEBHOOK_SECRET")[0], app.clock())
        port = app.settings.integer("BILLING_PORT")
    before = events(bench, "processed")
    request = urllib.request.Request(f"http://127.0.0.1:{port}/webhooks/stripe", body, {"Stripe-Signature": header})
    urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10).close()

    def worked_at() -> bool:
        return events(bench, "processed") > before

    bench.wait(worked_at)


# Issue 6.3


def slow_database(bench: Bench) -> None:
    with bench.app() as app, app.db.transaction() as tx:
        store.slow_subscriptions(tx)
    processed(bench, "one")
    processed(bench, "two")


def quick_database(bench: Bench) -> None:
    with bench.app() as app, app.db.transaction() as tx:
        store.quick_again(tx)
    processed(bench, "three")


def slow_calls(bench: Bench) -> None:
    bench.sandbox("POST", "faults", {"on": "request", "path": "^/v1/subscriptions/sub_123$", "delay": 12, "times": 100})
    change(bench, "late")

    def given_up() -> bool:
        return events(bench, "failed", "failed_permanent") > 0

    bench.wait(given_up, 60)


def quick_calls(bench: Bench) -> None:
    """An attempt that began while calls were slow fails yet; a replay would wait for it and tell its failure."""
    bench.sandbox("POST", "faults/clear", {})
    bench.wait(lambda: not bench.json("billing webhook queue-status")["objects_held"], 60)


# Issue 6.4


def retried(bench: Bench) -> None:
    processed(bench, "younger")
    damage(store.retry_event)(bench)


def switch(cause: str, name: str, line: str) -> Drill:
    """A safety switch that is off."""

    def plant(bench: Bench) -> None:
        bench.append(".env", f"{name}=false")
        bench.nself("restart billing")

    return Drill(cause, plant, ((line, name),), (f"nself env set {name}=true", RESTART))


DRILLS = (
    Drill("6.1.1", stopped, ((STATUS, "endpoint unreachable"),), (RESTART,)),
    Drill("6.1.2", led_astray("silent", "http"), ((STATUS, "firewall blocking Stripe IPs"),), (RESTART,), outside=led_back),
    Drill("6.1.3", led_astray("untrusted", "https"), ((STATUS, "SSL certificate invalid"),), (RESTART,), outside=led_back),
    Drill("6.1.4", switched_off, ((STATUS, "endpoint disabled in Stripe"),), (RESTART,), outside=switched_on),
    switch("6.2.1", "WEBHOOK_IDEMPOTENCY_ENABLED", IDEMPOTENCY),
    Drill("6.2.2", sent_twice, ((IDEMPOTENCY, "evt_124 says the same"),), (CLEAN,)),
    Drill("6.2.3", damage(store.unmark_event), ((IDEMPOTENCY, "not marked as processed"),), (CLEAN,)),
    Drill("6.2.4", damage(store.race_event), ((IDEMPOTENCY, "two workers"),), (CLEAN,)),
    Drill("6.3.1", slow_database, ((QUEUE, "took long in the database"),), (RESTART, REPLAY), outside=quick_database),
    switch("6.3.2", "WEBHOOK_ASYNC_PROCESSING", QUEUE),
    Drill("6.3.3", slow_calls, ((QUEUE, "took longer than WEBHOOK_TIMEOUT"),), (REPLAY,), outside=quick_calls),
    switch("6.3.4", "WEBHOOK_USE_QUEUE", QUEUE),
    switch("6.4.1", "WEBHOOK_SEQUENTIAL_PER_OBJECT", ORDER),
    switch("6.4.2", "WEBHOOK_TRACK_VERSIONS", ORDER),
    Drill(
        "6.4.3", retried, ((ORDER, "tried again and processed after the younger"),),
        ("nself billing subscription rebuild-state sub_123", "nself billing sync subscription sub_123"),
    ),
    switch("6.4.4", "WEBHOOK_USE_LOCKS", ORDER),
)  # fmt: skip
