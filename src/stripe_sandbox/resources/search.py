"""`GET /v1/…/search`. What was written a moment ago is found at once, where Stripe may take a minute."""

import base64
import binascii
from collections.abc import Mapping

from stripe_sandbox.call import Call
from stripe_sandbox.errors import StripeError
from stripe_sandbox.params import Integer, Shape, Text
from stripe_sandbox.resource import RESOURCES, Params, operation
from stripe_sandbox.search_query import Field, condition
from stripe_sandbox.store import Condition, Object

_NUMBER, _TEXT, _TOKEN, _BOOLEAN = Field("number"), Field("text"), Field("token"), Field("boolean")
_COMMON = {"created": _NUMBER, "metadata": _TEXT}
_MONEY = {"amount": _NUMBER, "currency": _TOKEN, "customer": _TOKEN, "status": _TOKEN}

FIELDS: Mapping[str, Mapping[str, Field]] = {
    "charge": {
        **_COMMON,
        **_MONEY,
        "billing_details.address.postal_code": _TOKEN,
        "disputed": _BOOLEAN,
        **{f"payment_method_details.card.{name}": _TOKEN for name in ("brand", "fingerprint", "last4")},
        **{f"payment_method_details.card.{name}": _NUMBER for name in ("exp_month", "exp_year")},
        "refunded": _BOOLEAN,
    },
    "customer": {**_COMMON, "email": _TEXT, "name": _TEXT, "phone": _TEXT},
    "invoice": {
        **_COMMON,
        "currency": _TOKEN,
        "customer": _TOKEN,
        "last_finalization_error_code": Field("token", "last_finalization_error.code"),
        "last_finalization_error_type": Field("token", "last_finalization_error.type"),
        "number": _TOKEN,
        "receipt_number": _TOKEN,
        "status": _TOKEN,
        "subscription": Field("token", "_subscription"),
        "total": _NUMBER,
    },
    "payment_intent": {**_COMMON, **_MONEY},
    "price": {
        "active": _BOOLEAN,
        "currency": _TOKEN,
        "lookup_key": _TOKEN,
        "metadata": _TEXT,
        "product": _TOKEN,
        "type": _TOKEN,
    },
    "product": {
        **_COMMON,
        "active": _BOOLEAN,
        "description": _TEXT,
        "name": _TEXT,
        "shippable": _BOOLEAN,
        "url": _TEXT,
    },
    "subscription": {**_COMMON, "canceled_at": _NUMBER, "status": _TOKEN},
}
_PARAMS = Shape({"limit": Integer(1, 100), "page": Text(), "query": Text()}, required=("query",))


def _searchable(kind: str) -> None:
    path = RESOURCES[kind].path

    @operation("GET", f"{path}/search", _PARAMS)
    def search(call: Call, params: Params) -> Object:  # pyright: ignore[reportUnusedFunction]
        wanted = condition(params["query"], FIELDS[kind], path.rpartition("/")[2])
        limit: int = params.get("limit", 10)
        below = [wanted, Condition("n < ?", (_position(params["page"]),))] if "page" in params else [wanted]
        found = call.store.select(kind, below, limit=limit + 1)
        more = len(found) > limit
        last: str = found[min(limit, len(found)) - 1]["id"] if found else ""
        return {
            "object": "search_result",
            "data": found[:limit],
            "has_more": more,
            "next_page": _token(call.position(kind, last, param="page")) if more else None,
            "url": f"{path}/search",
            "_total_count": call.store.count(kind, wanted),
        }


def _token(position: int) -> str:
    return base64.urlsafe_b64encode(f"before {position}".encode()).decode()


def _position(token: str) -> int:
    try:
        word, _, number = base64.urlsafe_b64decode(token).decode().partition(" ")
        if word == "before":
            return int(number)
    except (binascii.Error, ValueError):
        pass
    raise StripeError("The page is not one that a search gave.", param="page")


for _kind in FIELDS:
    _searchable(_kind)
