"""Nouns and errors of what users and programs are told."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, NamedTuple

import msgspec

from nself.core.errors import Conflict, Invalid, NotFound

Channel = Literal["mail", "webhook"]
State = Literal["queued", "sent", "failed", "bounced", "suppressed"]
"""`bounced`: refused for good by a mail server; `suppressed`: never tried, the address bounced or complained before."""
Reason = Literal["bounced", "complained", "unsubscribed"]
MAX_SAID = 500
ALERT = "operator.alert"
"""The kind of what operators are told; its webhook is a chat's, see BILLING_ALERT_WEBHOOK_URL."""


class Note(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened. `email` is who is told by mail, if anybody; `data` is JSON for the webhook.

    `template` names the mail's template, which `data` fills; without one the mail is `subject` and `text`.
    `attach` are references like `invoice_pdf:in_123`, resolved when the mail is sent (`core.entrypoint.Attachment`).
    `once` names it where it may be seen more than once: it is told once each way. `id` is the mail's, drawn unless it is given.
    """

    kind: str
    email: str | None
    data: dict[str, Any]
    template: str = ""
    subject: str = ""
    text: str = ""
    attach: tuple[str, ...] = ()
    once: str | None = None
    id: str = ""
    mail_only: bool = False


class Content(msgspec.Struct, frozen=True, kw_only=True):
    """What is stored of a note."""

    subject: str
    text: str
    data: dict[str, Any]
    attach: tuple[str, ...] = ()


class Outgoing(msgspec.Struct, frozen=True, kw_only=True):
    """One message for one channel; new, or claimed under its `token`."""

    id: str
    kind: str
    channel: Channel
    recipient: str
    livemode: bool
    data: str
    created_at: datetime
    template: str | None = None
    once: str | None = None
    attempts: int = 0
    token: int = 0

    @property
    def type(self) -> str:
        return self.template or self.kind


class End(NamedTuple):
    """What became of a try: `answer` is the other side's, or why there is none. `reason`: the recipient is suppressed for it."""

    state: State
    answer: str
    reason: Reason | None = None


class Notification(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `notification list`."""

    id: str
    kind: str
    channel: Channel
    recipient: str
    state: State
    attempts: int
    created_at: datetime
    due_at: datetime
    sent_at: datetime | None
    last_error: str | None
    once: str | None


class PutOffMail(msgspec.Struct, frozen=True):
    """A mail that is tried again, and what the mail server said."""

    id: str
    answer: str


class RefusedMail(msgspec.Struct, frozen=True):
    """A mail that its recipient did not get."""

    id: str
    recipient: str
    state: State
    answer: str


class Retried(msgspec.Struct, frozen=True, kw_only=True):
    """Result of `email resend`."""

    id: str
    result: str


class Mail(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `email list`."""

    id: str
    type: str
    recipient: str
    state: State
    attempts: int
    created_at: datetime
    sent_at: datetime | None
    last_error: str | None


class Posted(msgspec.Struct, frozen=True, kw_only=True):
    """A mail as it is stored. `suppressed`: why its recipient is mailed no more."""

    id: str
    kind: str
    template: str | None
    recipient: str
    livemode: bool
    state: State
    data: str
    attempts: int
    created_at: datetime
    due_at: datetime
    sent_at: datetime | None
    last_error: str | None
    once: str | None
    suppressed: Reason | None

    @property
    def type(self) -> str:
        return self.template or self.kind


class MailStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Result of `email status`."""

    id: str
    type: str
    recipient: str
    subject: str
    state: State
    attempts: int
    created_at: datetime
    next_try_at: datetime | None
    sent_at: datetime | None
    answer: str | None
    suppressed: Reason | None
    attachments: list[str]
    stored: str | None
    note: str


class Happening(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `email track`: a moment in the life of a mail."""

    at: datetime
    what: str
    answer: str | None


class ShownMail(msgspec.Struct, frozen=True, kw_only=True):
    """Result of `email show`."""

    id: str
    sender: str
    recipient: str
    subject: str
    text: str
    attachments: list[str]
    stored: str | None
    note: str = ""

    def plain(self) -> str:
        lines = [f"From: {self.sender}", f"To: {self.recipient}", f"Subject: {self.subject}"]
        lines += [f"Attachment: {one}" for one in self.attachments]
        lines += [f"Stored: {self.stored}"] if self.stored else []
        lines += [f"Note: {self.note}"] if self.note else []
        return "\n".join([*lines, "", self.text.rstrip()])


class Rendered(NamedTuple):
    """A filled template; `problem` where the user's own was broken and the shipped one was used."""

    subject: str
    text: str
    html: str
    problem: str = ""


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """Result of `email preview`. `source` is the template's file."""

    template: str
    source: str
    subject: str
    text: str
    html_bytes: int
    written: str | None
    note: str

    def plain(self) -> str:
        lines = [f"Template: {self.template} ({self.source})", f"Subject: {self.subject}"]
        lines += [f"HTML: {self.html_bytes} bytes" + (f", written to {self.written}" if self.written else "")]
        lines += [f"Note: {self.note}"] if self.note else []
        return "\n".join([*lines, "", self.text.rstrip()])


class MailConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Result of `email show-config`. Secrets are masked; `problems` is what keeps mail from going out, with what helps."""

    enabled: bool
    sender: str
    goes_to: str
    security: str
    login: str
    password: str
    connection: str
    rate_limit: str
    bounces_to: str
    bounce_socket: str
    webhook: str
    webhook_secret: str
    unsubscribe_url: str
    service: str
    queued: int | None
    suppressed: int | None
    overridden: list[str]
    problems: list[str]


class Suppression(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who is mailed no more; who unsubscribed gets no reminders, but invoices."""

    address: str
    reason: Reason
    detail: str | None
    message: str | None
    created_at: datetime


class Unsuppressed(msgspec.Struct, frozen=True, kw_only=True):
    """Result of `email suppressed remove`."""

    address: str
    result: str


class Report(NamedTuple):
    """What another side tells of a mail that it took: `bounced`, `complained` or `delivered`; `permanent`: the address is dead."""

    message: str
    recipient: str | None
    event: Literal["bounced", "complained", "delivered", "delayed"]
    answer: str
    permanent: bool


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of /webhooks/mail: `unknown` reports named no mail of ours, or not its recipient."""

    taken: int
    unknown: int


class Undeliverable(Exception):
    """Trying again is of no use."""


class Bounced(Exception):
    """A mail server refused it for good. `dead`: because there is no such address."""

    def __init__(self, answer: str, dead: bool) -> None:
        super().__init__(answer)
        self.dead = dead


class BrokenTemplate(Exception):
    """Says the template's file and line."""


class NoSuchNotification(NotFound):
    code, param = "no_such_notification", "id"
    text = "No such notification: {id}"
    hints = ("nself billing notification list", "nself billing email list")


class NoSuchMail(NotFound):
    code, guide, param = "no_such_mail", "4.5", "message"
    text = "No such message: {message}"
    hints = ("nself billing email list",)


class NoSuchTemplate(NotFound):
    code, guide, param = "no_such_template", "4.5", "template"
    text = "No such template: {template}. There are: {known}"
    hints = ("nself billing email preview --template payment_failed",)


class TemplateUnusable(Invalid):
    code, guide, param = "template_broken", "4.5", "template"
    text = "Template {template} cannot be filled: {detail}"
    hints = ("nself billing email preview --template {template}",)


class NotSuppressed(NotFound):
    code, guide, param = "not_suppressed", "4.5", "address"
    text = "{address} is not suppressed"
    hints = ("nself billing email suppressed list",)


class SuppressedRecipient(Conflict):
    code, guide = "recipient_suppressed", "4.5.3"
    text = "{address} {reason} and is mailed no more: {detail}"
    hints = ("nself billing email suppressed remove {address}",)


class BadReport(Invalid):
    code, guide = "parameter_invalid", "4.5"
    text = "This is no report of mail: {detail}"


class ReportUnsigned(Invalid):
    code, guide = "mail_signature_verification_failed", "4.5"
    text = "No secret of MAIL_WEBHOOK_SECRET made this signature, or its time is too far from ours"
    hints = ("nself env set MAIL_WEBHOOK_SECRET --stdin", "nself restart billing")


def storable(text: str) -> str:
    """What others say, without what PostgreSQL has no place for, and not too much of it."""
    return text.replace("\0", "")[:MAX_SAID]
