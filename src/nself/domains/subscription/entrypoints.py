"""Ways into subscriptions, and what follows from objects that changed. What compares them with Stripe is in `sync`."""

from nself.core.entrypoint import Command, Intent, Reaction, Route, Row, Scheduled

ROWS: tuple[Row, ...] = (
    Command(
        path="billing subscription list",
        use="subscription.service.show:list_subscriptions",
        input="subscription.inputs:ListSubscriptions",
        help="List subscriptions, newest first.",
        example="nself billing subscription list --user user123 --status active",
    ),
    Route(
        method="GET",
        path="/api/v1/subscriptions",
        use="subscription.service.show:list_subscriptions",
        input="subscription.inputs:ListSubscriptions",
        scope="subscription:read",
        help="Subscriptions, newest first.",
    ),
    Route(
        method="GET",
        path="/api/v1/subscriptions/{subscription}",
        use="subscription.service.show:show",
        input="subscription.inputs:ShowSubscription",
        scope="subscription:read",
        help="A subscription with its items.",
    ),
    Command(
        path="billing subscription create",
        use="subscription.service.create:create",
        input="subscription.inputs:CreateSubscription",
        help="Subscribe a customer to a price, once; an incomplete payment is told with what to do.",
        example="nself billing subscription create --customer cus_123 --price price_123 --payment-method pm_123",
    ),
    Route(
        method="POST",
        path="/api/v1/subscriptions",
        use="subscription.service.create:subscribe",
        input="subscription.inputs:CreateSubscription",
        scope="subscription:write",
        help="Subscribe a customer to a price, once; a trial is given once a customer.",
    ),
    Command(
        path="billing subscription update",
        use="subscription.service.update:update",
        input="subscription.inputs:UpdateSubscription",
        help="Change price, quantity, payment method or the end of the trial, now and prorated as STRIPE_PRORATION_BEHAVIOR says "
        "and as of the last preview of the same change, or with the next period.",
        example="nself billing subscription update sub_123 --price price_456",
    ),
    Route(
        method="POST",
        path="/api/v1/subscriptions/{subscription}",
        use="subscription.service.update:update",
        input="subscription.inputs:UpdateSubscription",
        scope="subscription:write",
        help="Change price, quantity, payment method or the end of the trial.",
    ),
    Intent(
        kind="subscription.schedule",
        call="subscription.service.later:call",
        settle="subscription.service.later:settle",
        find="subscription.service.later:find",
    ),
    Command(
        path="billing subscription cancel",
        use="subscription.service.cancel:cancel",
        input="subscription.inputs:CancelSubscription",
        help="Cancel a subscription, now or with its period; without a flag as BILLING_CANCELLATION_MODE says.",
        example="nself billing subscription cancel sub_123 --at-period-end",
    ),
    Route(
        method="POST",
        path="/api/v1/subscriptions/{subscription}/cancel",
        use="subscription.service.cancel:cancel",
        input="subscription.inputs:CancelSubscription",
        scope="subscription:write",
        help="Cancel a subscription, now or with its period.",
    ),
    Command(
        path="billing subscription reactivate",
        use="subscription.service.cancel:reactivate",
        input="subscription.inputs:ReactivateSubscription",
        help="Undo a cancellation that has not come yet, or resume a paused subscription.",
        example="nself billing subscription reactivate sub_123",
    ),
    Command(
        path="billing subscription prorations",
        use="subscription.service.prorate:prorations",
        input="subscription.inputs:ShowProrations",
        help="Show all prorations of a subscription, invoiced and pending, each with its arithmetic.",
        example="nself billing subscription prorations sub_123",
    ),
    Command(
        path="billing subscription recalculate",
        use="subscription.service.prorate:recalculate",
        input="subscription.inputs:Recalculate",
        help="Calculate pending prorations anew and say what is wrong with them; put it right with --execute.",
        example="nself billing subscription recalculate sub_123",
    ),
    Command(
        path="billing subscription simulate-change",
        use="subscription.service.simulate:simulate",
        input="subscription.inputs:SimulateChange",
        help="Calculate what a change would cost, by our own arithmetic.",
        example="nself billing subscription simulate-change --subscription sub_123 --new-price price_456",
    ),
    Command(
        path="billing subscription preview-change",
        use="subscription.service.simulate:preview",
        input="subscription.inputs:PreviewChange",
        help="Show what Stripe would charge for a change beside our own calculation; update applies it by its token.",
        example="nself billing subscription preview-change --subscription sub_123 --new-price price_456",
    ),
    Route(
        method="POST",
        path="/api/v1/subscriptions/{subscription}/preview",
        use="subscription.service.simulate:preview",
        input="subscription.inputs:PreviewChange",
        scope="subscription:write",
        help="What a change would cost, by Stripe and by our own calculation; its token applies it.",
    ),
    Command(
        path="billing subscription show-config",
        use="subscription.service.config:show",
        input="subscription.inputs:ShowConfig",
        help="Show by what a subscription is billed: prorations, mode, anchor, time zone, collection, retries.",
        example="nself billing subscription show-config sub_123",
    ),
    Scheduled(
        type="trial_notices",
        use="subscription.service.tell:tell_trials",
        every="10m",
        help="Tells trials that end within three days, once each.",
    ),
    Reaction(kind="subscription", use="subscription.service.tell:note_trial"),
    Reaction(kind="customer", use="subscription.service.tell:note_trial"),
    *(
        Reaction(kind=kind, use="subscription.service.tell:tell")
        for kind in ("subscription", "invoice", "charge", "dispute")
    ),
)
