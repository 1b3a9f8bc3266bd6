"""Ways into audits: stated rules over what is mirrored, and over what Stripe has."""

from nself.core.entrypoint import Command, Row

ROWS: tuple[Row, ...] = (
    Command(
        path="billing customers audit",
        use="audit.service.customers:audit_customers",
        input="audit.inputs:AuditCustomers",
        help="Find customers whose data keep them from being billed, and with --check-fraud what fraud looks like.",
        example="nself billing customers audit --check-fraud",
        audited=True,
    ),
    Command(
        path="billing audit charges",
        use="audit.service.charges:audit_charges",
        input="audit.inputs:AuditCharges",
        help="Find what was charged twice, too much, without an invoice or out of line; the file is what `refund batch` reads.",
        example="nself billing audit charges --since '2026-01-30 00:00:00' --status suspicious --output affected.csv",
        audited=True,
    ),
    Command(
        path="billing audit transactions",
        use="audit.service.transactions:audit_transactions",
        input="audit.inputs:AuditTransactions",
        help="Tell who caused each movement at Stripe: a command of ours, Stripe itself, or nobody we know.",
        example="nself billing audit transactions --since '2026-01-30 00:00:00' --output audit.csv",
        audited=True,
    ),
)
