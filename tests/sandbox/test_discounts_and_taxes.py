"""Coupons, promotion codes, discounts, tax rates and automatic tax: numbers worked by hand."""

import random
from decimal import Decimal
from typing import Any

import pytest
import stripe

from sandbox.conftest import Sandbox, Sdk, event_types, paying_customer, refusal
from stripe_sandbox.totals import Discount, Line, Rate, share, work_out


def priced(api: Sdk, amount: int, currency: str = "usd", **recurring: Any) -> Any:
    more = {"recurring": recurring} if recurring else {}
    return api.prices.create({"product_data": {"name": "P"}, "currency": currency, "unit_amount": amount, **more})


def billed(api: Sdk, items: list[dict[str, Any]], currency: str = "usd", **fields: Any) -> Any:
    """A draft with these items."""
    customer = fields.pop("customer", None) or api.customers.create().id
    invoice = api.invoices.create({"customer": customer, "currency": currency, **fields})
    for item in items:
        api.invoice_items.create({"customer": customer, "invoice": invoice.id, "currency": currency, **item})
    return api.invoices.retrieve(invoice.id)


def amounts(found: Any) -> list[int]:
    return [one.amount for one in found]


def adds_up(invoice: Any) -> None:
    """invoice total = lines + exclusive tax - discounts, and each aggregate is the sum over the lines."""
    lines = invoice.lines.data
    exclusive = sum(tax.amount for tax in invoice.total_taxes if tax.tax_behavior == "exclusive")
    taken = sum(amounts(invoice.total_discount_amounts))
    assert invoice.total == sum(amounts(lines)) - taken + exclusive
    assert taken == sum(sum(amounts(line.discount_amounts)) for line in lines)
    assert sum(amounts(invoice.total_taxes)) == sum(sum(amounts(line.taxes)) for line in lines)
    assert invoice.total_excluding_tax == invoice.total - sum(amounts(invoice.total_taxes))


@pytest.mark.parametrize(
    ("currency", "lines", "coupon", "parts", "total"),
    [
        # 25 % of 1001 is 250.25, so 250: 1001 - 250 = 751.
        ("usd", [1001], {"percent_off": "25"}, [250], 751),
        # 10 % of 15 is 1.5, rounded away from zero to 2; two lines of 5 and 10 share it: 0.67 and 1.33, so 1 and 1.
        ("usd", [5, 10], {"percent_off": "10"}, [1, 1], 13),
        # 100 off 333 + 333 + 334: 33.3, 33.3, 33.4; the cent that is left goes to the largest remainder.
        ("usd", [333, 333, 334], {"amount_off": 100, "currency": "usd"}, [33, 33, 34], 900),
        # More off than there is: nothing is left, and no more.
        ("usd", [300, 200], {"amount_off": 900, "currency": "usd"}, [300, 200], 0),
        # A credit line is not discounted: 10 % of 1000 only.
        ("usd", [1000, -200], {"percent_off": "10"}, [100, 0], 700),
        # 12.5 % of 999 yen is 124.875, so 125 yen.
        ("jpy", [999], {"percent_off": "12.5"}, [125], 874),
        # 33.33 % of 10.001 dinars is 3.3333333, so 3.333.
        ("kwd", [10001], {"percent_off": "33.33"}, [3333], 6668),
    ],
)
def test_an_invoices_discount(
    api: Sdk, currency: str, lines: list[int], coupon: dict[str, Any], parts: list[int], total: int
) -> None:
    made = api.coupons.create({"duration": "once", **coupon})
    invoice = billed(api, [{"amount": one} for one in lines], currency, discounts=[{"coupon": made.id}])
    assert (invoice.subtotal, invoice.total) == (sum(lines), total)
    assert [sum(amounts(line.discount_amounts)) for line in invoice.lines.data] == parts
    assert amounts(invoice.total_discount_amounts) == [sum(lines) - total]
    shown = api.invoices.retrieve(
        invoice.id, {"expand": ["discounts.source.coupon", "total_discount_amounts.discount"]}
    )
    assert shown.discounts[0].source.coupon.id == made.id
    assert shown.total_discount_amounts[0].discount.invoice == invoice.id
    assert api.coupons.retrieve(made.id).times_redeemed == 1
    adds_up(invoice)


def test_own_discounts_come_first_then_the_invoices_one_after_the_other(api: Sdk) -> None:
    """Line A 1000 - 20 % own = 800, line B 1000. Invoice: 10 % of 1800 = 180 (80, 100), then 100 off 1620: 44.4
    and 55.6, so 44 and 56. Total 2000 - 200 - 180 - 100 = 1520. The subtotal knows the own discount: 1800."""
    own, tenth, hundred = (
        api.coupons.create({"percent_off": "20"}),
        api.coupons.create({"percent_off": "10"}),
        api.coupons.create({"amount_off": 100, "currency": "usd"}),
    )
    invoice = billed(
        api, [{"amount": 1000, "discounts": [{"coupon": own.id}]}, {"amount": 1000}],
        discounts=[{"coupon": tenth.id}, {"coupon": hundred.id}],
    )  # fmt: skip
    assert [amounts(line.discount_amounts) for line in invoice.lines.data] == [[200, 80, 44], [100, 56]]
    assert (invoice.subtotal, invoice.total) == (1800, 1520)
    assert len(invoice.lines.data[0].discounts) == 1
    adds_up(invoice)


def test_a_coupon_for_products_and_an_item_without_discounts(api: Sdk) -> None:
    """Half of 600 only: the other product's 400 and the item that is not discountable stay whole."""
    sold, other = priced(api, 600), priced(api, 400)
    coupon = api.coupons.create({"percent_off": "50", "applies_to": {"products": [sold.product]}})
    assert api.coupons.retrieve(coupon.id, {"expand": ["applies_to"]}).applies_to.products == [sold.product]
    items = [{"pricing": {"price": sold.id}}, {"pricing": {"price": other.id}}]
    items += [{"pricing": {"price": sold.id}, "discountable": False}]
    invoice = billed(api, items, discounts=[{"coupon": coupon.id}])
    assert [sum(amounts(line.discount_amounts)) for line in invoice.lines.data] == [300, 0, 0]
    assert api.invoices.update(invoice.id, {"discounts": ""}).total == 1600


@pytest.mark.parametrize(
    ("params", "param"),
    [
        ({}, "percent_off"),
        ({"percent_off": "10", "amount_off": 5, "currency": "usd"}, "percent_off"),
        ({"percent_off": "100.5"}, "percent_off"),
        ({"amount_off": 5}, "currency"),
        ({"percent_off": "5", "duration": "repeating"}, "duration_in_months"),
        ({"percent_off": "5", "duration_in_months": 2}, "duration_in_months"),
        ({"percent_off": "5", "redeem_by": 1}, "redeem_by"),
        ({"percent_off": "5", "applies_to": {"products": ["prod_none"]}}, "applies_to[products][0]"),
    ],
)
def test_wrong_coupons(api: Sdk, params: dict[str, Any], param: str) -> None:
    assert refusal(stripe.InvalidRequestError, api.coupons.create, params).param == param


def test_redemptions_run_out_and_codes_have_conditions(api: Sdk) -> None:
    coupon = api.coupons.create({"id": "ONE", "percent_off": "10", "max_redemptions": 1, "name": "one"})
    code = api.promotion_codes.create({"promotion": {"type": "coupon", "coupon": "ONE"}, "code": "HELLO"})
    refusal(
        stripe.InvalidRequestError, api.promotion_codes.create,
        {"promotion": {"type": "coupon", "coupon": "ONE"}, "code": "hello"},
    )  # fmt: skip
    assert [one.id for one in api.promotion_codes.list({"active": True, "code": "HELLO"}).data] == [code.id]
    billed(api, [{"amount": 1000}], discounts=[{"promotion_code": code.id}])
    assert (api.coupons.retrieve("ONE").valid, api.promotion_codes.retrieve(code.id).active) == (False, False)
    assert api.promotion_codes.list({"active": True}).data == []
    error = refusal(
        stripe.InvalidRequestError, api.invoices.create,
        {"customer": api.customers.create().id, "discounts": [{"coupon": "ONE"}]},
    )  # fmt: skip
    assert (error.code, error.param) == ("coupon_expired", "discounts[0][coupon]")
    first = api.coupons.create({"percent_off": "5"})
    only_first = api.promotion_codes.create(
        {"promotion": {"type": "coupon", "coupon": first.id}, "restrictions": {"first_time_transaction": True}}
    )
    customer = paying_customer(api)
    paid = billed(api, [{"amount": 500}], customer=customer.id, discounts=[{"promotion_code": only_first.id}])
    api.invoices.pay(paid.id)
    refusal(
        stripe.InvalidRequestError, api.invoices.create,
        {"customer": customer.id, "discounts": [{"promotion_code": only_first.id}]},
    )  # fmt: skip
    assert api.coupons.delete(coupon.id).deleted
    assert api.promotion_codes.update(only_first.id, {"active": False}).active is False


def test_a_subscriptions_discounts_and_taxes(api: Sdk) -> None:
    """1000 - 25 % = 750, and 10 % tax on that: 75. For once: the subscription has it no more after its invoice."""
    customer = paying_customer(api)
    price = priced(api, 1000, interval="month")
    once = api.coupons.create({"percent_off": "25", "duration": "once"})
    rate = api.tax_rates.create({"display_name": "Tax", "percentage": "10", "inclusive": False})
    made = api.subscriptions.create(
        {"customer": customer.id, "items": [{"price": price.id}], "discounts": [{"coupon": once.id}],
         "default_tax_rates": [rate.id], "expand": ["latest_invoice"]}
    )  # fmt: skip
    invoice = made.latest_invoice
    assert (invoice.status, invoice.subtotal, invoice.total, invoice.amount_paid) == ("paid", 1000, 825, 825)
    assert (invoice.total_taxes[0].taxable_amount, invoice.total_taxes[0].amount) == (750, 75)
    assert (made.default_tax_rates[0].id, made.discounts) == (rate.id, [])
    types = event_types(api)
    assert types.index("customer.discount.created") < types.index("customer.discount.deleted")
    adds_up(invoice)


def test_repeating_discounts_end_and_can_be_removed(api: Sdk) -> None:
    """Three months from the start, on the same day of the month; removed by hand it is gone at once."""
    price = priced(api, 1000, interval="month")
    coupon = api.coupons.create({"percent_off": "10", "duration": "repeating", "duration_in_months": 3})
    made = api.subscriptions.create(
        {"customer": paying_customer(api).id, "items": [{"price": price.id, "discounts": [{"coupon": coupon.id}]}],
         "discounts": [{"coupon": coupon.id}], "expand": ["discounts", "latest_invoice"]}
    )  # fmt: skip
    discount = made.discounts[0]
    assert 89 * 86400 <= discount.end - discount.start <= 92 * 86400
    # The item's 10 % first, then the subscription's: 1000 - 100 - 90.
    assert made.latest_invoice.total == 810
    assert api.subscriptions.delete_discount(made.id).deleted
    assert api.subscriptions.retrieve(made.id).discounts == []
    error = refusal(stripe.InvalidRequestError, api.subscriptions.delete_discount, made.id)
    assert error.http_status == 404


@pytest.mark.parametrize(
    ("currency", "amount", "rates", "taxes", "total", "net"),
    [
        # 8.25 % on 10.00: 82.5 cents, away from zero 83.
        ("usd", 1000, [("8.25", False)], [(83, 1000)], 1083, 1000),
        # 99.00 with 19 % inside: 9900 x 19/119 = 1580.67, so 15.81; 83.19 without.
        ("usd", 9900, [("19", True)], [(1581, 8319)], 9900, 8319),
        # Two inside: 1200 x 10/120 = 100 each; and 5 % on top of the 1000 without them.
        ("usd", 1200, [("10", True), ("10", True), ("5", False)], [(100, 1000), (100, 1000), (50, 1000)], 1250, 1000),
        # 10 % on 105 yen: 10.5, so 11.
        ("jpy", 105, [("10", False)], [(11, 105)], 116, 105),
        # 5 % inside 10.500 dinars: exactly 0.500.
        ("kwd", 10500, [("5", True)], [(500, 10000)], 10500, 10000),
        # A negative line has negative tax: -82.5, so -83.
        ("usd", -1000, [("8.25", False)], [(-83, -1000)], -1083, -1000),
    ],
)
def test_tax_rates(
    api: Sdk, currency: str, amount: int, rates: list[tuple[str, bool]], taxes: list[tuple[int, int]], total: int,
    net: int,
) -> None:  # fmt: skip
    made = [
        api.tax_rates.create({"display_name": "T", "percentage": percentage, "inclusive": inclusive}).id
        for percentage, inclusive in rates
    ]
    invoice = billed(api, [{"amount": amount}], currency, default_tax_rates=made)
    assert [(tax.amount, tax.taxable_amount) for tax in invoice.total_taxes] == taxes
    assert (invoice.total, invoice.total_excluding_tax) == (total, net)
    assert [rate.percentage for rate in invoice.default_tax_rates] == [float(one) for one, _ in rates]
    adds_up(invoice)


def test_tax_is_on_what_the_discount_leaves_and_items_have_their_own_rates(api: Sdk) -> None:
    """A 1000, B 1000, 10 % off: 900 each. A: own 20 % = 180. B: the invoice's 5 % = 45. Total 1800 + 225."""
    own, default = (
        api.tax_rates.create({"display_name": "T", "percentage": one, "inclusive": False}).id for one in ("20", "5")
    )
    coupon = api.coupons.create({"percent_off": "10"})
    invoice = billed(
        api, [{"amount": 1000, "tax_rates": [own]}, {"amount": 1000}], default_tax_rates=[default],
        discounts=[{"coupon": coupon.id}],
    )  # fmt: skip
    assert [(tax.tax_rate_details.tax_rate, tax.amount) for tax in invoice.total_taxes] == [(own, 180), (default, 45)]
    assert invoice.total == 2025
    api.tax_rates.update(own, {"active": False})
    refusal(
        stripe.InvalidRequestError, api.invoices.create,
        {"customer": invoice.customer, "default_tax_rates": [own]},
    )  # fmt: skip


@pytest.mark.parametrize(("exempt", "reason"), [("exempt", "customer_exempt"), ("reverse", "reverse_charge")])
def test_exempt_customers_pay_no_tax_and_are_told_why(api: Sdk, exempt: str, reason: str) -> None:
    rate = api.tax_rates.create({"display_name": "T", "percentage": "20", "inclusive": False})
    customer = api.customers.create({"tax_exempt": exempt})
    invoice = billed(api, [{"amount": 1000}], customer=customer.id, default_tax_rates=[rate.id])
    assert (invoice.total, invoice.customer_tax_exempt) == (1000, exempt)
    assert [(tax.amount, tax.taxability_reason) for tax in invoice.total_taxes] == [(0, reason)]


ADDRESSES: list[tuple[dict[str, str], list[tuple[int, str]], int]] = [
    ({"country": "US", "state": "CA"}, [(73, "standard_rated")], 1073),  # 72.5
    ({"country": "US", "postal_code": "10001"}, [(40, "standard_rated")], 1040),
    ({"country": "US", "state": "OR"}, [], 1000),
    ({"country": "DE"}, [(190, "standard_rated")], 1190),
    ({"country": "JP"}, [(100, "standard_rated")], 1100),
    ({"country": "BR"}, [], 1000),
]


@pytest.mark.parametrize(("address", "taxes", "total"), ADDRESSES)
def test_automatic_tax(api: Sdk, address: dict[str, str], taxes: list[tuple[int, str]], total: int) -> None:
    customer = api.customers.create({"address": address})
    invoice = billed(api, [{"amount": 1000}], customer=customer.id, automatic_tax={"enabled": True})
    assert (invoice.automatic_tax.status, invoice.total) == ("complete", total)
    assert [(tax.amount, tax.taxability_reason) for tax in invoice.total_taxes] == taxes
    known = api.customers.retrieve(customer.id, {"expand": ["tax"]}).tax
    assert known.automatic_tax == ("supported" if taxes else "not_collecting")
    adds_up(invoice)


def test_automatic_tax_needs_a_place(api: Sdk) -> None:
    customer = api.customers.create()
    invoice = billed(api, [{"amount": 1000}], customer=customer.id, automatic_tax={"enabled": True})
    assert (invoice.automatic_tax.status, invoice.total) == ("requires_location_inputs", 1000)
    error = refusal(stripe.InvalidRequestError, api.invoices.finalize_invoice, invoice.id)
    assert error.code == "customer_tax_location_invalid"
    assert api.invoices.retrieve(invoice.id).last_finalization_error.code == "customer_tax_location_invalid"
    assert event_types(api)[-1] == "invoice.finalization_failed"
    price = priced(api, 1000, interval="month")
    wanted = {"customer": customer.id, "items": [{"price": price.id}], "automatic_tax": {"enabled": True}}
    assert refusal(stripe.InvalidRequestError, api.subscriptions.create, wanted).code == error.code
    refusal(
        stripe.InvalidRequestError, api.customers.update, customer.id, {"tax": {"validate_location": "immediately"}}
    )
    api.customers.update(customer.id, {"address": {"country": "GB"}})
    assert api.invoices.retrieve(invoice.id).customer_address.country == "GB"
    assert api.invoices.finalize_invoice(invoice.id).total == 1200


def test_tax_inside_the_price_and_reverse_charge_in_the_union(api: Sdk) -> None:
    """Inclusive 19 %: 1190 x 19/119 = 190. A business with a tax id accounts for it itself: 0."""
    customer = api.customers.create({"address": {"country": "DE"}, "email": "a@b.c"})
    item = {"amount": 1190, "tax_behavior": "inclusive"}
    invoice = billed(api, [item], customer=customer.id, automatic_tax={"enabled": True})
    assert (invoice.total, invoice.total_taxes[0].amount, invoice.total_excluding_tax) == (1190, 190, 1000)
    made = api.customers.tax_ids.create(customer.id, {"type": "eu_vat", "value": "DE000000000"})
    assert (made.verification.status, made.country, made.owner.customer) == ("verified", "DE", customer.id)
    reverse = billed(api, [item], customer=customer.id, automatic_tax={"enabled": True})
    assert (reverse.total_taxes[0].amount, reverse.total_taxes[0].taxability_reason) == (0, "reverse_charge")
    assert reverse.customer_tax_ids[0].value == "DE000000000"


def test_tax_ids(api: Sdk, sandbox: Sandbox) -> None:
    customer = api.customers.create({"tax_id_data": [{"type": "us_ein", "value": "12-3456789"}]})
    statuses = {
        value: api.customers.tax_ids.create(customer.id, {"type": kind, "value": value}).verification.status
        for kind, value in (("eu_vat", "FR111111111"), ("gb_vat", "GB222222222"), ("au_abn", "000000000"))
    }
    assert statuses == {"FR111111111": "unverified", "GB222222222": "pending", "000000000": "verified"}
    found = api.customers.tax_ids.list(customer.id).data
    assert [(one.type, one.verification.status) for one in found][-1] == ("us_ein", "unavailable")
    error = refusal(
        stripe.InvalidRequestError, api.customers.tax_ids.create, customer.id, {"type": "us_ein", "value": "x"}
    )
    assert error.code == "tax_id_invalid"
    pending = found[1].id
    edit = {"kind": "tax_id", "id": pending, "changes": {"verification": {"status": "verified"}}}
    assert sandbox.admin("POST", "edit", edit)["verification"]["status"] == "verified"
    assert event_types(api)[-1] == "customer.tax_id.updated"
    assert api.customers.tax_ids.delete(customer.id, pending).deleted
    account = api.tax_ids.create({"type": "eu_vat", "value": "DE123456788"})
    assert [one.id for one in api.tax_ids.list().data] == [account.id]
    owned = {"owner": {"type": "customer", "customer": customer.id}}
    assert len(api.tax_ids.list(owned).data) == 3


@pytest.mark.parametrize("seed", range(200))
def test_any_totals_add_up(seed: int) -> None:
    """total = lines - discounts + exclusive tax; no discount exceeds its line; parts add up to the whole."""
    chance = random.Random(seed)
    discounts = [
        Discount(f"d{n}", Decimal(chance.randrange(1, 10_000)) / 100, None)
        if chance.random() < 0.5
        else Discount(f"d{n}", None, chance.randrange(1, 5000))
        for n in range(chance.randrange(4))
    ]
    rates = [
        Rate(f"r{n}", Decimal(chance.randrange(0, 3000)) / 100, chance.random() < 0.5)
        for n in range(chance.randrange(3))
    ]
    lines = [
        Line(chance.randrange(-3000, 10_000), chance.random() < 0.8, None, tuple(discounts[:1]), tuple(rates))
        for _ in range(chance.randrange(1, 7))
    ]
    found = work_out(lines, discounts[1:])
    exclusive = sum(tax.amount for tax in found.taxes if tax.behavior == "exclusive")
    assert found.total == sum(line.amount for line in lines) - sum(found.discounts.values()) + exclusive
    assert found.total_excluding_tax == found.total - sum(tax.amount for tax in found.taxes)
    for line, one in zip(lines, found.lines, strict=True):
        taken = sum(amount for _, amount in one.discounts)
        assert all(amount >= 0 for _, amount in one.discounts)
        assert taken <= max(line.amount, 0)
        assert line.discountable or taken == 0
    weights = [chance.randrange(0, 100) for _ in range(5)] + [1]
    whole = chance.randrange(0, 1000)
    parts = share(whole, weights)
    assert sum(parts) == whole
    assert all(
        abs(part - Decimal(whole * weight) / sum(weights)) < 1 for part, weight in zip(parts, weights, strict=True)
    )
