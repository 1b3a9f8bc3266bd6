"""Root causes of issue 7.2: customers or subscriptions are missing here."""

from __future__ import annotations

from collections.abc import Callable

from nself.diagnosis import Cause, Evidence, Look
from nself.domains.sync.service.causes.sample import MEND, sampled, told


def absent(cause: str) -> Callable[[Look], Evidence | None]:
    """An object of Stripe's that is not here, for this reason."""

    def detect(look: Look) -> Evidence | None:
        return told(one for one in look.once(sampled) if one.cause == cause and one.action == "import")

    return detect


CAUSES = (
    Cause(
        id="7.2.1",
        title="Webhook not delivered",
        detect=absent("event missing"),
        explain=(
            "Stripe has the object, everything was compared before, and no event of it ever came: its webhook was lost on the way. "
            "One that was here once was deleted here (7.2.4)."
        ),
        mend=MEND,
        itself=True,
        follows=("6.1.1", "6.1.2", "6.1.3", "6.1.4", "1.2.1", "1.2.2", "1.2.3", "1.2.4"),
        needs=("database", "stripe"),
    ),
    Cause(
        id="7.2.2",
        title="Initial sync incomplete",
        detect=absent("not imported yet"),
        explain=(
            "Stripe has the object, and no synchronisation has read all objects of its kind to the end yet: those from before the "
            "webhooks began are not here. After a complete one a missing object is a lost webhook (7.2.1)."
        ),
        mend=MEND,
        itself=True,
        follows=("7.1.4", "7.3.1", "7.3.2", "7.3.3", "7.3.4"),
        needs=("database", "stripe"),
    ),
    Cause(
        id="7.2.3",
        title="Database write failed",
        detect=absent("event failed"),
        explain=(
            "An event of the object came, but what it says could not be stored, so that the object is not here at all. The event's "
            "error says what the database refused."
        ),
        mend=MEND,
        itself=True,
        needs=("database", "stripe"),
    ),
    Cause(
        id="7.2.4",
        title="Record deleted manually",
        detect=absent("deleted locally"),
        explain=(
            "The record of changes knows that the object was stored here, Stripe has it, and its row is gone: nself deletes no such "
            "row, so somebody did by hand."
        ),
        mend=MEND,
        itself=True,
        needs=("database", "stripe"),
    ),
)
