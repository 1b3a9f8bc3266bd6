"""Root causes of issue 6.2: the same event is processed more than once."""

from __future__ import annotations

from nself.app import App
from nself.diagnosis import Cause, Evidence, Look
from nself.domains.webhook import rules, store
from nself.domains.webhook.model import Twin
from nself.domains.webhook.service import switches
from nself.domains.webhook.service.causes import switch
from nself.domains.webhook.service.status import OF_LATE

IDEMPOTENCY = "WEBHOOK_IDEMPOTENCY_ENABLED"
CLEAN = "nself billing webhook deduplicate --execute"


def twins(app: App) -> list[Twin]:
    """Of the last day, those that were worked at as well as the event whose copy they are."""
    with app.db.reading() as tx:
        return [one for one in store.twins(tx, app.clock() - OF_LATE) if one.status == "processed"]


def odd(app: App) -> list[store.Odd]:
    with app.db.reading() as tx:
        return store.odd(tx, app.clock() - OF_LATE)


def no_key(look: Look) -> Evidence | None:
    if switches.on(look.app, IDEMPOTENCY):
        return None
    with look.app.db.reading() as tx:
        found = store.repeats(tx, look.app.clock() - OF_LATE)
    return Evidence(
        f"{IDEMPOTENCY}=false: {found.delivered_again} events came more than once in 24 h, each processed again"
    )


def retried(look: Look) -> Evidence | None:
    found = look.once(twins)
    if not found:
        return None
    one = found[0]
    return Evidence(
        f"{one.event} says what {one.twin_of} said and was processed too ({len(found)} such events in 24 h)"
    )


def no_transaction(look: Look) -> Evidence | None:
    return _odd([one for one in look.once(odd) if one.unmarked])


def raced(look: Look) -> Evidence | None:
    return _odd([one for one in look.once(odd) if not one.unmarked])


def _odd(found: list[store.Odd]) -> Evidence | None:
    if not found:
        return None
    return Evidence(
        f"{found[0].event} ({found[0].object}): {rules.oddity(found[0].unmarked)}; {len(found)} events in 24 h"
    )


CAUSES = (
    Cause(
        id="6.2.1",
        title="No idempotency key handling",
        detect=no_key,
        explain=(
            "An event's id is its idempotency key: however often Stripe delivers it, it counts once. With "
            f"{IDEMPOTENCY}=false every delivery is processed again. It is the setting alone that shows this; events that were "
            "sent twice under two ids are 6.2.2."
        ),
        mend=switch.mend(IDEMPOTENCY),
        itself=True,
    ),
    Cause(
        id="6.2.2",
        title="Webhook retries processed",
        detect=retried,
        explain=(
            "Stripe sent the same thing again as an event with another id: of the same type, object, second and content. The id "
            "does not show that, so both were processed. The second is marked as a duplicate of the first."
        ),
        mend=(CLEAN,),
        itself=True,
    ),
    Cause(
        id="6.2.3",
        title="Database transaction not used",
        detect=no_transaction,
        explain=(
            "What an event changes and its mark `processed` are written in one transaction. Here the change is stored and the "
            "mark is not, so somebody wrote one without the other, and the event would be processed once more. It is processed "
            "again by itself, which changes nothing twice, and marked. Two workers at once are 6.2.4."
        ),
        mend=(CLEAN,),
        itself=True,
    ),
    Cause(
        id="6.2.4",
        title="Race conditions",
        detect=raced,
        explain=(
            "The event changed its object twice, and the second worker had begun before the first one's change was stored: both "
            "worked at it at the same time. A replay begins after that and is none."
        ),
        mend=(CLEAN,),
        itself=True,
        follows=("6.4.1", "6.4.4"),
    ),
)
