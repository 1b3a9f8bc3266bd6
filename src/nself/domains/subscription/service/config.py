"""By what a subscription is billed, and where that is decided."""

from __future__ import annotations

from nself.app import App
from nself.domains.connection.rules import part
from nself.domains.mirror import service as mirror
from nself.domains.mirror.model import Snapshot
from nself.domains.subscription import facts, rules
from nself.domains.subscription.inputs import ShowConfig
from nself.domains.subscription.model import ConfigRow
from nself.domains.subscription.service import look

SETTINGS = (
    ("STRIPE_PRORATION_BEHAVIOR", "what our updates ask Stripe to do in mid-period"),
    ("BILLING_CANCELLATION_MODE", "what cancel does without a flag"),
    ("BILLING_PREVIEW_LIFETIME", "how long a preview can be applied"),
    ("BILLING_TIMEZONE", "where a trial's last day ends; Stripe counts periods in UTC"),
)


def show(app: App, given: ShowConfig) -> list[ConfigRow]:
    """Raises NoSuchSubscription, the gateway's errors."""
    snapshot = look.fresh(app, given.subscription, "subscription show-config")
    rows = [_setting(app, name, effect) for name, effect in SETTINGS]
    return [*rows, *_of_subscription(snapshot), *_retries(app, snapshot)]


def _setting(app: App, name: str, effect: str) -> ConfigRow:
    found = app.settings.value(name)
    return ConfigRow(name=name, value=found.text, origin=found.origin, effect=effect)


def _of_subscription(snapshot: Snapshot) -> list[ConfigRow]:
    flexible = part(snapshot, "billing_mode").get("type") != "classic"
    anchor, missing = (
        rules.instant(snapshot["billing_cycle_anchor"]),
        part(part(snapshot, "trial_settings"), "end_behavior"),
    )
    rows = {
        "prices": (", ".join(facts.prices(snapshot)), "what it is billed for"),
        "billing_mode": (
            "flexible" if flexible else "classic",
            "a credit is a part of what was debited" if flexible else "a credit is a part of the current price",
        ),
        "collection_method": (str(snapshot.get("collection_method")), "how its invoices are paid"),
        "billing_cycle_anchor": (f"{anchor:%Y-%m-%d %H:%M:%SZ}", "its periods are counted from here"),
        "default_payment_method": (
            str(snapshot.get("default_payment_method") or "none"),
            "what is charged; none = the customer's",
        ),
        "trial_end_without_payment_method": (
            str(missing.get("missing_payment_method") or "create_invoice"),
            "what becomes of it then",
        ),
        "cancel_at_period_end": (
            str(bool(snapshot.get("cancel_at_period_end"))).lower(),
            "whether it ends with its period",
        ),
    }
    return [
        ConfigRow(name=name, value=value, origin=snapshot["id"], effect=effect)
        for name, (value, effect) in rows.items()
    ]


def _retries(app: App, snapshot: Snapshot) -> list[ConfigRow]:
    """Stripe tells no schedule, only the next attempt of an invoice."""
    invoice, value = snapshot.get("latest_invoice"), "none is due"
    if invoice:
        mirror.refresh(app, "invoice", invoice, "subscription show-config")
        with app.db.reading() as tx:
            found = mirror.stored(tx, "invoice", [invoice])[invoice].snapshot
        again = rules.instant(found.get("next_payment_attempt"))
        value = f"{again:%Y-%m-%d %H:%M:%SZ}, after {found.get('attempt_count')} attempts" if again else value
    effect = "failed payments are tried again as Stripe's Dashboard says (Billing, Revenue recovery)"
    return [ConfigRow(name="next_payment_attempt", value=value, origin=str(invoice or "no invoice"), effect=effect)]
