"""Single changes at Stripe: once for a name, whatever happens on the way."""

from __future__ import annotations

import pytest
from money_bench import Bench
from money_seams import Crash, Pause, Seams, fragile

from nself.app import App
from nself.domains.connection.inputs import ListIntents
from nself.domains.connection.model import TooLate
from nself.domains.connection.service import change, intents
from nself.domains.mirror import service as mirror
from nself.gateway.errors import CardDeclined, IdempotencyMismatch, InsufficientPermissions, NoSuchObject

DAY = 86_400


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody else holds a change here, so a command need not wait for one."""
    monkeypatch.setattr(intents, "PATIENCE", 0.1)


def make(app: App, name: str = "test:one", **params: object) -> str:
    return change.change(app, name, "customers", params={"email": "one@example.com", **params})


def test_a_name_makes_it_once_and_the_mirror_has_it(bench: Bench):
    app = bench.apps[0]
    id = make(app)
    assert make(app) == id
    assert [one["id"] for one in bench.sandbox.customers("one@example.com")] == [id]
    with app.db.reading() as tx:
        assert mirror.stored(tx, "customer", [id])[id].snapshot["email"] == "one@example.com"


def test_the_same_name_for_something_else_is_refused(bench: Bench):
    make(bench.apps[0])
    with pytest.raises(IdempotencyMismatch, match="Keys for idempotent requests"):
        make(bench.apps[0], description="another")


def test_a_crash_at_any_seam_makes_one(bench: Bench):
    at, whole = 1, False
    while not whole:
        name, app = f"test:crash {at}", fragile(bench, Seams(at))
        try:
            change.change(app, name, "customers", params={"email": f"{at}@example.com"})
            whole = True
        except Crash:
            bench.pass_time(600)
            change.change(bench.apps[0], name, "customers", params={"email": f"{at}@example.com"})
        finally:
            app.close()
        assert len(bench.sandbox.customers(f"{at}@example.com")) == 1
        at += 1
    assert at > 8


@pytest.mark.parametrize("deed", ["update", "attach", "create"])
def test_an_old_change_is_looked_up(bench: Bench, deed: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(intents, "PATIENCE", 0.2)
    app, id = bench.apps[0], make(bench.apps[0])
    path, params = {
        "update": (("customers", id), {"name": "Ada"}),
        "attach": (("payment_methods", "pm_card_visa", "attach"), {"customer": id}),
        "create": (("payment_intents",), {"amount": 1000, "currency": "usd", "customer": id}),
    }[deed]
    bench.sandbox.fault("/".join(path), drop=True, after=True, times=8)
    with pytest.raises(intents.StillPending):
        change.change(bench.app(STRIPE_MAX_RETRIES="0"), f"test:{deed}", *path, params=params)
    bench.sandbox.admin("faults/clear")
    bench.pass_time(DAY)
    if deed == "attach":  # a token is no object: a second card does no harm
        assert change.change(app, f"test:{deed}", *path, params=params).startswith("pm_")
        return
    made = change.change(app, f"test:{deed}", *path, params=params)
    assert made.startswith("cus_" if deed == "update" else "pi_")
    assert len(bench.sandbox.get("/v1/payment_intents", customer=id)) == (deed == "create")


def test_an_old_update_that_was_not_made_is_given_up(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(intents, "PATIENCE", 0.2)
    app, id = bench.apps[0], make(bench.apps[0])
    bench.sandbox.fault(f"/v1/customers/{id}", drop=True, times=8)
    with pytest.raises(intents.StillPending):
        change.change(bench.app(STRIPE_MAX_RETRIES="0"), "test:late", "customers", id, params={"name": "Ada"})
    bench.sandbox.admin("faults/clear")
    bench.pass_time(DAY)
    with pytest.raises(Exception, match="not tried any more") as found:
        change.change(app, "test:late", "customers", id, params={"name": "Ada"})
    assert getattr(found.value, "code", "") == TooLate.code
    (listed,) = intents.list_intents(app, ListIntents(state="failed"))
    assert listed.error_code == TooLate.code


def test_what_stripe_refused_is_told_again_as_stripe_said_it(bench: Bench):
    app = bench.apps[0]
    with pytest.raises(NoSuchObject, match="No such customer: cus_none") as missing:
        change.change(app, "test:missing", "customers", "cus_none", params={"name": "x"})
    assert missing.value.code == "resource_missing"
    id = make(app)
    params = {
        "amount": 1000,
        "currency": "usd",
        "customer": id,
        "payment_method": "pm_card_visa_chargeDeclinedInsufficientFunds",
    }
    params |= {"confirm": True, "off_session": True}
    with pytest.raises(CardDeclined, match="insufficient funds") as declined:
        change.change(app, "test:declined", "payment_intents", params=params)
    assert declined.value.decline_code == "insufficient_funds"
    assert declined.value.payment_intent
    (stored,) = bench.sql("select failure from billing_intents where operation = 'test:declined'")
    assert "client_secret" not in str(stored)


def test_what_is_removed_is_gone_once(bench: Bench):
    app, id = bench.apps[0], make(bench.apps[0])
    for _ in range(2):
        assert change.change(app, "test:gone", "customers", id, params={}, remove=True) == id
    with app.db.reading() as tx:
        assert mirror.stored(tx, "customer", [id])[id].deleted


def restricted(bench: Bench, level: str) -> App:
    bench.sandbox.admin("keys/restrict", key="rk_test_restricted", permissions={"*": level})
    return bench.app(STRIPE_SECRET_KEY="rk_test_restricted")


def test_a_key_that_may_not_write_is_told_at_once_and_the_same_is_made_once_it_may(bench: Bench):
    with pytest.raises(InsufficientPermissions, match="rak_customer_write is missing"):
        make(restricted(bench, "read"))
    with pytest.raises(InsufficientPermissions, match="rak_customer_write is missing"):
        make(restricted(bench, "none"))
    assert [state for _, state, _ in bench.intents()] == ["failed", "failed"]
    id = make(restricted(bench, "write"))
    assert [one["id"] for one in bench.sandbox.customers("one@example.com")] == [id]


@pytest.mark.parametrize(("level", "state"), [("read", "done"), ("none", "pending")])
def test_a_key_that_was_restricted_after_a_lost_call_makes_nothing_twice(
    bench: Bench, level: str, state: str, monkeypatch: pytest.MonkeyPatch
):
    """Who may read finds what was made; who may not leaves it to a key that may."""
    monkeypatch.setattr(intents, "PATIENCE", 0.2)

    def killed() -> None:
        raise Crash

    with pytest.raises(Crash):
        make(fragile(bench, Pause("after change customers", killed)))
    bench.pass_time()
    bench.work(restricted(bench, level))
    assert [now for _, now, _ in bench.intents()] == [state]
    bench.pass_time()
    make(bench.apps[0])
    assert len(bench.sandbox.customers("one@example.com")) == 1
