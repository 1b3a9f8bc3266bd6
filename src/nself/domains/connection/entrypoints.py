"""Ways into the connection with Stripe."""

from nself.core.entrypoint import Causes, Command, Intent, Row, Scheduled

ROWS: tuple[Row, ...] = (
    Causes(use="connection.service.causes:CAUSES"),
    Command(
        path="billing stripe show-config",
        use="connection.service.check:show_config",
        input="connection.inputs:ShowConfig",
        help="Show how Stripe is reached: mode, masked keys, host, and what is odd about them.",
        example="nself billing stripe show-config",
    ),
    Command(
        path="billing stripe test-connection",
        use="connection.service.walk:test_connection",
        input="connection.inputs:TestConnection",
        help="Go the way to Stripe step by step, from the key to the webhook endpoint; the failing step tells its cause.",
        example="nself billing stripe test-connection",
        aliases=("billing test-connection",),
        check="ok",
    ),
    Command(
        path="billing stripe test-key",
        use="connection.service.walk:test_key",
        input="connection.inputs:TestKey",
        help="Tell whether Stripe takes the key, and what a restricted one may do, by trying.",
        example="nself billing stripe test-key",
        check="valid",
    ),
    Command(
        path="billing stripe rate-limits",
        use="connection.service.rates:rate_limits",
        input="connection.inputs:ShowRateLimits",
        help="Show how many calls a second Stripe and nself allow, and how many there were.",
        example="nself billing stripe rate-limits",
    ),
    Command(
        path="billing stripe show-rate",
        use="connection.service.rates:show_rate",
        input="connection.inputs:ShowRate",
        help="Show the calls to Stripe of all processes by minute.",
        example="nself billing stripe show-rate --minutes 30",
    ),
    Intent(kind="change", call="connection.service.change:call", find="connection.service.change:find"),
    Command(
        path="billing stripe intents",
        use="connection.service.intents:list_intents",
        input="connection.inputs:ListIntents",
        help="List recorded wishes to call Stripe that are open or failed.",
        example="nself billing stripe intents --state failed",
    ),
    Scheduled(
        type="cache",
        use="connection.service.cache:prune",
        every="1h",
        help="Forget cached objects of Stripe that are out of date",
    ),
)
