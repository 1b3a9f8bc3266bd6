"""What Stripe's document knows beyond this sandbox: it tells "not supported here" from "no such thing at Stripe"."""

import re
from functools import cache
from pathlib import Path

import msgspec

from stripe_sandbox.errors import InvalidParameters, StripeError, unsupported

_INDEX = re.compile(r"\[\d+\]")


class Surface(msgspec.Struct, frozen=True):
    routes: dict[str, list[str]]  # URL template -> methods
    params: dict[str, list[str]]  # operation of this sandbox -> names, indices left out
    values: dict[str, dict[str, list[str]]]  # operation -> name -> values that Stripe takes and this sandbox does not
    expandable: dict[str, list[str]]  # kind of this sandbox -> fields that `expand` may name
    events: list[str]


@cache
def surface() -> Surface:
    return msgspec.json.decode((Path(__file__).parent / "surface.json").read_bytes(), type=Surface)


@cache
def _stripe_routes() -> list[tuple[re.Pattern[str], str, list[str]]]:
    return [
        (re.compile(re.sub(r"\{[^}]+\}", "[^/]+", template) + r"\Z"), template, methods)
        for template, methods in sorted(surface().routes.items(), key=lambda route: route[0].count("{"))
    ]


def missing_route(method: str, path: str) -> StripeError:
    """Literal routes come first, as they do at Stripe."""
    for pattern, template, methods in _stripe_routes():
        if pattern.match(path) and method in methods:
            return unsupported(f"{method} {template}")
    return StripeError(
        f"Unrecognized request URL ({method}: {path}). Please see https://stripe.com/docs or we can help at"
        " https://support.stripe.com/.",
        status=404,
    )


def knows_value(operation: str, name: str, value: str) -> bool:
    return value in surface().values.get(operation, {}).get(_INDEX.sub("", name), ())


def check_unknown(operation: str, names: list[str]) -> None:
    known = surface().params.get(operation, [])
    wrong = [name for name in names if _INDEX.sub("", name) not in known]
    if wrong:
        raise InvalidParameters(
            f"Received unknown parameter{'s' if len(wrong) > 1 else ''}: {', '.join(wrong)}",
            code="parameter_unknown",
            param=wrong[0],
        )
    if names:
        raise unsupported(f"the parameter {names[0]} of {operation}")
