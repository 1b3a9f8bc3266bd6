"""Root causes of issue 4.1: drafts that do not become invoices."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from nself.app import App
from nself.core.money import Money
from nself.diagnosis import Cause, Evidence, Look
from nself.domains.invoice import store
from nself.domains.invoice.model import HeldDraft

MADE, ADVANCED = timedelta(minutes=10), timedelta(hours=3)
"""In which a draft made by hand gets its lines, and in which Stripe finalises what advances by itself: after one hour."""
MOST = 100


def held(app: App) -> list[HeldDraft]:
    """Drafts with something in their way, oldest first."""
    now = app.clock()
    with app.db.reading() as tx:
        return store.held_drafts(tx, app.settings.live, now - MADE, now - ADVANCED, MOST)


def first(found: Sequence[HeldDraft], text: str) -> Evidence | None:
    """Of the oldest, with the number of those beside it."""
    if not found:
        return None
    one, more = found[0], len(found) - 1
    told = f"draft {one.invoice} of {one.customer} {text}" + (f"; so do {more} more drafts" if more else "")
    return Evidence(told, {"invoice": one.invoice, "customer": one.customer})


def no_items(look: Look) -> Evidence | None:
    return first([one for one in look.once(held) if one.stuck and not one.lines], "has no line")


def zero(look: Look) -> Evidence | None:
    found = [one for one in look.once(held) if one.stuck and one.lines and not one.total_minor]
    asks = str(Money(0, found[0].currency)) if found else ""
    return first(found, f"asks for {asks} in {found[0].lines} lines" if found else "")


def no_email(look: Look) -> Evidence | None:
    found = [one for one in look.once(held) if one.stuck and one.lines and not one.mailed]
    return first(found, "has nobody to be sent to: the customer has no email address")


def tax_failed(look: Look) -> Evidence | None:
    """Stripe knows where the customer is and still finds no tax; where it does not know, that is 4.3.2."""
    found = [one for one in look.once(held) if one.tax == "failed" or (one.tax and one.located)]
    return first(found, f"has no tax: Stripe's calculation says {found[0].tax}" if found else "")


CAUSES = (
    Cause(
        id="4.1.1",
        title="No subscription items",
        detect=no_items,
        explain=(
            "An invoice needs at least one line. A draft without any, because its items were taken off or the subscription had "
            "nothing to bill, is never finalised, and Stripe refuses to. A draft with lines that come to nothing is 4.1.2."
        ),
        mend=(
            "nself billing invoice show {invoice} --show-lines",
            "nself billing invoice add-item {invoice} --price price_123 --quantity 1",
            "nself billing invoice finalize {invoice}",
        ),
    ),
    Cause(
        id="4.1.2",
        title="Zero amount invoice",
        detect=zero,
        explain=(
            "The lines of a draft make up for each other, so that nothing is asked for: it looks as if an invoice is missing. "
            "Finalised as it is, it counts as paid at once; what is missing on it has to be added first. "
            "A draft without any line is 4.1.1, and one that a trial makes is finalised by Stripe itself."
        ),
        mend=(
            "nself billing invoice show {invoice} --show-lines",
            "nself billing invoice add-item {invoice} --price price_123 --quantity 1",
            "nself billing invoice finalize {invoice}",
        ),
    ),
    Cause(
        id="4.1.3",
        title="Missing customer email",
        detect=no_email,
        explain=(
            "Neither the draft nor its customer has an email address, so nobody would be told of the invoice, and it is not "
            "finalised. An address that is there but takes no mail is 4.5.2 or 4.5.3."
        ),
        mend=(
            "nself billing customer update {customer} --email user@example.com",
            "nself billing invoice finalize {invoice}",
        ),
    ),
    Cause(
        id="4.1.4",
        title="Tax calculation failure",
        detect=tax_failed,
        explain=(
            "Stripe computes the tax of this draft and came to no result although the customer has an address: it does not know "
            "the place, or its calculation failed. Until there is a tax the draft is not finalised. "
            "Where the customer has no address at all it is 4.3.2."
        ),
        mend=(
            "nself billing invoice recalculate {invoice}",
            "nself billing invoice regenerate {invoice}",
        ),
        follows=("4.3.2",),
    ),
)
