"""Ways into mail and webhooks of our own."""

from nself.core.entrypoint import Causes, Command, Row

ROWS: tuple[Row, ...] = (
    Causes(use="notification.service.causes:CAUSES"),
    Command(
        path="billing notification list",
        use="notification.service.outbox:list_notifications",
        input="notification.inputs:ListNotifications",
        help="List what was told by mail and by webhooks of our own, newest first.",
        example="nself billing notification list --state failed",
    ),
    Command(
        path="billing email resend",
        use="notification.service.outbox:resend",
        input="notification.inputs:RetryNotification",
        help="Send a mail, or a webhook of our own, again, under the same id.",
        example="nself billing email resend msg_123",
        aliases=("billing notification retry",),
    ),
    Command(
        path="billing email show-config",
        use="notification.service.show:show_config",
        input="notification.inputs:ShowConfig",
        help="Show how mail is set up, where it goes, and what is wrong.",
        example="nself billing email show-config",
    ),
    Command(
        path="billing email list",
        use="notification.service.show:list_mails",
        input="notification.inputs:ListMails",
        help="List mails, newest first.",
        example="nself billing email list --type invoice",
    ),
    Command(
        path="billing email status",
        use="notification.service.show:status",
        input="notification.inputs:OneMail",
        help="Show what became of a mail.",
        example="nself billing email status msg_123",
    ),
    Command(
        path="billing email track",
        use="notification.service.show:track",
        input="notification.inputs:OneMail",
        help="List the life of a mail: queued, tried, what mail servers answered, sent, bounced.",
        example="nself billing email track msg_123",
    ),
    Command(
        path="billing email show",
        use="notification.service.show:show",
        input="notification.inputs:OneMail",
        help="Show a mail's words.",
        example="nself billing email show msg_123",
    ),
    Command(
        path="billing email preview",
        use="notification.service.show:preview",
        input="notification.inputs:PreviewTemplate",
        help="Fill a template with sample data; services/billing/templates/mail/NAME.mjml overrides the shipped one.",
        example="nself billing email preview --template payment_failed --to preview.html",
    ),
    Command(
        path="billing email suppressed list",
        use="notification.service.bounce:list_suppressions",
        input="notification.inputs:ListSuppressions",
        help="List addresses that are mailed no more: they bounced, complained or unsubscribed.",
        example="nself billing email suppressed list",
    ),
    Command(
        path="billing email suppressed remove",
        use="notification.service.bounce:remove_suppression",
        input="notification.inputs:RemoveSuppression",
        help="Mail an address again.",
        example="nself billing email suppressed remove user@example.com",
        audited=True,
    ),
)
