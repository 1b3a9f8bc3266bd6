"""The table of all domains' entry points, top of the import order: path -> command, route, job, intent, mirror."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import TypeVar, cast

from nself.core.entrypoint import Row

# From bottom to top: a domain may import those before it, never those after it.
DOMAINS = (
    "setting", "mirror", "connection", "database", "api_key", "job", "measurement", "uptime", "notification", "trail", "operator", "tuning", "stack", "operation", "customer", "catalog", "total", "usage", "payment", "subscription", "incident", "notice", "quota", "access", "page_link", "invoice", "document", "overage", "revenue",
    "archive", "backup", "repair", "gap", "webhook", "sync", "health", "audit", "export", "history",
    "seed", "sandbox", "check", "doctor", "drill",
)  # fmt: skip
GROUPS = {
    "billing": "Metering, quotas, customers, invoices, webhooks",
    "billing usage": "Record, import and show usage",
    "billing usage rejected": "Events that were not counted",
    "billing quota": "Limits and what is left of them",
    "billing overage": "Usage above the quota: what it costs and what was invoiced",
    "billing access": "Whether users may use the app",
    "billing customers": "Audits of customers",
    "billing audit": "What was charged and who did it: wrong charges, movements of money, the audit log",
    "billing export": "Files of charges, invoices, subscriptions, payments, refunds and usage",
    "billing incident": "Emergencies, with what was done about them",
    "billing price": "Prices at Stripe, and those of overage",
    "billing customer": "Customers at Stripe and the users they belong to",
    "billing payment-method": "Cards and other ways to pay",
    "billing payment": "Taking payments",
    "billing payments": "Payments as a whole",
    "billing payment-intent": "Payments at Stripe through all their attempts",
    "billing queue": "Payments that wait to be made",
    "billing refund": "Giving money back",
    "billing transactions": "What came in and went out",
    "billing subscription": "Subscriptions at Stripe",
    "billing invoice": "Invoices and their lines",
    "billing tax": "Who computes tax, and the rates at Stripe",
    "billing webhook": "Events from Stripe",
    "billing jobs": "Scheduled work",
    "billing metrics": "How often and how long",
    "billing sync": "The mirror here and the objects at Stripe",
    "billing reconcile": "Comparing everything with Stripe",
    "billing notification": "What was told by mail and by webhooks of our own",
    "billing email": "Mail: its setup, its templates, what became of each message",
    "billing email suppressed": "Addresses that are mailed no more",
    "cache": "What is kept to answer faster",
    "billing stripe": "The connection to Stripe",
    "billing seed": "Objects of test mode that files describe: made, compared, taken away",
    "billing test-data": "Objects of test mode, made by chance",
    "billing doctor": "Root causes: which are there, what shows them, what mends them",
    "billing drill": "Rehearsing root causes at the sandbox",
    "billing sandbox": "The local stand-in for Stripe, and the demonstration",
    "billing sandbox clock": "The sandbox's time",
    "billing sandbox faults": "Failures on demand",
    "billing sandbox keys": "Keys at the sandbox",
    "billing operator": "People who use the dashboard",
    "billing page-link": "Links to users' own pages",
    "billing api-key": "Keys for the HTTP API",
    "maintenance": "Closing the API for a while",
    "alert": "Telling the operators",
    "env": "Settings and where they come from",
    "db": "The database",
}
T = TypeVar("T", bound=Row)


class Registry:
    """Imports each domain's `entrypoints` once; services and inputs only when a row is used."""

    def __init__(self, domains: tuple[str, ...] = DOMAINS) -> None:
        self.all: list[Row] = []
        for domain in domains:
            module = import_module(f"nself.domains.{domain}.entrypoints")
            self.all.extend(cast("tuple[Row, ...]", module.ROWS))

    def rows(self, kind: type[T]) -> tuple[T, ...]:
        return tuple(row for row in self.all if isinstance(row, kind))

    def resolve(self, reference: str) -> object:
        """`usage.service:record` -> the function."""
        return resolve(reference)


@cache
def resolve(reference: str) -> object:
    module, _, name = reference.partition(":")
    return getattr(import_module(f"nself.domains.{module}"), name)
