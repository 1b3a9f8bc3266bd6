"""What the use cases of invoices take."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from nself.core.money import MAX_MINOR

Invoice = Annotated[str, Meta(description="Stripe's id.", extra={"positional": True, "metavar": "INVOICE"})]
KEY = "Done once for each such key, however often it is asked for."
Key = Annotated[Annotated[str, Meta(description=KEY, min_length=1, max_length=100)] | None, Meta(description=KEY)]
Price = Annotated[str | None, Meta(description="A price at Stripe; of one that recurs, a single period is billed.")]
Quantity = Annotated[int, Meta(description="How many of the price.", ge=0, le=1_000_000_000)]
AMOUNT = "Instead of a price: whole minor units; negative is a credit."
Amount = Annotated[
    Annotated[int, Meta(description=AMOUNT, ge=-MAX_MINOR, le=MAX_MINOR)] | None, Meta(description=AMOUNT)
]
READ = "What the customer reads."
Description = Annotated[Annotated[str, Meta(description=READ, max_length=500)] | None, Meta(description=READ)]
CURRENCY = "Else the price's, the customer's or BILLING_CURRENCY."
Currency = Annotated[
    Annotated[str, Meta(description=CURRENCY, pattern="^[A-Za-z]{3}$")] | None, Meta(description=CURRENCY)
]
Reason = Annotated[str, Meta(description="Why; kept with the invoice.", min_length=1, max_length=500)]


class GenerateInvoices(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    invoice: Annotated[
        str | None,
        Meta(
            description="Instead of a period: bring this draft up to date.",
            extra={"positional": True, "metavar": "INVOICE"},
        ),
    ] = None
    period: Annotated[str | None, Meta(description="The month, 2026-01.")] = None
    user: Annotated[str | None, Meta(description="Only this user.")] = None


class ShowInvoice(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    invoice: Annotated[
        str | None, Meta(description="Stripe's id.", extra={"positional": True, "metavar": "INVOICE"})
    ] = None
    user: Annotated[str | None, Meta(description="Instead of an id: this user's newest invoice.")] = None
    show_overage: Annotated[bool, Meta(description="Also the overage behind the lines, with its rated parts.")] = False
    show_lines: Annotated[bool, Meta(description="Also each line's id, price, quantity, period, discount and tax.")] = (
        False
    )
    show_tax: Annotated[bool, Meta(description="Also the tax of each line by its rate.")] = False
    verbose: Annotated[bool, Meta(description="All of it, and payments, credit and what changed since.")] = False


class ReadInvoice(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    invoice: Invoice


class ListInvoices(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    status: Annotated[
        Literal["draft", "open", "paid", "void", "uncollectible", "past_due"] | None,
        Meta(description="Only these; past_due is open after its due date or a failed payment."),
    ] = None
    user: Annotated[str | None, Meta(description="Only this user's.")] = None
    customer: Annotated[str | None, Meta(description="Only this customer's.")] = None
    limit: Annotated[int, Meta(description="Most rows.", ge=1, le=1000)] = 100
    offset: Annotated[int, Meta(description="Rows to skip.", ge=0, le=1_000_000_000)] = 0


class ExplainInvoice(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    invoice: Annotated[str, Meta(description="Stripe's id.", extra={"positional": True, "metavar": "INVOICE"})]
    line: Annotated[int, Meta(description="Only the line of this number, from 1.", ge=1)] | None = None
    events: Annotated[int, Meta(description="Most events to show of a line.", ge=0, le=1000)] = 5


class CreateInvoice(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    amount: Amount = None
    customer: Annotated[str, Meta(description="Stripe's id of the customer.")]
    price: Price = None
    quantity: Quantity = 1
    description: Description = None
    currency: Currency = None
    auto_advance: Annotated[bool, Meta(description="Stripe finalises it and collects by itself, in an hour.")] = False
    idempotency_key: Key = None


class AddItem(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    amount: Amount = None
    invoice: Invoice
    price: Price = None
    quantity: Quantity = 1
    description: Description = None
    idempotency_key: Key = None


class RemoveItem(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    invoice: Invoice
    line_item: Annotated[str, Meta(description="The line's id, as show-lines tells it.")]


class AddTax(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    invoice: Invoice
    tax_rate: Annotated[str, Meta(description="A tax rate at Stripe, for all lines without rates of their own.")]


class UpdateInvoice(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    invoice: Invoice
    description: (
        Annotated[str, Meta(description="What the customer reads; '' takes it away.", max_length=1500)] | None
    ) = None
    footer: Annotated[str, Meta(description="Below the lines; '' takes it away.", max_length=5000)] | None = None
    due_date: Annotated[str | None, Meta(description="2026-02-14; the customer then pays on request.")] = None
    auto_advance: Annotated[
        Literal["on", "off"] | None, Meta(description="Whether Stripe finalises and collects by itself.")
    ] = None


class Finalize(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    invoice: Invoice
    force: Annotated[bool, Meta(description="Also where the customer has no email address.")] = False


class Pay(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    invoice: Invoice
    retry: Annotated[bool, Meta(description="Also after an attempt that failed.")] = False
    payment_method: Annotated[str | None, Meta(description="Instead of the customer's default one.")] = None


class Send(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    invoice: Invoice
    again: Annotated[bool, Meta(description="Also if it was sent as it is.")] = False


class Void(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    invoice: Invoice
    reason: Reason


class Credit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    amount: Annotated[int, Meta(description="Whole minor units; else all that is left.", ge=1, le=MAX_MINOR)] | None = (
        None
    )
    invoice: Invoice
    lines: Annotated[str | None, Meta(description="Whole lines instead, by their ids, comma separated.")] = None
    reason: Reason
    refund: Annotated[bool, Meta(description="Give back what was paid; else it becomes the customer's balance.")] = (
        False
    )
    idempotency_key: Key = None


class Upcoming(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    customer: Annotated[str | None, Meta(description="The customer's next invoice.")] = None
    subscription: Annotated[str | None, Meta(description="The subscription's next invoice.")] = None


class Audit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    invoice: Invoice
    exit_code: Annotated[bool, Meta(description="Exit 3 where there is a difference.")] = False


class ShowErrors(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    last: Annotated[str, Meta(description="How far back: 24h, 7d.")] = "24h"
    limit: Annotated[int, Meta(description="Most rows.", ge=1, le=1000)] = 100


class ListRates(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    limit: Annotated[int, Meta(description="Most rows.", ge=1, le=1000)] = 100


class CreateRate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: Annotated[str, Meta(description="What the customer reads: VAT, Sales Tax.", min_length=1, max_length=50)]
    percentage: Annotated[
        str,
        Meta(description="19 or 8.25: per cent, not a fraction.", pattern=r"^(100(\.0{1,4})?|\d{1,2}(\.\d{1,4})?)$"),
    ]
    inclusive: Annotated[bool, Meta(description="Prices have it in them already.")] = False
    country: Annotated[str, Meta(description="Two letters (ISO 3166).", pattern="^[A-Za-z]{2}$")] | None = None
    state: Annotated[str, Meta(description="Of the USA or Canada: CA, ON.", min_length=1, max_length=20)] | None = None


class Nothing(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Nothing."""
