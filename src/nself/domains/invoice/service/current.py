"""An invoice as Stripe has it now: what is decided about money is decided on this, and the mirror has it too."""

from __future__ import annotations

import hashlib

import msgspec

from nself.app import App
from nself.domains.connection.model import Snapshot, operation_name
from nself.domains.connection.service import intents
from nself.domains.invoice import rules, store
from nself.domains.invoice.errors import NoSuchInvoice, UsageIncomplete, not_editable
from nself.domains.mirror import service as mirror
from nself.domains.mirror.model import Picture
from nself.domains.usage.service import collector
from nself.gateway.answers import no_such
from nself.gateway.errors import NoAnswer, StripeDown

SOURCE = "invoice command"
NAMES, MAX_NAMES = 50, 10_000


def refresh(app: App, invoice: str) -> Snapshot:
    """Raises NoSuchInvoice, and the gateway's errors."""
    picture = mirror.fetch(app, "invoice", invoice, SOURCE)
    if not picture.snapshot.get("deleted") or _known(app, "invoice", invoice):
        _accept(app, picture)
    with app.db.reading() as tx:
        found = None if picture.snapshot.get("deleted") else store.snapshot(tx, invoice)
    if found is None:
        raise NoSuchInvoice(invoice=invoice[:100])
    return found


def for_payment(app: App, invoice: str) -> Snapshot:
    """As the mirror has it where payments wait in the queue, or Stripe does not answer; a draft is always asked for."""
    known = mirror.latest(app, "invoice", invoice)
    usable = known is not None and known.snapshot["status"] != "draft"
    if known and usable and app.settings.flag("BILLING_QUEUE_PAYMENTS"):
        return known.snapshot
    try:
        return refresh(app, invoice)
    except (NoAnswer, StripeDown):
        if known is None or not usable:
            raise
        return known.snapshot


def draft(app: App, invoice: str) -> Snapshot:
    """The same where it can be edited. Raises InvoiceNotEditable."""
    found = refresh(app, invoice)
    if found["status"] != "draft":
        raise not_editable(invoice, found["status"])
    return found


def fetched(app: App, kind: str, id: str) -> Snapshot:
    """Another mirrored object, stored. Raises `No such price: …` and the like."""
    picture = mirror.fetch(app, kind, id, SOURCE)
    if picture.snapshot.get("deleted"):
        raise no_such(kind, id)
    _accept(app, picture)
    return picture.snapshot


def _known(app: App, kind: str, id: str) -> bool:
    with app.db.reading() as tx:
        return mirror.known(tx, kind, id)


def _accept(app: App, picture: Picture) -> None:
    mirror.in_order(app, picture, lambda tx, picture: mirror.accept(app, tx, picture))


def name(app: App, key: str | None, deed: str, *about: object) -> str:
    """What an operation is called. Without a key the first name of `about` under which nothing has ended yet.

    So two who wish the same at once wish it once, who comes again after a crash goes on with it, and who wishes it
    again later gets it again. With a key it happens once.
    """
    if key:
        return operation_name(app.settings.live, deed, "key", key)
    for first in range(1, MAX_NAMES, NAMES):
        names = [operation_name(app.settings.live, deed, *about, number) for number in range(first, first + NAMES)]
        ended = {one.operation for one in intents.states(app, names) if one.state not in ("pending", "queued")}
        for one in names:
            if one not in ended:
                return one
    raise AssertionError(f"{deed} {about}: {MAX_NAMES} times done")


def operation(app: App, deed: str, *about: object) -> str:
    """A name that happens once."""
    return operation_name(app.settings.live, deed, *about)


def digest(*given: object) -> str:
    """Tells what is wished from something else that is."""
    return hashlib.sha256(msgspec.json.encode(given, order="deterministic")).hexdigest()[:16]


def require_counted(app: App) -> None:
    """Raises UsageIncomplete while usage waits on disk. What is counted but not folded is in every figure."""
    events = collector.waiting(app).events
    if events:
        raise UsageIncomplete(events=events)


def minimum(app: App, currency: str) -> Snapshot | None:
    """What BILLING_MINIMUM_CHARGE asks for; None where nothing, or what Stripe does by itself."""
    settings = app.settings
    return rules.minimum(
        settings.amounts("BILLING_MINIMUM_CHARGE"), settings.text("BILLING_MINIMUM_CHARGE_MODE"), currency
    )
