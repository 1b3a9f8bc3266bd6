"""Ways into audits: stated rules over what is mirrored."""

from nself.core.entrypoint import Command, Row

ROWS: tuple[Row, ...] = (
    Command(
        path="billing customers audit",
        use="audit.service:audit_customers",
        input="audit.inputs:AuditCustomers",
        help="Find customers whose data keep them from being billed, and with --check-fraud what fraud looks like.",
        example="nself billing customers audit --check-fraud",
    ),
)
