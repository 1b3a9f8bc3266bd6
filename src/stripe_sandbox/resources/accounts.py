"""The one account of a sandbox."""

from stripe_sandbox.call import Call
from stripe_sandbox.resource import ABSENT, Params, Resource, operation, register
from stripe_sandbox.store import Object

ACCOUNT = register(
    Resource(
        kind="account",
        prefix="acct",
        path="/v1/accounts",
        item="account",
        fields={
            "livemode": ABSENT,
            "business_profile": None,
            "business_type": None,
            "capabilities": {"card_payments": "active", "transfers": "active"},
            "charges_enabled": True,
            "controller": {"type": "account"},
            "country": "US",
            "default_currency": "usd",
            "details_submitted": True,
            "email": "owner@sandbox.test",
            "metadata": {},
            "payouts_enabled": True,
            "settings": {
                "branding": {"icon": None, "logo": None, "primary_color": None, "secondary_color": None},
                "card_payments": {
                    "statement_descriptor_prefix": None,
                    "statement_descriptor_prefix_kana": None,
                    "statement_descriptor_prefix_kanji": None,
                },
                "dashboard": {"display_name": "Sandbox", "timezone": "Etc/UTC"},
                "payments": {
                    "statement_descriptor": "SANDBOX",
                    "statement_descriptor_kana": None,
                    "statement_descriptor_kanji": None,
                },
            },
            "type": "standard",
        },
    )
)


def ensure(call: Call) -> None:
    if not call.find("account"):
        call.create(ACCOUNT, {})


def account(call: Call) -> Object:
    return call.find("account")[0]


@operation("GET", "/v1/account")
def retrieve_account(call: Call, params: Params) -> Object:
    return account(call)
