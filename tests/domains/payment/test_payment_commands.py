"""The commands and routes as people and programs use them: the guide's errors, and a card number that is nowhere afterwards."""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pytest
from money_bench import served

from commanding import CLI
from nself.cli import main
from paying import Till
from serving import new_key

AMEX, CVC = "378282246310005", "8642"
MISMATCH = "Keys for idempotent requests can only be used with the same parameters they were first used with."


class Ran(NamedTuple):
    code: int
    out: str
    err: str
    children: list[list[str]]

    @property
    def json(self) -> Any:
        assert self.code == 0, self.err
        return json.loads(self.out)


Shell = Callable[..., Ran]


def checked(ran: Ran) -> Ran:
    assert "Traceback" not in ran.err, ran.err
    return ran


class Watched:
    """`nself` as a process of its own, on the bench's database and sandbox; the command lines of its children are kept."""

    def __init__(self, till: Till, **environ: str) -> None:
        self.till = till
        self.environ = {**os.environ, **till.bench.environ(), "NSELF_PROJECT": str(till.bench.folder), **environ}

    def __call__(self, *words: str) -> Ran:
        line = [sys.executable, "-P", "-c", CLI, *words]
        with psutil.Popen(line, env=self.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            seen: list[list[str]] = []
            while process.poll() is None:
                try:
                    seen += [one.cmdline() for one in process.children(recursive=True)]
                    out, err = process.communicate(timeout=0.05)
                    return checked(Ran(process.returncode, out, err, seen))
                except subprocess.TimeoutExpired:
                    continue
                except psutil.Error:
                    continue
            out, err = process.communicate()
        return checked(Ran(process.returncode, out, err, seen))

    def create_method(self, number: str, cvc: str = "123", month: str = "12", year: str = "2030") -> Ran:
        return self(
            "billing", "payment-method", "create", "--customer", self.till.customer, "--card-number", number,
            "--exp-month", month, "--exp-year", year, "--cvc", cvc,
        )  # fmt: skip


@pytest.fixture
def shell(till: Till, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Iterator[Shell]:
    """`nself` in this process."""
    logger = logging.getLogger("nself")
    kept = list(logger.handlers)
    for name, value in {**till.bench.environ(), "NSELF_PROJECT": str(till.bench.folder)}.items():
        monkeypatch.setenv(name, value)

    def run(*words: str) -> Ran:
        capfd.readouterr()
        code = main.run(words)
        return checked(Ran(code, *capfd.readouterr(), []))

    yield run
    for handler in logger.handlers:
        if handler not in kept:
            handler.close()
    logger.handlers = kept


class Answer(NamedTuple):
    status: int
    body: Any

    @property
    def error(self) -> Any:
        return self.body["error"]


class Api:
    def __init__(self, url: str, key: str) -> None:
        self.url, self.key = url, key

    def __call__(self, method: str, path: str, body: object = None, **more: str) -> Answer:
        data = None if body is None else json.dumps(body).encode()
        headers = {
            "Authorization": f"Bearer {self.key}",
            **{name.replace("_", "-"): text for name, text in more.items()},
        }
        request = urllib.request.Request(f"{self.url}/api/v1/{path}", data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return Answer(answer.status, json.load(answer))
        except urllib.error.HTTPError as refused:
            with refused:
                return Answer(refused.code, json.load(refused))


@pytest.fixture
def api(till: Till) -> Iterator[Api]:
    with served(till.bench.app()) as url:
        yield Api(url, new_key(till.app, "payment:read,payment:write"))


def everything(till: Till) -> Iterator[tuple[str, str]]:
    """Each row of each table, and each file of the project and of the wire."""
    tables = till.bench.sql(
        "select table_schema, table_name from information_schema.tables where table_schema in ('billing', 'auth', 'public')"
    )
    assert len(tables) > 30
    for schema, table in tables:
        for (row,) in till.bench.sql(f'select t::text from "{schema}"."{table}" t'):
            yield f"{schema}.{table}", row
    folder = till.bench.folder.parent
    for path in folder.rglob("*"):
        if path.is_file():
            yield str(path), path.read_text(encoding="utf-8", errors="replace")


def test_a_card_number_is_nowhere_afterwards(till: Till, tmp_path: Path) -> None:
    shell = Watched(till)
    spaced = f"{AMEX[:4]} {AMEX[4:10]} {AMEX[10:]}"
    ran = [
        shell.create_method(AMEX, CVC),
        shell.create_method(spaced, CVC),
        shell.create_method(AMEX, CVC, year="1999"),
        shell.create_method(AMEX, "86424"),
        shell.create_method(AMEX, CVC, month=AMEX),
        shell.create_method(AMEX[:-1] + "6", CVC),  # one that is no test card
        shell.create_method(AMEX + "x", CVC),
        shell("billing", "payment-method", "create", "--card-number", *spaced.split()),  # the quotes were forgotten
        shell("billing", "payment-method", "create", "--customer", "cus_1", "--card-numbr", AMEX, "--cvc", CVC),
        shell("billing", "test-payment", "--card", AMEX, "--exp", "12/30", "--cvc", CVC),
        shell("billing", "test-payment", "--card", spaced, "--amount", AMEX),
        shell("billing", "test-payment", "--card", "4000000000009995"),
    ]
    assert [one.code for one in ran] == [0, 0, 2, 2, 2, 1, 2, 2, 2, 0, 2, 1]
    assert "expired" in ran[11].err or "insufficient funds" in ran[11].err
    parts = [AMEX, AMEX[:10], spaced, spaced[:11], spaced[5:], "4000000000009995", "00000000 9995", "400000000000"]
    whole = re.compile(
        rf"(?<![\d.])(?:{'|'.join(map(re.escape, parts))})"
    )  # not the digits of a statistic: 0.2400000000000004
    code = re.compile(rf"(?<![\w.:-]){CVC}(?![\w.:-])")
    for place, text in everything(till):
        assert not whole.search(text) and not code.search(text), place
    for one in ran:
        told = [one.out, one.err, *(" ".join(child) for child in one.children)]
        assert not any(whole.search(text) or code.search(text) for text in told), told
    assert (tmp_path / "traffic.jsonl").stat().st_size > 10_000
    assert "pm_card_amex" in (tmp_path / "traffic.jsonl").read_text()


def test_a_live_key_is_never_used_for_a_test_payment(till: Till) -> None:
    live = Watched(till, STRIPE_MODE="live", STRIPE_SECRET_KEY="sk_live_bench")
    mixed = Watched(till, STRIPE_SECRET_KEY="sk_live_bench")
    for shell in (live, mixed):
        refused = shell("billing", "test-payment", "--card", AMEX)
        assert refused.code == 4 and not refused.out and AMEX[:6] not in refused.err
    refused = live.create_method(AMEX, CVC)
    assert refused.code == 4 and "In live mode no card number is taken here" in refused.err
    assert till.bench.sql("select count(*) from billing_intents where kind <> 'customer.create'") == [(0,)]


def test_a_test_payment_tells_each_step(shell: Shell, till: Till) -> None:
    ran = shell(
        "billing", "test-payment", "--card", "4242424242424242", "--exp", "12/27", "--cvc", "123", "--amount", "1200"
    )
    assert ran.code == 0, ran.err
    steps = [line.split()[0] for line in ran.out.splitlines()]
    assert steps == ["mode", "card", "customer", "payment", "payment", "charge"]
    assert "12.00 USD asked for" in ran.out and re.search(r"payment +succeeded +pi_", ran.out)
    assert shell("billing", "test-payment").code == 0  # the guide's reference has it bare
    (customer,) = till.sandbox.customers("test-payment@example.com")
    assert sorted(one["amount"] for one in till.sandbox.payments(customer["id"])) == [1000, 1200]
    declined = shell("billing", "test-payment", "--card", "4000000000000069")
    assert declined.code == 1 and "Your card has expired." in declined.err
    assert [line.split()[0] for line in declined.out.splitlines()] == ["mode", "card", "customer", "payment"]
    asks = shell("billing", "test-payment", "--card", "4000002760003184")
    assert "This payment requires customer action to authenticate payment." in asks.err
    hint = re.search(r"try: nself (billing payment-intent show pi_\w+ --show-secret)", asks.err)
    assert hint and re.search(r"client_secret: pi_\w+_secret_\w+", shell(*hint[1].split()).out)
    simulated = re.search(r"try: nself (billing sandbox confirm .*)", asks.err)
    assert simulated and "succeeded" in shell(*simulated[1].split()).out


# ---- The guide's errors, on the command line and over HTTP ----


CARDS = [
    ("pm_card_visa_chargeDeclined", "card_declined", "Your card was declined.", "generic_decline"),
    (
        "pm_card_visa_chargeDeclinedInsufficientFunds", "card_declined", "Your card has insufficient funds.",
        "insufficient_funds",
    ),
    ("pm_card_chargeDeclinedExpiredCard", "expired_card", "Your card has expired.", "expired_card"),
    ("pm_card_chargeDeclinedIncorrectCvc", "incorrect_cvc", "Your card's security code is incorrect.", "incorrect_cvc"),
    (
        "pm_card_authenticationRequired", "authentication_required",
        "This payment requires customer action to authenticate payment.", "authentication_required",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("card", "code", "words", "reason"), CARDS, ids=[one[1] + one[3] for one in CARDS])
def test_declines(till: Till, shell: Shell, api: Api, card: str, code: str, words: str, reason: str) -> None:
    ran = shell(
        "billing", "payment", "create", "--amount", "1000", "--customer", till.customer, "--payment-method", card
    )
    assert (ran.code, ran.out) == (1, "") and ran.err.startswith(f"Error: {words}\n")
    hint = re.search(r"try: nself (.*)", ran.err)
    assert hint and shell(*hint[1].split()).code == 0
    answer = api("POST", "payments", {"amount": 1000, "customer": till.customer, "payment_method": card})
    assert (answer.status, answer.error["code"], answer.error["message"]) == (402, code, words)
    assert answer.error["decline_code"] == reason and answer.error["payment_intent"].startswith("pi_")
    assert answer.error["hint"] and answer.error["type"] == "card_error"
    rows = shell("billing", "payments", "failures", "--customer", till.customer, "--format", "json").json
    assert [row["code"] for row in rows] == [code, code]
    assert shell("billing", "payment", "failures", "--user", "user", "--format", "json").json == rows
    told = shell("billing", "payment-method", "decline-reason", rows[0]["payment_method"], "--format", "json").json
    assert told["message"] and told["command"].startswith("nself billing ")


def test_the_guides_card_of_error_10_4(till: Till, shell: Shell) -> None:
    ran = shell("billing", "test-payment", "--card", "4111111111111111")
    assert ran.code == 1 and "4111" not in ran.err
    assert ran.err.startswith(
        "Error: Your card was declined. Your request was in test mode, but used a non test card.\n"
        "  try: nself billing test-payment --card 4242424242424242"
    )


def test_a_key_that_is_used_for_something_else(till: Till, shell: Shell, api: Api) -> None:
    line = ("billing", "payment", "create", "--customer", till.customer, "--idempotency-key", "uuid-1", "--amount")
    first = shell(*line, "1000", "--format", "json").json
    assert shell(*line, "1000", "--format", "json").json["id"] == first["id"]
    ran = shell(*line, "2000")
    assert ran.code == 1 and ran.err.startswith(f"Error: {MISMATCH}\n") and "guide: 10.6" in ran.err
    body = {"amount": 1000, "customer": till.customer, "idempotency_key": "uuid-1"}
    assert api("POST", "payments", body).body["id"] == first["id"]
    answer = api("POST", "payments", {**body, "amount": 2000})
    assert (answer.status, answer.error["type"], answer.error["message"]) == (409, "idempotency_error", MISMATCH)
    assert till.charged() == [1000]


def test_what_is_not_there(till: Till, shell: Shell, api: Api) -> None:
    for words, message in (
        (("payment", "create", "--amount", "1000", "--customer", "cus_none"), "No such customer: cus_none"),
        (("payment-method", "show", "pm_none"), "No such payment method: pm_none"),
        (("payment-method", "decline-reason", "pm_none"), "No such payment method: pm_none"),
        (("payment-intent", "show", "pi_none"), "No such payment intent: pi_none"),
        (("refund", "create", "--charge", "ch_none", "--reason", "duplicate"), "No such charge: ch_none"),
        (("payment-method", "list", "--user", "nobody"), "No such user: nobody"),
    ):
        ran = shell("billing", *words)
        assert ran.code == 1 and ran.err.startswith(f"Error: {message}\n") and "try: nself " in ran.err
    for method, path, body in (
        ("POST", "payments", {"amount": 1000, "customer": "cus_none"}),
        ("POST", "payment-methods", {"payment_method": "pm_none", "customer": till.customer}),
        ("GET", "payment-intents/pi_none", None),
        ("POST", "refunds", {"charge": "ch_none", "reason": "duplicate"}),
        ("GET", "payment-methods?user=nobody", None),
    ):
        answer = api(method, path, body)
        assert (answer.status, answer.error["message"].startswith("No such ")) == (404, True), answer
        assert answer.error["hint"]


# ---- Routes ----


def test_the_header_idempotency_key_means_what_it_does_at_stripe(till: Till, api: Api) -> None:
    api.key = new_key(till.app, "admin")
    charge = till.pay().charge
    product = till.sandbox.post("/v1/products", name="Pro")["id"]
    price = api("POST", "prices", {"product": product, "amount": 900, "interval": "month"}).body["id"]
    for path, body, other in (
        ("payments", {"amount": 700, "customer": till.customer}, {"amount": 701}),
        ("refunds", {"charge": charge, "amount": 100, "reason": "duplicate"}, {"amount": 200}),
        ("subscriptions", {"customer": till.customer, "price": price}, {"quantity": 2}),
        ("invoices", {"customer": till.customer, "amount": 500}, {"amount": 600}),
    ):
        key = f"header-{path}"
        first = api("POST", path, body, Idempotency_Key=key)
        assert first.status == 200, first
        for again in (
            api("POST", path, body, Idempotency_Key=key),
            api("POST", path, {**body, "idempotency_key": key}),
            api("POST", path, {**body, "idempotency_key": key}, Idempotency_Key=key),
        ):
            assert (again.status, again.body["id"]) == (200, first.body["id"]), (path, again)
        refused = api("POST", path, {**body, **other}, Idempotency_Key=key)
        assert (refused.status, refused.error["type"], refused.error["message"]) == (409, "idempotency_error", MISMATCH)
        two = api("POST", path, {**body, "idempotency_key": "another"}, Idempotency_Key=key)
        assert (two.status, two.error["code"]) == (400, "parameters_exclusive")
        empty = api("POST", path, body, Idempotency_Key="")
        assert (empty.status, empty.error["param"]) == (400, "idempotency_key"), empty
    assert till.charged() == [700, 900, 1000] and till.refunded(charge or "") == [100]
    assert len(till.sandbox.get("/v1/subscriptions", customer=till.customer)) == 1
    drafts = till.sandbox.get("/v1/invoices", customer=till.customer, status="draft")
    assert [one["total"] for one in drafts] == [500]


def test_an_app_chooses_and_removes_a_method_and_has_a_customer_told(telling: Till) -> None:
    with served(telling.bench.app(**telling.app.environ)) as url:
        api = Api(url, new_key(telling.app, "admin"))
        first = telling.sandbox.get(f"/v1/customers/{telling.customer}/payment_methods")[0]["id"]
        added = {"customer": telling.customer, "payment_method": "pm_card_mastercard"}
        second = api("POST", "payment-methods", added).body["id"]
        chosen = api("POST", f"payment-methods/{second}/default", {"customer": telling.customer})
        assert chosen.status == 200, chosen
        wanted = telling.sandbox.get(f"/v1/customers/{telling.customer}")["invoice_settings"]["default_payment_method"]
        assert wanted == second
        assert api("POST", f"payment-methods/{second}/remove").status == 200
        telling.hear()
        rows = api("GET", f"payment-methods?customer={telling.customer}").body
        assert [(row["id"], row["default"]) for row in rows] == [(first, True)]
        gone = api("POST", "payment-methods/pm_none/remove")
        assert (gone.status, gone.error["message"]) == (404, "No such payment method: pm_none")
        told = api("POST", f"customers/{telling.customer}/notify", {"template": "billing_error_apology"})
        assert (told.status, told.body["sent_before"]) == (200, False), told
        assert api("POST", f"customers/{telling.customer}/notify", {"template": "billing_error_apology"}).body[
            "sent_before"
        ]
        wrong = api("POST", f"customers/{telling.customer}/notify", {"template": "nonsense"})
        assert wrong.status in (400, 404) and wrong.error["hint"], wrong
        api.key = new_key(telling.app, "payment:read,payment:write")
        assert api("POST", f"customers/{telling.customer}/notify", {"template": "receipt"}).status == 403


def test_an_app_attaches_pays_and_gives_back(till: Till, api: Api) -> None:
    till.hear()
    card = till.sandbox.post("/v1/payment_methods", type="card", card={
        "number": "5555555555554444", "exp_month": 1, "exp_year": 2031, "cvc": "123"})["id"]  # fmt: skip
    made = api("POST", "payment-methods", {"payment_method": card, "user": "user", "default": True}).body
    assert (made["id"], made["default"], made["last4"]) == (card, True, "4444")
    listed = api("GET", "payment-methods?user=user").body
    assert sorted((one["last4"], one["default"]) for one in listed) == [("4242", False), ("4444", True)]
    paid = api("POST", "payments", {"amount": 700, "user": "user"}).body
    assert (paid["status"], paid["payment_method"]) == ("succeeded", card)
    masked = api("GET", f"payment-intents/{paid['id']}").body
    assert masked["client_secret"] == "***"
    shown = api("GET", f"payment-intents/{paid['id']}?show_secret=true").body
    assert shown["client_secret"].startswith(f"{paid['id']}_secret_")
    back = api("POST", "refunds", {"payment_intent": paid["id"], "reason": "requested_by_customer"}).body
    assert (back["amount_minor"], back["charge"], till.refunded(paid["charge"])) == (700, paid["charge"], [700])


@pytest.mark.parametrize(
    "body",
    [
        {"customer": "cus_1", "card_number": "4242424242424242", "cvc": "123"},
        {"customer": "cus_1", "card": {"number": "4242424242424242"}},
        {"customer": "cus_1", "payment_method": "4242424242424242"},
        {"customer": "4242424242424242", "payment_method": "pm_1"},
        {"payment_method": "pm_1", "4242424242424242": 1},
    ],
)
def test_no_card_number_is_taken_over_http(till: Till, api: Api, body: dict[str, object]) -> None:
    before = till.bench.intents()
    answer = api("POST", "payment-methods", body)
    assert answer.status == 400 and "4242" not in json.dumps(answer.body), answer
    paid = api("POST", "payments", {"amount": "4242424242424242"})
    assert paid.status == 400 and "4242" not in json.dumps(paid.body)
    assert till.bench.intents() == before


def test_each_route_wants_its_scope(till: Till, api: Api) -> None:
    reader = Api(api.url, new_key(till.app, "payment:read"))
    assert reader("GET", "payment-methods").status == 200
    for method, path, body in (
        ("POST", "payments", {"amount": 1}), ("POST", "refunds", {}), ("POST", "payment-methods", {}),
        ("GET", "payment-intents/pi_1", None),
    ):  # fmt: skip
        assert reader(method, path, body).error["code"] == "insufficient_permissions"


def test_the_secret_that_was_shown_is_in_no_log(till: Till, shell: Shell) -> None:
    id = shell("billing", "payment", "create", "--amount", "1000", "--format", "json").json["id"]
    secret = shell("billing", "payment-intent", "show", id, "--show-secret", "--format", "json").json["client_secret"]
    assert secret.startswith(f"{id}_secret_")
    lines = [text for place, text in everything(till) if "traffic" not in place]
    assert not any(secret in text for text in lines)
    assert any("client_secret_shown" in text and id in text for text in lines)
