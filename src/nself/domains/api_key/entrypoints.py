"""Ways into the keys of the HTTP API."""

from nself.core.entrypoint import Command, Row

ROWS: tuple[Row, ...] = (
    Command(
        path="billing api-key create",
        use="api_key.service:create",
        input="api_key.inputs:CreateApiKey",
        help="Make a key for the HTTP API; it is shown this once.",
        example="nself billing api-key create --name collector --scopes usage:write,quota",
        audited=True,
    ),
    Command(
        path="billing api-key list",
        use="api_key.service:list_keys",
        input="api_key.inputs:ListApiKeys",
        help="List keys, oldest first, without their secrets.",
        example="nself billing api-key list",
    ),
    Command(
        path="billing api-key revoke",
        use="api_key.service:revoke",
        input="api_key.inputs:RevokeApiKey",
        help="Make a key worthless within five seconds; this cannot be undone.",
        example="nself billing api-key revoke 4fJ9xQ2a",
        audited=True,
    ),
)
