"""What must be so when the dust has settled: the mirror is what Stripe has, and on the way nothing went back or happened twice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mirror_model import check_changes, check_effects, kept, same
from money_bench import REGISTRY
from settling import silent

from nself.core.entrypoint import Reaction
from nself.gateway.kinds import KINDS

if TYPE_CHECKING:
    from convergence import Stand

Objects = dict[tuple[str, str], dict[str, Any] | None]
"""By kind and id; None: it is gone."""
EFFECTS = {row.kind for row in REGISTRY.rows(Reaction)} & {"subscription", "invoice", "charge", "dispute"}
HISTORY = 3600
"""Seconds before the first look at Stripe: what came about earlier is not told (docs/decisions/0022)."""


def truth(stand: Stand) -> Objects:
    """Every object that Stripe lists, and what it has of those that only we know; None: it is gone."""
    found = Objects()
    for kind in KINDS:
        found |= {(kind, one["id"]): kept(one) for one in stand.listed(kind)}
    for kind, id in stand.bench.sql("select kind, object_id from billing_mirror"):
        if (kind, id) not in found:
            one = stand.wire.fetched(kind, id)
            found[kind, id] = one and kept(one)
    return found


def mirror(stand: Stand) -> Objects:
    rows = stand.bench.sql(
        "select kind, object_id, deleted, snapshot, digest = md5(snapshot::text), livemode from billing_mirror"
    )
    assert all(intact and not livemode for *_, intact, livemode in rows)
    return {(kind, id): None if deleted else snapshot for kind, id, deleted, snapshot, *_ in rows}


def check_told(stand: Stand) -> None:
    """Before any synchronisation: objects whose last change came with an event that was delivered are equal."""
    at_stripe = truth(stand)
    last = {(one["data"]["object"]["object"], one["data"]["object"].get("id")): one for one in stand.events()}
    mirrored = mirror(stand)
    for key, event in last.items():
        if key[0] not in KINDS or event["id"] not in stand.delivered:
            continue
        stripe, shown = at_stripe.get(key), event["data"]["object"]
        if event["type"] == f"{key[0]}.deleted" if stripe is None else same(stripe, shown):
            assert key in mirrored, f"{key}: {event['type']} was delivered, and it is not in the mirror"
            assert mirrored[key] == stripe, f"{key}: {event['type']} was delivered"
            stand.checked["told"] += 1
        else:
            stand.checked["not told"] += 1


def check_all(stand: Stand) -> None:
    """Afterwards: everything is equal, and the product's own comparison finds nothing either."""
    mirrored, at_stripe = mirror(stand), truth(stand)
    for key, stripe in at_stripe.items():
        if stripe is not None:
            assert key in mirrored, f"{key} is missing"
        assert mirrored.get(key) == stripe, f"{key} is not what Stripe has"
        stand.checked[key[0]] += 1
        stand.checked["deleted"] += stripe is None
    assert mirrored.keys() <= at_stripe.keys()
    _check_events(stand)
    assert [one for one in stand.bench.intents() if one[1] != "done" and one[2] is None] == []
    rows = stand.bench.sql("select kind, object_id, what, source, changes from billing_object_changes order by id")
    check_changes(rows, mirrored)
    if EFFECTS:
        _check_effects(stand, [one for (kind, _), one in at_stripe.items() if one and kind in EFFECTS])
    assert silent(stand.app)


def _check_effects(stand: Stand, now: list[dict[str, Any]]) -> None:
    shown = [event["data"]["object"] for event in stand.events()]
    told = stand.bench.sql("select once from billing_notifications where channel = 'webhook'")
    ((first,),) = stand.bench.sql(
        "select extract(epoch from changed_at)::float8 from billing_object_changes order by id limit 1"
    )
    check_effects([name for (name,) in told], now, [one for one in shown if one["object"] in EFFECTS], first - HISTORY)
    stand.checked["effects"] += len(told)


def _check_events(stand: Stand) -> None:
    rows = stand.bench.sql("select event_id, status, attempts from billing_webhook_events")
    known = {id for id, *_ in rows}
    assert stand.delivered <= known <= {one["id"] for one in stand.events()}
    ((began,),) = stand.bench.sql("select extract(epoch from began_at)::float8 from billing_webhook_polls")
    lost = {one["id"] for one in stand.listed_before if one["created"] >= began} - known
    assert not lost, f"never arrived, and were not found in Stripe's list: {lost}"
    stand.checked["found in the list"] += len(known - stand.delivered)
    assert {status for _, status, _ in rows} <= {"processed", "ignored"}
    if not stand.uncertain:  # else one may have been worked on without anybody having heard of it
        assert {attempts for *_, attempts in rows} <= {1}
