"""Search: the small language, its fields, its pages."""

import pytest
import stripe

from sandbox.conftest import Sdk, drafted, paying_customer, refusal

PEOPLE = (
    {"email": "ann@example.com", "name": "Ann Lee", "metadata": {"plan": "pro", "Seats": "5"}},
    {"email": "Bob@Example.com", "name": "Bob Ray", "phone": "+15551234", "metadata": {"plan": "free"}},
    {"name": "Cy O'Neil", "metadata": {"plan": "pro"}},
)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ('email:"ann@example.com"', "A"),
        ('email:"ANN@EXAMPLE.COM"', "A"),
        ('email~"example"', "BA"),
        ("name:'Bob Ray'", "B"),
        ('name:"Cy O\'Neil"', "C"),
        ('metadata["plan"]:"pro"', "CA"),
        ('metadata["plan"]:"pro" AND email~"ann"', "A"),
        ('metadata["plan"]:"pro" email~"ann"', "A"),
        ('metadata["plan"]:"free" OR name~"ann"', "BA"),
        ('-metadata["plan"]:"pro"', "B"),
        ("email:null", "C"),
        ("-email:null", "BA"),
        ('-metadata["Seats"]:null', "A"),
        ("metadata['seats']:'5'", ""),
        ("created>0", "CBA"),
        ("created<1000 OR phone~'5551'", "B"),
        ("created>=1000 AND created<=99999999999 AND -name:'Ann Lee'", "CB"),
    ],
)
def test_customers(api: Sdk, query: str, found: str) -> None:
    made = {api.customers.create(person).id: letter for person, letter in zip(PEOPLE, "ABC", strict=True)}
    assert "".join(made[one.id] for one in api.customers.search({"query": query}).data) == found


@pytest.mark.parametrize(
    "query",
    [
        "email", 'email:"a', 'nickname:"x"', "email:unquoted", 'email>"a"', 'email~"ab"', 'created:"soon"', 'created~"123"',
        'email:"a" AND name:"b" OR name:"c"', "metadata:'x'", "email['x']:'y'", " AND ".join(['email:"a"'] * 11),
        'email:"a")', "created>null",
    ],
)  # fmt: skip
def test_wrong_queries(api: Sdk, query: str) -> None:
    assert refusal(stripe.InvalidRequestError, api.customers.search, {"query": query}).param == "query"


def test_pages_and_expansion(api: Sdk) -> None:
    made = [api.customers.create({"name": f"Name {number}"}).id for number in range(7)]
    first = api.customers.search({"query": 'name~"name"', "limit": 3, "expand": ["total_count"]})
    assert (len(first.data), first.has_more, first.total_count) == (3, True, 7)
    rest = api.customers.search({"query": 'name~"name"', "limit": 3, "page": first.next_page})
    assert [one.id for one in [*first.data, *rest.data]] == made[:0:-1]
    pages = api.customers.search({"query": 'name~"name"', "limit": 2}).auto_paging_iter()
    assert [one.id for one in pages] == made[::-1]
    assert (
        refusal(stripe.InvalidRequestError, api.customers.search, {"query": "created>0", "page": "x"}).param == "page"
    )


def test_every_kind_that_can_be_searched(api: Sdk) -> None:
    customer = paying_customer(api)
    product = api.products.create({"name": "Widget", "description": "round", "url": "https://example.com"})
    price = api.prices.create(
        {
            "product": product.id,
            "currency": "usd",
            "unit_amount": 500,
            "recurring": {"interval": "month"},
            "lookup_key": "k",
        }
    )
    subscription = api.subscriptions.create(
        {"customer": customer.id, "items": [{"price": price.id}], "metadata": {"a": "b"}}
    )
    draft = drafted(api, customer.id, 700)
    api.customers.delete(api.customers.create({"name": "gone"}).id)
    cases = (
        (api.products, 'name:"widget" AND active:"true"', product.id),
        (api.products, 'description~"round" AND url~"example"', product.id),
        (api.prices, f'product:"{product.id}" AND type:"recurring" AND lookup_key:"k"', price.id),
        (api.subscriptions, 'status:"active" AND metadata["a"]:"b"', subscription.id),
        (api.invoices, f'customer:"{customer.id}" AND status:"draft"', draft.id),
        (api.invoices, f'subscription:"{subscription.id}" AND total:500', subscription.latest_invoice),
        (api.payment_intents, 'status:"succeeded" AND amount>499 AND currency:"usd"', None),
        (api.charges, 'payment_method_details.card.last4:"4242" AND -refunded:"true"', None),
    )
    for service, query, identifier in cases:
        found = service.search({"query": query}).data
        assert len(found) == 1, query
        assert identifier in (None, found[0].id), query
    assert api.customers.search({"query": 'name:"gone"'}).data == []
    shown = api.invoices.search({"query": "total:500", "expand": ["data.customer"]})
    assert shown.data[0].customer.id == customer.id
