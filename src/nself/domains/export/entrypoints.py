"""Ways into files of what there is."""

from nself.core.entrypoint import Command, Row

KINDS = ("charges", "invoices", "subscriptions", "payments", "refunds", "usage")

ROWS: tuple[Row, ...] = tuple(
    Command(
        path=f"billing export {kind}",
        use=f"export.service:export_{kind}",
        input="export.inputs:Export",
        help=f"Write {kind} into a file for its owner alone; no card data, nothing that a spreadsheet would execute.",
        example=f"nself billing export {kind} --since 2026-01-30 --format csv --output {kind}.csv",
        audited=True,
    )
    for kind in KINDS
)
