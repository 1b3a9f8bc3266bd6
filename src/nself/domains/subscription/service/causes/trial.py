"""Root causes of issue 3.4: trials that are not what was asked, or not what the price grants."""

from __future__ import annotations

from datetime import timedelta

from nself.app import App
from nself.diagnosis import Cause, Evidence, Look
from nself.domains.customer import service as customer
from nself.domains.subscription import facts, rules, store
from nself.domains.subscription.model import WantedTrial, Young
from nself.gateway.errors import NoSuchObject

SINCE = timedelta(days=60)
MOST, PRICES = 500, 20
"""Subscriptions and different prices that are looked at, newest first."""
AT = "%Y-%m-%d %H:%M:%SZ"
UPDATE = 'nself billing subscription update {subscription} --trial-end "{until}"'
SHOW = "nself billing subscription show {subscription}"


def young(app: App) -> list[tuple[Young, int]]:
    """With the days that the price grants; only of prices that grant any."""
    with app.db.reading() as tx:
        found = store.young(tx, app.clock() - SINCE, app.settings.live, MOST)
    prices = list(dict.fromkeys(one.price for one in found if one.price))[:PRICES]
    days = {id: _days(app, id) for id in prices}
    return [(one, granted) for one in found if one.price and (granted := days.get(one.price, 0))]


def _days(app: App, price: str) -> int:
    try:
        return facts.trial_days(app.stripe.look_up("price", price))
    except NoSuchObject:
        return 0


def wanted(app: App) -> list[WantedTrial]:
    with app.db.reading() as tx:
        return store.wanted_trials(tx, app.clock(), app.settings.live, MOST)


def _more(count: int) -> str:
    return f"; {count - 1} more like it" if count > 1 else ""


def not_given(look: Look) -> Evidence | None:
    now = look.app.clock()
    found = [
        (one, days)
        for one, days in look.once(young)
        if one.trial_start is None
        and not one.trial_used
        and one.asked is None
        and one.created_at + timedelta(days=days) > now
    ]
    if not found:
        return None
    one, days = found[0]
    text = f"{one.subscription} of {one.customer} began without a trial at {one.created_at:{AT}}; {one.price} grants {days} days"
    until = f"{one.created_at + timedelta(days=days):%Y-%m-%d}"
    return Evidence(
        text + _more(len(found)), {"subscription": one.subscription, "price": one.price, "until": until}, "likely"
    )  # fmt: skip


def used(look: Look) -> Evidence | None:
    found = customer.refused_trials(look.app, MOST)
    if not found:
        return None
    one = found[0]
    text = f"{one.customer} was refused a trial of {one.price} at {one.at:{AT}}: there was one before"
    return Evidence(text + _more(len(found)), {"customer": one.customer, "price": one.price})


def wrong_length(look: Look) -> Evidence | None:
    found = [
        (one, days, (one.trial_end - one.trial_start).days)
        for one, days in look.once(young)
        if one.status == "trialing" and one.trial_start and one.trial_end and one.asked not in rules.DATED
        and abs((one.trial_end - one.trial_start).days - days) > 1
    ]  # fmt: skip
    other = {one.subscription for one in look.once(wanted) if rules.differs(one.wanted or one.at, one.has)}
    found = [one for one in found if one[0].subscription not in other]
    if not found:
        return None
    one, days, given = found[0]
    assert one.trial_start
    text = f"the trial of {one.subscription} has {given} days; {one.price} grants {days}"
    until = f"{one.trial_start + timedelta(days=days):%Y-%m-%d}"
    return Evidence(text + _more(len(found)), {"subscription": one.subscription, "price": one.price, "until": until})


def not_as_asked(look: Look) -> Evidence | None:
    found = [one for one in look.once(wanted) if one.wanted and rules.differs(one.wanted, one.has)]
    if not found:
        return None
    one = found[0]
    has = f"until {one.has:{AT}}" if one.has else "none"
    text = f"for {one.subscription} a trial until {one.wanted:{AT}} was asked at {one.at:{AT}}; Stripe has {has}"
    return Evidence(
        text + _more(len(found)), {"subscription": one.subscription, "until": f"{one.wanted:%Y-%m-%dT%H:%M:%SZ}"}
    )


CAUSES = (
    Cause(
        id="3.4.1",
        title="Trial not configured on price",
        detect=not_given,
        explain=(
            "A subscription began without a trial while its price granted none, or by hand in the Dashboard, where a price's trial "
            "is not given by itself; by what the price grants now it would be in its trial. Nobody asked for none, and the "
            "customer has had none: that would be 3.4.2."
        ),
        mend=("nself billing price show {price}", UPDATE),
        needs=("database", "stripe"),
    ),
    Cause(
        id="3.4.2",
        title="Customer already used trial",
        detect=used,
        explain=(
            "An app asked for a trial for a customer who has had one, and was refused: there is one a customer and user. An "
            "operator may give another one. It is told for a day, or until it is given."
        ),
        mend=(
            "nself billing customer trial-eligibility {customer}",
            "nself billing subscription create --customer {customer} --price {price} --trial-days 14",
        ),
    ),
    Cause(
        id="3.4.3",
        title="Wrong trial period length",
        detect=wrong_length,
        explain=(
            "A trial runs that is longer or shorter than what the price grants, and nobody asked for its end by a date. Where "
            "an end was asked and Stripe has another one, it is 3.4.4."
        ),
        mend=(SHOW, UPDATE),
        needs=("database", "stripe"),
    ),
    Cause(
        id="3.4.4",
        title="Trial override not working",
        detect=not_as_asked,
        explain=(
            "The end of a trial that was asked for here is not the one that Stripe has: somebody changed it afterwards, in the "
            "Dashboard or by another program. The newest that was asked counts."
        ),
        mend=(SHOW, UPDATE),
    ),
)
