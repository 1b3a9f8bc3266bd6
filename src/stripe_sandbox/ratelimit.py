"""Stripe's limit on calls a second: a token bucket that refills all the time."""

import time

from stripe_sandbox.errors import StripeError


class RateLimit:
    def __init__(self, per_second: float) -> None:
        """0 is no limit."""
        self._per_second = per_second
        self._capacity = max(1.0, per_second)
        self._tokens = self._capacity
        self._filled_at = time.monotonic()

    def take(self) -> None:
        if self._per_second <= 0:
            return
        now = time.monotonic()
        self._tokens = min(self._capacity, self._tokens + (now - self._filled_at) * self._per_second)
        self._filled_at = now
        if self._tokens < 1:
            raise rate_limited()
        self._tokens -= 1


def rate_limited() -> StripeError:
    return StripeError(
        "Request rate limit exceeded. Learn more about rate limits here https://stripe.com/docs/rate-limits.",
        status=429,
        code="rate_limit",
        headers={"Stripe-Rate-Limited-Reason": "global-rate"},
    )


def lock_timeout() -> StripeError:
    """Stripe's other 429: somebody else is changing the object."""
    return StripeError(
        "This object cannot be accessed right now because another API request or Stripe process is currently accessing"
        " it. If you see this error intermittently, retry the request.",
        status=429,
        code="lock_timeout",
    )
