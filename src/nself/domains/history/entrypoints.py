"""Ways into what happened to a customer."""

from nself.core.entrypoint import Command, Row

ROWS: tuple[Row, ...] = (
    Command(
        path="billing customer timeline",
        use="history.service:timeline",
        input="history.inputs:ShowHistory",
        help="All that happened to a customer, newest first: their objects at Stripe, mails, access, and what operators did.",
        example="nself billing customer timeline cus_123 --since 7d",
    ),
)
