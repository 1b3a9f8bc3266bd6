"""What is asked for, and what stands, looked at where it is."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from nself.app import App
from nself.domains.connection.service import intents
from nself.domains.mirror import service as mirror
from nself.domains.seed import rules, store
from nself.domains.seed.model import BadSeeds, SeedsInTestModeOnly, Standing, Wanted
from nself.domains.seed.service import read

THREADS = 8
NOUNS = {"customers": "customer", "subscriptions": "subscription", "invoices": "invoice", "prices": "price"}


def require_test_mode(app: App) -> None:
    """Raises SeedsInTestModeOnly, and Denied where the key is a live one whatever STRIPE_MODE says."""
    if app.settings.live:
        raise SeedsInTestModeOnly()
    app.require_stripe()


def asked(app: App) -> tuple[Wanted, list[str]]:
    """What the files ask for, and all that is wrong with them."""
    return read.read(store.files(app.project.seeds, rules.DEFAULTS))


def wanted(app: App) -> Wanted:
    """Raises BadSeeds with everything that is wrong."""
    found, problems = asked(app)
    if problems:
        raise BadSeeds(detail="".join(f"\n  {one}" for one in problems))
    return found


def standing(app: App) -> list[Standing]:
    """What the mirror knows."""
    with app.db.reading() as tx:
        return store.standing(tx)


def standing_at_stripe(app: App, keys: set[str] | None = None) -> list[Standing]:
    """The same after each of them was asked for at Stripe: what somebody deleted there is not there."""
    found = [one for one in standing(app) if keys is None or one.key in keys]
    refresh(app, [(one.kind, one.id) for one in found])
    return [one for one in standing(app) if keys is None or one.key in keys]


def refresh(app: App, objects: Iterable[tuple[str, str]]) -> None:
    """The mirror has these (kind, id) as Stripe has them now. Raises the gateway's errors."""

    def one(named: tuple[str, str]) -> None:
        mirror.refresh(app, NOUNS[named[0]], named[1], "seed")

    with ThreadPoolExecutor(THREADS, "seed") as pool:
        list(pool.map(one, objects))


def finish(app: App) -> None:
    """What a run that was killed began comes to its end, whatever that is. Raises StillPending."""
    with app.db.reading() as tx:
        unfinished = store.unfinished(tx)
    if unfinished:
        intents.drive(app, unfinished)
