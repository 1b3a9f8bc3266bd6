"""Discounts: a coupon given to a customer, a subscription, an item, or an invoice. They have no URL of their own."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from stripe_sandbox import totals
from stripe_sandbox.call import Call
from stripe_sandbox.errors import StripeError, no_such
from stripe_sandbox.params import Items, Shape, Text
from stripe_sandbox.periods import period_end
from stripe_sandbox.resource import ABSENT, Params, Resource, operation, register
from stripe_sandbox.resources.coupons import coupon_of, require_valid
from stripe_sandbox.resources.promotion_codes import redeemable
from stripe_sandbox.store import Object

DISCOUNT = register(
    Resource(
        kind="discount",
        prefix="di",
        path="",
        item="discount",
        fields={
            "created": ABSENT,
            "livemode": ABSENT,
            "checkout_session": None,
            "customer": None,
            "customer_account": None,
            "end": None,
            "invoice": None,
            "invoice_item": None,
            "promotion_code": None,
            "source": {},
            "start": 0,
            "subscription": None,
            "subscription_item": None,
            "_used": None,  # the invoice that a discount for once is on
        },
        references={"customer": "customer", "promotion_code": "promotion_code", "source.coupon": "coupon"},
    )
)

GIVEN = Items(Shape({"coupon": Text(), "discount": Text(), "promotion_code": Text()}), 20)


def redeem(
    call: Call, given: Sequence[Params], customer: Object, currency: str, owner: dict[str, str], at: str = "discounts"
) -> list[str]:
    """The discounts that `discounts[]` asks for, made for their owner; one that is named by its id is kept."""
    found: list[str] = []
    for index, one in enumerate(given):
        here = f"{at}[{index}]"
        if len(one) != 1:
            raise StripeError("Each discount must have exactly one of coupon, discount and promotion_code.", param=here)
        if "discount" in one:
            found.append(_kept(call, one["discount"], customer, owner, param=f"{here}[discount]"))
            continue
        code: Object | None = None
        if "promotion_code" in one:
            code = redeemable(call, one["promotion_code"], customer, param=f"{here}[promotion_code]")
            coupon = call.load("coupon", code["promotion"]["coupon"])
        else:
            coupon = require_valid(call, one["coupon"], param=f"{here}[coupon]")
        if coupon["currency"] not in (None, currency):
            raise StripeError(
                f"The coupon {coupon['id']} is in {coupon['currency']} and cannot be applied to {currency}.", param=here
            )
        found.append(make(call, coupon, code, {**owner, "customer": customer["id"]}))
    if len({call.load("discount", one)["source"]["coupon"] for one in found}) < len(found):
        raise StripeError("You cannot apply the same coupon more than once.", param=at)
    return found


def _kept(call: Call, identifier: str, customer: Object, owner: dict[str, str], *, param: str) -> str:
    discount = call.require("discount", identifier, param=param)
    elsewhere = [name for name, value in owner.items() if discount[name] not in (None, value)]
    if discount["customer"] != customer["id"] or elsewhere:
        raise no_such("discount", identifier, param)
    return identifier


def make(call: Call, coupon: Object, code: Object | None, owner: dict[str, str]) -> str:
    """Redeems the coupon once; a repeating one ends so many months later."""
    for redeemed in (coupon, *([code] if code else [])):
        call.change(redeemed, {"times_redeemed": redeemed["times_redeemed"] + 1})
    months = coupon["duration_in_months"]
    fields: dict[str, Any] = {
        **owner,
        "end": period_end(call.now, "month", months) if months else None,
        "promotion_code": code["id"] if code else None,
        "source": {"coupon": coupon["id"], "type": "coupon"},
        "start": call.now,
    }
    discount = call.create(DISCOUNT, fields)
    if not owner.keys() & {"invoice", "invoice_item"}:
        call.emit("customer.discount.created", discount)
    return discount["id"]


def give_to_customer(call: Call, customer: Object, coupon: str) -> None:
    """Instead of the discount that the customer had."""
    found = require_valid(call, coupon, param="coupon")
    if customer["_discount"] is not None:
        detach(call, call.load("discount", customer["_discount"]))
        customer.update(call.load("customer", customer["id"]))
    made = make(call, found, None, {"customer": customer["id"]})
    call.update(customer, {"_discount": made}, "customer.updated")


def running(call: Call, identifiers: Sequence[str]) -> list[str]:
    """Those that a new invoice takes over: not ended, and not for once and used already."""
    found: list[str] = []
    for discount in (call.load("discount", identifier) for identifier in identifiers):
        used = coupon_of(call, discount)["duration"] == "once" and discount["_used"] is not None
        if not used and (discount["end"] is None or discount["end"] > call.now):
            found.append(discount["id"])
    return found


def inherited(call: Call, customer: Object, subscription: Object | None) -> list[str]:
    """The subscription's discounts, else the customer's."""
    own = running(call, subscription["discounts"]) if subscription else []
    return own or running(call, [customer["_discount"]] if customer.get("_discount") else [])


def mark_used(call: Call, invoice: Object, identifiers: Sequence[str]) -> None:
    for discount in (call.load("discount", identifier) for identifier in identifiers):
        if discount["_used"] is None:
            call.change(discount, {"_used": invoice["id"]})


def release(call: Call, invoice: Object) -> None:
    """A draft that is deleted has used nothing up."""
    for discount in call.find("discount", _used=invoice["id"]):
        call.change(discount, {"_used": None})


def end_used(call: Call, invoice: Object) -> None:
    """Finalising ends what was for once: its customer or subscription does not have it any more."""
    for discount in call.find("discount", _used=invoice["id"]):
        if coupon_of(call, discount)["duration"] == "once" and discount["invoice"] is None:
            detach(call, discount)


def detach(call: Call, discount: Object) -> None:
    for kind in ("subscription", "subscription_item"):
        owner = call.look(kind, discount[kind]) if discount[kind] else None
        if owner is not None and discount["id"] in owner.get("discounts", ()):
            left = {"discounts": [one for one in owner["discounts"] if one != discount["id"]]}
            if kind == "subscription":
                call.update(owner, left, "customer.subscription.updated")
            else:
                call.change(owner, left)
    customer = call.load("customer", discount["customer"])
    if customer.get("_discount") == discount["id"]:
        call.update(customer, {"_discount": None}, "customer.updated")
    call.emit("customer.discount.deleted", discount)


def for_prorations(call: Call, identifiers: Sequence[str], currency: str) -> tuple[totals.Discount, ...]:
    """As for totals; a coupon for once is for lines that can be discounted, which a proration is not."""
    lasting = [one for one in identifiers if coupon_of(call, call.load("discount", one))["duration"] != "once"]
    return for_totals(call, lasting, currency)


def for_totals(call: Call, identifiers: Sequence[str], currency: str) -> tuple[totals.Discount, ...]:
    """What the arithmetic needs; an amount in another currency takes nothing off."""
    found: list[totals.Discount] = []
    for identifier in identifiers:
        coupon = coupon_of(call, call.load("discount", identifier))
        percent = coupon["_percent_off"]
        products = coupon["_products"]
        found.append(
            totals.Discount(
                identifier,
                None if percent is None else Decimal(percent),
                coupon["amount_off"] if coupon["currency"] == currency else None,
                None if products is None else frozenset(products),
            )
        )
    return tuple(found)


@operation("GET", "/v1/customers/{customer}/discount")
def retrieve_of_customer(call: Call, params: Params) -> Object:
    return _of(call, call.addressed("customer"))


@operation("DELETE", "/v1/customers/{customer}/discount")
def delete_of_customer(call: Call, params: Params) -> Object:
    discount = _of(call, call.addressed("customer"))
    detach(call, discount)
    return _deleted(call, discount)


def _of(call: Call, customer: Object) -> Object:
    if customer["_discount"] is None:
        raise StripeError(
            f"No active discount for customer: {customer['id']}", status=404, code="resource_missing", param="customer"
        )
    return call.load("discount", customer["_discount"])


@operation("DELETE", "/v1/subscriptions/{subscription_exposed_id}/discount")
def delete_of_subscription(call: Call, params: Params) -> Object:
    subscription = call.addressed("subscription")
    if not subscription["discounts"]:
        raise StripeError(
            f"No active discount for subscription: {subscription['id']}", status=404, code="resource_missing",
            param="subscription_exposed_id",
        )  # fmt: skip
    discount = call.load("discount", subscription["discounts"][0])
    detach(call, discount)
    return _deleted(call, discount)


def _deleted(call: Call, discount: Object) -> Object:
    shown = {name: value for name, value in call.show(discount).items() if name != "end"}
    return {**shown, "deleted": True}
