"""Ways into links to users' pages."""

from nself.core.entrypoint import Command, Route, Row

ROWS: tuple[Row, ...] = (
    Command(
        path="billing page-link create",
        use="page_link.service:create",
        input="page_link.inputs:CreatePageLink",
        help="Make a link to the page on which a user sees their usage, quotas and invoices; it is shown this once.",
        example="nself billing page-link create --user user123 --lives 24h",
        audited=True,
    ),
    Command(
        path="billing page-link revoke",
        use="page_link.service:revoke",
        input="page_link.inputs:RevokePageLinks",
        help="End all links to a user's page.",
        example="nself billing page-link revoke --user user123",
        audited=True,
    ),
    Route(
        method="POST",
        path="/api/v1/page-links",
        use="page_link.service:create",
        input="page_link.inputs:CreatePageLink",
        scope="invoice:read",
        help="Make a link to a user's own page, to show it to them or to embed it.",
        example='{"user": "user123", "lives": "1h"}',
    ),
)
