"""Root causes of issue 3.3: changes in mid-period that were counted otherwise than meant."""

from __future__ import annotations

from datetime import timedelta

from nself.diagnosis import Cause, Evidence, Look
from nself.domains.subscription import store
from nself.domains.subscription.service.causes import trial
from nself.domains.subscription.service.update import PRORATION

SINCE = timedelta(days=31)
USUAL = "create_prorations"


def behavior(look: Look) -> Evidence | None:
    setting = look.app.settings.text(PRORATION)
    if setting == USUAL:
        return None
    with look.app.db.reading() as tx:
        one = store.changed_by(tx, setting, look.app.clock() - SINCE, look.app.settings.live)
    if one is None:
        return None
    text = f"{PRORATION}={setting}: {one.subscription} became {one.price} by it at {one.at:%Y-%m-%d %H:%M:%SZ}"
    return Evidence(text, {"subscription": one.subscription}, "certain" if setting == "none" else "likely")


def zone(look: Look) -> Evidence | None:
    ours = look.app.timezone.key
    found = [one for one in look.once(trial.wanted) if one.asked == "end" and one.zone != ours]
    if not found:
        return None
    one = found[0]
    more = f"; {len(found) - 1} more like it" if len(found) > 1 else ""
    text = f"the date for {one.subscription} ({one.wanted:%Y-%m-%d %H:%M:%SZ}) was counted in {one.zone}; BILLING_TIMEZONE is {ours}"
    return Evidence(text + more, {"subscription": one.subscription, "until": f"{one.wanted:%Y-%m-%d}"})


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
)
