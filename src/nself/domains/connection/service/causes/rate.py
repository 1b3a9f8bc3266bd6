"""Root causes of issue 1.3: Stripe refused calls as too many, and a setting of ours made it likely."""

from __future__ import annotations

from collections.abc import Callable

from nself.diagnosis import Cause, Evidence, Look
from nself.domains.connection.service import rates

RESTART = "nself restart billing"


def _odd(id: str) -> Callable[[Look], Evidence | None]:
    def detect(look: Look) -> Evidence | None:
        found = look.once(rates.pressure)
        why = found.odd.get(id)
        told = f"Stripe refused {found.refused} of {found.calls} calls of the last hour (429)"
        return Evidence(f"{told}; {why}", sure="likely") if why else None

    return detect


CAUSES = (
    Cause(
        id="1.3.1",
        title="Too many API calls in short period",
        detect=_odd("1.3.1"),
        explain=(
            "Stripe answered 429, and nself allows itself all that Stripe allows, or is refused minute after minute although it keeps "
            "to its share: then another program uses the same account. With STRIPE_RATE_LIMIT_BUFFER at 0.8 there is room for others."
        ),
        mend=("nself billing stripe show-rate", "nself env set STRIPE_RATE_LIMIT_BUFFER=0.8", RESTART),
    ),
    Cause(
        id="1.3.2",
        title="No retry logic with backoff",
        detect=_odd("1.3.2"),
        explain=(
            "Stripe answered 429, and a refused call is not tried again or is tried again too soon, so it fails for whoever made it. "
            "With three tries and a wait that grows exponentially a short peak is not noticed."
        ),
        mend=("nself env set STRIPE_MAX_RETRIES=3", "nself env set STRIPE_RETRY_BACKOFF=exponential", RESTART),
        itself=True,
    ),
    Cause(
        id="1.3.3",
        title="Batch operations not used",
        detect=_odd("1.3.3"),
        explain=(
            "Stripe answered 429, and lists are read in small pages or rarely changing objects one by one: many calls for what one "
            "call brings. A page has room for a hundred objects."
        ),
        mend=("nself env set STRIPE_BATCH_SIZE=100", "nself env set STRIPE_BATCH_REQUESTS=true", RESTART),
        itself=True,
    ),
    Cause(
        id="1.3.4",
        title="Inefficient queries",
        detect=_odd("1.3.4"),
        explain=(
            "Stripe answered 429, and most calls ask for prices, products and tax rates, which hardly ever change, again and again "
            "while the cache is off. With it each is asked for once in STRIPE_CACHE_TTL."
        ),
        mend=("nself env set STRIPE_ENABLE_CACHE=true", "nself env set STRIPE_CACHE_TTL=300", RESTART),
        itself=True,
    ),
)
