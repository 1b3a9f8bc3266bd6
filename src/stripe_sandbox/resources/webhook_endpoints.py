"""Webhook endpoints: where events go. The secret is shown once, when the endpoint is made."""

from urllib.parse import urlsplit

from stripe_sandbox import API_VERSION, ids
from stripe_sandbox.call import Call
from stripe_sandbox.errors import InvalidParameters, StripeError
from stripe_sandbox.params import Boolean, Choice, Clearable, Items, Metadata, Shape, Text
from stripe_sandbox.resource import Params, Resource, listable, operation, register, retrievable
from stripe_sandbox.store import Object
from stripe_sandbox.surface import surface

_MOST = 16

WEBHOOK_ENDPOINT = register(
    Resource(
        kind="webhook_endpoint",
        prefix="we",
        path="/v1/webhook_endpoints",
        item="webhook_endpoint",
        title="webhook endpoint",
        id_param="webhook_endpoint",
        fields={
            "api_version": None,
            "application": None,
            "description": None,
            "enabled_events": [],
            "metadata": {},
            "status": "enabled",
            "url": "",
            "_rolled": [],  # earlier secrets, each with the instant until which it signs too
            "_secret": "",
        },
    )
)

_FIELDS = {
    "description": Clearable(Text(5000)),
    "enabled_events": Items(Text()),
    "metadata": Metadata(),
    "url": Text(),
}


def _check(params: Params) -> None:
    for index, event in enumerate(params.get("enabled_events", [])):
        if event != "*" and event not in surface().events:
            raise InvalidParameters(
                f"Invalid enabled_events[{index}]: {event} is not a type of event.", param=f"enabled_events[{index}]"
            )
    if "url" in params:
        try:
            parts = urlsplit(str(params["url"]))
            sound = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        except ValueError:
            sound = False
        if not sound:
            raise InvalidParameters(
                "Invalid URL: An explicit scheme (such as https) must be provided.", code="url_invalid", param="url"
            )


@operation(
    "POST",
    WEBHOOK_ENDPOINT.path,
    Shape({**_FIELDS, "api_version": Choice(API_VERSION)}, required=("enabled_events", "url")),
)
def create(call: Call, params: Params) -> Object:
    _check(params)
    if len(call.find("webhook_endpoint")) >= _MOST:
        raise StripeError(f"You have reached the maximum of {_MOST} test webhook endpoints.")
    endpoint = call.create(WEBHOOK_ENDPOINT, {**params, "_secret": ids.webhook_secret()})
    return {**endpoint, "secret": endpoint["_secret"]}


@operation("POST", WEBHOOK_ENDPOINT.item_path, Shape({**_FIELDS, "disabled": Boolean()}))
def update(call: Call, params: Params) -> Object:
    _check(params)
    endpoint = call.addressed("webhook_endpoint")
    fields = dict(params)
    if "disabled" in fields:
        fields["status"] = "disabled" if fields.pop("disabled") else "enabled"
    call.change(endpoint, fields)
    return endpoint


@operation("DELETE", WEBHOOK_ENDPOINT.item_path)
def delete(call: Call, params: Params) -> Object:
    return call.delete(call.addressed("webhook_endpoint"), None)


retrievable(WEBHOOK_ENDPOINT)
listable(WEBHOOK_ENDPOINT)
