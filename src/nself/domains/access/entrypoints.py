"""Ways into access: whether a user may use the app."""

from nself.core.entrypoint import Command, Route, Row

ROWS: tuple[Row, ...] = (
    Command(
        path="billing access revoke",
        use="access.service:revoke",
        input="access.inputs:RevokeAccess",
        help="Refuse a user from now on, whatever the subscription says; it is not canceled by that.",
        example="nself billing access revoke --user user123 --reason 'chargeback'",
        audited=True,
    ),
    Command(
        path="billing access grant",
        use="access.service:grant",
        input="access.inputs:GrantAccess",
        help="Take a revocation back; plan and quotas decide again.",
        example="nself billing access grant --user user123",
        audited=True,
        money=True,
    ),
    Command(
        path="billing access show",
        use="access.service:show",
        input="access.inputs:ShowAccess",
        help="Show whether a user has access, why, and what was decided by hand.",
        example="nself billing access show --user user123",
    ),
    Command(
        path="billing subscription complete",
        use="access.service:complete",
        input="subscription.inputs:CompleteSubscription",
        help="Pay what a subscription waits for; unpaid stays unpaid, but with --force --comp --reason the plan is given for free.",
        example="nself billing subscription complete sub_123",
        audited=True,
        money=True,
    ),
    Route(
        method="GET",
        path="/api/v1/access",
        use="access.service:show",
        input="access.inputs:ShowAccess",
        scope="quota",
        help="Whether a user has access, and why.",
        example='{"user": "user123"}',
    ),
)
