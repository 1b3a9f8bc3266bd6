"""Ways into the sandbox: the demonstration, and what an operator does to it."""

from nself.core.entrypoint import Command, Row

ROWS: tuple[Row, ...] = (
    Command(
        path="billing sandbox demo",
        use="sandbox.service.demo:demo",
        input="sandbox.inputs:RunDemo",
        help="Run the main job against the sandbox: traffic in, paid invoices out.",
        example="nself billing sandbox demo --log access.log.gz",
    ),
    Command(
        path="billing sandbox reset",
        use="sandbox.service.reset:reset",
        input="sandbox.inputs:ResetSandbox",
        help="Forget everything in the sandbox and in the local tables; with --fixtures guide also put the guide's ids there.",
        example="nself billing sandbox reset --fixtures guide --yes",
    ),
)
