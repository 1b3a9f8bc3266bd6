"""Root causes of issue 3.3: changes in mid-period that were counted otherwise than meant."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from nself.core.money import Money, exponent
from nself.diagnosis import Cause, Evidence, Look
from nself.domains.subscription import store
from nself.domains.subscription.service import prorate
from nself.domains.subscription.service.causes import trial
from nself.domains.subscription.service.update import PRORATION

SINCE, MOST = timedelta(days=31), 50
NEW = timedelta(days=7)
"""Who notices that an amount is wrong does so soon; a price that was sold for longer was meant."""
USUAL, AT = "create_prorations", "%Y-%m-%d %H:%M:%SZ"


def _more(count: int) -> str:
    return f"; {count - 1} more like it" if count > 1 else ""


def behavior(look: Look) -> Evidence | None:
    setting = look.app.settings.text(PRORATION)
    if setting == USUAL:
        return None
    with look.app.db.reading() as tx:
        one = store.changed_by(tx, setting, look.app.clock() - SINCE, look.app.settings.live)
    if one is None:
        return None
    text = f"{PRORATION}={setting}: {one.subscription} became {one.price} by it at {one.at:{AT}}"
    return Evidence(text, {"subscription": one.subscription}, "certain" if setting == "none" else "likely")


def zone(look: Look) -> Evidence | None:
    ours = look.app.timezone.key
    found = [one for one in look.once(trial.wanted) if one.asked == "end" and one.zone != ours]
    if not found:
        return None
    one = found[0]
    text = f"the date for {one.subscription} ({one.wanted:{AT}}) was counted in {one.zone}; BILLING_TIMEZONE is {ours}"
    return Evidence(text + _more(len(found)), {"subscription": one.subscription, "until": f"{one.wanted:%Y-%m-%d}"})


def wrong_amount(look: Look) -> Evidence | None:
    with look.app.db.reading() as tx:
        found = store.withdrawn(tx, look.app.clock() - SINCE, NEW, look.app.settings.live, MOST)
    if not found:
        return None
    one = found[0]
    asks, right = (Decimal(amount).scaleb(-exponent(one.currency)) for amount in (one.asks, one.right))
    text = (
        f"{one.subscription} was changed to {one.price} at {one.at:{AT}}, which asks {asks:f} {one.currency} and is no longer "
        f"sold; {one.sold} of the same name asks {right:f}"
    )
    fields = {"subscription": one.subscription, "price": one.sold, "seconds": one.since}
    return Evidence(text + _more(len(found)), fields, "likely")


def overlap(look: Look) -> Evidence | None:
    app = look.app
    with app.db.reading() as tx:
        late = store.late_trials(tx, app.clock() - SINCE, app.settings.live, MOST)
    found = [(one["id"], credit) for one in late for credit in prorate.uncredited(app, one)]
    if not found:
        return None
    id, credit = found[0]
    lacks = Money(-(credit.expected_minor or 0), credit.currency)
    text = f"a trial of {id} began at {credit.at:{AT}}, which had paid until {credit.until:{AT}}; {lacks} were not credited"
    return Evidence(text + _more(len(found)), {"subscription": id})


CAUSES = (
    Cause(
        id="3.3.1",
        title="Wrong proration_behavior setting",
        detect=behavior,
        explain=(
            "Subscriptions were changed while STRIPE_PRORATION_BEHAVIOR was none, by which nothing is credited nor charged in "
            "mid-period, or always_invoice, by which it is charged at once. What was changed so is put right by changing it again "
            "or by a credit note."
        ),
        mend=(
            "nself billing subscription show-config {subscription}",
            "nself env set STRIPE_PRORATION_BEHAVIOR=create_prorations",
        ),
    ),
    Cause(
        id="3.3.2",
        title="Timezone issues with billing dates",
        detect=zone,
        explain=(
            "A date was given for a subscription by a program that counted it in another time zone than BILLING_TIMEZONE is: what "
            "follows from it, the end of a trial and the begin of periods, is off by hours. That usage is counted in another "
            "zone is 2.3.3."
        ),
        mend=(
            "nself env get BILLING_TIMEZONE",
            'nself billing subscription update {subscription} --trial-end "{until}"',
        ),
    ),
    Cause(
        id="3.3.3",
        title="Incorrect price amount",
        detect=wrong_amount,
        explain=(
            "A subscription was changed to a price that had just been made with a wrong amount, and was prorated by it; the price "
            "was withdrawn since, and what is sold under its name (product, nickname, plan, interval) asks for another amount. An "
            "older price that some keep is none of these: it was sold for longer than a week when they came to it."
        ),
        mend=(
            "nself billing subscription preview-change --subscription {subscription} --new-price {price} --proration-date {seconds}",
            "nself billing subscription update {subscription} --price {price} --proration-date {seconds}",
        ),
    ),
    Cause(
        id="3.3.4",
        title="Trial period overlap",
        detect=overlap,
        explain=(
            "A trial began within a period that was paid, and nothing was credited for the rest of it: set in the Dashboard or by "
            "a program with proration_behavior=none. When the trial ends a whole period is charged, so that days that are free "
            "were paid. By create_prorations the trial's begin credits them; a trial at the begin of a subscription overlaps nothing."
        ),
        mend=(
            "nself billing subscription recalculate {subscription}",
            "nself billing subscription recalculate {subscription} --execute",
        ),
        needs=("database", "stripe"),
    ),
)
