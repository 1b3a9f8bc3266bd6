"""Ways into the sandbox: the demonstration."""

from nself.core.entrypoint import Command, Row

ROWS: tuple[Row, ...] = (
    Command(
        path="billing sandbox demo",
        use="sandbox.service.demo:demo",
        input="sandbox.inputs:RunDemo",
        help="Run the main job against the sandbox: traffic in, paid invoices out.",
        example="nself billing sandbox demo --log access.log.gz",
    ),
)
