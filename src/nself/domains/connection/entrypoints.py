"""Ways into the connection with Stripe."""

from nself.core.entrypoint import Command, Intent, Row

ROWS: tuple[Row, ...] = (
    Command(
        path="billing stripe show-config",
        use="connection.service.check:show_config",
        input="connection.inputs:ShowConfig",
        help="Show how Stripe is reached: mode, masked keys, host, and what is odd about them.",
        example="nself billing stripe show-config",
    ),
    Command(
        path="billing stripe test-connection",
        use="connection.service.check:test_connection",
        input="connection.inputs:TestConnection",
        help="Call Stripe once and tell which account and mode answered, and how long it took.",
        example="nself billing stripe test-connection",
        aliases=("billing test-connection",),
    ),
    Intent(kind="change", call="connection.service.change:call", find="connection.service.change:find"),
    Command(
        path="billing stripe intents",
        use="connection.service.intents:list_intents",
        input="connection.inputs:ListIntents",
        help="List recorded wishes to call Stripe that are open or failed.",
        example="nself billing stripe intents --state failed",
    ),
)
