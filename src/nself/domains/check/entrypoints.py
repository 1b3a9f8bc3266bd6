"""Ways into the checks that look at the whole."""

from nself.core.entrypoint import Causes, Command, Row

ROWS: tuple[Row, ...] = (
    Causes(use="check.service.causes:CAUSES"),
    Command(
        path="billing stripe show-mode",
        use="check.service.mode:show_mode",
        input="check.inputs:ShowMode",
        help="Show the mode of keys, STRIPE_MODE, webhook endpoint, stored rows and sandbox, and where they differ.",
        example="nself billing stripe show-mode",
    ),
    Command(
        path="billing test",
        use="check.service.chain:test",
        input="check.inputs:TestChain",
        help="Go through the whole chain at the sandbox, from usage to the paid invoice's PDF, and name the first broken link.",
        example="nself billing test --use-mock",
    ),
)
