"""One page of a run: read it at Stripe, compare it with the mirror, say why they differ, and heal in one transaction.

Pages come newest first, and the objects here that were made in the same stretch of time must be among them. One that
is not is fetched by itself, so that an object that appears or goes meanwhile costs a call and no mistake.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from nself import log
from nself.app import App
from nself.core.errors import BillingError
from nself.db.connect import Tx, unavailable
from nself.domains.mirror import service as mirror
from nself.domains.mirror.model import Picture
from nself.domains.sync import rules, store
from nself.domains.sync.model import Finding, Run
from nself.gateway.api import STRIPE_VERSION
from nself.gateway.errors import NoSuchObject
from nself.gateway.kinds import KINDS

LEASE = timedelta(seconds=120)
"""Longer than a page takes, with all retries of its calls."""
CUSTOMERS = 10
"""Of kinds that Stripe lists by customer, as many at once."""
MAX_PAGES_A_CUSTOMER = 100


class TakenOver(Exception):
    """Somebody else goes on with the run."""


class Reader:
    """Reads one run. `seen` are the objects of the last pages that were made in the second where the next page begins."""

    def __init__(self, app: App, run: Run) -> None:
        self.app, self.run, self.source = app, run, f"sync {run.id}"
        self.seen: set[str] = set()
        with app.db.reading() as tx:
            self.complete = store.ever_complete(tx, run.livemode, [run.kind])

    def step(self) -> bool:
        """One page; false where nothing was left. Raises the gateway's errors, the database's and TakenOver."""
        if self.run.over:
            return False
        moved = self._customers() if KINDS[self.run.kind].of_customer else self._page()
        if moved.kind_number != self.run.kind_number:
            self.seen.clear()
            with self.app.db.reading() as tx:
                self.complete = store.ever_complete(tx, moved.livemode, [moved.kind])
        self.run = moved
        return True

    # Kinds that Stripe lists as a whole

    def _page(self) -> Run:
        run, since, until = self.run, self.run.created_from, self.run.created_to
        number = mirror.draw(self.app)
        kind, limit = run.kind, run.batch_size
        try:
            page = self.app.stripe.page(
                kind, after=run.page_after, since=_seconds(since), until=_seconds(until), limit=limit
            )
        except NoSuchObject:
            # The last object that was read is gone: begin again in the second it was made.
            again = run.page_bound + timedelta(seconds=1) if run.page_bound else until
            page = self.app.stripe.page(kind, since=_seconds(since), until=_seconds(again), limit=limit)
        listed = [one["id"] for one in page.objects]
        made = [datetime.fromtimestamp(one["created"], UTC) for one in page.objects]
        oldest = min(made, default=run.page_bound)
        if oldest and run.page_bound:
            oldest = min(oldest, run.page_bound)
        bound = oldest if page.more else None
        with self.app.db.reading() as tx:
            missing = store.not_listed(tx, run, [*listed, *self.seen], bound)
        seen = {id for id, at in zip(listed, made, strict=True) if at == bound}
        pictures = [
            Picture({"livemode": run.livemode, **one}, number, self.source, STRIPE_VERSION) for one in page.objects
        ]
        moved = self._done(pictures, missing, page.more, listed[-1] if listed else None, bound)
        self.seen = seen | (self.seen if bound == run.page_bound else set())
        return moved

    # Kinds that Stripe lists by customer

    def _customers(self) -> Run:
        with self.app.db.reading() as tx:
            customers = store.next_customers(tx, self.run, CUSTOMERS)
        pictures = [one for id in customers for one in of_customer(self.app, self.run.kind, id, self.source)]
        with self.app.db.reading() as tx:
            missing = store.not_listed_of(tx, self.run, [one.snapshot["id"] for one in pictures], customers)
        return self._done(pictures, missing, bool(customers), customers[-1] if customers else None, None)

    # What is common to both

    def _done(
        self, pictures: list[Picture], missing: Sequence[str], more: bool, after: str | None, bound: datetime | None
    ) -> Run:
        run, size = self.run, self.run.batch_size
        for start in range(0, len(missing), size):
            single = [mirror.fetch(self.app, run.kind, id, self.source) for id in missing[start : start + size]]
            self._settle(run.kind, single, run, pages=0)
        if run.heal:
            self._import_owners(pictures)
        new = [one.snapshot for one in pictures if one.snapshot["id"] not in self.seen]
        totals = rules.add_totals(run.totals, run.kind, new)
        number = run.kind_number if more else run.kind_number + 1
        moved = msgspec.structs.replace(
            run, kind_number=number, page_after=after if more else None, page_bound=bound, totals=totals
        )
        return self._settle(run.kind, pictures, moved, pages=1)

    def _import_owners(self, pictures: list[Picture]) -> None:
        """Customers that came up since their own pages were read, first: what is told of an object is told to its owner."""
        with self.app.db.reading() as tx:
            owners = sorted(mirror.strangers(tx, pictures))
        if owners:
            found = [mirror.fetch(self.app, "customer", id, self.source) for id in owners]
            self._settle("customer", found, self.run, pages=0)

    def _settle(self, kind: str, pictures: list[Picture], moved: Run, pages: int) -> Run:
        """Compare, heal where the run heals, and move on, in one transaction."""
        run, app = self.run, self.app
        overtaken = list[Finding]()

        def work(tx: Tx) -> list[Finding]:
            found = findings(tx, kind, pictures, self.complete)
            overtaken.clear()
            if run.heal:
                found = heal(app, tx, run.id, found, overtaken.append)
            else:
                store.add_differences(tx, run.id, found, "open", app.clock())
            if not store.move_run(tx, moved, pages, len(pictures), LEASE, app.clock()):
                raise TakenOver
            return found

        found = app.db.transact(work)
        for one in overtaken:  # somebody stored a later picture meanwhile; whether it is the latest, a fetch tells
            mirror.refresh(app, one.kind, one.id, self.source, cause=one.cause)
        log.infos(
            "sync",
            [
                {
                    "run": run.id, "purpose": run.purpose, "kind": one.kind, "object": one.id, "cause": one.cause,
                    "action": one.action, "healed": run.heal, "fields": [change["field"] for change in one.changes][:20],
                }
                for one in found
            ],
        )  # fmt: skip
        return moved


def of_customer(app: App, kind: str, customer: str, source: str) -> list[Picture]:
    """All objects of a kind that Stripe lists for a customer. Raises the gateway's errors."""
    number, found, after = mirror.draw(app), list[Picture](), None
    for _ in range(MAX_PAGES_A_CUSTOMER):
        try:
            page = app.stripe.page(kind, customer=customer, after=after)
        except NoSuchObject:
            if after is None:  # the customer is gone, and so are they
                return found
            found, after = [], None  # the last one that was read is gone: begin anew
            continue
        found += [Picture({"livemode": app.stripe.live, **one}, number, source, STRIPE_VERSION) for one in page.objects]
        if not page.more:
            return found
        after = page.objects[-1]["id"]
    raise AssertionError(f"{customer} has more than {MAX_PAGES_A_CUSTOMER} pages of {kind}")


def findings(tx: Tx, kind: str, pictures: Sequence[Picture], complete: bool) -> list[Finding]:
    """Step: those of `pictures` that are not what is stored, and why. What was stored later than they were asked for is newer."""
    stored = mirror.stored(tx, kind, [one.snapshot["id"] for one in pictures])
    changes = [
        (before, change)
        for picture in pictures
        for before in [stored.get(picture.snapshot["id"])]
        if before is None or before.number <= picture.number or not before.intact
        for change in [mirror.compare(before, picture)]
        if change
    ]
    evidence = store.evidence(tx, [change.id for _, change in changes])
    return [rules.finding(before, change, evidence[change.id], complete) for before, change in changes]


def heal(app: App, tx: Tx, run: int, found: Sequence[Finding], overtaken: Callable[[Finding], None]) -> list[Finding]:
    """Step: store what was found, all at once; where one stands in the way of the others, each by itself.

    What is told of it, which what somebody else healed meanwhile is not: they tell it.
    """
    if not found:
        return []
    refused = list[Finding]()
    try:
        with tx.savepoint():
            changed = {(one.kind, one.id) for one in mirror.accept_all(app, tx, [_picture(one) for one in found])}
        healed = [one for one in found if (one.kind, one.id) in changed]
    except Exception as error:
        if unavailable(error):
            raise
        log.debug("sync_page_split", objects=len(found), error=log.redact(f"{type(error).__name__}: {error}"))
        healed = [one for one in found if _heal_alone(app, tx, run, one, overtaken, refused.append)]
    store.add_differences(tx, run, healed, "healed", app.clock())
    return [*healed, *refused]


def _heal_alone(
    app: App, tx: Tx, run: int, one: Finding, overtaken: Callable[[Finding], None], refused: Callable[[Finding], None]
) -> bool:
    """Step: whether it was healed; what the database refuses is told and holds nothing up."""
    try:
        with tx.savepoint():
            return mirror.accept(app, tx, _picture(one)) is not None
    except mirror.Overtaken:
        overtaken(one)
    except Exception as error:
        if unavailable(error):
            raise
        text = (
            f"{error.code}: {error.message}" if isinstance(error, BillingError) else f"{type(error).__name__}: {error}"
        )
        if not isinstance(error, BillingError):
            log.failure("sync_refused", kind=one.kind, object=one.id)
        store.add_differences(tx, run, [one], "refused", app.clock(), log.redact(text[:500]))
        refused(one)
    return False


def _picture(one: Finding) -> Picture:
    assert one.picture
    return one.picture._replace(cause=one.cause)


def _seconds(at: datetime | None) -> int | None:
    return int(at.timestamp()) if at else None
