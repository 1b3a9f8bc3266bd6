"""Objects with chosen ids, loaded all or not at all; the guide's set; seeds."""

from typing import Any

import pytest

from sandbox.conftest import Sandbox, Sdk, event_types, sdk

GUIDE = {
    "customers": "cus_123", "subscriptions": "sub_123", "invoices": "in_123", "payment_methods": "pm_123",
    "products": "prod_123", "tax_rates": "txr_123", "payment_intents": "pi_123", "events": "evt_123",
}  # fmt: skip


def load(sandbox: Sandbox, *objects: dict[str, Any]) -> Any:
    return sandbox.admin("POST", "fixtures", {"objects": list(objects)})


def bad(sandbox: Sandbox, *objects: Any) -> str:
    import json
    import urllib.error
    import urllib.request

    data = json.dumps({"objects": list(objects)}).encode()
    request = urllib.request.Request(f"{sandbox.url}/_sandbox/fixtures", data, method="POST")
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=10)
    with caught.value as error:
        assert error.code == 400
        return json.load(error)["error"]["message"]


def test_the_guides_ids_are_one_coherent_set(api: Sdk, sandbox: Sandbox) -> None:
    loaded = sandbox.admin("POST", "fixtures", {"set": "guide"})["loaded"]
    assert loaded["price"] == 5
    for service, identifier in GUIDE.items():
        assert getattr(api, service).retrieve(identifier).id == identifier
    for price in ("price_123", "price_456", "price_new", "price_correct", "price_overage_123"):
        assert api.prices.retrieve(price).product == "prod_123"
    subscription = api.subscriptions.retrieve("sub_123", {"expand": ["latest_invoice", "default_payment_method"]})
    assert (subscription.status, subscription.latest_invoice.status) == ("active", "paid")
    item = subscription["items"].data[0]
    assert item.current_period_start < subscription.created + 864000 + 60 < item.current_period_end
    draft = api.invoices.retrieve("in_123")
    assert (draft.status, draft.total, draft.amount_due) == ("draft", 3750, 3750)
    assert [line.id for line in draft.lines.data] == ["li_123", "li_124"]
    assert api.events.retrieve("evt_123").data.object.id == "sub_123"
    assert api.payment_methods.retrieve("pm_new").card.last4 == "4444"


def test_the_guides_steps_work_on_it(api: Sdk, sandbox: Sandbox) -> None:
    """2500 goes, 1500 comes: 1250 + 1500 = 2750, 8.25 % of each line: 103.125 + 123.75, so 103 + 124 = 2977."""
    sandbox.admin("POST", "fixtures", {"set": "guide"})
    wrong = api.invoices.retrieve("in_123").lines.data[0].parent.invoice_item_details.invoice_item
    api.invoice_items.delete(wrong)
    api.invoice_items.create({"customer": "cus_123", "invoice": "in_123", "pricing": {"price": "price_correct"}})
    assert api.invoices.update("in_123", {"default_tax_rates": ["txr_123"]}).total == 2977
    api.subscriptions.update("sub_123", {"default_payment_method": "pm_new"})
    paid = api.invoices.pay("in_123")
    assert (paid.status, paid.amount_paid, paid.number) == ("paid", 2977, "GUIDE123-0002")
    assert api.refunds.create({"payment_intent": "pi_123", "amount": 900}).charge == "ch_123"
    assert api.credit_notes.create({"invoice": "in_122", "amount": 500, "credit_amount": 500}).total == 500
    assert api.subscriptions.cancel("sub_123").status == "canceled"
    assert "invoice.paid" in event_types(api)


CUSTOMER = {"object": "customer", "id": "cus_x"}


@pytest.mark.parametrize(
    ("objects", "says"),
    [
        ([{**CUSTOMER, "emial": "a@b.c"}], "[0] customer cus_x: emial: Stripe has no such field"),
        ([CUSTOMER, {**CUSTOMER, "id": "cus_y", "balance": "5"}], "[1] customer cus_y: balance: must be a whole number"),
        ([{**CUSTOMER, "tax_exempt": "sometimes"}], "tax_exempt: must be one of"),
        ([{**CUSTOMER, "address": {"country": "US", "planet": "Mars"}}], "address.planet: Stripe has no such"),
        ([{"object": "customer"}], "[0]: needs an `object` and an `id`"),
        (["cus_1"], "[0]: must be an object"),
        ([{"object": "quote", "id": "qt_1"}], "no objects of this kind"),
        ([CUSTOMER, CUSTOMER], "[1] customer cus_x: id: there is one with this id"),
        ([{"object": "price", "id": "price_1", "product": "prod_1", "currency": "usd"}], "product: there is no product"),
        (
            [CUSTOMER, {"object": "subscription", "id": "sub_1", "customer": "cus_x",
                        "items": {"data": [{"id": "si_1", "price": "price_1"}]}}],
            "[1] subscription sub_1: price: there is no price 'price_1'",
        ),
        (
            [CUSTOMER, {"object": "invoice", "id": "in_1", "customer": "cus_x", "total": 5,
                        "lines": {"data": [{"id": "il_1", "amount": 7}]}}],
            "[1] invoice in_1: total: is 5, but the lines come to 7",
        ),
        (
            [{"object": "payment_method", "id": "pm_1", "type": "card", "card": {"last4": "9999", "brand": "visa"}}],
            "card.",
        ),
    ],
)  # fmt: skip
def test_a_bad_one_is_named_and_nothing_is_loaded(sandbox: Sandbox, objects: list[Any], says: str) -> None:
    before = sandbox.admin("GET", "state")
    assert says in bad(sandbox, *objects)
    assert sandbox.admin("GET", "state") == before


def test_what_is_there_is_left_and_told_where_it_differs(api: Sdk, sandbox: Sandbox) -> None:
    """What was not given and instants relative to the clock do not count."""
    coupon = {"object": "coupon", "id": "TEN", "percent_off": 10, "duration": "forever", "created": {"now": -60}}
    product = {"object": "product", "id": "prod_1", "name": "P", "metadata": {"a": "1"}}
    price = {"object": "price", "id": "price_1", "product": "prod_1", "currency": "usd", "unit_amount": 5}
    given: list[dict[str, Any]] = [price, product, coupon]
    names = [f"mine[{at}]" for at in range(3)]
    wish = {"objects": given, "names": names, "keep": True}
    loaded = sandbox.admin("POST", "fixtures", wish)
    assert loaded == {"loaded": {"price": 1, "product": 1, "coupon": 1}, "left": 0, "differing": []}
    assert sandbox.admin("POST", "fixtures", wish) == {"loaded": {}, "left": 3, "differing": []}
    api.products.update("prod_1", {"name": "Q", "metadata": {"a": "2"}})
    told = sandbox.admin("POST", "fixtures", wish)["differing"]
    assert told == ["mine[1] product prod_1: name, metadata.a"]
    api.products.update("prod_1", {"name": "P", "metadata": {"a": "", "b": "1"}})
    assert sandbox.admin("POST", "fixtures", wish)["differing"] == ["mine[1] product prod_1: metadata.a"]
    assert sandbox.admin("POST", "fixtures", {"objects": given, "names": names}) == 400
    assert sandbox.admin("POST", "fixtures", {**wish, "names": names[:1]}) == 400


def test_partial_objects_are_completed(api: Sdk, sandbox: Sandbox) -> None:
    """An open invoice of 500 can be paid: it has its payment intent."""
    method = {"object": "payment_method", "id": "pm_1", "customer": "cus_x", "card": {"brand": "visa", "last4": "4242"}}
    settings = {"default_payment_method": "pm_1"}
    invoice = {
        "object": "invoice", "id": "in_1", "customer": "cus_x", "status": "open", "currency": "usd",
        "lines": {"data": [{"id": "il_1", "amount": 500}]},
    }  # fmt: skip
    coupon = {"object": "coupon", "id": "TEN", "percent_off": 12.5, "duration": "forever"}
    loaded = load(
        sandbox, {**CUSTOMER, "address": {"country": "US"}, "invoice_settings": settings}, method, invoice, coupon
    )
    assert loaded == {"loaded": {"customer": 1, "payment_method": 1, "invoice": 1, "line_item": 1, "coupon": 1}}
    assert api.customers.retrieve("cus_x").address.to_dict()["city"] is None
    assert api.coupons.retrieve("TEN").percent_off == 12.5
    assert api.invoices.pay("in_1").amount_paid == 500


def test_time_goes_on_for_what_was_loaded(api: Sdk, sandbox: Sandbox) -> None:
    """The guide's subscription and a seeded one renew: 2900 for the next month, paid by the card."""
    sandbox.admin("POST", "fixtures", {"set": "guide"})
    sandbox.admin("POST", "seed", {"customers": 2, "seed": 3})
    ends = api.subscriptions.retrieve("sub_123")["items"].data[0].current_period_end
    sandbox.admin("POST", "clock", {"to": ends + 7200})
    renewed = api.subscriptions.retrieve("sub_123", {"expand": ["latest_invoice"]})
    assert renewed["items"].data[0].current_period_start == ends
    assert (renewed.latest_invoice.billing_reason, renewed.latest_invoice.amount_paid) == ("subscription_cycle", 2900)
    sandbox.admin("POST", "clock", {"advance": 366 * 86400})
    for subscription in api.subscriptions.list({"status": "active"}).data:
        assert len(api.invoices.list({"subscription": subscription.id, "status": "paid"}).data) > 1


def test_a_seed_is_deterministic_and_its_objects_are_stripes(api: Sdk, sandbox: Sandbox) -> None:
    wanted = {"customers": 30, "subscriptions": 20, "seed": 7}
    made = sandbox.admin("POST", "seed", wanted)["made"]
    assert (made["customer"], made["subscription"], made["price"]) == (30, 20, 18)
    assert sandbox.admin("POST", "seed", wanted) == 409
    customers = [one.id for one in api.customers.list({"limit": 100}).data]
    for service in (
        "customers",
        "subscriptions",
        "invoices",
        "payment_intents",
        "charges",
        "payment_methods",
        "prices",
    ):
        assert getattr(api, service).list({"limit": 100}).data
    subscription = api.subscriptions.list({"status": "active", "expand": ["data.latest_invoice"]}).data[0]
    assert subscription.latest_invoice.amount_paid == subscription["items"].data[0].price.unit_amount
    assert api.refunds.create({"charge": api.charges.list().data[0].id}).status == "succeeded"
    assert api.subscriptions.cancel(subscription.id).status == "canceled"
    sandbox.admin("POST", "reset")
    sandbox.admin("POST", "seed", wanted)
    with sdk(sandbox.url) as again:
        assert [one.id for one in again.customers.list({"limit": 100}).data] == customers
    assert sandbox.admin("POST", "seed", {"customers": 1, "subscriptions": 2}) == 400
