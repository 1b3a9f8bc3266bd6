"""One object compared with Stripe, imported, linked, rebuilt; and what cannot be right here."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from money_bench import Bench, signed

from nself.app import App
from nself.core.errors import BillingError, MissingParameter
from nself.domains.customer.inputs import CreateCustomer, ShowCustomer
from nself.domains.customer.model import Customer, NoSuchCustomer
from nself.domains.mirror import service as mirror
from nself.domains.mirror.model import Unstorable
from nself.domains.subscription.model import NoSuchSubscription
from nself.domains.sync.inputs import (
    CompareSubscription,
    FindInconsistencies,
    LinkCustomer,
    Reconcile,
    ShowDiff,
    SyncCustomer,
    SyncSubscription,
)
from nself.domains.sync.model import Comparison, Inconsistency, Linked, OtherUser, UserHasCustomer
from nself.domains.sync.service import link, look, one, run
from nself.domains.webhook.inputs import ListFailures
from nself.domains.webhook.service import show as shown
from nself.domains.webhook.service.receive import receive


def customer(bench: Bench, number: int = 1, **more: Any) -> str:
    return bench.sandbox.post(
        "/v1/customers", email=f"user{number}@example.com", payment_method="pm_card_visa", **more
    )["id"]


def subscription(bench: Bench, owner: str) -> str:
    product = bench.sandbox.post("/v1/products", name="Pro")["id"]
    price = bench.sandbox.post(
        "/v1/prices", product=product, currency="usd", unit_amount=999, recurring={"interval": "month"}
    )
    method = bench.sandbox.get(f"/v1/customers/{owner}/payment_methods")[0]["id"]
    return bench.sandbox.post(
        "/v1/subscriptions", customer=owner, items=[{"price": price["id"]}], default_payment_method=method
    )["id"]


def show(app: App, id: str) -> Comparison:
    found = one.show_customer(app, ShowCustomer(customer=id, compare=True))
    assert isinstance(found, Comparison)
    return found


def problems(found: list[Inconsistency]) -> set[tuple[str, str, str]]:
    return {(one.object, one.problem, one.mend) for one in found}


def test_a_customer_that_is_only_at_stripe_is_told_and_imported(bench: Bench):
    app, id = bench.app(), customer(bench)
    found = show(app, id)
    assert (found.here, found.stripe, found.in_sync, found.cause) == ("missing", "present", False, "not imported yet")
    assert found.remarks() == [f"to mend it: nself billing customer import {id}"]
    done = one.import_customer(app, SyncCustomer(customer=id))
    assert {(synced.kind, synced.result) for synced in done} == {
        ("customer", "imported"),
        ("payment_method", "imported"),
    }
    assert show(app, id).in_sync
    assert isinstance(one.show_customer(app, ShowCustomer(customer=id)), Customer)


def test_everything_of_a_customer_is_imported_and_healed(bench: Bench):
    app, owner = bench.app(), customer(bench)
    sub = subscription(bench, owner)
    kinds = {one.kind for one in one.import_customer(app, SyncCustomer(customer=owner))}
    assert kinds == {"customer", "subscription", "invoice", "payment_method", "payment_intent", "charge"}
    bench.sandbox.edit("subscription", sub, webhook=False, metadata={"by": "hand"})
    done = {synced.object: synced for synced in one.sync_customer(app, SyncCustomer(customer=owner))}
    assert (done[sub].result, done[sub].cause, done[sub].fields) == ("updated", "changed by hand", ["metadata.by"])
    assert {synced.result for synced in done.values() if synced.object != sub} == {"unchanged"}


def test_a_subscription_is_compared_field_by_field(bench: Bench):
    app, owner = bench.app(), customer(bench)
    sub = subscription(bench, owner)
    one.import_subscription(app, SyncSubscription(subscription=sub))
    assert one.compare(app, CompareSubscription(subscription=sub, exit_code=True)).ok
    bench.sandbox.edit("subscription", sub, webhook=False, cancel_at_period_end=True)
    found = one.compare(app, CompareSubscription(subscription=sub, exit_code=True))
    assert [(field.field, field.here, field.stripe) for field in found.differences] == [
        ("cancel_at_period_end", False, True)
    ]
    assert (found.ok, found.cause, found.mend) == (False, "changed by hand", f"nself billing sync subscription {sub}")
    assert one.compare(app, CompareSubscription(subscription=sub)).ok
    assert [(synced.kind, synced.result) for synced in one.sync_subscription(app, SyncSubscription(subscription=sub))] == [
        ("customer", "unchanged"), ("subscription", "updated"),
    ]  # fmt: skip


def test_an_event_that_was_processed_is_not_blamed_for_what_came_later(bench: Bench):
    app, owner = bench.app(), customer(bench)
    sub = subscription(bench, owner)
    bench.deliver(app)
    bench.work(app)
    kept = bench.sql("select snapshot_number, snapshot, digest from billing_objects where object_id = %s", sub)[0]
    bench.sandbox.edit("subscription", sub, webhook=False, cancel_at_period_end=True)
    found = one.compare(app, CompareSubscription(subscription=sub))
    assert (found.cause, [field.field for field in found.differences]) == ("changed by hand", ["cancel_at_period_end"])
    one.sync_subscription(app, SyncSubscription(subscription=sub))
    bench.sql(
        "update billing_objects set snapshot_number = %s, snapshot = %s, digest = %s where object_id = %s",
        kept[0], json.dumps(kept[1]), kept[2], sub,
    )  # fmt: skip
    assert one.compare(app, CompareSubscription(subscription=sub)).cause == "local write lost"


@pytest.mark.parametrize("use", [one.import_subscription, one.sync_subscription, one.rebuild])
def test_a_subscription_that_is_nowhere(bench: Bench, use: Any):
    with pytest.raises(BillingError, match="No such subscription: sub_nowhere") as refusal:
        use(bench.app(), SyncSubscription(subscription="sub_nowhere"))
    assert "import" not in str(refusal.value.hint)
    assert bench.sql("select count(*) from billing_objects") == [(0,)]


def test_a_customer_that_is_nowhere(bench: Bench):
    app = bench.app()
    for use in (one.import_customer, one.sync_customer):
        with pytest.raises(NoSuchCustomer, match="No such customer: cus_nowhere"):
            use(app, SyncCustomer(customer="cus_nowhere"))
    with pytest.raises(NoSuchCustomer):
        show(app, "cus_nowhere")
    assert bench.sql("select count(*) from billing_customers") == [(0,)]


def test_a_deleted_customer_is_marked_and_kept(bench: Bench):
    app, id = bench.app(), customer(bench)
    one.import_customer(app, SyncCustomer(customer=id))
    bench.sandbox.edit("customer", id, webhook=False, delete=True)
    assert (show(app, id).stripe, show(app, id).cause) == ("deleted", "deleted at Stripe")
    assert one.sync_customer(app, SyncCustomer(customer=id))[0].result == "marked deleted"
    assert bench.sql("select deleted, email from billing_customers") == [(True, "user1@example.com")]
    assert show(app, id).in_sync


def test_state_is_rebuilt_from_events_and_stripes_word(bench: Bench):
    app, owner = bench.app(), customer(bench)
    sub = subscription(bench, owner)
    bench.deliver(app)
    bench.work(app)
    bench.sandbox.edit("subscription", sub, webhook=False, metadata={"by": "hand"})
    bench.sql('update billing_subscriptions set snapshot = snapshot || \'{"status": "canceled"}\'')
    rebuilt = one.rebuild(app, SyncSubscription(subscription=sub))
    assert (rebuilt.events, rebuilt.by_events, rebuilt.at_stripe) == (2, "active", "active")
    assert (rebuilt.result, rebuilt.cause, "metadata.by" in rebuilt.note) == ("updated", "local write lost", True)
    assert bench.sql("select status from billing_subscriptions") == [("active",)]


def test_what_is_part_of_a_subscription_does_not_tell_its_state(bench: Bench):
    app, sub = bench.app(), subscription(bench, customer(bench))
    bench.deliver(app)
    schedule = {
        "object": "subscription_schedule",
        "id": "sub_sched_1",
        "status": "released",
        "released_subscription": sub,
    }
    event = {"id": "evt_s", "type": "subscription_schedule.released", "created": 2**32, "livemode": False, "data": {"object": schedule}}  # fmt: skip
    body = json.dumps(event).encode()
    receive(app, body, signed(body))
    rebuilt = one.rebuild(app, SyncSubscription(subscription=sub))
    assert (rebuilt.by_events, rebuilt.at_stripe, rebuilt.note) == ("active", "active", "")


# Links


def test_a_customer_is_linked_once(bench: Bench):
    app, id = bench.app(), customer(bench)
    done = link.link(app, LinkCustomer(customer=id, user="user1"))
    assert (done.before, done.note) == (None, "")
    assert link.link(app, LinkCustomer(customer=id, user="user1")).note == "stands already, nothing changed"
    with pytest.raises(OtherUser, match=f"{id} belongs to user user1"):
        link.link(app, LinkCustomer(customer=id, user="user2"))
    with pytest.raises(UserHasCustomer, match=f"User user1 already has customer {id}"):
        link.link(app, LinkCustomer(customer=customer(bench, 2), user="user1"))
    with pytest.raises(NoSuchCustomer):
        link.link(app, LinkCustomer(customer="cus_nowhere", user="user1"))
    assert show(app, id).user == "user1"


def test_a_link_is_forced_with_a_reason_and_kept(bench: Bench):
    app, first, second = bench.app(), customer(bench, 1), customer(bench, 2)
    link.link(app, LinkCustomer(customer=first, user="user1"))
    with pytest.raises(MissingParameter, match="reason"):
        link.link(app, LinkCustomer(customer=second, user="user1", force=True))
    link.link(app, LinkCustomer(customer=second, user="user1", force=True, reason="merged accounts"))
    one.sync_customer(app, SyncCustomer(customer=first))
    assert dict(bench.sql("select customer_id, user_id from billing_customers")) == {first: None, second: "user1"}
    assert bench.sql("select customer_id, user_id, before_user_id, reason from billing_customer_links order by id") == [
        (first, "user1", None, None), (second, "user1", None, "merged accounts"),
    ]  # fmt: skip


def test_two_links_at_once_leave_one(bench: Bench):
    app, ids = bench.app(), [customer(bench, number) for number in range(6)]

    def attempt(id: str) -> Linked | BillingError:
        try:
            return link.link(app, LinkCustomer(customer=id, user="user1"))
        except UserHasCustomer as error:
            return error

    with ThreadPoolExecutor(6) as pool:
        done = list(pool.map(attempt, ids))
    assert sum(isinstance(outcome, Linked) for outcome in done) == 1
    assert bench.sql("select count(*) from billing_customers where user_id = 'user1'")[0][0] == 1


def test_create_takes_a_customer_that_is_at_stripe(bench: Bench):
    app, id = bench.app(), customer(bench)
    made = link.create(app, CreateCustomer(user="user123", stripe_customer=id))
    assert (made.id, made.created, made.note) == (id, False, "imported from Stripe and linked")
    assert (
        link.create(app, CreateCustomer(user="user123", stripe_customer=id)).note == "stands already, nothing changed"
    )
    with pytest.raises(MissingParameter, match="email"):
        link.create(app, CreateCustomer(user="user456"))
    assert len(bench.sandbox.get("/v1/customers")) == 1


def test_another_address_is_told(bench: Bench):
    app, id = bench.app(), customer(bench)
    bench.sql("insert into auth.users (id, email) values ('user1', 'other@example.com')")
    assert "other@example.com" in link.link(app, LinkCustomer(customer=id, user="user1")).note


# What cannot be right


def test_orphans_are_found_and_the_command_mends_them(bench: Bench):
    app, owner = bench.app(), customer(bench)
    sub = subscription(bench, owner)
    one.refresh(app, "subscription", sub, "test")
    assert problems(look.find_orphaned(app, FindInconsistencies())) == {
        (sub, "no customer", f"nself billing customer import {owner}")
    }
    one.import_customer(app, SyncCustomer(customer=owner))
    assert problems(look.find_orphaned(app, FindInconsistencies())) == {
        (owner, "no user", f"nself billing customer link --customer {owner} --user USER")
    }
    link.link(app, LinkCustomer(customer=owner, user="user1"))
    assert look.find_orphaned(app, FindInconsistencies()) == []


def test_inconsistencies_are_found_without_stripe(bench: Bench):
    app, owner = bench.app(STRIPE_API_BASE="http://127.0.0.1:9"), customer(bench)
    healthy = bench.app()
    one.import_customer(healthy, SyncCustomer(customer=owner))
    second = customer(bench, 2, metadata={"nself_user": "user1"})
    link.link(healthy, LinkCustomer(customer=owner, user="user1"))
    one.import_customer(healthy, SyncCustomer(customer=second))
    assert problems(look.find_inconsistencies(app, FindInconsistencies())) == {
        (second, "second customer", f"nself billing customer show {second} --compare")
    }
    bench.sql('update billing_customers set snapshot = snapshot || \'{"name": "x"}\' where customer_id = %s', owner)
    assert (owner, "local write lost", f"nself billing sync customer {owner}") in problems(
        look.find_inconsistencies(app, FindInconsistencies())
    )


def test_a_second_customer_whose_user_lost_the_first_is_given_to_the_user(bench: Bench):
    app = bench.app()
    first = customer(bench, 1, metadata={"nself_user": "user1"})
    bench.sandbox.admin("clock", advance=1)  # of one second the ids decide
    second = customer(bench, 2, metadata={"nself_user": "user1"})
    for id in (first, second):
        one.import_customer(app, SyncCustomer(customer=id))
    (odd,) = look.find_inconsistencies(app, FindInconsistencies())
    assert (odd.object, odd.detail) == (second, f"it names user user1, who belongs to {first}, which is older")
    bench.sandbox.edit("customer", first, webhook=False, delete=True)
    one.sync_customer(app, SyncCustomer(customer=first))
    assert bench.sql("select user_id from billing_customers where customer_id = %s", second) == [("user1",)]
    assert look.find_inconsistencies(app, FindInconsistencies()) == []


def test_an_event_of_an_unknown_customer_imports_it(bench: Bench):
    app, owner = bench.app(), customer(bench)
    sub = subscription(bench, owner)
    bench.sql("delete from billing_webhook_events")
    (event,) = [event for event in bench.sandbox.events() if event["type"] == "customer.subscription.created"]
    body = json.dumps(event).encode()
    receive(app, body, signed(body))
    bench.work(app)
    assert bench.sql("select customer_id from billing_customers") == [(owner,)]
    assert bench.sql("select object_id from billing_subscriptions") == [(sub,)]


def test_what_is_known_as_deleted_alone_is_told_as_such(bench: Bench):
    app, owner = bench.app(), customer(bench)
    sub = subscription(bench, owner)
    one.import_customer(app, SyncCustomer(customer=owner))
    for kind, id in (("subscription", "sub_unseen"), ("customer", "cus_unseen")):
        mirror.refresh(app, kind, id, "webhook evt_1")  # an event told of it after it was gone
    with pytest.raises(NoSuchSubscription, match="sub_unseen"):
        one.sync_subscription(app, SyncSubscription(subscription="sub_unseen"))
    with pytest.raises(NoSuchCustomer, match="cus_unseen"):
        one.sync_customer(app, SyncCustomer(customer="cus_unseen"))
    bench.sandbox.edit("customer", owner, webhook=False, delete=True)
    results = [
        {one.object: one.result for one in one.sync_customer(app, SyncCustomer(customer=owner))}[owner] for _ in "12"
    ]
    assert results == ["marked deleted", "deleted at Stripe"]
    assert {one.object for one in one.sync_subscription(app, SyncSubscription(subscription=sub))} == {owner, sub}


def test_what_the_tables_do_not_take_is_told_in_words(bench: Bench):
    app, owner = bench.app(), customer(bench)
    bench.sandbox.edit("customer", owner, balance=2**70)
    bench.deliver(app)
    bench.work(app)
    cause = (
        f'The customer {owner} as Stripe has it cannot be stored here: value "{2**70}" is out of range for type bigint'
    )
    failures = {(one.what, one.cause) for one in shown.failures(app, ListFailures())}
    assert failures == {("failed", f"object_unstorable: {cause}")}
    with pytest.raises(Unstorable) as told:
        one.sync_customer(app, SyncCustomer(customer=owner))
    assert (told.value.message, told.value.hint[0]) == (cause, f"nself billing webhook events --object {owner}")
    result = run.reconcile(app, Reconcile())
    (refused,) = [one for one in look.show_diff(app, ShowDiff()) if one.object == owner]
    assert (result.refused, refused.state, refused.error) == (1, "refused", f"object_unstorable: {cause}")
