"""Customers are changed at Stripe, and the mirror has it when the command returns."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from money_bench import Bench, email
from money_seams import Crash, Seams, fragile

from nself.app import App
from nself.core.errors import BillingError, MissingParameter
from nself.domains.catalog import service as catalog
from nself.domains.catalog.inputs import CreatePrice, ListPrices, ShowPrice
from nself.domains.customer import rules, service
from nself.domains.customer.inputs import (
    ListCustomers,
    OpenPortal,
    SetTaxId,
    ShowCustomer,
    TrialEligibility,
    UpdateCustomer,
)
from nself.domains.customer.model import BadEmail, BadTaxId, CustomerIsDeleted, NoSuchCustomer, NothingToUpdate
from nself.gateway.errors import NoSuchObject

USER = "user1"


@pytest.fixture
def id(bench: Bench) -> str:
    bench.create(bench.apps[0], USER)
    return str(bench.sandbox.customers(email(USER))[0]["id"])


def update(app: App, id: str, **fields: Any) -> list[str]:
    return service.update(app, UpdateCustomer(customer=id, **fields)).changed


def test_what_is_given_is_changed_and_the_rest_stays(bench: Bench, id: str):
    app = bench.apps[0]
    update(app, id, address_line1="123 Main St", address_city="San Francisco", address_state="CA", address_country="us")
    changed = update(app, id, address_postal_code="94102", name="Ada", tax_exempt="reverse", locale="de", phone="+1 5")
    assert any(one.startswith("address.postal_code: None -> 94102") for one in changed), changed
    shown = service.show(app, ShowCustomer(customer=id))
    assert shown.address == "123 Main St, 94102, San Francisco, CA, US"
    assert (shown.name, shown.tax_exempt, shown.locales, shown.phone) == ("Ada", "reverse", ["de"], "+1 5")
    assert update(app, id, name="Ada") == []
    assert bench.differences() == []


def test_a_customer_is_found_by_a_part_of_email_name_user_or_id(bench: Bench, id: str):
    app = bench.apps[0]
    update(app, id, name="Ada Lövelace", email="Ada_100%@example.org")
    bench.create(app, "someone_else")
    for text in ("LÖVE", "ada_100%@", USER, id.lower(), id[4:]):
        assert [one.id for one in service.list_customers(app, ListCustomers(search=text))] == [id], text
    assert len(service.list_customers(app, ListCustomers(search="example"))) == 2
    assert service.list_customers(app, ListCustomers(search="a%b")) == []
    newest, older = service.list_customers(app, ListCustomers())
    assert service.list_customers(app, ListCustomers(search="example", offset=1)) == [older]
    assert service.list_customers(app, ListCustomers(search="example", limit=1)) == [newest]


def test_a_very_long_name_is_stored_and_the_email_before_it_found(bench: Bench, id: str):
    update(bench.apps[0], id, name="\U0001d538" * 256)
    assert [one.id for one in service.list_customers(bench.apps[0], ListCustomers(search=email(USER)))] == [id]


def test_a_new_email_is_that_of_the_user_too(bench: Bench, id: str):
    update(bench.apps[0], id, email="valid@example.com")
    assert bench.sql("select email from auth.users where id = %s", USER) == [("valid@example.com",)]
    assert bench.sandbox.get(f"/v1/customers/{id}")["email"] == "valid@example.com"


def test_a_crash_at_any_seam_of_an_update_leaves_nothing_half_done(bench: Bench, id: str):
    at = 0
    while True:
        at += 1
        app = fragile(bench, Seams(at))
        try:
            service.update(app, UpdateCustomer(customer=id, name=f"Name {at}", email=f"{at}@example.com"))
            break
        except Crash:
            bench.pass_time()
            bench.work(bench.apps[0])
            update(bench.apps[0], id, name=f"Name {at}", email=f"{at}@example.com")
        finally:
            app.close()
        assert bench.sandbox.get(f"/v1/customers/{id}")["name"] == f"Name {at}"
        assert bench.sql("select email from auth.users where id = %s", USER) == [(f"{at}@example.com",)]
    assert at > 8
    bench.deliver(bench.apps[0])
    bench.work(bench.apps[0])
    bench.check_quiet()


@pytest.mark.parametrize(
    ("fields", "kind", "code"),
    [
        ({}, NothingToUpdate, "parameter_missing"),
        ({"email": "nobody"}, BadEmail, "email_invalid"),
        ({"customer": "cus_none", "name": "x"}, NoSuchCustomer, "resource_missing"),
        ({"customer": "cus none", "name": "x"}, NoSuchCustomer, "resource_missing"),
    ],
)
def test_bad_input_changes_nothing(bench: Bench, id: str, fields: dict[str, Any], kind: type[BillingError], code: str):
    before = bench.sandbox.get(f"/v1/customers/{id}")
    with pytest.raises(kind) as refusal:
        service.update(bench.apps[0], UpdateCustomer(**{"customer": id, **fields}))
    assert refusal.value.code == code
    assert bench.sandbox.get(f"/v1/customers/{id}") == before


def test_a_deleted_customer_is_told_as_such(bench: Bench, id: str):
    bench.sandbox.client.v1.customers.delete(id)
    with pytest.raises(CustomerIsDeleted):
        update(bench.apps[0], id, name="x")
    assert service.show(bench.apps[0], ShowCustomer(customer=id)).deleted


def test_a_tax_id_is_set_once_and_takes_the_place_of_another(bench: Bench, id: str):
    app = bench.apps[0]
    made = service.set_tax_id(app, SetTaxId(customer=id, type="eu_vat", value="DE136695976"))
    assert (made.format, made.verification, made.replaced) == ("right", "pending", [])
    again = service.set_tax_id(app, SetTaxId(customer=id, type="eu_vat", value="DE136695976"))
    assert (again.id, again.note) == (made.id, "stands already")
    other = service.set_tax_id(app, SetTaxId(customer=id, type="eu_vat", value="NL4495445B01"))
    assert other.replaced == ["eu_vat DE136695976"]
    service.set_tax_id(app, SetTaxId(customer=id, type="us_ein", value="12-3456789"))
    shown = service.show(app, ShowCustomer(customer=id))
    assert sorted(shown.tax_ids) == ["eu_vat NL4495445B01 (pending)", "us_ein 12-3456789 (unavailable)"]


def test_a_tax_id_takes_the_place_of_one_that_no_authority_knows(bench: Bench, id: str):
    bench.sandbox.post(f"/v1/customers/{id}/tax_ids", type="eu_vat", value="DE111111111")
    made = service.set_tax_id(bench.apps[0], SetTaxId(customer=id, type="us_ein", value="12-3456789"))
    assert made.replaced == ["eu_vat DE111111111"]
    assert service.show(bench.apps[0], ShowCustomer(customer=id)).tax_ids == ["us_ein 12-3456789 (unavailable)"]


def test_two_at_once_set_one_tax_id(bench: Bench, id: str):
    apps = [bench.app() for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        given = SetTaxId(customer=id, type="us_ein", value="12-3456789")
        made = list(pool.map(lambda app: service.set_tax_id(app, given), apps))
    assert len({one.id for one in made}) == 1
    assert len(bench.sandbox.get(f"/v1/customers/{id}/tax_ids")) == 1


def test_a_tax_id_that_stripe_verifies_later_is_heard_of(bench: Bench, id: str):
    app = bench.apps[0]
    bench.deliver(app)
    made = service.set_tax_id(app, SetTaxId(customer=id, type="eu_vat", value="DE136695976"))
    bench.sandbox.edit(
        "tax_id", made.id, verification={"status": "verified", "verified_name": "x", "verified_address": "y"}
    )
    bench.deliver(app)
    bench.work(app)
    assert service.show(app, ShowCustomer(customer=id)).tax_ids == ["eu_vat DE136695976 (verified)"]


@pytest.mark.parametrize(("type", "value"), [("eu_vat", "DE136695978"), ("us_ein", "1234"), ("gb_vat", "GB1")])
def test_a_wrong_tax_id_is_refused_before_stripe_hears_of_it(bench: Bench, id: str, type: str, value: str):
    with pytest.raises(BadTaxId, match="Invalid tax id"):
        service.set_tax_id(bench.apps[0], SetTaxId(customer=id, type=type, value=value))
    assert bench.sandbox.get(f"/v1/customers/{id}/tax_ids") == []


def test_every_checked_type_has_its_module():
    for type in rules.CHECKED:
        assert rules.tax_id_problem(type, "!")
    assert rules.tax_id_problem("xx_vat", "!") is None


def test_one_trial_a_user_also_after_a_deletion(bench: Bench, id: str):
    app = bench.apps[0]
    assert service.trial_eligibility(app, TrialEligibility(customer=id)).eligible
    bench.sql("update billing_customers set trial_used = true where customer_id = %s", id)
    assert not service.trial_eligibility(app, TrialEligibility(customer=id)).eligible
    bench.sandbox.client.v1.customers.delete(id)
    bench.deliver(app)
    bench.work(app)
    bench.create(app, USER)
    (second,) = bench.sandbox.customers(email(USER))
    found = service.trial_eligibility(app, TrialEligibility(customer=second["id"]))
    assert (found.eligible, found.reason) == (False, "had a trial already")


def test_the_portal_is_a_link_of_stripes(bench: Bench, id: str):
    made = service.portal(bench.apps[0], OpenPortal(customer=id, return_url="https://example.com/account"))
    assert made.url.startswith("http")
    with pytest.raises(NoSuchCustomer):
        service.portal(bench.apps[0], OpenPortal(customer="cus_none"))


def test_prices_are_made_listed_and_shown(bench: Bench):
    app = bench.apps[0]
    made = catalog.create_price(
        app, CreatePrice(product_name="Pro", amount=999, interval="month", plan="pro", trial_days=14)
    )
    assert (str(made.amount), made.currency, made.interval, made.trial_period_days) == ("9.99", "usd", "month", 14)
    assert (made.plan, made.interval_count) == ("pro", 1)
    yen = catalog.create_price(app, CreatePrice(product=made.product, amount=999, currency="JPY"))
    assert (str(yen.amount), yen.type) == ("999", "one_time")
    assert {one.id for one in catalog.list_prices(app, ListPrices(product=made.product))} == {yen.id, made.id}
    assert catalog.show_price(app, ShowPrice(price=made.id)) == made
    with pytest.raises(NoSuchObject, match="No such product: prod_123"):
        catalog.create_price(app, CreatePrice(product="prod_123", amount=1))
    with pytest.raises(MissingParameter):
        catalog.create_price(app, CreatePrice(amount=1))
