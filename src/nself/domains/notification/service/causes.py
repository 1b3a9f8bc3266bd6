"""Root causes of issue 4.5 that lie in how mail is sent."""

from __future__ import annotations

import re
from datetime import timedelta
from email.utils import parseaddr

from nself.app import App
from nself.db.connect import Tx
from nself.diagnosis import Cause, Evidence, Look
from nself.domains.notification import rules, store
from nself.domains.notification.model import PutOffMail, RefusedMail
from nself.process import supervisor

MAIL, WORKER = "mail", "worker"
GONE = (None, "STOPPED", "EXITED", "FATAL")
LATELY, WANTED = timedelta(days=1), timedelta(days=7)
MOST = 100
LOGIN = re.compile(r"\A(530|534|535)\b")
TOO_MANY = re.compile(r"\A4\d\d\b.*\b(rate|too many|too much|thrott\w+|limit\w*|quota)\b", re.IGNORECASE | re.DOTALL)
"""What mail servers say to those who send more than they may; a server that only wants to be asked again says nothing of it."""


def refused(app: App, tx: Tx) -> list[RefusedMail]:
    """Step: mails that their recipients did not get of late, newest first, where these got none since."""
    return store.refused(tx, app.clock() - LATELY, app.settings.live, MOST)


def put_off(app: App) -> list[PutOffMail]:
    with app.db.reading() as tx:
        return store.put_off(tx, MOST)


def not_configured(look: Look) -> Evidence | None:
    app = look.app
    if not app.settings.flag("MAIL_ENABLED"):
        with app.db.reading() as tx:
            mailed = store.mailed_since(tx, app.clock() - WANTED, app.settings.live)
        return (
            Evidence("MAIL_ENABLED is false although mail was sent within the last week", sure="likely")
            if mailed
            else None
        )
    if "@" not in parseaddr(app.settings.text("MAIL_FROM"))[1]:
        return Evidence("MAIL_FROM is no address, no mail can be sent")
    states = {name: found.state for name, found in supervisor.states(app.project).items()}
    if states.get(WORKER) == "RUNNING" and states.get(MAIL) in GONE:
        return Evidence(f"service {MAIL}, which sends, does not run")
    denied = next((one for one in look.once(put_off) if LOGIN.match(one.answer)), None)
    return Evidence(f"the mail server does not let us in ({denied.id}): {denied.answer}") if denied else None


def limited(look: Look) -> Evidence | None:
    found = [one for one in look.once(put_off) if TOO_MANY.match(one.answer)]
    if found:
        more = f" and {len(found) - 1} more mails" if found[1:] else ""
        return Evidence(f"the mail server puts {found[0].id}{more} off: {found[0].answer}", {"message": found[0].id})
    app = look.app
    limit, before = app.settings.integer("MAIL_RATE_LIMIT"), app.clock() - rules.WINDOW
    with app.db.reading() as tx:
        late = store.overdue(tx, before)
        reached = limit and late and store.tried_since(tx, before) >= limit
    return (
        Evidence(f"{late} mails wait although they are due: MAIL_RATE_LIMIT allows {limit} a minute")
        if reached
        else None
    )


CAUSES = (
    Cause(
        id="4.5.1",
        title="Email service not configured",
        detect=not_configured,
        explain=(
            "Mail is off, has no sender, or the service that sends it does not run or may not log in: nobody gets anything. "
            "Where some get their mail and others do not it is 4.5.2 to 4.5.4."
        ),
        mend=(
            "nself env set MAIL_ENABLED=true",
            'nself env set MAIL_FROM="billing@example.com"',
            "nself restart mail",
        ),
    ),
    Cause(
        id="4.5.4",
        title="Rate limiting",
        detect=limited,
        explain=(
            "More is mailed than the mail server takes, or than MAIL_RATE_LIMIT allows. Nothing is lost: what waits is tried again, "
            "after longer and longer pauses. A refusal for good is 4.5.3."
        ),
        mend=(
            "nself billing email show-config",
            "nself restart mail",
        ),
        elsewhere="Ask the mail provider for a higher rate, or set MAIL_RATE_LIMIT to the one that it grants.",
    ),
)
