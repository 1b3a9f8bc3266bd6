"""Ways into subscriptions, and what follows from objects that changed."""

from nself.core.entrypoint import Command, Reaction, Route, Row, Scheduled

ROWS: tuple[Row, ...] = (
    Command(
        path="billing subscription list",
        use="subscription.service:list_subscriptions",
        input="subscription.inputs:ListSubscriptions",
        help="List subscriptions, newest first.",
        example="nself billing subscription list --user user123 --status active",
    ),
    Route(
        method="GET",
        path="/api/v1/subscriptions",
        use="subscription.service:list_subscriptions",
        input="subscription.inputs:ListSubscriptions",
        scope="subscription:read",
        help="Subscriptions, newest first.",
    ),
    Route(
        method="GET",
        path="/api/v1/subscriptions/{subscription}",
        use="subscription.service:show",
        input="subscription.inputs:ShowSubscription",
        scope="subscription:read",
        help="A subscription with its items.",
    ),
    Scheduled(
        type="trial_notices",
        use="subscription.service:tell_trials",
        every="10m",
        help="Tells trials that end within three days, once each.",
    ),
    Reaction(kind="subscription", use="subscription.service:note_trial"),
    Reaction(kind="customer", use="subscription.service:note_trial"),
    *(
        Reaction(kind=kind, use="subscription.service:tell")
        for kind in ("subscription", "invoice", "charge", "dispute")
    ),
)
