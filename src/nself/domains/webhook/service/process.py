"""Processing events: one object at a time, fetched once for all its waiting events.

Stripe guarantees no order and its times have whole seconds, so an event only says that its object changed;
what is stored is the object as Stripe has it now. State and the mark "processed" are one transaction, and what was
fetched while the last one was under way shares the next.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import groupby

from nself import log
from nself.app import App
from nself.db.connect import Tx, unavailable
from nself.domains.mirror import service as mirror
from nself.domains.webhook import store
from nself.domains.webhook.model import Claimed
from nself.domains.webhook.service import switches
from nself.domains.webhook.service.work import Work, finish, lease

CLAIMED = 16
"""Objects at once."""
UNPARKED = 1000
"""Events a transaction."""
THREADS: int = CLAIMED
"""So that each is fetched right after its claim."""
_pool = ThreadPoolExecutor(THREADS, "webhook")
_told = dict[str, int]()


def process_due(app: App, only: Sequence[str] | None = None) -> int:
    """Claim objects with waiting events and process them, all at once; number of objects claimed, none in safe mode.

    `only` these objects.
    """
    if app.safe_mode:
        return 0
    free = not switches.on(app, "WEBHOOK_SEQUENTIAL_PER_OBJECT")
    with app.db.reading() as tx:
        claimed = store.claim_objects(tx, CLAIMED, lease(app), only, free)
        held = [] if len(claimed) == CLAIMED else store.held_objects(tx, CLAIMED, only)
        events = store.waiting(tx, [one.object_id for one in claimed]) if claimed else []
        numbers = mirror.numbers(tx, 2 * len(claimed)) if claimed else []
    _tell_held([one for one in held if one.object_id not in {own.object_id for own in claimed}])
    of = {id: list(found) for id, found in groupby(events, lambda one: one.object_id)}
    work = [
        Work(app, one, of.get(one.object_id, []), before, number)
        for one, before, number in zip(claimed, numbers, numbers[len(claimed) :], strict=False)
    ]
    for group in _looked_up(work):
        _store(app, group)
    return len(claimed)


def unpark(app: App) -> int:
    """When a worker starts: what was put aside until STRIPE_MODE is its own is processed now; the number of events."""
    count = 0
    while found := app.db.transact(lambda tx: store.unpark(tx, app.settings.live, UNPARKED)):
        count += found
    if count:
        log.info("webhook_unparked", events=count, mode=app.settings.text("STRIPE_MODE"))
    return count


def process_now(app: App, objects: Sequence[str]) -> None:
    """Process what waits on these objects, here. What another worker has is left to it, and what fails to the next try."""
    while process_due(app, objects):
        pass


def _tell_held(held: list[Claimed]) -> None:
    """Once a lease: something new waits on an object that another worker is processing."""
    for one in held:
        if _told.get(one.object_id) != one.fence:
            if len(_told) > 1000:
                _told.clear()
            _told[one.object_id] = one.fence
            log.info("webhook concurrent", object=one.object_id, detail="another worker has it; its new events wait")


def _looked_up(work: Sequence[Work]) -> Iterator[list[Work]]:
    """Those whose object is fetched, as many as there are at a time."""
    if min(len(work), THREADS) == 1:
        yield [one for one in work if one.look()]
        return
    fetching: dict[Future[bool], Work] = {_pool.submit(one.look): one for one in work}
    left = set(fetching)
    try:
        while left:
            done, left = wait(left, return_when=FIRST_COMPLETED)
            yield [fetching[one] for one in done if one.result()]
    finally:
        wait(left)


def _store(app: App, group: list[Work]) -> None:
    """In one transaction what is plain. The rest, and all where one stands in the way of the others, each by itself."""
    alone = group
    if len(group) > 1:
        try:
            alone = app.db.transact(lambda tx: _together(app, tx, group))
        except Exception as error:
            if unavailable(error):
                for one in group:
                    one.fail(error)
                return
            log.debug("webhook_group_split", objects=len(group), error=log.redact(f"{type(error).__name__}: {error}"))
    for one in group:
        if one in alone:
            one.store()
        else:
            one.tell_done()


def _together(app: App, tx: Tx, group: Sequence[Work]) -> list[Work]:
    """Step: store and mark; those that are left, since nothing of their customer is here. Raises Overtaken, LeaseLost."""
    pictures = [one.picture for one in group if one.picture]
    unknown = mirror.strangers(tx, pictures)
    alone = [one for one in group if one.customer in unknown]
    mirror.accept_all(app, tx, [one.picture for one in group if one.picture and one not in alone])
    finish(app, tx, [one for one in group if one not in alone])
    return alone
