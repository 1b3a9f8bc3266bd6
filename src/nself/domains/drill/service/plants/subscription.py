"""Chapter 3: subscriptions that are not made, changed, tried or ended as they were meant."""

from __future__ import annotations

from nself.domains.drill.service.bench import Bench, Drill

CREATE = "nself billing subscription create --customer cus_123 --price price_123 --payment-method pm_123"
LOGGED = 'nself logs billing | grep "subscription_create" | tail -20'
AT_END = r"[^\n]*\s*\Z"
"""Of what a log says the newest line counts: those before it stay."""


def ended(bench: Bench) -> None:
    """The guide's subscription is over, so that another one can be made."""
    bench.nself("billing subscription cancel sub_123 --immediate")


def edit(bench: Bench, kind: str, id: str, *, webhook: bool = True, **changes: object) -> None:
    """By hand in the Dashboard."""
    bench.sandbox("POST", "edit", {"kind": kind, "id": id, "changes": changes, "webhook": webhook})


def no_payment_method(bench: Bench) -> None:
    ended(bench)
    bench.nself("billing payment-method remove pm_new --force")
    bench.nself("billing payment-method remove pm_123 --force")
    bench.nself("billing subscription create --customer cus_123 --price price_123", fails=True)


def no_such_price(bench: Bench) -> None:
    ended(bench)
    bench.nself("billing subscription create --customer cus_123 --price price_124", fails=True)


def no_such_customer(bench: Bench) -> None:
    ended(bench)
    bench.sandbox("POST", "edit", {"kind": "customer", "id": "cus_123", "delete": True})
    bench.nself("billing subscription create --customer cus_123 --price price_123", fails=True)


def forbidden(bench: Bench) -> None:
    ended(bench)
    fault = {"on": "request", "status": 403, "method": "POST", "path": "/v1/subscriptions$", "times": 1000}
    bench.sandbox("POST", "faults", fault)
    bench.nself("billing subscription create --customer cus_123 --price price_123", fails=True)


def allowed(bench: Bench) -> None:
    """In the Dashboard the key gets what it lacked."""
    bench.sandbox("POST", "faults/clear", {})


DRILLS = (
    Drill(
        "3.1.1",
        plant=no_payment_method,
        shows=(
            (LOGGED, f"no payment method{AT_END}"),
            ("nself billing customer show cus_123", "default_payment_method: -"),
        ),
        mend=(
            'nself billing payment-method create --customer cus_123 --card-number "4242424242424242" --exp-month 12'
            ' --exp-year 2027 --cvc "123"',
            "nself billing subscription create --customer cus_123 --price price_123",
        ),
    ),
    Drill(
        "3.1.2",
        plant=no_such_price,
        shows=((LOGGED, f"No such price: price_124{AT_END}"),),
        mend=("nself billing price show price_123", CREATE),
    ),
    Drill(
        "3.1.3",
        plant=no_such_customer,
        shows=((LOGGED, f"No such customer: cus_123{AT_END}"),),
        mend=(
            "nself billing customer create --user user123 --email user@example.com",
            "new=$(nself billing customer list --user user123 --format json | python3 -c"
            " 'import json, sys; print(json.load(sys.stdin)[0][\"id\"])')"
            ' && nself billing payment-method create --customer $new --card-number "4242424242424242" --exp-month 12'
            ' --exp-year 2027 --cvc "123" && nself billing subscription create --customer $new --price price_123',
        ),
    ),
    Drill(
        "3.1.4",
        plant=forbidden,
        shows=((LOGGED, f"Insufficient permissions{AT_END}"),),
        outside=allowed,
        mend=(CREATE,),
    ),
)
