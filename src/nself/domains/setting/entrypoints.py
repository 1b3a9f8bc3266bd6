"""Ways into the settings: `nself env …`."""

from nself.core.entrypoint import Command, Row

ROWS: tuple[Row, ...] = (
    Command(
        path="env get",
        use="setting.service:get",
        input="setting.inputs:GetSetting",
        help="Print the value of one setting; secrets masked unless --reveal.",
        example="nself env get BILLING_TIMEZONE",
    ),
    Command(
        path="env set",
        use="setting.service:set_values",
        input="setting.inputs:SetSettings",
        help="Write settings: secrets to .secrets, the others to .env, or where .env.local has them.",
        example="nself env set STRIPE_MAX_RETRIES=3 STRIPE_TIMEOUT=20s",
        audited=True,
    ),
    Command(
        path="env list",
        use="setting.service:list_settings",
        input="setting.inputs:ListSettings",
        help="List settings with value, origin and effect.",
        example="nself env list --changed",
    ),
    Command(
        path="env unset",
        use="setting.service:unset",
        input="setting.inputs:UnsetSettings",
        help="Remove settings from .env, .env.local and .secrets, so that their defaults hold again.",
        example="nself env unset STRIPE_MAX_RETRIES",
        audited=True,
    ),
)
