"""How long to wait before the next try, what a webhook of our own looks like, what mail servers mean. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage, Message
from email.utils import parseaddr
from typing import Literal, cast

import msgspec

from nself.core.money import Money
from nself.domains.notification.model import BrokenTemplate, Content, Mail, Outgoing, Posted, Report, storable

MAX_ATTEMPTS = 24
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=5), timedelta(hours=6)
"""With MAX_ATTEMPTS some three days, as Stripe's."""
REMINDERS = frozenset({"payment_failed", "payment_failed_final", "trial_will_end", "card_expiring", "quota_warning"})
"""Types of which one may want no more; what is owed and what was paid is told whatever one wishes."""
OPTIONAL = (
    "customer_name", "number", "hosted_invoice_url", "next_payment_attempt", "due_date", "description", "cancel_reason",
    "amount", "amount_remaining", "currency",
)  # fmt: skip
"""What templates may ask for though the data lack it."""
WINDOW = timedelta(minutes=1)
_encode = msgspec.json.Encoder(decimal_format="string").encode
_ENHANCED = re.compile(r"\s*([245])\.(\d{1,3})\.(\d{1,3})\b")
_VERP = re.compile(r"\+(msg_[0-9a-z]{1,64})@")
_SENT_AS = re.compile(r"<?(msg_[0-9a-z]{1,64})(@[^>\s]*)?>?")
_ACTIONS: dict[str, Literal["bounced", "delayed", "delivered"]] = {
    "failed": "bounced", "delayed": "delayed", "delivered": "delivered", "relayed": "delivered", "expanded": "delivered",
}  # fmt: skip


def pause(attempts: int) -> timedelta:
    """After so many failures, doubled each time."""
    return min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(attempts - 1, 20))


def event(one: Outgoing) -> bytes:
    """The body of a webhook in the shape of Stripe's events; the same at each try."""
    content = msgspec.json.decode(one.data, type=Content)
    return _encode(
        {
            "id": one.id,
            "object": "event",
            "type": one.kind,
            "created": int(one.created_at.timestamp()),
            "livemode": one.livemode,
            "data": {"object": content.data},
        }
    )


def chat(one: Outgoing) -> bytes:
    """The body that Slack and its like take."""
    return _encode({"text": msgspec.json.decode(one.data, type=Content).text})


# ---- Templates ----


def money(minor: object, currency: object) -> str:
    """`4.21 USD`; a filter of templates. Raises BrokenTemplate where it is given no amount."""
    if not isinstance(minor, int) or not isinstance(currency, str):
        raise BrokenTemplate(f"money needs minor units and a currency, not {minor!r} and {currency!r}")
    return str(Money(minor, currency))


def day(at: object) -> str:
    """`2026-01-31` of seconds since 1970; a filter of templates. Raises BrokenTemplate where it is given none."""
    if not isinstance(at, int):
        raise BrokenTemplate(f"day needs seconds since 1970, not {at!r}")
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d}"


def lines(text: str) -> str:
    """Plain text without the blank lines that a template's own conditions leave."""
    return re.sub(r"\n{3,}", "\n\n", "\n".join(line.rstrip() for line in text.splitlines())).strip("\n") + "\n"


def sender_name(sender: str) -> str:
    """How MAIL_FROM calls us: its name, else its domain."""
    name, address = parseaddr(sender)
    return name or address.rpartition("@")[2] or "billing"


# ---- Addresses, answers, bounces ----


def verp(address: str, id: str) -> str:
    """Where this message comes back to: `bounces+msg_1@example.com`."""
    local, _, domain = address.rpartition("@")
    return f"{local}+{id}@{domain}"


def returned(address: str) -> str | None:
    """The id in an address that `verp` made."""
    found = _VERP.search(address.lower())
    return found[1] if found else None


def sent_as(text: str) -> str:
    """The id in a Message-ID of ours; else the text."""
    found = _SENT_AS.fullmatch(text.strip())
    return found[1] if found else storable(text.strip())


def dead(code: int, answer: str) -> bool:
    """Whether a refusal says that there is no such address; a full mailbox or an unwelcome mail says nothing of the kind."""
    found = _ENHANCED.match(answer)
    if not found:
        return code in (550, 551, 553)
    subject, detail = int(found[2]), int(found[3])
    return found[1] == "5" and ((subject == 1 and detail not in (7, 8)) or (subject, detail) == (2, 1))


def delivery_report(message: EmailMessage, id: str) -> Report | None:
    """What a returned message says of the mail `id`; None where it is none (RFC 3464): an answer of a person, say."""
    if message.get_content_type() != "multipart/report" or str(message.get_param("report-type")) != "delivery-status":
        return None
    blocks = [
        block
        for part in message.walk()
        if part.get_content_type() == "message/delivery-status" and part.is_multipart()
        for block in cast("Sequence[Message]", part.get_payload())
        if str(block.get("Action", "")).strip().lower() in _ACTIONS
    ]
    if not blocks:
        return None
    block = next((one for one in blocks if _action(one) == "bounced"), blocks[0])
    status = str(block.get("Status", "")).strip()
    said = str(block.get("Diagnostic-Code", "")).partition(";")[2].strip() or status
    return Report(id, None, _action(block), " ".join(said.split()), dead(0, status))


def _action(block: Message) -> Literal["bounced", "delayed", "delivered"]:
    return _ACTIONS[str(block["Action"]).strip().lower()]


# ---- Showing ----


def listed(one: Posted) -> Mail:
    return Mail(
        id=one.id,
        type=one.type,
        recipient=one.recipient,
        state=one.state,
        attempts=one.attempts,
        created_at=one.created_at,
        sent_at=one.sent_at,
        last_error=one.last_error,
    )
