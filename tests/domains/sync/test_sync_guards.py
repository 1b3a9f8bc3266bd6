"""What looking at Stripe must never do to what is here."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from money_bench import Bench, email

from nself.app import App
from nself.domains.customer.model import CustomerIsDeleted
from nself.domains.mirror import service as mirror
from nself.domains.mirror.model import Picture, StoredInOtherMode
from nself.domains.sync.inputs import LinkCustomer, Reconcile, SyncCustomer, SyncSubscription
from nself.domains.sync.model import OtherUser
from nself.domains.sync.service import link, one, run


def customer(bench: Bench, number: int = 1) -> str:
    return str(bench.sandbox.post("/v1/customers", email=email(f"user{number}"))["id"])


@pytest.mark.parametrize("use", [one.sync_subscription, one.import_subscription, one.rebuild])
def test_a_row_of_the_other_mode_is_not_marked_as_deleted(bench: Bench, use: Callable[[App, SyncSubscription], object]):
    """Stripe does not know it in this mode."""
    app = bench.app()
    bench.sql(
        "insert into billing_objects (kind, object_id, livemode, snapshot, snapshot_number, source, digest, created_at, synced_at)"
        """ values ('subscription', 'sub_live', true, '{"id": "sub_live", "status": "active", "created": 1}', 1, 'test', '', now(), now())"""
    )
    with pytest.raises(StoredInOtherMode, match="sub_live is stored here as one of live mode, and STRIPE_MODE is test"):
        use(app, SyncSubscription(subscription="sub_live"))
    assert bench.sql("select deleted, livemode from billing_objects") == [(False, True)]
    found = one.compare_one(app, "subscription", "sub_live")
    assert (found.cause, found.mend) == ("mode mixed", "nself billing stripe show-config")


def test_a_deleted_customer_takes_nobody_s_user(bench: Bench):
    app, gone, living = bench.app(), customer(bench, 1), customer(bench, 2)
    one.sync_customer(app, SyncCustomer(customer=gone))
    link.link(app, LinkCustomer(customer=living, user="user2"))
    bench.sandbox.edit("customer", gone, delete=True)
    with pytest.raises(CustomerIsDeleted, match=gone):
        link.link(app, LinkCustomer(customer=gone, user="user2", force=True, reason="by mistake"))
    assert dict(bench.sql("select customer_id, user_id from billing_customers")) == {gone: None, living: "user2"}


@pytest.fixture
def kinds(bench: Bench) -> dict[str, str]:
    """One of each table, by kind."""
    owner = customer(bench)
    return {
        "customer": owner,
        "product": bench.sandbox.post("/v1/products", name="Pro")["id"],
        "invoice": bench.sandbox.post("/v1/invoices", customer=owner)["id"],
    }


def living(bench: Bench) -> set[str]:
    return {id for (id,) in bench.sql("select object_id from billing_mirror where not deleted")}


@pytest.mark.parametrize("asked", ["run", "one"])
def test_what_was_taken_for_deleted_comes_back_as_soon_as_stripe_shows_it(
    bench: Bench, kinds: dict[str, str], asked: str
):
    """For a while the key was one of another account, which knows none of it."""
    app = bench.app()
    run.reconcile(app, Reconcile())
    for kind, id in kinds.items():
        elsewhere = {"id": id, "object": kind, "deleted": True, "livemode": False}
        picture = Picture(elsewhere, mirror.draw(app), "sync 1", None)
        app.db.transact(lambda tx, picture=picture: mirror.accept(app, tx, picture))
    assert not living(bench) & set(kinds.values())
    seen = one.compare_one(app, "customer", kinds["customer"])
    assert (seen.in_sync, seen.here, seen.cause) == (False, "deleted", "local write lost")
    if asked == "run":
        run.reconcile(app, Reconcile())
    for kind, id in kinds.items():
        one.refresh(app, kind, id, "test")
    assert set(kinds.values()) <= living(bench)
    assert one.compare_one(app, "customer", kinds["customer"]).in_sync
    bench.check_quiet()


def test_who_comes_back_leaves_the_user_to_the_customer_made_meanwhile(bench: Bench):
    app, first, second = bench.app(), customer(bench, 1), customer(bench, 2)
    link.link(app, LinkCustomer(customer=first, user="user1"))
    bench.sql("update billing_customers set deleted = true")
    link.link(app, LinkCustomer(customer=second, user="user1"))
    one.sync_customer(app, SyncCustomer(customer=first))
    assert dict(bench.sql("select customer_id, user_id from billing_customers")) == {first: None, second: "user1"}
    assert {first, second} == living(bench)


def test_a_link_that_is_refused_makes_no_user(bench: Bench):
    app, id = bench.app(), customer(bench)
    link.link(app, LinkCustomer(customer=id, user="user1"))
    with pytest.raises(OtherUser):
        link.link(app, LinkCustomer(customer=id, user="usr1"))
    assert bench.sql("select id from auth.users") == [("user1",)]
