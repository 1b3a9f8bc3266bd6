"""Ways into notifications."""

from nself.core.entrypoint import Command, Row

ROWS: tuple[Row, ...] = (
    Command(
        path="billing notification list",
        use="notification.service.outbox:list_notifications",
        input="notification.inputs:ListNotifications",
        help="List mails and webhooks of our own, newest first.",
        example="nself billing notification list --state failed",
    ),
    Command(
        path="billing notification retry",
        use="notification.service.outbox:retry",
        input="notification.inputs:RetryNotification",
        help="Send one again, under the same id.",
        example="nself billing notification retry evt_123",
    ),
)
