"""Checkout sessions as links: made here, completed as the customer would by an admin route, or expired."""

from typing import Any

from stripe_sandbox import ids, totals
from stripe_sandbox.amounts import amount_for
from stripe_sandbox.call import Call
from stripe_sandbox.errors import StripeError, no_such, unsupported
from stripe_sandbox.params import Boolean, Choice, Currency, Integer, Items, Metadata, Shape, Text, Timestamp
from stripe_sandbox.resource import (
    CREATED,
    OPERATIONS,
    PAGE,
    Params,
    Resource,
    list_of,
    listable,
    matches,
    operation,
    register,
    retrievable,
)
from stripe_sandbox.resources.payment_methods import resolve
from stripe_sandbox.schedule import scheduled
from stripe_sandbox.store import Object

_SHORTEST, _LONGEST = 30 * 60, 24 * 3600
_CARDS = {"payment_method_types": ["card"]}


def _line_items(call: Call, session: Object) -> Object:
    url = f"/v1/checkout/sessions/{session['id']}/line_items"
    return list_of([_item(call, one) for one in session["_lines"]], url)


def _item(call: Call, line: Object) -> Object:
    price = call.load("price", line["price"])
    product = call.load("product", price["product"])
    amount = amount_for(price, line["quantity"])
    return {
        "id": line["id"],
        "object": "item",
        "amount_discount": 0,
        "amount_subtotal": amount,
        "amount_tax": 0,
        "amount_total": amount,
        "currency": price["currency"],
        "description": product.get("name"),
        "price": call.show(price),
        "quantity": line["quantity"],
    }


CHECKOUT_SESSION = register(
    Resource(
        kind="checkout.session",
        prefix="cs_test",
        path="/v1/checkout/sessions",
        item="session",
        title="checkout.session",
        id_param="session",
        fields={
            "allow_promotion_codes": None,
            "amount_subtotal": None,
            "amount_total": None,
            "automatic_tax": {"enabled": False, "liability": None, "provider": None, "status": None},
            "cancel_url": None,
            "client_reference_id": None,
            "client_secret": None,
            "currency": None,
            "custom_fields": [],
            "custom_text": {
                "after_submit": None,
                "shipping_address": None,
                "submit": None,
                "terms_of_service_acceptance": None,
            },
            "customer": None,
            "customer_account": None,
            "customer_creation": None,
            "customer_details": None,
            "customer_email": None,
            "discounts": [],
            "expires_at": 0,
            "invoice": None,
            "metadata": {},
            "mode": "payment",
            "payment_intent": None,
            "payment_link": None,
            "payment_method_types": ["card"],
            "payment_status": "unpaid",
            "setup_intent": None,
            "shipping_options": [],
            "status": "open",
            "subscription": None,
            "success_url": None,
            "total_details": None,
            "ui_mode": "hosted_page",
            "url": None,
            "_lines": [],
            "_subscription_data": {},
        },
        references={
            "customer": "customer",
            "invoice": "invoice",
            "payment_intent": "payment_intent",
            "payment_link": "payment_link",
            "setup_intent": "setup_intent",
            "subscription": "subscription",
        },
        included={"line_items": _line_items},
    )
)

_KEPT = ("allow_promotion_codes", "cancel_url", "client_reference_id", "customer", "customer_email", "metadata",
         "mode", "success_url")  # fmt: skip


@operation(
    "POST",
    CHECKOUT_SESSION.path,
    Shape(
        {
            "allow_promotion_codes": Boolean(),
            "cancel_url": Text(),
            "client_reference_id": Text(200),
            "currency": Currency(),
            "customer": Text(),
            "customer_creation": Choice("always", "if_required"),
            "customer_email": Text(800),
            "expires_at": Timestamp(),
            "line_items": Items(
                Shape({"price": Text(), "quantity": Integer(0)}, required=("price",), defaults={"quantity": 1}), 100
            ),
            "metadata": Metadata(),
            "mode": Choice("payment", "setup", "subscription"),
            "payment_method_types": Items(Choice("card")),
            "subscription_data": Shape(
                {"description": Text(500), "metadata": Metadata(), "trial_period_days": Integer(1, 730)}
            ),
            "success_url": Text(),
            "ui_mode": Choice("hosted_page"),
        },
        defaults={"mode": "payment"},
    ),
)
def create(call: Call, params: Params) -> Object:
    if "customer" in params:
        call.require("customer", params["customer"], param="customer")
    if "success_url" not in params:
        raise StripeError("Missing required param: success_url.", code="parameter_missing", param="success_url")
    lines, currency, amount = _lines(call, params)
    expires = params.get("expires_at", call.now + _LONGEST)
    if not call.now + _SHORTEST <= expires <= call.now + _LONGEST:
        raise StripeError("expires_at must be from 30 minutes to 24 hours from now.", param="expires_at")
    identifier = ids.new_id(CHECKOUT_SESSION.prefix)
    fields: dict[str, Any] = {name: params[name] for name in _KEPT if name in params}
    if amount is not None:
        details = {"amount_discount": 0, "amount_shipping": 0, "amount_tax": 0}
        fields |= {"amount_subtotal": amount, "amount_total": amount, "total_details": details}
    fields |= {
        "currency": currency,
        "expires_at": expires,
        "payment_status": "no_payment_required" if amount is None else "unpaid",
        "url": call.page("checkout.session", identifier),
        "_lines": lines,
        "_subscription_data": _subscription_data(params),
    }
    return call.create(CHECKOUT_SESSION, fields, identifier=identifier)


def _subscription_data(params: Params) -> Params:
    given = dict(params.get("subscription_data", {}))
    if given and params["mode"] != "subscription":
        raise StripeError("subscription_data is for mode=subscription.", param="subscription_data")
    if "metadata" in given:
        given["metadata"] = given["metadata"].applied_to({})
    return given


def _lines(call: Call, params: Params) -> tuple[list[Object], str | None, int | None]:
    mode = params["mode"]
    if mode == "setup":
        if "line_items" in params:
            raise StripeError("You can not pass `line_items` in `setup` mode.", param="line_items")
        return [], params.get("currency"), None
    if not params.get("line_items"):
        raise StripeError("Missing required param: line_items.", code="parameter_missing", param="line_items")
    prices = [
        call.require("price", one["price"], param=f"line_items[{at}][price]")
        for at, one in enumerate(params["line_items"])
    ]
    recurring = [price["recurring"] is not None for price in prices]
    if mode == "payment" and any(recurring):
        raise StripeError(
            "You must provide `mode=subscription` when there is a recurring price.", param="line_items[0][price]"
        )
    if mode == "subscription" and not all(recurring):
        if not any(recurring):
            raise StripeError("`mode=subscription` needs a recurring price.", param="line_items[0][price]")
        raise unsupported("one-time prices in a checkout session of a subscription")
    if len({price["currency"] for price in prices}) > 1:
        raise StripeError("All prices must be in the same currency.", param="line_items")
    lines = [{"id": ids.new_id("li"), **one} for one in params["line_items"]]
    amounts = [
        totals.Line(amount_for(price, one["quantity"])) for price, one in zip(prices, params["line_items"], strict=True)
    ]
    return lines, prices[0]["currency"], totals.work_out(amounts).total


def complete(call: Call, session: Object, payment_method: str, email: str | None) -> None:
    """What the customer does on the page: gives a card and confirms. A declined card raises and changes nothing."""
    if session["status"] != "open":
        raise StripeError(f"The session is {session['status']}.")
    customer = session["customer"]
    if customer is None:
        address = email or session["customer_email"]
        customer = _run(call, "POST /v1/customers", {"email": address} if address else {})["id"]
    method = resolve(call, payment_method, param="payment_method")["id"]
    if session["mode"] == "setup":
        made = {"customer": customer, "payment_method": method, "confirm": True, **_CARDS}
        done = {"setup_intent": _run(call, "POST /v1/setup_intents", made)["id"]}
    elif session["mode"] == "payment":
        money = {"amount": session["amount_total"], "currency": session["currency"]}
        made = {**money, "customer": customer, "payment_method": method, "confirm": True, **_CARDS}
        done = {"payment_intent": _run(call, "POST /v1/payment_intents", made)["id"], "payment_status": "paid"}
    else:
        done = _subscribe(call, session, customer, method)
    shown = call.load("customer", customer)
    details = {name: shown[name] for name in ("address", "email", "name", "phone", "tax_exempt")}
    also: Object = {"business_name": None, "individual_name": None, "tax_ids": []}
    fields = {**done, "customer": customer, "customer_details": {**details, **also}, "status": "complete", "url": None}
    call.change(session, fields)
    call.emit("checkout.session.completed", session)


def _subscribe(call: Call, session: Object, customer: str, method: str) -> dict[str, Any]:
    attached = call.load("payment_method", method)
    if attached["customer"] is None:
        path = {**call.path, "payment_method": method}
        call.path = path
        _run(call, "POST /v1/payment_methods/{payment_method}/attach", {"customer": customer})
    items = [{"price": one["price"], "quantity": one["quantity"]} for one in session["_lines"]]
    wanted = {
        "customer": customer,
        "items": items,
        "default_payment_method": method,
        "payment_behavior": "error_if_incomplete",
        **session["_subscription_data"],
    }
    made = _run(call, "POST /v1/subscriptions", wanted)
    status = "no_payment_required" if made["status"] == "trialing" else "paid"
    return {"subscription": made["id"], "invoice": made["latest_invoice"], "payment_status": status}


def _run(call: Call, name: str, params: Params) -> Object:
    found = OPERATIONS[name]
    made = found.handler(call, {**found.params.defaults, **params})
    if made.get("status") == "requires_action":
        raise StripeError("The card asks the cardholder to authenticate, which this page does not do.", status=402)
    return made


def _close(call: Call, session: Object) -> None:
    call.change(session, {"status": "expired", "url": None})
    call.emit("checkout.session.expired", session)


@scheduled("checkout.session", lambda session: session["expires_at"] if session["status"] == "open" else None)
def expire_in_time(call: Call, session: Object) -> None:
    _close(call, session)


@operation("POST", f"{CHECKOUT_SESSION.item_path}/expire")
def expire(call: Call, params: Params) -> Object:
    session = call.addressed("checkout.session")
    if session["status"] != "open":
        raise StripeError(
            f'Only Checkout Sessions with a status in ["open"] can be expired. This one is {session["status"]}.'
        )
    _close(call, session)
    return session


@operation("POST", CHECKOUT_SESSION.item_path, Shape({"metadata": Metadata()}))
def update(call: Call, params: Params) -> Object:
    session = call.addressed("checkout.session")
    call.change(session, params)
    return session


@operation("GET", f"{CHECKOUT_SESSION.item_path}/line_items", Shape(PAGE))
def list_line_items(call: Call, params: Params) -> Object:
    session = call.addressed("checkout.session")
    lines, limit = session["_lines"], params.get("limit", 10)
    start = 0
    if "starting_after" in params:
        places = [at for at, one in enumerate(lines) if one["id"] == params["starting_after"]]
        if not places:
            raise no_such("item", params["starting_after"], "starting_after")
        start = places[0] + 1
    url = f"/v1/checkout/sessions/{session['id']}/line_items"
    shown = [_item(call, one) for one in lines[start : start + limit]]
    return list_of(shown, url, has_more=len(lines) > start + limit)


retrievable(CHECKOUT_SESSION)
listable(
    CHECKOUT_SESSION,
    {
        **CREATED,
        "customer": matches("customer"),
        "payment_intent": matches("payment_intent"),
        "status": matches("status", Choice("complete", "expired", "open")),
        "subscription": matches("subscription"),
    },
)
