"""What went back of an invoice, whichever way: as a refund, to the customer's balance, by a dispute.

Stripe holds a refund to its charge and a credit note to its invoice, and neither to the other.
"""

from __future__ import annotations

from collections.abc import Collection

from nself.app import App
from nself.db.connect import Tx
from nself.domains.connection.model import Snapshot
from nself.domains.connection.rules import part
from nself.domains.mirror import service as mirror
from nself.domains.payment import figures, rules, store
from nself.domains.payment.errors import GivenBackMeanwhile
from nself.domains.payment.service import look

NOTES = "credit_notes"
WAYS = ("refunds", NOTES)


def begin(app: App) -> int:
    """Before it is seen what is left: what is wished for from here on is meanwhile."""

    def work(tx: Tx) -> int:
        _one_by_one(tx)
        return store.newest_wish(tx)

    return app.db.transact(work)


def meanwhile(app: App, tx: Tx, customers: Collection[str], since: int, *ways: str, own: str = "") -> set[str]:
    """Step: those customers to whom something went or goes back by one of these ways since then.

    Whoever wishes for it next waits for the end of `tx`, and is seen or sees.
    """
    _one_by_one(tx)
    return store.given_back_meanwhile(tx, list(customers), ways, since, own, app.settings.live)


def _one_by_one(tx: Tx) -> None:
    """Of everybody: a charge that is not here yet has no customer to lock."""
    mirror.lock(tx, "given_back", [""])


def alone(app: App, tx: Tx, customer: str | None, since: int, *ways: str, own: str) -> None:
    """Step: raises GivenBackMeanwhile."""
    if customer and meanwhile(app, tx, [customer], since, *ways, own=own):
        raise GivenBackMeanwhile(customer=customer)


def beside_refunds(app: App, charge: Snapshot) -> int:
    """Minor units of a charge that are left by Stripe's count, and went to the balance with its invoice's credit notes."""
    with app.db.reading() as tx:
        invoice = store.invoice_of(tx, charge.get("customer"), charge.get("payment_intent"))
    if invoice is None:
        return 0
    found = look.fresh(app, "invoice", invoice)
    return max(0, rules.left(charge) - left(app, found)) if found["post_payment_credit_notes_amount"] else 0


def left(app: App, invoice: Snapshot) -> int:
    """Minor units that were paid of an invoice, by charges and from the balance, and are not given back."""
    charges = [look.fresh(app, "charge", id) for id in _charges(app, invoice)]
    captured = sum(one["amount_captured"] for one in charges)
    gone = sum(one["amount_refunded"] + _charged_back(app, one) for one in charges)
    return max(captured, figures.settled(invoice)) - gone - _to_balance(app, invoice)


def _charges(app: App, invoice: Snapshot) -> list[str]:
    return [found for one in rules.paid_parts(invoice) if (found := _charge(app, part(one, "payment")))]


def _charge(app: App, payment: Snapshot) -> str | None:
    if intent := payment.get("payment_intent"):
        return look.fresh(app, "payment_intent", intent)["latest_charge"]
    return payment.get("charge")


def _charged_back(app: App, charge: Snapshot) -> int:
    if not charge.get("disputed"):
        return 0
    return sum(
        one["amount"] for one in app.stripe.listed("disputes", charge=charge["id"]) if one["status"] not in figures.KEPT
    )


def _to_balance(app: App, invoice: Snapshot) -> int:
    """Credit notes for what was paid, less those that were refunds."""
    if not invoice["post_payment_credit_notes_amount"]:
        return 0
    notes = app.stripe.listed("credit_notes", invoice=invoice["id"])
    return sum(figures.to_balance(one) for one in notes if one["status"] == "issued")
