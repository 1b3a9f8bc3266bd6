"""What looking at Stripe must never do to what is here."""

from __future__ import annotations

import pytest
from money_bench import Bench, email

from nself.domains.customer.model import CustomerIsDeleted
from nself.domains.mirror.model import StoredInOtherMode
from nself.domains.sync.inputs import LinkCustomer, SyncCustomer, SyncSubscription
from nself.domains.sync.service import link, one


def customer(bench: Bench, number: int = 1) -> str:
    return str(bench.sandbox.post("/v1/customers", email=email(f"user{number}"))["id"])


@pytest.mark.parametrize("use", [one.sync_subscription, one.import_subscription, one.rebuild])
def test_a_row_of_the_other_mode_is_not_marked_as_deleted(bench: Bench, use: object):
    """Stripe does not know it in this mode."""
    app = bench.app()
    bench.sql(
        "insert into billing_objects (kind, object_id, livemode, snapshot, snapshot_number, source, digest, created_at, synced_at)"
        """ values ('subscription', 'sub_live', true, '{"id": "sub_live", "status": "active"}', 1, 'test', '', now(), now())"""
    )
    with pytest.raises(StoredInOtherMode, match="sub_live is stored here as one of live mode, and STRIPE_MODE is test"):
        use(app, SyncSubscription(subscription="sub_live"))  # type: ignore[operator]
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
