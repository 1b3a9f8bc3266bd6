"""How the dust settles, and the seams at which whoever works may be struck."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from money_seams import Crash, Seams

from nself.app import App
from nself.domains.mirror import service as mirror
from nself.domains.mirror.model import Picture
from nself.gateway.api import STRIPE_VERSION
from nself.gateway.errors import NoSuchObject
from nself.gateway.kinds import KINDS


def settle(app: App) -> None:
    """Everything that Stripe has is looked at, and everything that is known here."""
    seen = set[str]()
    for kind, found in KINDS.items():
        for owner in _customers(app) if found.of_customer else [None]:
            for page in _pages(app, kind, owner):
                _accept(app, page)
                seen.update(one.snapshot["id"] for one in page)
    with app.db.reading() as tx:
        known = tx.connection.execute("select kind, object_id from billing_mirror where not deleted").fetchall()
    for kind, id in known:
        if id not in seen:
            mirror.refresh(app, kind, id, "sync")


def _customers(app: App) -> list[str | None]:
    with app.db.reading() as tx:
        rows = tx.connection.execute(
            "select customer_id from billing_customers where not deleted order by 1"
        ).fetchall()
    return [row[0] for row in rows]


def _pages(app: App, kind: str, owner: str | None) -> Iterator[list[Picture]]:
    after = None
    while True:
        number = mirror.draw(app)
        try:
            page = app.stripe.page(kind, after=after, customer=owner)
        except NoSuchObject:
            return
        yield [Picture({"livemode": app.stripe.live, **one}, number, "sync", STRIPE_VERSION) for one in page.objects]
        if not page.more:
            return
        after = page.objects[-1]["id"]


def _accept(app: App, pictures: list[Picture]) -> None:
    """In one transaction, unless one of them was overtaken."""
    try:
        app.db.transact(lambda tx: [mirror.accept(app, tx, one) for one in pictures])
    except mirror.Overtaken:
        for one in pictures:
            mirror.in_order(app, one, lambda tx, picture: mirror.accept(app, tx, picture) and None)


SETTLING = [one.__code__ for one in (settle, _pages, _customers, _accept)]


class Switch(Seams):
    """The seams of one worker: what happens at them is set for each piece of work. Knows which ones were passed."""

    def __init__(self) -> None:
        super().__init__()
        self.plan: Callable[[str, str], None] | None = None
        self.crashed = Counter[str]()

    def __call__(self, name: str) -> None:
        where = f"{name} in {_caller()}"
        if self.plan:
            self.crashed[where] += 0
            try:
                self.plan(name, where)
            except Crash:
                self.crashed[where] += 1
                raise


def _caller() -> str:
    """The function of a domain, or of the settling, that passes the seam."""
    frame = sys._getframe(2)
    while frame := frame.f_back:
        file = frame.f_code.co_filename
        if "/nself/domains/" in file or frame.f_code in SETTLING:
            return f"{Path(file).parent.parent.name}/{Path(file).stem}.{frame.f_code.co_qualname.partition('.<')[0]}"
    return "?"
