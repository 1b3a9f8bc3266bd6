"""Ways into the catalog: metrics and their prices. Its commands stand under the nouns of those who use them."""

from nself.core.entrypoint import Command, Route, Row

ROWS: tuple[Row, ...] = (
    Command(
        path="billing usage list-metrics",
        use="catalog.service:list_metrics",
        input="catalog.inputs:ListMetrics",
        help="List the metrics that can be recorded, from services/billing/config/usage-metrics.yml.",
        example="nself billing usage list-metrics",
    ),
    Command(
        path="billing price create",
        use="catalog.service:create_price",
        input="catalog.inputs:CreatePrice",
        help="Create a price at Stripe.",
        example="nself billing price create --product prod_123 --amount 999 --currency usd --interval month",
        audited=True,
    ),
    Command(
        path="billing price list",
        use="catalog.service:list_prices",
        input="catalog.inputs:ListPrices",
        help="List Stripe's prices, newest first.",
        example="nself billing price list --product prod_123",
    ),
    Route(
        method="GET",
        path="/api/v1/prices",
        use="catalog.service:list_prices",
        input="catalog.inputs:ListPrices",
        scope="subscription:read",
        help="Stripe's prices, newest first.",
        example='{"limit": 10}',
        shared=True,
    ),
    Route(
        method="POST",
        path="/api/v1/prices",
        use="catalog.service:create_price",
        input="catalog.inputs:CreatePrice",
        scope="subscription:write",
        help="Create a price at Stripe.",
        example='{"product": "prod_123", "amount": 2900, "currency": "usd", "interval": "month"}',
    ),
    Route(
        method="GET",
        path="/api/v1/prices/{price}",
        use="catalog.service:show_price",
        input="catalog.inputs:ShowPrice",
        scope="subscription:read",
        help="A price of Stripe with trial, tiers and amounts.",
        example='{"price": "price_123"}',
        shared=True,
    ),
    Command(
        path="billing price show",
        use="catalog.service:show_price",
        input="catalog.inputs:ShowPrice",
        help="Show a price of Stripe with trial, tiers and amounts, or with --type overage those of overage-tiers.yml.",
        example="nself billing price show price_123",
    ),
)
