"""Ways into invoices. Generating one is an operation of intents: create, a line a metric, finalise, pay."""

from nself.core.entrypoint import Command, Intent, Mirror, Route, Row

ROWS: tuple[Row, ...] = (
    Command(
        path="billing invoice generate",
        use="invoice.service.generate:generate",
        input="invoice.inputs:GenerateInvoices",
        help="Invoice the overage of a month that is over; again only bills what has come since.",
        example="nself billing invoice generate --period 2026-01",
    ),
    Command(
        path="billing invoice show",
        use="invoice.service.show:show",
        input="invoice.inputs:ShowInvoice",
        help="Show an invoice with its lines: one by its id, or a user's newest.",
        example="nself billing invoice show --user user123 --show-overage",
    ),
    Command(
        path="billing invoice explain",
        use="invoice.service.explain:explain",
        input="invoice.inputs:ExplainInvoice",
        help="Explain every cent of an invoice for usage: price, tiers, rounding, quota, usage and events.",
        example="nself billing invoice explain in_123 --line 1",
    ),
    Command(
        path="billing invoice list",
        use="invoice.service.show:list_invoices",
        input="invoice.inputs:ListInvoices",
        help="List invoices, newest first.",
        example="nself billing invoice list --status draft",
    ),
    Route(
        method="GET",
        path="/api/v1/invoices",
        use="invoice.service.show:list_invoices",
        input="invoice.inputs:ListInvoices",
        scope="invoice:read",
        help="Invoices, newest first.",
    ),
    Intent(
        kind="invoice.create",
        call="invoice.service.steps:call_create",
        settle="invoice.service.steps:settle_create",
        find="invoice.service.steps:find_created",
    ),
    Intent(
        kind="invoice.add_line",
        call="invoice.service.steps:call_add_line",
        settle="invoice.service.steps:settle_add_line",
        find="invoice.service.steps:find_line",
    ),
    Intent(
        kind="invoice.finalize",
        call="invoice.service.steps:call_finalize",
        settle="invoice.service.steps:settle_finalize",
        find="invoice.service.steps:find_finalized",
    ),
    Intent(
        kind="invoice.pay",
        call="invoice.service.steps:call_pay",
        settle="invoice.service.steps:settle_pay",
        find="invoice.service.steps:find_paid",
    ),
    Mirror(kind="invoice", apply="invoice.service.steps:apply"),
)
