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
)
