"""What happened to a customer is told whole, of them alone, newest first."""

from __future__ import annotations

from operator import attrgetter

import pytest

from nself.app import App
from nself.core.errors import InvalidParameter, MissingParameter
from nself.domains.access import service as access
from nself.domains.access.inputs import RevokeAccess
from nself.domains.customer import service as customer
from nself.domains.customer.model import NoSuchCustomer, NoSuchUser
from nself.domains.history import service
from nself.domains.history.inputs import ShowHistory
from nself.domains.history.model import Happened
from nself.domains.trail import service as trail
from subscribing import FAILING, Shop


def told(app: App, id: str | None = None, **given: str) -> list[Happened]:
    return service.timeline(app, ShowHistory(customer=id, **given))


def test_objects_mails_access_and_commands_stand_in_one_row_of_time(shop: Shop):
    app = shop.app()
    id, other = shop.customer(app, "user"), shop.customer(app, "user2")
    subscription = shop.subscribe(id)
    shop.subscribe(other)
    shop.hear(app)
    shop.use_card(id, FAILING)
    shop.pass_days(31.5)
    shop.hear(app)
    access.revoke(app, RevokeAccess(user="user", reason="chargeback"))
    with trail.deed(app, f"nself billing sync customer {id} --execute", "bob"):
        pass
    with trail.deed(app, "nself billing quota set --user=user2 --limit 5", "eve"):
        pass
    found = told(app, id)
    assert found == sorted(found, key=attrgetter("at"), reverse=True)
    whats = {one.what for one in found}
    assert whats >= {
        "customer created",
        "subscription updated",
        "invoice created",
        "charge created",
        "mail payment_failed",
        "access revoked",
        "command",
    }
    (standing,) = [one.detail for one in found if one.what == "subscription updated" and '"past_due"' in one.detail]
    assert 'status: "active" -> "past_due"' in standing
    assert [(one.by, one.detail) for one in found if one.what == "command"] == [
        ("bob", f"nself billing sync customer {id} --execute: done")
    ]
    assert [one.detail for one in found if one.what == "access revoked"] == ["chargeback"]
    assert {one.object for one in found if one.what.startswith("subscription")} == {subscription}
    assert told(app, user="user") == found
    theirs = told(app, other)
    assert [one.by for one in theirs if one.what == "command"] == ["eve"]
    assert not {one.object for one in theirs if one.object} & {one.object for one in found}


def test_a_user_without_a_customer_has_what_was_done_about_them(app: App):
    customer.create_users(app, {"user1": None, "user12": None})
    with trail.deed(app, "nself billing quota set --user 'user12' --limit 5", "bob"):
        pass
    assert told(app, user="user1") == []
    assert [one.what for one in told(app, user="user12")] == ["command"]


def test_it_goes_back_as_far_as_it_is_asked_and_has_the_newest_rows(shop: Shop):
    app = shop.app()
    id = shop.customer(app, "user")
    shop.subscribe(id)
    shop.hear(app)
    every = told(app, id)
    assert service.timeline(app, ShowHistory(customer=id, limit=2)) == every[:2]
    assert told(app, id, since="2100-01-01") == []


def test_who_is_not_known_is_told(app: App):
    with pytest.raises(NoSuchCustomer):
        told(app, "cus_nobody")
    with pytest.raises(NoSuchUser):
        told(app, user="nobody")
    with pytest.raises(MissingParameter):
        told(app)
    customer.create_users(app, {"user1": None})
    with pytest.raises(InvalidParameter):
        told(app, user="user1", since="yesterdayish")
