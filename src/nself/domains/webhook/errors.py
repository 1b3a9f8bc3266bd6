"""What can go wrong with webhooks."""

from __future__ import annotations

from nself.core.errors import Invalid, Unavailable


class ReceiverAway(Unavailable):
    code, guide = "receiver_away", "6.1"
    text = "{url} does not answer: {detail}"
    hints = ("nself status http", "nself restart billing")


class UnreadableWebhook(Invalid):
    code, guide = "webhook_unreadable", "6.1"
    text = "Invalid webhook body: {detail}"
    hints = ("nself billing webhook failures --last 100",)
