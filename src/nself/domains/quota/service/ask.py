"""The use cases around a decision: one request each, for the command line and programs without the HTTP group."""

from __future__ import annotations

from typing import Literal

from nself.app import App
from nself.core.errors import BillingError
from nself.domains.catalog import rules as catalog_rules
from nself.domains.catalog import service as catalog
from nself.domains.customer import service as customer
from nself.domains.quota import rules
from nself.domains.quota.inputs import CheckQuota, CheckUser, CommitQuota, ReleaseQuota, ReserveQuota, ShowQuota
from nself.domains.quota.model import Ask, Decision, QuotaState, UserCheck
from nself.domains.quota.service.decide import decide, new_id
from nself.domains.quota.service.limits import effective_limits


def check(app: App, given: CheckQuota) -> Decision:
    """One metric; a metric without a limit is unlimited. Raises NoSuchUser, NoSuchMetric."""
    return _one(app, as_ask(given))


def reserve(app: App, given: ReserveQuota) -> Decision:
    """Take `value` of the limit until it is committed, released or expires. Raises NoSuchUser, NoSuchMetric, KeyReused."""
    return _one(app, as_ask(given))


def commit(app: App, given: CommitQuota) -> Decision:
    """Record what was used of a reservation. Raises NoSuchReservation, ReservationSettled."""
    return _one(app, as_ask(given))


def release(app: App, given: ReleaseQuota) -> Decision:
    """Give a reservation back. Raises NoSuchReservation, ReservationSettled."""
    return _one(app, as_ask(given))


def as_ask(given: CheckQuota | ReserveQuota | CommitQuota | ReleaseQuota) -> Ask:
    """Raises NoSuchReservation."""
    if isinstance(given, CheckQuota):
        return Ask(kind="check", user=given.user, metric=given.metric, value=given.value)
    if isinstance(given, ReserveQuota):
        id, key = (rules.keyed(given.key), given.key) if given.key else (new_id(), "")
        return Ask(kind="reserve", user=given.user, metric=given.metric, value=given.value, id=id, key=key)
    user, id = rules.read(given.reservation)
    if isinstance(given, CommitQuota):
        return Ask(kind="commit", user=user, value=given.value, id=id, properties=given.properties)
    return Ask(kind="release", user=user, value=given.value, id=id)


def _one(app: App, ask: Ask) -> Decision:
    (answer,) = decide(app, [ask])
    if isinstance(answer, BillingError):
        raise answer
    return answer


def states(app: App, user: str, metric: str | None, value: int, kind: Literal["look", "check"]) -> list[Decision]:
    """Each limit of a user. Raises NoSuchUser, NoSuchMetric."""
    file = catalog.metric_file(app)
    if metric is not None:
        catalog_rules.require(file, metric)
    customer.require_user(app, user)
    metrics = [metric]
    if metric is None:
        with app.db.reading() as tx:
            metrics = [limit.metric for limit in effective_limits(app, tx, [user]) if limit.metric in file.metrics]
    answers = decide(app, [Ask(kind=kind, user=user, metric=one or "", value=value) for one in metrics])
    for answer in answers:
        if isinstance(answer, BillingError):
            raise answer
    return [answer for answer in answers if isinstance(answer, Decision)]


def check_user(app: App, given: CheckUser) -> UserCheck:
    """Whether `value` more units of each metric are allowed."""
    found = states(app, given.user, given.metric, given.value, "check")
    note = "" if app.settings.flag("QUOTA_ENFORCEMENT_ENABLED") else rules.NOT_ENFORCED
    return UserCheck(
        user=given.user,
        allowed=all(one.allowed for one in found),
        note=note,
        quotas=[rules.plain_state(one) for one in found],
    )


def show(app: App, given: ShowQuota) -> list[QuotaState]:
    """Each metric's limit and what is left. Raises NoSuchUser, NoSuchMetric."""
    return [rules.plain_state(one) for one in states(app, given.user, given.metric, 0, "look")]
