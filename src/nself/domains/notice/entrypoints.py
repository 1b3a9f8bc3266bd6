"""Ways into what customers are told by hand, and of their cards."""

from nself.core.entrypoint import Causes, Command, Route, Row, Scheduled

ROWS: tuple[Row, ...] = (
    Causes(use="notice.service.causes:CAUSES"),
    Command(
        path="billing customer notify",
        use="notice.service.one:notify",
        input="notice.inputs:NotifyCustomer",
        help="Mail a customer by a template; the same is not mailed twice.",
        example="nself billing customer notify --customer cus_123 --template payment_failed",
        audited=True,
    ),
    Command(
        path="billing notify-customers",
        use="notice.service.many:notify_customers",
        input="notice.inputs:NotifyCustomers",
        help="Mail many customers by a template, each once an incident; in live mode a plan without --yes.",
        example="nself billing notify-customers --template billing_error_apology --customers affected.csv",
        audited=True,
    ),
    Route(
        method="POST",
        path="/api/v1/customers/{customer}/notify",
        use="notice.service.one:notify",
        input="notice.inputs:NotifyCustomer",
        scope="admin",
        help="Mail a customer by a template; the same is not mailed twice.",
        example='{"customer": "cus_123", "template": "receipt"}',
    ),
    Scheduled(
        type="card_notices",
        use="notice.service.cards:tell_cards",
        every="24h",
        help="Tells whose card expires this month or the next while a subscription is charged to it, once.",
    ),
)
