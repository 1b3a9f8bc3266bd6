"""What the command line, or a test, may set."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Settings:
    data: str = ":memory:"
    rate_limit: float = 25.0  # calls a second, 0 is no limit
    retry_delay: float = 1.0  # seconds before a failed delivery's second attempt; doubles after that
    traffic: str | None = None
