"""Whether a user may use the app: not where an operator revoked it, nor without a plan.

A revocation is a row and holds for the next decision about any quota, over HTTP too: whoever revokes has the user's
counters built anew. Nothing is changed at Stripe.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

import msgspec

from nself import log
from nself.app import App
from nself.db.connect import Tx
from nself.domains.access import rules, store
from nself.domains.access.inputs import GrantAccess, RevokeAccess, ShowAccess
from nself.domains.access.model import Access, AccessChange
from nself.domains.api_key.model import ApiKey
from nself.domains.customer import service as customer
from nself.domains.quota.model import NEVER
from nself.domains.quota.service import limits
from nself.domains.quota.service.block import lasting
from nself.domains.subscription.inputs import CompleteSubscription
from nself.domains.subscription.model import Done, PaymentFailed, RequiresAction, Unpaid
from nself.domains.subscription.service import look, payment

SHOWN = 20


def revoke(app: App, given: RevokeAccess) -> Access:
    """Raises NoSuchUser, InvalidParameter."""
    return _decide(app, given.user, "revoked", given.reason, lasting(given.lasting) if given.lasting else None)


def grant(app: App, given: GrantAccess) -> Access:
    """Raises NoSuchUser."""
    return _decide(app, given.user, "granted", given.reason, None)


def _decide(
    app: App, user: str, access: Literal["granted", "revoked"], reason: str, span: timedelta | None
) -> Access:  # fmt: skip
    customer.require_user(app, user)
    now, actor = app.clock(), app.operator()

    def work(tx: Tx) -> None:
        limits.forget(tx, [user])
        store.add(tx, user, AccessChange(access, reason, actor, now, now + span if span else NEVER))

    app.db.transact(work)
    log.info(f"access_{access}", user=user, reason=reason, actor=actor)
    return show(app, ShowAccess(user=user))


def decided(tx: Tx, user: str, limit: int) -> list[AccessChange]:
    """Step: what operators decided about a user, newest first."""
    return store.changes(tx, user, limit)


def show(app: App, given: ShowAccess) -> Access:
    """Raises NoSuchUser."""
    customer.require_user(app, given.user)
    with app.db.reading() as tx:
        plan = limits.plans(app, tx, [given.user])[given.user]
        changes = store.changes(tx, given.user, SHOWN)
    newest = next(iter(changes), None)
    revoked = newest is not None and newest.access == "revoked" and newest.until > app.clock()
    why = f"revoked by {newest.actor}: {newest.reason}" if newest and revoked else ""
    if not revoked and plan.plan == limits.NO_PLAN:
        why = limits.UNSUBSCRIBED
    note = f"the subscription goes on and is billed: nself billing subscription cancel {plan.subscription}"
    return Access(
        user=given.user,
        access=not why,
        reason=why
        or (f"subscription {plan.subscription} is {plan.status}" if plan.subscription else "the default plan"),
        plan=plan.plan or limits.NO_PLAN,
        subscription=plan.subscription or None,
        status=plan.status or None,
        note=note if revoked and plan.subscription else "",
        changes=changes,
    )


def confine(app: App, key: ApiKey, given: msgspec.Struct, *, shared: bool) -> msgspec.Struct:
    """The input of a caller whose key is bound to a user: all that it names must be theirs; where it names nobody, they are meant.

    Raises NotTheirs.
    """
    fields = msgspec.structs.asdict(given)
    if fields.get("user") is not None:
        rules.require_own(key, "user", fields["user"])
    named = {name: str(fields[name]) for name in rules.OWNED if fields.get(name) is not None}
    if named:
        with app.db.reading() as tx:
            owners = store.owners(tx, named)
        rules.require_owned(key, named, owners, "user" in fields)
    if named.keys() - {"payment_method"} or fields.get("user") is not None or shared:
        return given
    if "user" in fields:
        return msgspec.structs.replace(given, user=key.user)
    if not named:
        raise rules.not_theirs(key, "this is not about one user")
    return given


def complete(app: App, given: CompleteSubscription) -> Done:
    """Pay what a subscription waits for; with `comp`, where that fails, its plan is given for free, on record.

    Nothing is marked as paid. Raises what `payment.complete` raises.
    """
    try:
        return payment.complete(app, given)
    except (PaymentFailed, RequiresAction, Unpaid):
        if not given.comp:
            raise
    now, snapshot = app.clock(), look.stored(app, given.subscription)
    until = max(
        (one.current_period_end or now for one in look.done(app, given.subscription, False, "").items), default=now
    )

    def work(tx: Tx) -> None:
        payment.give(tx, given, app.settings.live, app.operator(), now, until)
        limits.forget(tx, list(customer.users_of(tx, [snapshot["customer"]]).values()))

    app.db.transact(work)
    log.warning(
        "subscription_comp", subscription=given.subscription, reason=given.reason, actor=app.operator(), until=until
    )
    note = (
        f"not paid and not marked as paid; its plan is given for free until {until:%Y-%m-%d %H:%M:%SZ}: {given.reason}"
    )
    return look.done(app, given.subscription, True, note)
