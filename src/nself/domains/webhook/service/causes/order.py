"""Root causes of issue 6.4: events out of order."""

from __future__ import annotations

from nself.diagnosis import Cause, Evidence, Look
from nself.domains.webhook import store
from nself.domains.webhook.service.causes import switch
from nself.domains.webhook.service.status import OF_LATE

SEQUENTIAL, VERSIONS, LOCKS = "WEBHOOK_SEQUENTIAL_PER_OBJECT", "WEBHOOK_TRACK_VERSIONS", "WEBHOOK_USE_LOCKS"


def interfered(look: Look) -> Evidence | None:
    with look.app.db.reading() as tx:
        found = store.interfered(tx, look.app.clock() - OF_LATE, None)
    if not found:
        return None
    one = found[0]
    return Evidence(
        f"{one.object}: {one.event} was processed by attempt {one.attempts}, after the younger {one.younger}, and what is "
        f"stored comes from it ({len(found)} events in 24 h)",
        {"younger": one.younger},
        sure="likely",
    )


CAUSES = (
    Cause(
        id="6.4.1",
        title="Concurrent webhook processing",
        detect=switch.off(SEQUENTIAL),
        explain=(
            f"With {SEQUENTIAL}=false an object that one worker has may be claimed by another one, so that two process its "
            "events side by side."
        ),
        mend=switch.mend(SEQUENTIAL),
        itself=True,
    ),
    Cause(
        id="6.4.2",
        title="No event version tracking",
        detect=switch.off(VERSIONS),
        explain=(
            f"A picture of an object is stored only where none that was asked for later is there. With {VERSIONS}=false it gets "
            "its number after the fetch, so that an older state can replace a newer one."
        ),
        mend=switch.mend(VERSIONS),
        itself=True,
    ),
    Cause(
        id="6.4.3",
        title="Retry interference",
        detect=interfered,
        explain=(
            "An event failed, was tried again and processed after a younger one of its object, and nothing was stored since: what "
            "is here may be the older state. Events that merely arrive late are settled with what Stripe says then."
        ),
        mend=("nself billing webhook replay {younger}",),
        itself=True,
        follows=("6.4.1", "6.4.2", "6.4.4"),
    ),
    Cause(
        id="6.4.4",
        title="Async processing without ordering",
        detect=switch.off(LOCKS),
        explain=(
            f"With {LOCKS}=false a worker that has lost its claim on an object still stores what it fetched, beside the one that "
            "took over. That two may claim it at once is 6.4.1."
        ),
        mend=switch.mend(LOCKS),
        itself=True,
    ),
)
