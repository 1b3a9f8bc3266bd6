"""Where mail and webhooks of our own arrive."""

from telling import mailbox, receiver

__all__ = ["mailbox", "receiver"]
