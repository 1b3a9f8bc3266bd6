"""Steps of everything that an operator does to the sandbox: test mode only, and it must run."""

from __future__ import annotations

from datetime import UTC, datetime

from nself.app import App
from nself.domains.sandbox import rules, store
from nself.domains.sandbox.model import SandboxUnused, TestModeOnly
from nself.domains.sandbox.store import Answer


def ask(app: App, method: str, route: str, body: object = None) -> Answer:
    """The admin route's answer. Raises TestModeOnly, SandboxAway, and what the sandbox refuses."""
    if app.settings.live:
        raise TestModeOnly()
    return store.admin(app.settings.integer("STRIPE_MOCK_PORT"), method, route, body)


def must_be_used(app: App) -> None:
    """For what goes through the product's own key. Raises TestModeOnly, SandboxUnused."""
    base, port = app.settings.stripe_api_base, app.settings.integer("STRIPE_MOCK_PORT")
    if app.settings.live:
        raise TestModeOnly()
    if not rules.is_sandbox(base, port):
        raise SandboxUnused(base=base, port=port)


def instant(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
