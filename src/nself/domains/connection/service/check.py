"""Looking at the connection with Stripe, and the budget that all processes share."""

from __future__ import annotations

from nself.app import App
from nself.core.settings import mask
from nself.domains.connection import store
from nself.domains.connection.inputs import ShowConfig
from nself.domains.connection.model import Config
from nself.domains.connection.service import cache
from nself.gateway import budget


def show_config(app: App, given: ShowConfig) -> Config:
    """Mode, masked keys, host, and what is odd about them."""
    settings = app.settings
    key, publishable = settings.value("STRIPE_SECRET_KEY"), settings.value("STRIPE_PUBLISHABLE_KEY")
    return Config(
        mode=settings.text("STRIPE_MODE"),
        secret_key=mask(key.text) or "not set",
        secret_key_origin=key.origin,
        secret_key_length=len(key.text),
        publishable_key=publishable.text or "not set",
        webhook_secrets=len(settings.secrets("STRIPE_WEBHOOK_SECRET")),
        api_base=settings.stripe_api_base,
        sandbox=settings.flag("STRIPE_MOCK_ENABLED"),
        rate_limit=budget.limit(settings),
        cache=cache.described(app),
        batch_requests=settings.flag("STRIPE_BATCH_REQUESTS"),
        warnings=_warnings(app),
    )


def _warnings(app: App) -> list[str]:
    settings = app.settings
    mode, found = settings.text("STRIPE_MODE"), list[str]()
    for name, prefixes in (
        ("STRIPE_SECRET_KEY", (f"sk_{mode}_", f"rk_{mode}_")),
        ("STRIPE_PUBLISHABLE_KEY", (f"pk_{mode}_",)),
    ):
        value = settings.value(name)
        if value.odd:
            found.append(f"{name}: {value.odd}")
        if value.text and not value.text.startswith(prefixes):
            found.append(f"{name} does not start with {' or '.join(prefixes)} although STRIPE_MODE is {mode}")
    return found


def lease_calls(app: App, want: int) -> int:
    """How many of `want` calls to Stripe may be made in this second, over all processes."""
    with app.db.reading() as tx:
        return store.lease_calls(tx, app.settings.live, want, budget.limit(app.settings))
