"""Root causes of issue 3.5: Stripe has ended a subscription, and its row goes on."""

from __future__ import annotations

from datetime import timedelta

from nself.diagnosis import Cause, Evidence, Look
from nself.domains.webhook import store

LATE, SINCE, MOST = timedelta(minutes=2), timedelta(days=7), 100


def _more(count: int) -> str:
    return f"; {count - 1} more like it" if count > 1 else ""


def unprocessed(look: Look) -> Evidence | None:
    with look.app.db.reading() as tx:
        found = store.unprocessed_cancellations(tx, look.app.settings.live, look.app.clock() - LATE, MOST)
    if not found:
        return None
    one = found[0]
    text = (
        f"{one.event} ({one.status}, {one.attempts} attempts) tells that {one.subscription} ended; it goes on here"
        f"{': ' if one.error else ''}{one.error[:120]}{_more(len(found))}"
    )
    return Evidence(text, {"event": one.event, "subscription": one.subscription})


def lost(look: Look) -> Evidence | None:
    with look.app.db.reading() as tx:
        found = store.lost_cancellations(tx, look.app.settings.live, look.app.clock() - SINCE, MOST)
    if not found:
        return None
    one = found[0]
    text = f"{one.event} told that {one.subscription} ended and was processed at {one.at:%Y-%m-%d %H:%M:%SZ}; its row is {one.status}"
    return Evidence(text + _more(len(found)), {"event": one.event, "subscription": one.subscription})


CAUSES = (
    Cause(
        id="3.5.2",
        title="Webhook not processed",
        detect=unprocessed,
        explain=(
            "Stripe has ended the subscription and told so, but its event waits or fails here: the row, access and plan go on. "
            "Where the event was processed and the row goes on all the same, it is 3.5.4; where it never came, 6.1."
        ),
        mend=("nself billing webhook replay {event}", "nself billing subscription show {subscription}"),
        itself=True,
    ),
    Cause(
        id="3.5.4",
        title="Database update failed",
        detect=lost,
        explain=(
            "The event of the subscription's end was processed, and the row says that it goes on: the write was lost, by a "
            "restored backup or a hand in the database. Stripe never revives what ended, so the row is wrong for sure."
        ),
        mend=("nself billing sync subscription {subscription}", "nself billing subscription show {subscription}"),
        itself=True,
    ),
)
