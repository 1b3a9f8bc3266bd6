"""A key that is bound to a user sees and changes nothing of anybody else, on every route; how often a key may ask."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import msgspec
import psycopg
import pytest

from metering import people
from nself.app import App
from nself.core.entrypoint import Route
from nself.domains.access.rules import OWNED
from nself.domains.api_key import rules
from nself.domains.quota.inputs import SetQuota
from nself.domains.quota.service import limits
from nself.http.docs import INGEST
from nself.registry import Registry
from serving import Answer, Client, Service, new_key, serving

Input = dict[str, Any]
ROUTES: dict[str, Input | None] = {
    "GET /api/v1/customers": {},
    "GET /api/v1/customers/{customer}": {"customer": "CUSTOMER"},
    "POST /api/v1/customers/{customer}/notify": {"customer": "CUSTOMER", "template": "receipt"},
    "GET /api/v1/prices": {},
    "GET /api/v1/prices/{price}": {"price": "price_nobody"},
    "POST /api/v1/prices": None,  # prices are everybody's: a bound key makes none
    "POST /api/v1/usage": {"user": "USER", "metric": "calls", "value": 1},
    "GET /api/v1/usage": {"user": "USER"},
    "GET /api/v1/usage/totals": None,  # of all users
    "GET /api/v1/access": {"user": "USER"},
    "POST /api/v1/quota/check": {"user": "USER", "metric": "calls"},
    "POST /api/v1/quota/reserve": {"user": "USER", "metric": "calls"},
    "POST /api/v1/quota/commit": {"reservation": "RESERVATION"},
    "POST /api/v1/quota/release": {"reservation": "RESERVATION"},
    "POST /api/v1/page-links": {"user": "USER"},
    "POST /api/v1/payments": {"amount": 100},
    "GET /api/v1/payment-methods": {},
    "POST /api/v1/payment-methods": {"payment_method": "pm_new"},
    "POST /api/v1/payment-methods/{payment_method}/default": {"payment_method": "PAYMENT_METHOD", "customer": "CUSTOMER"},
    "POST /api/v1/payment-methods/{payment_method}/remove": {"payment_method": "PAYMENT_METHOD"},
    "GET /api/v1/payment-intents/{payment_intent}": {"payment_intent": "PAYMENT_INTENT"},
    "POST /api/v1/refunds": {"charge": "CHARGE", "reason": "duplicate"},
    "GET /api/v1/subscriptions": {},
    "GET /api/v1/subscriptions/{subscription}": {"subscription": "SUBSCRIPTION"},
    "POST /api/v1/subscriptions": {"customer": "CUSTOMER", "price": "price_nobody"},
    "POST /api/v1/subscriptions/{subscription}": {"subscription": "SUBSCRIPTION", "quantity": 2},
    "POST /api/v1/subscriptions/{subscription}/cancel": {"subscription": "SUBSCRIPTION"},
    "POST /api/v1/subscriptions/{subscription}/preview": {"subscription": "SUBSCRIPTION", "quantity": 2},
    "GET /api/v1/revenue": {"customer": "CUSTOMER"},  # nobody's own is refused
    "GET /api/v1/customers/{customer}/revenue": {"customer": "CUSTOMER"},
    "GET /api/v1/invoices": {},
    "GET /api/v1/invoices/{invoice}": {"invoice": "INVOICE"},
    "GET /api/v1/invoices/{invoice}/pdf": {"invoice": "INVOICE"},
    "POST /api/v1/invoices": {"customer": "CUSTOMER", "amount": 100},
    "POST /api/v1/invoices/{invoice}/items": {"invoice": "INVOICE", "amount": 100},
    "POST /api/v1/invoices/{invoice}/tax": {"invoice": "INVOICE", "tax_rate": "txr_1"},
    "POST /api/v1/invoices/{invoice}/finalize": {"invoice": "INVOICE"},
    "POST /api/v1/invoices/{invoice}/pay": {"invoice": "INVOICE"},
    "POST /api/v1/invoices/{invoice}/void": {"invoice": "INVOICE", "reason": "by hand"},
}  # fmt: skip
"""Each route with what its caller owns, in capitals; None where there is nothing to own."""
NOT_OWNED = set(
    "amount all auto_advance at at_period_end by compare compare_stripe confirm coupon currency default description force "
    "group_by idempotency_key immediate interval interval_count item keep key late limit lives metric month months new_price nickname offset period "
    "plan price product product_name properties proration_date quantity reason retry search show_lines show_overage show_secret "
    "show_tax status tax_rate template test_mode token trial_days trial_end type value verbose".split()
)
"""Fields that name no object of a customer; an item and a token count only within their subscription."""
PREFIXES = dict(zip(OWNED, ("cus", "in", "sub", "pi", "ch", "pm"), strict=True)) | {"user": "u", "reservation": "rsv"}
DRAFT = {
    "status": "draft",
    "currency": "usd",
    "total": 0,
    "subtotal": 0,
    "amount_due": 0,
    "amount_paid": 0,
    "lines": {"data": [], "has_more": False},
}
CARD = {"brand": "visa", "last4": "4242", "exp_month": 1, "exp_year": 2040}
SNAPSHOTS: dict[str, Input] = {"payment_method": {"type": "card", "card": CARD}, "subscription": {"status": "active"}}
KINDS = [kind for kind in OWNED if kind not in ("customer", "invoice")]


def rows() -> dict[str, Route]:
    return {f"{row.method} {row.path}": row for row in (INGEST, *Registry().rows(Route))}


def fields(row: Route) -> list[str]:
    resolved: Any = Registry().resolve(row.input)
    return [one.name for one in msgspec.structs.fields(resolved)]


def test_every_route_and_every_field_is_in_the_tables() -> None:
    assert rows().keys() == ROUTES.keys()
    assert {name for row in rows().values() for name in fields(row)} == NOT_OWNED | {*OWNED, "user", "reservation"}


def own(conninfo: str, user: str) -> Input:
    """Rows of the mirror for a customer of `user`, one of each kind."""
    ids = {kind.upper(): f"{PREFIXES[kind]}_{user.replace('-', '')}" for kind in OWNED} | {"USER": user}
    with psycopg.connect(conninfo, autocommit=True) as connection:

        def add(table: str, columns: str, id: str, more: Input, *values: object) -> None:
            snapshot = json.dumps({"id": id, "livemode": False, "customer": ids["CUSTOMER"], "created": 1, **more})
            connection.execute(
                f"insert into billing.{table} ({columns}, livemode, snapshot, snapshot_number, source, created_at, synced_at, digest) "
                f"values ({'%s, ' * len(values)}false, %s, 1, 'test', now(), now(), '')",  # type: ignore[arg-type]
                (*values, snapshot),
            )

        add("billing_customers", "customer_id, user_id", ids["CUSTOMER"], {}, ids["CUSTOMER"], user)
        add("billing_invoices", "invoice_id", ids["INVOICE"], DRAFT, ids["INVOICE"])
        for kind in KINDS:
            add(
                "billing_objects",
                "kind, object_id",
                ids[kind.upper()],
                SNAPSHOTS.get(kind, {}),
                kind,
                ids[kind.upper()],
            )
    return ids


@pytest.fixture(scope="module")
def owned(project: App, service: Service, key: str) -> tuple[Input, Input]:
    """Ids of two users."""
    users = [*people(project), *people(project)]
    for user in users:
        limits.set_quota(project, SetQuota(user=user, metric="calls", limit=9, period="hour"))
    found = [own(project.db.conninfo, user) for user in users]
    with service.client(key) as client:
        for ids in found:
            taken = client.post("/api/v1/quota/reserve", {"user": ids["USER"], "metric": "calls", "value": 1})
            ids["RESERVATION"] = taken.json["reservation"]
    return found[0], found[1]


@pytest.fixture(scope="module")
def bound(project: App, service: Service, owned: tuple[Input, Input]) -> Iterator[Client]:
    with service.client(new_key(project, ",".join(rules.SCOPES), owned[0]["USER"])) as client:
        yield client


def send(client: Client, route: str, given: Input) -> Answer:
    method, path = route.split(" ")
    inside = {name: given[name] for name in given if f"{{{name}}}" in path}
    rest = {name: value for name, value in given.items() if name not in inside}
    path = path.format(**inside)
    return client.get(f"{path}?{urlencode(rest)}") if method == "GET" else client.post(path, rest)


def filled(given: Input, ids: Input) -> Input:
    return {name: ids.get(value, value) if isinstance(value, str) else value for name, value in given.items()}


@pytest.mark.parametrize("route", ROUTES)
def test_what_is_somebody_elses_is_refused(app: App, bound: Client, owned: tuple[Input, Input], route: str) -> None:
    mine, theirs = owned
    given = ROUTES[route]
    if given is None:
        return refused(send(bound, route, {"amount": 100} if route.startswith("POST") else {}))
    for name in fields(rows()[route]):
        if name in OWNED or name in ("user", "reservation"):
            for stranger in (theirs[name.upper()], f"{PREFIXES[name]}_nobody"):
                wrong = {**filled(given, mine), name: stranger}
                if name == "reservation" and stranger != theirs["RESERVATION"]:
                    continue  # it names its user itself; this one has none
                if name == "payment_method" and stranger == "pm_nobody" and beside(route, given):
                    continue  # a new one, which is about to become theirs
                refused(send(bound, route, wrong))
    return None


def beside(route: str, given: Input) -> bool:
    return "user" in fields(rows()[route]) or bool({*OWNED} - {"payment_method"} & given.keys())


def refused(answer: Answer) -> None:
    assert answer.status == 403 and answer.code == "not_of_this_user", answer


@pytest.mark.parametrize("route", [route for route, given in ROUTES.items() if given is not None])
def test_what_is_theirs_is_not_refused(app: App, bound: Client, owned: tuple[Input, Input], route: str) -> None:
    """Whether it succeeds is another matter: nothing of it is at Stripe."""
    mine, theirs = owned
    answer = send(bound, route, filled(ROUTES[route] or {}, mine))
    assert answer.status != 403 or answer.code != "not_of_this_user", answer
    assert theirs["CUSTOMER"].encode() not in answer.body and theirs["USER"].encode() not in answer.body


@pytest.mark.parametrize("path", ["customers", "subscriptions", "invoices"])
def test_lists_are_narrowed(app: App, service: Service, bound: Client, owned: tuple[Input, Input], path: str) -> None:
    mine, theirs = owned
    with service.client(new_key(app, "admin")) as operator:
        everything = operator.get(f"/api/v1/{path}").body
        assert mine["CUSTOMER"].encode() in everything and theirs["CUSTOMER"].encode() in everything
    found = bound.get(f"/api/v1/{path}").body
    assert theirs["CUSTOMER"].encode() not in found and mine["CUSTOMER"].encode() in found


@pytest.mark.parametrize(
    "sent",
    [
        '[{"user": "MINE", "metric": "calls", "value": 1}, {"user": "THEIRS", "metric": "calls", "value": 1}]',
        '[{"user": "MINE", "metric": "calls"}, {"user": "THEIRS", "metric": "calls", "value": 1}]',
        '{"user": "MINE", "metric": "calls", "value": 1}\n{"user": "THEIRS", "metric": "calls", "value": 1}\n',
        '{"user": "MINE", "user": "THEIRS", "metric": "calls", "value": 1}',
        '{"specversion": "1.0", "id": "1", "source": "s", "type": "calls", "subject": "THEIRS", "data": {"value": 1}}',
    ],
    ids=["array", "array with an unreadable one", "ndjson", "twice", "cloud event"],
)
def test_an_event_of_somebody_else_refuses_the_whole_request(
    app: App, bound: Client, owned: tuple[Input, Input], sent: str
) -> None:
    mine, theirs = owned
    body = sent.replace("MINE", mine["USER"]).replace("THEIRS", theirs["USER"]).encode()
    kind = "application/json" if "specversion" not in sent else "application/cloudevents+json"
    kind = "application/x-ndjson" if "\n" in sent else kind
    before = bound.get(f"/api/v1/usage?user={mine['USER']}").json
    refused(bound.post("/api/v1/usage", body, Content_Type=kind))
    assert bound.get(f"/api/v1/usage?user={mine['USER']}").json == before


def test_a_key_may_ask_so_often(app: App) -> None:
    """Metering has a limit of its own; one key's requests are nothing to another's."""
    first, second = new_key(app, "quota"), new_key(app, "quota")
    (user,) = people(app)
    rates = {"API_RATE_LIMIT": "1", "API_METERING_RATE_LIMIT": "2"}
    with (
        serving(app.project.root, app.db.conninfo, **rates) as service,
        service.client(first) as one,
        service.client(second) as other,
    ):
        path = f"/api/v1/access?user={user}"
        answers = [one.get(path) for _ in range(20)]
        late = [answer for answer in answers if answer.status == 429]
        assert answers[0].status == 200 and late
        assert all(answer.code == "rate_limit" and int(answer.headers["retry-after"]) >= 1 for answer in late)
        assert other.get(path).status == 200
        asked = [one.post("/api/v1/quota/check", {"user": user, "metric": "calls"}) for _ in range(200)]
        assert asked[0].status == 200 and asked[1].status == 200
        assert {answer.code for answer in asked if answer.status == 429} == {"rate_limit"}
