"""What goes wrong with invoices, in the guide's words."""

from __future__ import annotations

from nself.core.errors import Conflict, Invalid, NotFound, Unavailable


class NoSuchInvoice(NotFound):
    code, guide, param = "resource_missing", "10.2", "invoice"
    text = "No such invoice: {invoice}"
    hints = ("nself billing invoice list",)


class NoInvoiceYet(NotFound):
    code, guide, param = "no_invoice_yet", "5.4", "user"
    text = "User {user} has no invoice yet"
    hints = ("nself billing quota show-overage --user {user}", "nself billing overage audit --user {user}")


class MixedCurrencies(Invalid):
    code, guide = "mixed_currencies", "4.1"
    text = "overage-tiers.yml prices overage in several currencies ({currencies}); an invoice has one"
    hints = ("nself billing usage list-metrics",)


class PeriodNotOver(Invalid):
    code, guide, param = "period_not_over", "4.1", "period"
    text = "The period {period} ends at {end}: its usage is not complete yet"
    hints = ("nself billing invoice list",)


class MonthMoved(Conflict):
    """BILLING_TIMEZONE was another one: nothing of the month would be known as billed."""

    code, guide, param = "month_moved", "2.3", "period"
    text = (
        "Of {month} something was billed or decided from {start} to {end}; in the zone {zone} it begins and ends at other "
        "instants, and would be billed twice"
    )
    hints = ("nself env get BILLING_TIMEZONE", "nself env unset BILLING_TIMEZONE")


class InvoiceNotEditable(Conflict):
    """Only drafts can be edited."""

    code, guide, param = "invoice_not_editable", "4.2", "invoice"
    text = "The invoice {invoice} is {status} and no longer editable: only drafts are. Void it, credit a part of it, or regenerate it."
    hints = (
        "nself billing invoice void {invoice} --reason billing_error",
        "nself billing invoice credit {invoice} --amount 100 --reason billing_error",
        "nself billing invoice regenerate {invoice}",
    )


class PaidNotEditable(InvoiceNotEditable):
    text = "The invoice {invoice} is {status} and no longer editable: only drafts are. Credit what is wrong."
    hints = ("nself billing invoice credit {invoice} --reason billing_error", "nself billing invoice audit {invoice}")


class VoidNotEditable(InvoiceNotEditable):
    text = "The invoice {invoice} is {status} and no longer editable: only drafts are. Regenerate it as a new draft."
    hints = ("nself billing invoice regenerate {invoice}",)


def not_editable(invoice: str, status: str) -> InvoiceNotEditable:
    """With the way that is open for what is no draft any more."""
    kind = {"paid": PaidNotEditable, "void": VoidNotEditable}.get(status, InvoiceNotEditable)
    return kind(invoice=invoice, status=status)


class NotVoidable(Conflict):
    code, guide, param = "invoice_not_voidable", "4.2", "invoice"
    text = "The invoice {invoice} is {status}: only what is open can be voided"
    hints = ("nself billing invoice credit {invoice} --reason billing_error", "nself billing invoice show {invoice}")


class NotCreditable(Conflict):
    code, guide, param = "invoice_not_creditable", "4.2", "invoice"
    text = "The invoice {invoice} is {status}: {detail}"
    hints = ("nself billing invoice show {invoice} --show-lines", "nself billing invoice update {invoice}")


class NotPayable(Conflict):
    code, guide, param = "invoice_not_payable", "3.2", "invoice"
    text = "The invoice {invoice} is {status}: nothing is to be paid"
    hints = ("nself billing invoice show {invoice}",)


class PaymentFailedBefore(Conflict):
    code, guide, param = "payment_failed_before", "3.2", "invoice"
    text = "A payment of {invoice} failed before; another one is made with --retry"
    hints = ("nself billing invoice pay {invoice} --retry", "nself billing invoice show {invoice} --verbose")


class PaymentOnItsWay(Conflict):
    code, guide, param = "payment_on_its_way", "3.2", "invoice"
    text = "Another payment of {invoice} is on its way, with another payment method"
    hints = ("nself billing stripe intents --state pending", "nself billing invoice show {invoice}")


class UnableToCreate(Conflict):
    """`cause` says why; the code is that of the cause."""

    code, guide, param = "invoice_not_created", "4.1", "invoice"
    text = "Unable to create invoice: {cause}"
    hints = ("nself billing invoice show {invoice} --show-lines", "nself billing invoice preview {invoice}")


class NoItems(UnableToCreate):
    code, guide = "invoice_no_items", "4.1.1"
    hints = (
        "nself billing invoice show {invoice} --show-lines",
        "nself billing invoice add-item {invoice} --price price_123 --quantity 1",
    )


class NoEmail(UnableToCreate):
    code, guide = "customer_email_missing", "4.1.3"
    hints = (
        "nself billing customer update {customer} --email user@example.com",
        "nself billing invoice finalize {invoice} --force",
    )


class TaxFailure(UnableToCreate):
    code, guide = "customer_tax_location_invalid", "4.3"
    hints = (
        "nself billing tax show-config",
        "nself billing customer update {customer} --address-postal-code 94102 --address-country US",
        "nself billing invoice recalculate {invoice}",
    )


class NoSuchLine(NotFound):
    code, guide, param = "resource_missing", "4.2", "line_item"
    text = "No such line item: {line} on {invoice}"
    hints = ("nself billing invoice show-lines {invoice}",)


class LineOfSubscription(Conflict):
    code, guide, param = "line_of_subscription", "4.2", "line_item"
    text = "The line {line} follows from a subscription and cannot be taken off; an item with a negative amount makes up for it"
    hints = (
        "nself billing invoice add-item {invoice} --amount -100 --description Correction",
        "nself billing subscription show {subscription}",
    )


class UsageIncomplete(Unavailable):
    """Usage of the period waits on disk: an invoice now would leave it out."""

    code, guide = "usage_not_aggregated", "4.2"
    text = "{events} usage events wait to be counted: what is metered is invoiced once they are"
    hints = (
        "nself billing usage collector-status",
        "nself restart usage-collector",
        "nself billing usage aggregation-status",
    )


class MailOff(Conflict):
    code, guide = "mail_disabled", "4.5.1"
    text = "Mail is off: nothing is sent to {email}"
    hints = ("nself env set MAIL_ENABLED=true",)


class PriceUnusable(Invalid):
    code, guide, param = "price_unusable", "4.2", "price"
    text = "The price {price} {detail}"
    hints = ("nself billing price show {price}",)
