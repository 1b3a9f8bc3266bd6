"""Every page, by its commands."""

from __future__ import annotations

from nself.domains.operator import rules
from nself.web.model import QUOTA, REVENUE, USAGE, Deed, Page, Panel

AFFECTED = {"since": "24h", "status": "suspicious", "output": "affected.csv"}
"""The file that refunds are planned from."""
EVENT = tuple(
    "type object status source livemode api_version deliveries attempts made_at received_at tried_at processed_at fetch_ms took_ms error effects".split()
)
PAGES = (
    Page(
        "/",
        "Overview",
        (
            Panel("Status", "billing status", every=5),
            Panel("Health", "billing health", within="checks", every=30, late=True),
            Panel(
                "Root causes",
                "billing doctor",
                within="findings",
                columns=("cause", "title", "sure", "evidence", "because", "mend"),
                late=True,
            ),
            Panel("Revenue", "billing revenue", {"months": "12"}, every=60, late=True, chart=REVENUE),
            Panel("Usage this month", "billing usage totals", {"by": "day"}, every=60, late=True, chart=USAGE),
            Panel("Failed payments", "billing payments failures", {"last": "24h"}, every=30),
            Panel("Usage lag", "billing usage show-lag", every=15),
            Panel("Calls to Stripe", "billing stripe rate-limits", every=15),
            Panel("Times", "billing performance", every=30),
            Panel("Errors", "billing errors", {"last": "24h"}, every=30),
        ),
        menu="Overview",
    ),
    Page(
        "/customers",
        "Customers",
        (Panel("Customers", "billing customer list", asks=("search", "user", "limit")),),
        (Deed("Create a customer", "billing customer create"), Deed("Import from Stripe", "billing customer import")),
        menu="Customers",
    ),
    Page(
        "/customers/{id}",
        "Customer {id}",
        (
            Panel("Customer", "billing customer show", {"customer": "{id}"}),
            Panel("Revenue", "billing revenue", {"customer": "{id}", "months": "3"}, within="subscriptions"),
            Panel("Subscriptions", "billing subscription list", {"customer": "{id}"}),
            Panel("Invoices", "billing invoice list", {"customer": "{id}"}),
            Panel("Payment methods", "billing payment-method list", {"customer": "{id}"}),
            Panel("Failed payments", "billing payments failures", {"customer": "{id}"}),
            Panel("What happened", "billing customer timeline", {"customer": "{id}"}, asks=("since",), late=True),
        ),
        (
            Deed("Update", "billing customer update", {"customer": "{id}"}),
            Deed("Link to a user", "billing customer link", {"customer": "{id}"}),
            Deed("Mail them", "billing customer notify", {"customer": "{id}"}),
            Deed("Set from Stripe", "billing sync customer", {"customer": "{id}"}),
        ),
    ),
    Page(
        "/users/{id}",
        "User {id}",
        (
            Panel("Quotas", "billing quota status", {"user": "{id}"}, bars=QUOTA, every=15),
            Panel("Usage", "billing usage show", {"user": "{id}"}, every=15),
            Panel(
                "Usage over time",
                "billing usage show",
                {"user": "{id}", "by": "day"},
                asks=("period", "by"),
                chart=USAGE,
            ),
            Panel("Access", "billing access show", {"user": "{id}"}),
            Panel("Resets", "billing quota show-resets", {"user": "{id}"}),
            Panel("Counted and stored", "billing usage compare", {"user": "{id}"}, late=True),
            Panel("What happened", "billing customer timeline", {"user": "{id}"}, asks=("since",), late=True),
        ),
        (
            Deed("Set a quota", "billing quota set", {"user": "{id}"}),
            Deed("Unblock", "billing quota unblock", {"user": "{id}"}),
            Deed("Reset quotas", "billing quota reset", {"user": "{id}"}),
            Deed("Revoke access", "billing access revoke", {"user": "{id}"}),
            Deed("Grant access", "billing access grant", {"user": "{id}"}),
            Deed("Record usage", "billing usage record", {"user": "{id}"}),
        ),
    ),
    Page(
        "/subscriptions",
        "Subscriptions",
        (Panel("Subscriptions", "billing subscription list", asks=("status", "limit")),),
        (Deed("Create a subscription", "billing subscription create"),),
        menu="Subscriptions",
    ),
    Page(
        "/subscriptions/{id}",
        "Subscription {id}",
        (
            Panel("Subscription", "billing subscription show", {"subscription": "{id}"}),
            Panel("Prorations", "billing subscription prorations", {"subscription": "{id}"}, late=True),
            Panel("Timeline", "billing webhook timeline", {"object": "{id}"}),
            Panel("Against Stripe", "billing subscription compare", {"subscription": "{id}"}, late=True),
        ),
        (
            Deed("Change", "billing subscription update", {"subscription": "{id}"}),
            Deed("Cancel", "billing subscription cancel", {"subscription": "{id}"}),
            Deed("Reactivate", "billing subscription reactivate", {"subscription": "{id}"}),
            Deed("Set from Stripe", "billing sync subscription", {"subscription": "{id}"}),
        ),
    ),
    Page(
        "/invoices",
        "Invoices",
        (
            Panel("Invoices", "billing invoice list", asks=("status", "limit")),
            Panel("What could not be made", "billing invoice errors", {"last": "24h"}),
        ),
        menu="Invoices",
    ),
    Page(
        "/invoices/{id}",
        "Invoice {id}",
        (
            Panel("Invoice", "billing invoice show", {"invoice": "{id}"}),
            Panel("Lines", "billing invoice show-lines", {"invoice": "{id}"}),
            Panel("Audit", "billing invoice audit", {"invoice": "{id}"}, late=True),
            Panel("PDF", "billing invoice pdf-status", {"invoice": "{id}"}),
        ),
        (
            Deed("Explain a line", "billing invoice explain", {"invoice": "{id}"}),
            Deed("Add an item", "billing invoice add-item", {"invoice": "{id}"}),
            Deed("Remove an item", "billing invoice remove-item", {"invoice": "{id}"}),
            Deed("Finalize", "billing invoice finalize", {"invoice": "{id}"}),
            Deed("Pay", "billing invoice pay", {"invoice": "{id}"}),
            Deed("Send", "billing invoice send", {"invoice": "{id}"}),
            Deed("Void", "billing invoice void", {"invoice": "{id}"}),
            Deed("Make the PDF anew", "billing invoice regenerate-pdf", {"invoice": "{id}"}),
        ),
    ),
    Page(
        "/revenue",
        "Revenue",
        (
            Panel(
                "Revenue by month", "billing revenue", asks=("month", "months", "currency"), chart=REVENUE, late=True
            ),
            Panel("Failed payments", "billing payments failures", {"last": "24h"}),
        ),
        menu="Revenue",
    ),
    Page(
        "/usage",
        "Usage",
        (
            Panel(
                "Usage of all users over time",
                "billing usage totals",
                {"by": "day"},
                asks=("metric", "period", "by"),
                words={"by": ("hour", "day")},
                chart=USAGE,
                every=60,
            ),
            Panel(
                "Who used most",
                "billing usage totals",
                {"by": "user"},
                asks=("metric", "period", "limit"),
                columns=("metric", "user", "value", "unit", "events", "counted_at"),
                late=True,
            ),
            Panel(
                "By dimension",
                "billing usage totals",
                {"by": "dimension"},
                asks=("metric", "period", "group_by"),
                columns=("metric", "dimension", "group", "value", "unit", "events", "counted_at"),
                late=True,
            ),
            Panel(
                "What came late",
                "billing usage totals",
                {"by": "hour", "late": "true"},
                asks=("metric", "period"),
                columns=("metric", "value", "unit", "events", "late", "period_start"),
                late=True,
            ),
            Panel(
                "Usage of a user over time",
                "billing usage show",
                {"by": "day"},
                asks=("user", "metric", "period", "by"),
                words={"by": ("hour", "day")},
                chart=USAGE,
            ),
            Panel("Gaps of a user", "billing usage find-gaps", asks=("user", "metric")),
            Panel("Events of a user", "billing usage audit", {"limit": "20"}, asks=("user", "metric", "date", "limit")),
            Panel("The law", "billing usage status", every=60, late=True),
            Panel("Metrics", "billing usage list-metrics"),
            Panel("Aggregation", "billing usage aggregation-status", every=10),
            Panel("Collector", "billing usage collector-status", every=10),
            Panel("Rejected", "billing usage rejected list", asks=("limit",)),
        ),
        (Deed("Explain an event", "billing usage explain"), Deed("Aggregate now", "billing usage aggregate")),
        menu="Usage",
    ),
    Page(
        "/quotas",
        "Quotas",
        (
            Panel(
                "Used up",
                "billing quota list",
                asks=("metric", "percent", "limit"),
                columns=("user", "metric", "state", "used", "limit", "percent", "mode", "period", "resets_at", "note"),
                every=30,
            ),
            Panel("Jobs around quotas", "billing quota show-schedule", every=30),
            Panel(
                "When limits begin anew", "billing quota next-reset", columns=("period", "next_reset", "seconds_left")
            ),
            Panel("Let through while the database was away", "billing quota journal"),
        ),
        (
            Deed("Set a limit", "billing quota set"),
            Deed("Unblock", "billing quota unblock"),
            Deed("Block", "billing quota block"),
            Deed("Run the reset job", "billing quota schedule-reset"),
        ),
        menu="Quotas",
    ),
    Page(
        "/webhooks",
        "Webhooks",
        (
            Panel("Standing", "billing webhook status", late=True),
            Panel("Events", "billing webhook events", asks=("type", "status", "object", "limit"), every=5),
            Panel("Failures", "billing webhook failures", {"last": "20"}, every=10),
            Panel("Queue", "billing webhook queue-status", every=5),
            Panel("Slow", "billing webhook slow"),
        ),
        (Deed("Replay", "billing webhook replay"), Deed("Rotate the secret", "billing webhook rotate-secret")),
        menu="Webhooks",
    ),
    Page(
        "/events/{id}",
        "Event {id}",
        (
            Panel("Event", "billing webhook show", {"event": "{id}"}, columns=EVENT, every=10),
            Panel("What Stripe sent", "billing webhook show", {"event": "{id}"}, within="payload"),
        ),
        (Deed("Replay", "billing webhook replay", {"event": "{id}"}),),
    ),
    Page(
        "/sync",
        "Sync",
        (
            Panel("Sync", "billing sync status", every=15),
            Panel("Reconciliation", "billing reconcile status", every=5),
            Panel("Differences", "billing reconcile show-diff"),
        ),
        (Deed("Reconcile", "billing reconcile"), Deed("Sync all", "billing sync all")),
        menu="Sync",
    ),
    Page(
        "/jobs",
        "Jobs and queues",
        (
            Panel("Jobs", "billing jobs list", asks=("type", "status"), every=5),
            Panel("Payments that wait", "billing queue list", every=10),
            Panel("Wishes to Stripe", "billing stripe intents", every=10),
        ),
        (Deed("Clear jobs", "billing jobs clear"), Deed("Make the payments that wait", "billing process-queue")),
        menu="Jobs",
    ),
    Page(
        "/incidents",
        "Incidents",
        (
            Panel("Incidents", "billing incident list", asks=("state",), every=15),
            Panel("What waits for Stripe", "billing stripe intents", every=5),
            Panel("Refunds", "billing refund list", asks=("charge", "customer", "limit"), every=5),
        ),
        (
            Deed("Open an incident", "billing incident create"),
            Deed("Find wrong charges", "billing audit charges", AFFECTED),
            Deed("Plan refunds", "billing refund batch", {"input": "affected.csv", "dry_run": "true"}),
        ),
        menu="Incidents",
    ),
    Page(
        "/incidents/{id}",
        "Incident {id}",
        (Panel("Incident", "billing incident show", {"incident": "{id}"}, every=5),),
        (
            Deed("Add a note", "billing incident note", {"incident": "{id}"}),
            Deed("Find wrong charges", "billing audit charges", AFFECTED),
            Deed("Plan refunds", "billing refund batch", {"input": "affected.csv", "dry_run": "true"}),
            Deed("Close", "billing incident close", {"incident": "{id}"}),
        ),
    ),
    Page(
        "/doctor",
        "Doctor",
        (
            Panel("What is there", "billing doctor", asks=("issue", "symptom"), within="findings", late=True),
            Panel("What is looked for", "billing doctor list"),
        ),
        (Deed("Mend", "billing doctor fix"),),
        menu="Doctor",
    ),
    Page(
        "/settings",
        "Settings",
        (
            Panel("Settings", "env list"),
            Panel("Time limits", "billing show-timeouts"),
            Panel("Stripe", "billing stripe show-config"),
        ),
        menu="Settings",
        role="operator",
    ),
    Page(
        "/logs",
        "Logs",
        (Panel("Logs", "logs", {"service": "billing", "tail": "200"}, asks=("service", "level", "grep", "since")),),
        menu="Logs",
        role="operator",
    ),
    Page(
        "/operators",
        "Operators",
        (Panel("Operators", "billing operator list"), Panel("What they did", "billing audit log")),
        (
            Deed("Add somebody", "billing operator add"),
            Deed("New link", "billing operator link"),
            Deed("Change a role", "billing operator role"),
            Deed("Sign out", "billing operator sign-out"),
            Deed("Remove", "billing operator remove"),
        ),
        menu="Operators",
        role="owner",
    ),
)
DEEDS = {deed.command: rules.changing(deed.command) for page in PAGES for deed in page.deeds}
"""Command -> the role that it takes. What is not here cannot be done from the dashboard."""
LABELS = {deed.command: deed.label for page in PAGES for deed in page.deeds}
LINKS = {
    "cus": "/customers/{id}",
    "sub": "/subscriptions/{id}",
    "in": "/invoices/{id}",
    "inc": "/incidents/{id}",
    "evt": "/events/{id}",
}
"""Prefix of an id -> where it is looked at."""
