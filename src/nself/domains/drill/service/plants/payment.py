"""Issue 3.2: what banks do to cards."""

from __future__ import annotations

from collections.abc import Callable

from nself.domains.drill.service.bench import Bench, Drill

FAILURES = "nself billing payments failures --customer cus_123"
PAY = "nself billing invoice pay in_123 --retry"
NOTIFY = "nself billing customer notify --customer cus_123 --template payment_failed"
GOOD = "4242424242424242"
OTHER_CARD = (
    "nself billing payment-method decline-reason pm_123",
    NOTIFY,
    f'nself billing payment-method create --customer cus_123 --card-number "{GOOD}" --exp-month 12 --exp-year 2027 --cvc "123"',
    "nself billing subscription update sub_123 --payment-method pm_new",
    "nself billing payment-method default pm_new --customer cus_123",
    PAY,
)


def card(bench: Bench, number: str) -> None:
    """From now on the bank does to the guide's card what it does to this test card."""
    bench.sandbox("POST", "payment_methods/pm_123/issuer", {"number": number})


def refused(number: str) -> Callable[[Bench], None]:
    def plant(bench: Bench) -> None:
        card(bench, number)
        bench.nself("billing invoice pay in_123", fails=True)

        def known() -> bool:
            return "in_123" in bench.nself("billing payments failures --customer cus_123")

        bench.wait(known)

    return plant


def good(bench: Bench) -> None:
    """Money was paid in."""
    card(bench, GOOD)


def confirmed(bench: Bench) -> None:
    """The customer confirms on the bank's page."""
    (failed, *_) = bench.json("billing payments failures --customer cus_123")
    bench.nself(f"billing sandbox confirm {failed['payment_intent']}")


DRILLS = (
    Drill(
        "3.2.1",
        plant=refused("4000000000000002"),
        shows=((FAILURES, "generic_decline.*requires_payment_method"),),
        mend=OTHER_CARD,
    ),
    Drill(
        "3.2.2",
        plant=refused("4000000000000069"),
        shows=((FAILURES, "expired_card.*requires_payment_method"),),
        mend=OTHER_CARD,
    ),
    Drill(
        "3.2.3",
        plant=refused("4000000000009995"),
        shows=((FAILURES, "insufficient_funds.*requires_payment_method"),),
        outside=good,
        mend=("nself billing payment-method decline-reason pm_123", NOTIFY, PAY),
    ),
    Drill(
        "3.2.4",
        plant=refused("4000002760003184"),
        shows=((FAILURES, "authentication.*requires_"),),
        outside=confirmed,
        mend=(NOTIFY,),
    ),
)
