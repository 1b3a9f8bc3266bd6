"""Each error text that the guide quotes or lists as related in sections 3, 4 and 10.1 to 10.9, provoked for real: by a command and
by a request, with its code, the guide's words, commands that help and exist, exit code and HTTP status.
"""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import quote

import click
import msgspec
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "faults"))

from money_bench import Bench, served
from money_fixtures import shared_bench

from nself.app import App
from nself.cli import main as cli
from nself.core.entrypoint import Route
from nself.domains.connection.service import intents
from nself.registry import Registry, resolve
from serving import Client, new_key

pytestmark = pytest.mark.xdist_group("errors of the guide")
STATUS = {400: 2, 402: 1, 403: 4, 404: 1, 409: 1, 429: 3}
"""Of the families of errors: HTTP status and exit code."""
BAD_CARD = "pm_card_chargeCustomerFail"


class Desk(NamedTuple):
    """A project with customers, the terminal of its operator and its HTTP API."""

    bench: Bench
    app: App
    client: Client
    names: dict[str, str]

    def use(self, **settings: str) -> None:
        """The service works with these settings from now on, as after a restart."""
        self.app.environ = self.bench.environ(**settings)
        for name in ("settings", "stripe"):
            self.app.__dict__.pop(name, None)


class Row(NamedTuple):
    """`words` after `nself billing` and `ask` (method, path, body) mean the same; names in braces are those of the desk."""

    guide: str
    status: int
    code: str
    said: str
    words: str
    ask: tuple[str, str, dict[str, Any]] | None
    settings: Mapping[str, str] = MappingProxyType({})
    fault: Mapping[str, Any] = MappingProxyType({})
    exit: int | None = None
    """Where it is not that of the family."""


def declined(code: str, said: str, card: str) -> Row:
    words = f"payment create --amount 1000 --customer {{customer}} --payment-method {card}"
    body = {"amount": 1000, "customer": "{customer}", "payment_method": card}
    return Row(
        "10.9" if code == "authentication_required" else "10.4", 402, code, said, words, ("POST", "payments", body)
    )


def key_refused(code: str, said: str, key: str, guide: str = "10.1") -> Row:
    ask = ("POST", "payments", {"amount": 700, "customer": "{customer}"})
    words = "payment create --amount 700 --customer {customer}"
    return Row(guide, 403, code, said, words, ask, {"STRIPE_SECRET_KEY": key})


def missing(guide: str, said: str, words: str, method: str, path: str, **body: Any) -> Row:
    return Row(guide, 404, "resource_missing", said, words, (method, path, body))


SUBSCRIBE: dict[str, Any] = {"customer": "{customer}", "price": "{price}"}
UNABLE = "Unable to create subscription: "
ROWS = {
    # 10.1
    "key": key_refused("invalid_api_key", "Invalid API key provided: sk_test_***", "sk_test_PLACEHOLDER_gone"),
    "expired key": key_refused("api_key_expired", "This API key is expired: sk_test_***", "sk_test_PLACEHOLDER_old"),
    "permissions": key_refused("insufficient_permissions", "Insufficient permissions", "rk_test_reader", "1.1.3"),
    # 10.2
    "customer": missing(
        "10.2", "No such customer: cus_none", "payment create --amount 1000 --customer cus_none",
        "POST", "payments", amount=1000, customer="cus_none",
    ),
    "subscription": missing(
        "7.2", "No such subscription: sub_none", "subscription cancel sub_none --immediate",
        "POST", "subscriptions/sub_none/cancel", immediate=True,
    ),
    "invoice": missing("10.2", "No such invoice: in_none", "invoice pay in_none", "POST", "invoices/in_none/pay"),
    "payment method": missing(
        "3.2", "No such payment method: pm_none", "payment-method attach --customer {customer} --payment-method pm_none",
        "POST", "payment-methods", customer="{customer}", payment_method="pm_none",
    ),
    # 10.3
    "below the minimum": Row(
        "10.3", 400, "amount_too_small", "Amount must be at least $0.50 usd", "payment create --amount 49 --customer {customer}",
        ("POST", "payments", {"amount": 49, "customer": "{customer}"}),
    ),
    # 10.4; a card's number is taken by commands alone
    "no test card": Row(
        "10.4", 402, "card_declined", "Your card was declined. Your request was in test mode, but used a non test card.",
        "test-payment --card 4111111111111111", None,
    ),
    "declined": declined("card_declined", "Your card was declined.", "pm_card_visa_chargeDeclined"),
    "funds": declined("card_declined", "Your card has insufficient funds.", "pm_card_visa_chargeDeclinedInsufficientFunds"),
    "expired card": declined("expired_card", "Your card has expired.", "pm_card_chargeDeclinedExpiredCard"),
    "cvc": declined("incorrect_cvc", "Your card's security code is incorrect.", "pm_card_chargeDeclinedIncorrectCvc"),
    # 10.5
    "rate limit": Row(
        "10.5", 429, "rate_limit", "Rate limit exceeded. Too many requests hit the API too quickly.",
        "payment-intent show pi_any", ("GET", "payment-intents/pi_any", {}),
        {"STRIPE_MAX_RETRIES": "0"}, {"method": "GET", "path": "payment_intents", "status": 429, "times": 2},
    ),
    # 10.6
    "key reuse": Row(
        "10.6", 409, "idempotency_error",
        "Keys for idempotent requests can only be used with the same parameters they were first used with.",
        "payment create --amount 1001 --customer {customer} --idempotency-key used",
        ("POST", "payments", {"amount": 1001, "customer": "{customer}", "idempotency_key": "used"}),
    ),
    # 10.7
    "price": missing("10.7", "No such price: price_none", "price show price_none", "GET", "prices/price_none"),
    "price of a subscription": missing(
        "10.7", f"{UNABLE}No such price: price_none", "subscription create --customer {customer} --price price_none",
        "POST", "subscriptions", customer="{customer}", price="price_none",
    ),
    "product": missing(
        "10.7", "No such product: prod_none", "price create --product prod_none --amount 999 --currency usd",
        "POST", "prices", product="prod_none", amount=999, currency="usd",
    ),
    "coupon": missing(
        "10.7", f"{UNABLE}No such coupon: none", "subscription create --customer {customer} --price {price} --coupon none",
        "POST", "subscriptions", **SUBSCRIBE, coupon="none",
    ),
    "tax rate": missing(
        "10.7", "No such tax rate: txr_none", "invoice add-tax {draft} --tax-rate txr_none",
        "POST", "invoices/{draft}/tax", tax_rate="txr_none",
    ),
    # 10.8
    "integer": Row(
        "10.8", 400, "parameter_invalid_integer", "Invalid integer: 10.00", 'payment create --amount "10.00"',
        ("POST", "payments", {"amount": "10.00"}),
    ),
    "word": Row(
        "10.8", 400, "parameter_invalid_integer", "Invalid integer: abc", "payment create --amount abc",
        ("POST", "payments", {"amount": "abc"}),
    ),
    "fraction": Row(
        "10.8", 400, "parameter_invalid_integer", "Invalid integer: 10.5", "payment create --amount 10.5",
        ("POST", "payments", {"amount": 10.5}),
    ),
    # 10.9
    "authentication of a payment": declined(
        "authentication_required", "This payment requires customer action to authenticate payment.", "pm_card_authenticationRequired"
    ),
    "authentication of a subscription": Row(
        "10.9", 402, "subscription_payment_intent_requires_action",
        "This subscription requires customer action to authenticate payment.",
        "subscription create --customer {secure} --price {price}", ("POST", "subscriptions", {**SUBSCRIBE, "customer": "{secure}"}),
    ),
    # 3 and 4
    "unable to create a subscription": Row(
        "3.1", 400, "resource_missing", f"{UNABLE}customer {{poor}} has no payment method",
        "subscription create --customer {poor} --price {price}", ("POST", "subscriptions", {**SUBSCRIBE, "customer": "{poor}"}), exit=1,
    ),
    "unable to create a subscription, declined": Row(
        "10.4", 402, "card_declined", f"{UNABLE}Your card was declined.", "subscription create --customer {failing} --price {price}",
        ("POST", "subscriptions", {**SUBSCRIBE, "customer": "{failing}"}),
    ),
    "unable to create an invoice": Row(
        "4.1.1", 409, "invoice_no_items", "Unable to create invoice: it has no items", "invoice finalize {draft}",
        ("POST", "invoices/{draft}/finalize", {}),
    ),
    "unable to create an invoice for nobody": Row(
        "10.2", 404, "resource_missing", "Unable to create invoice: No such customer: cus_none",
        "invoice create --customer cus_none --amount 500", ("POST", "invoices", {"customer": "cus_none", "amount": 500}),
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def desk(server: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with shared_bench(server, template, tmp_path_factory.mktemp("guide")) as bench:
        app, sandbox = bench.app(), bench.sandbox
        names: dict[str, str] = {}
        for user, card in (
            ("customer", "pm_card_visa"),
            ("secure", "pm_card_threeDSecure2Required"),
            ("failing", BAD_CARD),
        ):
            bench.create(app, user, card)
            ((names[user],),) = bench.sql("select customer_id from billing_customers where user_id = %s", user)
        names["poor"] = sandbox.post("/v1/customers", email="poor@example.com")["id"]
        product = sandbox.post("/v1/products", name="Pro")["id"]
        recurring = {"interval": "month"}
        names["price"] = sandbox.post(
            "/v1/prices", product=product, currency="usd", unit_amount=900, recurring=recurring
        )["id"]
        names["draft"] = sandbox.post("/v1/invoices", customer=names["customer"], auto_advance=False)["id"]
        sandbox.admin("keys/revoke", key="sk_test_PLACEHOLDER_gone")
        sandbox.admin("keys/revoke", key="sk_test_PLACEHOLDER_old", standing="expired")
        sandbox.admin("keys/restrict", key="rk_test_reader", permissions={"*": "read"})
        service = bench.app()
        with served(service) as url, Client(int(url.rpartition(":")[2]), new_key(app, "admin")) as client:
            used = {"amount": 1000, "customer": names["customer"], "idempotency_key": "used"}
            assert client.post("/api/v1/payments", used).status == 200
            yield Desk(bench, service, client, names)


def named(desk: Desk, given: Any) -> Any:
    return json.loads(re.sub(r"{(\w+)}", lambda found: desk.names[found[1]], json.dumps(given)))


def check_hints(hints: list[str]) -> None:
    """Commands that exist, as far as that can be told without giving them."""
    assert hints
    root = cli.command(Registry())
    for hint in hints:
        program, *words = shlex.split(hint)
        group: click.Command = root
        context = click.Context(root, info_name=program)
        while isinstance(group, click.Group):
            assert words, hint
            found = group.get_command(context, words.pop(0))
            assert found, f"no such command: {hint}"
            group = found
        if "--help" not in words:
            group.make_context(hint, words, parent=context)


BAD: tuple[object, ...] = (
    "", "\0", "x" * 3000, -1, 10**30, 1.5, None, [], {}, True, "\u202e", "../../v1/customers", "in_none?expand=x", " ", "pm_none/attach",
)  # fmt: skip
MONEY = ("payment", "subscription", "invoice", "customer", "catalog", "notice")


def test_whatever_is_sent_to_the_routes_of_money_is_answered_in_words(desk: Desk) -> None:
    """Each field of each route gets some of what is wrong, each route all of it."""
    rows = [row for row in Registry().rows(Route) if row.use.split(".")[0] in MONEY]
    names = {
        "customer": desk.names["customer"],
        "amount": 650,
        "reason": "duplicate",
        "charge": "ch_none",
        "template": "receipt",
    }
    for row in rows:
        fields = msgspec.structs.fields(resolve(row.input))
        for number, bad in enumerate(BAD * len(fields)):
            name = fields[number % len(fields)].encode_name
            given = {one.encode_name: names[one.encode_name] for one in fields if one.encode_name in names} | {
                name: bad
            }
            path = re.sub(
                r"{(\w+)}", lambda found, given=given: quote(str(given.pop(found[1], "x") or "x"), safe=""), row.path
            )
            if row.method == "GET":
                told = "&".join(f"{key}={quote(str(value))}" for key, value in given.items() if value is not None)
                answer = desk.client.get(f"{path}?{told}")
            else:
                answer = desk.client.post(path, given)
            assert answer.status < 500, (row, given, answer)
            if answer.status >= 400:
                error = answer.json["error"]
                assert error["code"] != "internal_error" and error["message"] and error["hint"], (row, given, answer)


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_the_error_is_told_as_the_guide_says(
    desk: Desk, row: Row, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intents, "PATIENCE", 0.2)
    for name, value in {**desk.bench.environ(**row.settings), "NSELF_PROJECT": str(desk.bench.folder)}.items():
        monkeypatch.setenv(name, value)
    if row.fault:
        desk.bench.sandbox.admin("faults", on="request", **row.fault)
    said, words = named(desk, [row.said, row.words])
    code = cli.run(["billing", *shlex.split(words)])
    told = capsys.readouterr()
    assert (code, told.out) == (row.exit or STATUS[row.status], ""), told
    first, *others = told.err.splitlines()
    assert first.startswith(f"Error: {said}"), told.err
    assert f"  guide: {row.guide}" in others
    check_hints([one.removeprefix("  try: ") for one in others if one.startswith("  try: ")])

    if row.ask is None:
        return
    desk.use(**row.settings)
    method, path, body = named(desk, row.ask)
    answer = desk.client.ask(method, f"/api/v1/{path}", body if method == "POST" else None)
    desk.use()
    error = answer.json["error"]
    assert (answer.status, error["code"], error["guide"]) == (row.status, row.code, row.guide), error
    assert error["message"].startswith(said), error
    check_hints(error["hint"])
