"""Ways into the catalog: metrics and their prices. Its commands stand under the nouns of those who use them."""

from nself.core.entrypoint import Command, Row

ROWS: tuple[Row, ...] = (
    Command(
        path="billing usage list-metrics",
        use="catalog.service:list_metrics",
        input="catalog.inputs:ListMetrics",
        help="List the metrics that can be recorded, from services/billing/config/usage-metrics.yml.",
        example="nself billing usage list-metrics",
    ),
    Command(
        path="billing price show",
        use="catalog.service:show_price",
        input="catalog.inputs:ShowPrice",
        help="Show a price of Stripe with trial, tiers and amounts, or with --type overage those of overage-tiers.yml.",
        example="nself billing price show price_123",
    ),
)
