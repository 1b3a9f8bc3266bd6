"""How failed payments are retried, and what becomes of the subscription when all retries failed.

At Stripe this is a setting of the Dashboard (Billing, Revenue recovery). Stripe does not publish its smart retries;
these are fixed days.
"""

from typing import Literal

import msgspec

from stripe_sandbox.store import Store

_FACT = "dunning"


class Policy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    retry_after_days: tuple[int, ...] = (3, 5, 7, 7)  # days after the attempt before
    then: Literal["cancel", "unpaid", "past_due"] = "cancel"

    def __post_init__(self) -> None:
        if any(days < 1 for days in self.retry_after_days):
            raise ValueError("retry_after_days must be whole days of at least 1")


def policy(store: Store) -> Policy:
    kept = store.fact(_FACT)
    return Policy() if kept is None else msgspec.json.decode(kept, type=Policy)


def set_policy(store: Store, wanted: Policy) -> None:
    store.set_fact(_FACT, msgspec.json.encode(wanted).decode())
