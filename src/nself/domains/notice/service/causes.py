"""Root causes of issue 4.5 that lie in customers' addresses: mail that they did not get, while they still have that address."""

from __future__ import annotations

import re
from typing import NamedTuple

from nself.app import App
from nself.diagnosis import Cause, Evidence, Look
from nself.domains.customer import service as customer
from nself.domains.notification.service import causes as mail

INVALID = re.compile(r"not one address|ASCII addresses only|\A55\d 5\.1\.3\b")


class Missed(NamedTuple):
    """A mail that a customer did not get at the address that it has."""

    customer: str
    message: str
    recipient: str
    state: str
    answer: str


def missed(app: App) -> list[Missed]:
    """Newest first."""
    with app.db.reading() as tx:
        found = mail.refused(app, tx)
        owners = customer.with_emails(tx, sorted({one.recipient for one in found}), app.settings.live) if found else {}
    return [
        Missed(owners[one.recipient], one.id, one.recipient, one.state, one.answer)
        for one in found
        if one.recipient in owners
    ]


def _first(found: list[Missed], what: str) -> Evidence | None:
    if not found:
        return None
    one = found[0]
    others = len({each.customer for each in found}) - 1
    more = f"; {others} more customers" if others else ""
    text = f"{one.recipient} of {one.customer} {what} ({one.message}): {one.answer}{more}"
    return Evidence(text, {"customer": one.customer, "message": one.message})


def invalid(look: Look) -> Evidence | None:
    return _first(
        [one for one in look.once(missed) if one.state == "failed" and INVALID.search(one.answer)], "is no address"
    )


def bounced(look: Look) -> Evidence | None:
    gone = [
        one for one in look.once(missed) if one.state in ("bounced", "suppressed") and not INVALID.search(one.answer)
    ]
    return _first(gone, "takes no mail")


MEND = (
    "nself billing customer update {customer} --email valid@example.com",
    "nself billing invoice send in_123",
    "nself billing email track {message}",
)
CAUSES = (
    Cause(
        id="4.5.2",
        title="Invalid customer email",
        detect=invalid,
        explain=(
            "What the customer has as an address is none, so that no mail server was even asked. An address of the right form that "
            "a mail server refuses is 4.5.3; no address at all is 4.1.3."
        ),
        mend=MEND,
    ),
    Cause(
        id="4.5.3",
        title="Email bounced",
        detect=bounced,
        explain=(
            "A mail server refused the customer's address for good, or its owner complained, and it is mailed no more. Other customers "
            "get their mail. A server that puts mail off is 4.5.4."
        ),
        mend=MEND,
        elsewhere="Where the mailbox is back: nself billing email suppressed remove, then send again.",
    ),
)
