"""Who caused what at Stripe: asked of Stripe itself, since a stranger's movements need not have reached the mirror."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from contextlib import nullcontext
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from nself import files, log
from nself.app import App
from nself.core.errors import Denied, NotFound
from nself.domains.audit import rules, store
from nself.domains.audit.inputs import AuditTransactions
from nself.domains.audit.model import AuditedTransactions, Cause, Made, Movement, Paid
from nself.domains.audit.service.charges import span, totals
from nself.domains.customer import service as customers
from nself.domains.trail import service as trail
from nself.domains.webhook.service import endpoints
from nself.gateway.api import PAGE, Snapshot
from nself.gateway.errors import Unsupported

KINDS = ("charge", "refund", "customer", "subscription")
OTHERS = ("payouts", "webhook_endpoints")
SHOWN = 100


class Look:
    """One audit: movements as they come, counted, and the first strangers kept."""

    def __init__(self, app: App, since: datetime, until: datetime) -> None:
        self.app, self.since, self.until = app, since, until
        self.causes, self.strangers, self.not_read = Counter[Cause](), list[Movement](), list[str]()
        self.open, self.refunded = Counter[str](), Counter[str]()

    def movements(self) -> Generator[Movement]:
        """Kind by kind, newest first, a page at a time."""
        for page in self._pages():
            for one in self._judged(page):
                self.causes[one.cause] += 1
                if one.cause == "unknown":
                    self._keep(one)
                yield one

    def _keep(self, one: Movement) -> None:
        if one.kind == "charge" and one.status == "succeeded":
            back = one.refunded or 0
            self.open[one.currency or ""] += (one.amount or 0) - back
            self.refunded[one.currency or ""] += back
        if len(self.strangers) < SHOWN:
            self.strangers.append(one)

    def _pages(self) -> Iterator[list[Snapshot]]:
        first, last = int(self.since.timestamp()), int(self.until.timestamp())
        for kind in KINDS:
            after: str | None = None
            while True:
                page = self.app.stripe.page(kind, after=after, since=first, until=last)
                yield page.objects
                if not page.more:
                    break
                after = page.objects[-1]["id"]
        for collection in OTHERS:
            try:
                filters = {} if collection == "webhook_endpoints" else {"created": {"gte": first, "lt": last}}
                found = self.app.stripe.listed(collection, **filters)
                made = (one for one in found if first <= one["created"] < last)
                while page := list(islice(made, PAGE)):
                    yield page
            except (Denied, NotFound, Unsupported) as error:  # a restricted key, say: the others count no less
                self.not_read.append(f"{collection}: {error.message}")

    def _judged(self, page: Sequence[Snapshot]) -> Iterator[Movement]:
        intents = [one["payment_intent"] for one in page if one.get("payment_intent")]
        whose = [id for one in page if (id := _customer(one))]
        live = self.app.settings.live
        with self.app.db.reading() as tx:
            paid = {one.payment_intent: one for one in store.paid(tx, intents, whose)}
            behind = [id for one in paid.values() for id in (one.invoice, one.subscription) if id]
            made: dict[str, list[Made]] = {}
            for one in store.made(tx, [*[one["id"] for one in page], *intents, *behind], live):
                made.setdefault(one.object, []).append(one)
            users = customers.users_of(tx, whose)
            urls = trail.mentioned(tx, [one["url"] for one in page if one["object"] == "webhook_endpoint"])
        urls.add(endpoints.receiver_url(self.app))
        for one in page:
            cause, by = self._cause(one, paid, made, urls)
            yield _movement(one, cause, by, users)

    def _cause(
        self, one: Snapshot, paid: dict[str, Paid], made: dict[str, list[Made]], urls: set[str]
    ) -> tuple[Cause, str]:
        if one["object"] == "webhook_endpoint":
            known = one["url"] in urls
            return ("ours", f"events go to {one['url']}") if known else ("unknown", f"events go to {one['url']}")
        if one["object"] == "payout" and one.get("automatic"):
            return "stripe", "the account's payout schedule"
        charged = one["object"] == "charge"
        ids = [one["id"], *([one["payment_intent"]] if charged and one.get("payment_intent") else [])]
        return rules.cause(ids, paid.get(one.get("payment_intent") or "") if charged else None, made, self.since)


def _customer(one: Snapshot) -> str | None:
    return one["id"] if one["object"] == "customer" else one.get("customer")


def _movement(one: Snapshot, cause: Cause, by: str, users: dict[str, str]) -> Movement:
    customer = _customer(one)
    return Movement(
        at=datetime.fromtimestamp(one["created"], UTC),
        kind=one["object"],
        id=one["id"],
        cause=cause,
        by=by,
        customer=customer,
        user=users.get(customer or ""),
        amount=one.get("amount"),
        currency=one.get("currency"),
        status=one.get("status"),
        refunded=one.get("amount_refunded"),
    )


def audit_transactions(app: App, given: AuditTransactions) -> AuditedTransactions:
    """Raises InvalidParameter, FileNotWritten, the gateway's errors."""
    since, until = span(app, given.since, given.until)
    app.require_stripe()
    look = Look(app, since, until)
    with files.private(Path(given.output)) if given.output else nullcontext() as file:
        movements = look.movements()
        count = files.write(file, given.format, Movement, movements) if file else sum(1 for _ in movements)
    unknown = look.causes["unknown"]
    log.info("transactions_audited", movements=count, unknown=unknown, file=given.output)
    if unknown:
        note = f"{unknown} of {count} were caused by nobody we know: another program, the Dashboard, or a stranger with a key"
    else:
        note = "each has a cause that we know"
    return AuditedTransactions(
        since=since,
        until=until,
        movements=count,
        ours=look.causes["ours"],
        stripe=look.causes["stripe"],
        unknown=unknown,
        strangers_open=totals(look.open),
        strangers_refunded=totals(look.refunded),
        not_read=look.not_read,
        output=given.output,
        note=note,
        strangers=look.strangers,
    )
