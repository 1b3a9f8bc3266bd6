"""Root causes of issue 7.1: database and Stripe are out of sync."""

from __future__ import annotations

from collections.abc import Callable

from nself.diagnosis import Cause, Evidence, Look
from nself.domains.sync.service.causes import runs
from nself.domains.sync.service.causes.sample import MEND, sampled, told


def caused(*causes: str) -> Callable[[Look], Evidence | None]:
    """By one of these, on an object that is here."""

    def detect(look: Look) -> Evidence | None:
        return told(one for one in look.once(sampled) if one.cause in causes and one.action != "import")

    return detect


CAUSES = (
    Cause(
        id="7.1.1",
        title="Webhook processing failed",
        detect=caused("event failed"),
        explain=(
            "Stripe told of a change, but the event's processing failed again and again, and the object here is still what it was "
            "before. Its error says why. Where no event tells of the change, it was made by hand (7.1.2)."
        ),
        mend=("nself billing webhook replay --status failed --since 24h", *MEND),
        itself=True,
        follows=("3.5.2", "6.3.1", "6.3.3"),
        needs=("database", "stripe"),
    ),
    Cause(
        id="7.1.2",
        title="Manual changes in Stripe",
        detect=caused("changed by hand", "deleted at Stripe", "money total differs"),
        explain=(
            "The object at Stripe is not what is stored here, no event tells of the change, and the row here is whole: somebody "
            "changed it in the Dashboard, or its event was never made. A lost write here would show in the row (7.1.3)."
        ),
        mend=MEND,
        itself=True,
        needs=("database", "stripe"),
    ),
    Cause(
        id="7.1.3",
        title="Database transaction rollback",
        detect=caused("local write lost"),
        explain=(
            "What was stored from Stripe's answer is not what the row holds now: the record of changes knows a newer picture than "
            "the row, or the row is not what was written. Part of a transaction was taken back, or somebody wrote by hand."
        ),
        mend=MEND,
        itself=True,
        needs=("database", "stripe"),
    ),
    Cause(
        id="7.1.4",
        title="Network failure during sync",
        detect=runs.broken("network"),
        explain=(
            "The newest synchronisation broke off, or stands still, since Stripe could not be reached in the middle of it; what "
            "it had not come to was not compared. A run that Stripe slows down is 7.3.2."
        ),
        mend=("nself billing reconcile --resume",),
        itself=True,
        follows=("1.4.1", "1.4.2", "1.4.3", "1.4.4", "9.3.1", "9.3.2"),
    ),
)
