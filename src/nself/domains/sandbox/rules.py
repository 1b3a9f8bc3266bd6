"""What the demonstration is made of: quotas, prices and generated traffic, the same at each run."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

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
