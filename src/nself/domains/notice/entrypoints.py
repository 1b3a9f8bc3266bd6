"""Ways into what customers are told by hand, and of their cards."""

from nself.core.entrypoint import Command, Row, Scheduled

ROWS: tuple[Row, ...] = (
    Command(
        path="billing customer notify",
        use="notice.service:notify",
        input="notice.inputs:NotifyCustomer",
        help="Mail a customer by a template; the same is not mailed twice.",
        example="nself billing customer notify --customer cus_123 --template payment_failed",
        audited=True,
    ),
    Scheduled(
        type="card_notices",
        use="notice.service:tell_cards",
        every="24h",
        help="Tells whose card expires this month or the next while a subscription is charged to it, once.",
    ),
)
