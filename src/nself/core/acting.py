"""On whose behalf this thread works: what wishes to call Stripe are recorded with."""

from __future__ import annotations

from contextvars import ContextVar

cause: ContextVar[str | None] = ContextVar("cause", default=None)
"""`billing refund create by alice@host`; None: scheduled work."""
