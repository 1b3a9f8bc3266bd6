"""The safety switches of webhooks: on by default; in live mode they are on whatever the settings say."""

from __future__ import annotations

from nself import log
from nself.app import App

SWITCHES = (
    "WEBHOOK_ASYNC_PROCESSING",
    "WEBHOOK_USE_QUEUE",
    "WEBHOOK_IDEMPOTENCY_ENABLED",
    "WEBHOOK_SEQUENTIAL_PER_OBJECT",
    "WEBHOOK_TRACK_VERSIONS",
    "WEBHOOK_USE_LOCKS",
)


def on(app: App, name: str) -> bool:
    """Whether the protection holds."""
    return app.settings.flag(name) or app.settings.live


def warnings(app: App) -> list[str]:
    """What is switched off, or would be in test mode."""
    off = [name for name in SWITCHES if not app.settings.flag(name)]
    if app.settings.live:
        return [f"{name}=false has no effect in live mode" for name in off]
    return [f"{name} is off: only for trying what it protects from (test mode)" for name in off]


def warn(app: App) -> None:
    """Tell the log, once a service."""
    for text in warnings(app):
        log.warning("webhook_switch", detail=text)
