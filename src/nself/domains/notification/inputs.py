"""What the use cases of notifications take."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Message = Annotated[
    str, Meta(description="The mail's id (msg_…).", extra={"positional": True, "metavar": "MESSAGE"})
]  # fmt: skip


class ListNotifications(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    state: Annotated[
        Literal["queued", "sent", "failed", "bounced", "suppressed"] | None, Meta(description="Only those.")
    ] = None
    channel: Annotated[Literal["mail", "webhook"] | None, Meta(description="Only those.")] = None
    limit: Annotated[int, Meta(description="Most rows.", ge=1, le=1000)] = 50


class RetryNotification(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    id: Annotated[
        str, Meta(description="The mail (msg_…), or the webhook of our own (evt_…).", extra={"positional": True, "metavar": "ID"})
    ]  # fmt: skip


class ShowConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Nothing to choose."""


class ListMails(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    type: Annotated[
        str | None, Meta(description="Only these: a template or what it is about, like invoice or payment_failed.")
    ] = None
    state: Annotated[
        Literal["queued", "sent", "failed", "bounced", "suppressed"] | None, Meta(description="Only those.")
    ] = None
    to: Annotated[str | None, Meta(description="Only to this address.")] = None
    limit: Annotated[int, Meta(description="Most rows.", ge=1, le=1000)] = 50


class OneMail(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    message: Message


class PreviewTemplate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    template: Annotated[str, Meta(description="Its name, like invoice or payment_failed.")]
    to: Annotated[str | None, Meta(description="A file that the HTML is written to.", extra={"metavar": "FILE"})] = None


class ListSuppressions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    limit: Annotated[int, Meta(description="Most rows.", ge=1, le=1000)] = 100


class RemoveSuppression(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    address: Annotated[
        str, Meta(description="Who is to be mailed again.", extra={"positional": True, "metavar": "ADDRESS"})
    ]


class MailReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a mail provider tells: `message` is the mail's id or its Message-ID, `permanent` says that the address is dead."""

    event: Literal["bounced", "complained", "delivered"]
    message: str
    recipient: str | None = None
    answer: str = ""
    permanent: bool = False
