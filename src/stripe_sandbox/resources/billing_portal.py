"""The billing portal as a link. What a customer would do there is done by the API; there are no pages to click."""

from typing import Any

from stripe_sandbox import ids
from stripe_sandbox.call import Call
from stripe_sandbox.params import Shape, Text
from stripe_sandbox.resource import Params, Resource, listable, operation, register, retrievable
from stripe_sandbox.store import Object

_REASONS = ["too_expensive", "missing_features", "switched_service", "unused", "customer_service", "too_complex",
            "low_quality", "other"]  # fmt: skip
CONFIGURATION = register(
    Resource(
        kind="billing_portal.configuration",
        prefix="bpc",
        path="/v1/billing_portal/configurations",
        item="configuration",
        id_param="configuration",
        fields={
            "active": True,
            "application": None,
            "business_profile": {"headline": None, "privacy_policy_url": None, "terms_of_service_url": None},
            "default_return_url": None,
            "features": {
                "customer_update": {"allowed_updates": ["email", "tax_id"], "enabled": True},
                "invoice_history": {"enabled": True},
                "payment_method_update": {"enabled": True, "payment_method_configuration": None},
                "subscription_cancel": {
                    "cancellation_reason": {"enabled": False, "options": _REASONS},
                    "enabled": True,
                    "mode": "at_period_end",
                    "proration_behavior": "none",
                },
                "subscription_update": {
                    "billing_cycle_anchor": None,
                    "default_allowed_updates": [],
                    "enabled": False,
                    "products": [],
                    "proration_behavior": "none",
                    "schedule_at_period_end": {"conditions": []},
                    "trial_update_behavior": "end_trial",
                },
            },
            "is_default": True,
            "login_page": {"enabled": False, "url": None},
            "metadata": {},
            "name": None,
            "updated": 0,
        },
        references={"application": "application"},
    )
)
SESSION = register(
    Resource(
        kind="billing_portal.session",
        prefix="bps",
        path="/v1/billing_portal/sessions",
        item="session",
        fields={
            "configuration": "",
            "customer": "",
            "customer_account": None,
            "flow": None,
            "locale": None,
            "on_behalf_of": None,
            "return_url": None,
            "url": "",
        },
        references={"configuration": "billing_portal.configuration"},
    )
)


@operation(
    "POST",
    SESSION.path,
    Shape({"configuration": Text(), "customer": Text(), "return_url": Text()}, required=("customer",)),
)
def create(call: Call, params: Params) -> Object:
    customer = call.require("customer", params["customer"], param="customer")
    if "configuration" in params:
        configuration = call.require("billing_portal.configuration", params["configuration"], param="configuration")
    else:
        made = call.find("billing_portal.configuration")
        configuration = made[0] if made else call.create(CONFIGURATION, {"updated": call.now})
    identifier = ids.new_id(SESSION.prefix)
    fields: dict[str, Any] = {
        "configuration": configuration["id"],
        "customer": customer["id"],
        "return_url": params.get("return_url"),
        "url": call.page("billing_portal.session", identifier),
    }
    session = call.create(SESSION, fields, identifier=identifier)
    call.emit("billing_portal.session.created", session)
    return session


retrievable(CONFIGURATION)
listable(CONFIGURATION)
