"""What the demonstration and the guide's fixtures are made of, the same at each run."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from nself.domains.usage.inputs import UsageEvent

SEED = 2026
LINES, USERS = 5_000, 60
START = datetime(2026, 1, 1, tzinfo=UTC)
MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
PATHS = (
    "/",
    "/docs",
    "/blog/2026/01",
    "/api/v1/search?q=stripe",
    "/static/app.js",
    "/images/logo.png",
    "/download/report.pdf",
)

QUOTAS = (("api_calls", 20), ("bandwidth", 5 * 2**20))
"""Metric and free units a month on plan free; what is above is charged."""

PRICES = """\
# Prices of the demonstration: `amount` dollars for each `per` units above the quota.
overage:
  api_calls: {amount: "0.05"}
  bandwidth: {amount: "0.09", per: 1048576}
"""

SETTINGS = {
    "STRIPE_MODE": "test",
    "STRIPE_MOCK_ENABLED": "true",
    "STRIPE_SECRET_KEY": "sk_test_PLACEHOLDER_demo",
    "STRIPE_RATE_LIMIT": "1000",
    "USAGE_AGGREGATION_INTERVAL": "10s",
}


def traffic() -> Iterator[str]:
    """Lines of an access log in combined format; a few users make most of them."""
    draw = random.Random(SEED)
    weights = [1 / rank for rank in range(1, USERS + 1)]
    at = START
    for _ in range(LINES):
        at += timedelta(seconds=draw.expovariate(1 / 500))
        host = f"198.51.100.{draw.choices(range(1, USERS + 1), weights)[0]}"
        path = draw.choice(PATHS)
        missing = draw.random() < 0.03
        size = "-" if missing else str(int(draw.paretovariate(1.2) * 4000))
        stamp = f"{at.day:02}/{MONTHS[at.month - 1]}/{at.year}:{at:%H:%M:%S} +0000"
        yield f'{host} - - [{stamp}] "GET {path} HTTP/1.1" {304 if missing else 200} {size} "-" "demo/1.0"\n'


KEPT_SETTINGS = frozenset(
    {"DATABASE_URL", "BILLING_HOST", "BILLING_PORT", "BILLING_LOG_DIR", "STRIPE_MOCK_PORT", "NO_PROXY"}
)
"""Where things are on this machine: a reset leaves them alone."""
GUIDE_SETTINGS = {
    "STRIPE_MODE": "test",
    "STRIPE_MOCK_ENABLED": "true",
    "STRIPE_SECRET_KEY": "sk_test_PLACEHOLDER_guide",
    "STRIPE_PUBLISHABLE_KEY": "pk_test_PLACEHOLDER_guide",
    "STRIPE_WEBHOOK_SECRET": "whsec_PLACEHOLDER_guide",
    "STRIPE_RATE_LIMIT": "1000",
}
GUIDE_USER, GUIDE_EMAIL = "user123", "user@example.com"
GUIDE_QUOTA = ("api_calls", 1000)
GUIDE_MONTH = datetime(2026, 1, 1, tzinfo=UTC)
GUIDE_NOW = {"api_calls": 420, "bandwidth": 3 * 2**20}
"""What the guide's user has used today: well within the quota."""


def guide_usage(now: datetime) -> Iterator[UsageEvent]:
    """1,500 api_calls and 30 MiB in January 2026 (500 calls above the quota), a little today."""
    for n in range(1500):
        at = GUIDE_MONTH + timedelta(minutes=29 * n)
        yield _guide_event("api_calls", 1, at, f"guide-2026-01-{n}")
    for day in range(30):
        at = GUIDE_MONTH + timedelta(days=day, hours=12)
        yield _guide_event("bandwidth", 2**20, at, f"guide-2026-01-bytes-{day}")
    for metric, value in GUIDE_NOW.items():
        yield _guide_event(metric, value, now, f"guide-now-{metric}")


def _guide_event(metric: str, value: int, at: datetime, key: str) -> UsageEvent:
    return UsageEvent(user=GUIDE_USER, metric=metric, value=value, at=at.isoformat(), key=key)


def endpoint(url: str, secret: str) -> dict[str, object]:
    """The sandbox's webhook endpoint that sends every event to `url`."""
    return {
        "object": "webhook_endpoint", "id": "we_123", "url": url, "secret": secret, "enabled_events": ["*"], "status": "enabled",
        "description": "nself billing", "metadata": {"nself": "webhooks"},
    }  # fmt: skip
