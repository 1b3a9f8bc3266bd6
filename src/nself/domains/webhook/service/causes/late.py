"""Root causes of issue 6.3: webhooks take too long."""

from __future__ import annotations

from nself.app import App
from nself.diagnosis import Cause, Evidence, Look
from nself.domains.webhook import rules
from nself.domains.webhook.model import SlowEvent
from nself.domains.webhook.service.causes import switch
from nself.domains.webhook.service.show import latest

ASYNC, QUEUE = "WEBHOOK_ASYNC_PROCESSING", "WEBHOOK_USE_QUEUE"


def works(app: App) -> list[SlowEvent]:
    with app.db.reading() as tx:
        return latest(tx, app.clock())


def storing(look: Look) -> Evidence | None:
    text = rules.slow_storing(look.once(works))
    return Evidence(text, sure="likely") if text else None


def calls(look: Look) -> Evidence | None:
    text = rules.slow_calls(look.once(works))
    return Evidence(text) if text else None


CAUSES = (
    Cause(
        id="6.3.1",
        title="Slow database queries",
        detect=storing,
        explain=(
            "The newest events spend their time in the database: storing the object and what follows from it takes seconds, where "
            "the calls to Stripe do not. A statement without its index, a trigger or a lock of somebody else is behind it. "
            "Where the calls take the time, it is 6.3.3."
        ),
        mend=(
            "nself db slow-queries",
            "nself db missing-indexes",
            "nself billing webhook replay --status failed --since 24h",
        ),
    ),
    Cause(
        id="6.3.2",
        title="Blocking operations in handler",
        detect=switch.off(ASYNC),
        explain=(
            f"With {ASYNC}=false the receiver processes each event before it answers, so that Stripe waits for all of it and "
            "counts a timeout where it takes long."
        ),
        mend=switch.mend(ASYNC),
        itself=True,
    ),
    Cause(
        id="6.3.3",
        title="External API calls",
        detect=calls,
        explain=(
            "Processing an event asks Stripe for the object, and these calls take so long that the event is given up at "
            "WEBHOOK_TIMEOUT, or nearly. The database is not what is slow (6.3.1)."
        ),
        mend=("nself billing stripe test-connection", "nself billing webhook replay --status failed --since 24h"),
        elsewhere="Stripe's status page and the network between here and there, if the calls stay slow.",
    ),
    Cause(
        id="6.3.4",
        title="Not using background jobs",
        detect=switch.off(QUEUE),
        explain=(
            f"With {QUEUE}=false each delivery is stored by itself while Stripe waits, instead of being gathered with the others "
            "in the queue of the receiver."
        ),
        mend=switch.mend(QUEUE),
        itself=True,
    ),
)
