"""Ways into revenue."""

from nself.core.entrypoint import Command, Reaction, Route, Row, Scheduled

ROWS: tuple[Row, ...] = (
    Command(
        path="billing revenue",
        use="revenue.service.show:show",
        input="revenue.inputs:ShowRevenue",
        help="Show monthly recurring revenue, what moved it, and what was paid; of a customer with every part explained.",
        example="nself billing revenue --months 6 --currency usd",
    ),
    Route(
        method="GET",
        path="/api/v1/revenue",
        use="revenue.service.show:by_month",
        input="revenue.inputs:ShowRevenue",
        scope="invoice:read",
        help="Monthly recurring revenue, what moved it, and what was paid, by month.",
        example='{"months": 6, "currency": "usd"}',
    ),
    Route(
        method="GET",
        path="/api/v1/customers/{customer}/revenue",
        use="revenue.service.show:of_customer",
        input="revenue.inputs:ExplainRevenue",
        scope="invoice:read",
        help="A customer's monthly recurring revenue with every part explained, and how it became so.",
        example='{"customer": "cus_123", "months": 6}',
    ),
    *(Reaction(kind=kind, use="revenue.service.note:note") for kind in ("subscription", "customer")),
    Scheduled(
        type="revenue",
        use="revenue.service.rate:rate_due",
        every="30s",
        help="Works out what changed subscriptions are worth a month, and those that nobody looked at yet.",
        long=True,
    ),
)
