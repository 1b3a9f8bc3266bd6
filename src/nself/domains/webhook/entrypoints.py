"""Ways into webhooks. The route that Stripe calls is `nself.http.webhook`: it hands over raw bytes."""

from nself.core.entrypoint import Command, Row

ROWS: tuple[Row, ...] = (
    Command(
        path="billing webhook events",
        use="webhook.service.show:events",
        input="webhook.inputs:ListEvents",
        help="List events that Stripe sent, newest first.",
        example="nself billing webhook events --status failed",
    ),
    Command(
        path="billing webhook status",
        use="webhook.service.show:status",
        input="webhook.inputs:WebhookStatus",
        help="Show how many events were received, processed and failed, and what is waiting.",
        example="nself billing webhook status",
    ),
    Command(
        path="billing webhook list-endpoints",
        use="webhook.service.endpoints:list_endpoints",
        input="webhook.inputs:ListEndpoints",
        help="List the endpoints that Stripe sends events to.",
        example="nself billing webhook list-endpoints",
    ),
    Command(
        path="billing webhook test-signature",
        use="webhook.service.endpoints:test_signature",
        input="webhook.inputs:TestSignature",
        help="Send the running service a signed test event, and a wrongly signed one that it must refuse.",
        example="nself billing webhook test-signature",
    ),
    Command(
        path="billing webhook update-url",
        use="webhook.service.endpoints:update_url",
        input="webhook.inputs:UpdateUrl",
        help="Have Stripe send events to this URL; makes the endpoint and stores its secret where there is none.",
        example="nself billing webhook update-url https://yourapp.com/webhooks/stripe",
    ),
)
