"""Root causes of issue 7.3: reconciliation does not come to its end."""

from __future__ import annotations

from collections.abc import Callable

from nself.app import App
from nself.diagnosis import Cause, Evidence, Look
from nself.domains.sync.rules import Broken
from nself.domains.sync.service.run import newest_broken

RESUME = "nself billing reconcile --resume"


def broken_run(app: App) -> Broken | None:
    return newest_broken(app)


def broken(why: str) -> Callable[[Look], Evidence | None]:
    """The newest run, for this reason."""

    def detect(look: Look) -> Evidence | None:
        found = look.once(broken_run)
        if found is None or found.why != why:
            return None
        return Evidence(found.text, sure="certain" if found.sure else "likely")

    return detect


CAUSES = (
    Cause(
        id="7.3.1",
        title="Too many records to process",
        detect=broken("records"),
        explain=(
            "The newest reconciliation is not done and, at the rate it has shown, would need hours for what is left. Neither rate "
            "limits nor an outage held it up. Batches and a range of dates make it end; it can be resumed."
        ),
        mend=("nself billing reconcile --batch-size 100",),
    ),
    Cause(
        id="7.3.2",
        title="API rate limits hit",
        detect=broken("rate"),
        explain=(
            "The newest reconciliation stands still or broke off since Stripe answered 429: others use up the calls that the "
            "account has, or STRIPE_RATE_LIMIT allows more than Stripe does."
        ),
        mend=("nself env set BILLING_CACHE_ENABLED=true", "nself restart billing", RESUME),
        follows=("1.3.1", "1.3.2", "1.3.3", "1.3.4"),
    ),
    Cause(
        id="7.3.3",
        title="Database connection pool exhausted",
        detect=broken("pool"),
        explain=(
            "The newest reconciliation broke off since no database connection became free in time. The database itself answers; "
            "where it does not, nothing of this can be looked at."
        ),
        mend=("nself env set BILLING_DB_POOL_SIZE=20", "nself restart billing", RESUME),
    ),
    Cause(
        id="7.3.4",
        title="Memory limits",
        detect=broken("memory"),
        explain=(
            "The newest reconciliation ran out of memory, or its process was ended from outside in the middle without a word, which "
            "is what the system does to the largest process when memory is short."
        ),
        mend=("nself env set BILLING_MEMORY_LIMIT=2G", "nself restart billing", RESUME),
    ),
)
