"""Chapter 3: subscriptions that are not made, changed, tried or ended as they were meant."""

from __future__ import annotations

import json

from nself.domains.drill import store
from nself.domains.drill.model import PlantFailed
from nself.domains.drill.service.bench import Bench, Drill

CREATE = "nself billing subscription create --customer cus_123 --price price_123 --payment-method pm_123"
LOGGED = 'nself logs billing | grep "subscription_create" | tail -20'
TRIAL_OF_20_DAYS = "nself billing subscription update sub_123 --trial-end \"$(date -u -d '+20 days' +%F)\""
AT_END = r"[^\n]*\s*(note: test mode[^\n]*\s*)?\Z"
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


def unprorated(bench: Bench) -> None:
    bench.nself("env set STRIPE_PRORATION_BEHAVIOR=none")
    bench.nself("billing subscription update sub_123 --price price_456")


def other_zone(bench: Bench) -> None:
    """A program with another zone in its environment."""
    code, said = store.shell(bench.project, f"BILLING_TIMEZONE=Pacific/Auckland {TRIAL_OF_20_DAYS}")
    if code:
        raise PlantFailed(cause=bench.cause, detail=said[-300:])


def wrong_amount_sold(bench: Bench) -> None:
    """A price is made with an amount that is wrong, somebody is changed to it, and it is withdrawn in the Dashboard."""
    made = bench.json(
        'billing price create --product prod_123 --amount 990 --interval month --nickname "Enterprise, monthly"'
    )
    bench.nself(f"billing subscription update sub_123 --price {made['id']}")
    edit(bench, "price", made["id"], active=False)

    def withdrawn() -> bool:
        return made["id"] not in bench.nself("billing price list --product prod_123")

    bench.wait(withdrawn)


def grants(bench: Bench, price: str, days: int) -> None:
    edit(bench, "price", price, metadata={"trial_period_days": str(days)})


def price_learns_late(bench: Bench) -> None:
    grants(bench, "price_123", 14)
    bench.nself("billing sync subscription sub_123")


def asked_again(bench: Bench) -> None:
    """An app asks for a trial for somebody who has had one."""
    ended(bench)
    bench.nself("billing subscription create --customer cus_123 --price price_456 --trial-days 7")
    (standing,) = bench.json("billing subscription list --customer cus_123 --status trialing")
    bench.nself(f"billing subscription cancel {standing['id']} --immediate")
    made = bench.json("billing api-key create --name app --scopes subscription:write")
    body = json.dumps({"customer": "cus_123", "price": "price_123", "trial_days": 14})
    with bench.app() as app:
        port = app.settings.integer("BILLING_PORT")
    ask = (
        f"curl -s -X POST http://127.0.0.1:{port}/api/v1/subscriptions -H 'Authorization: Bearer {made['key']}'"
        f" -H 'Content-Type: application/json' -d '{body}'"
    )
    _, said = store.shell(bench.project, ask)
    if "trial_used" not in said:
        raise PlantFailed(cause=bench.cause, detail=said[-300:])


def trial_by_hand(bench: Bench, days: int, behavior: str = "create_prorations") -> None:
    """In the Dashboard."""
    with bench.app() as app:
        end = int(app.clock().timestamp()) + days * 86_400
    bench.api("POST", "subscriptions", "sub_123", trial_end=end, proration_behavior=behavior)
    bench.nself("billing sync subscription sub_123")


def short_trial(bench: Bench) -> None:
    grants(bench, "price_123", 14)
    trial_by_hand(bench, 7)


def free_days_paid(bench: Bench) -> None:
    trial_by_hand(bench, 7, "none")


def overridden(bench: Bench) -> None:
    store.shell(bench.project, TRIAL_OF_20_DAYS)
    trial_by_hand(bench, 3)


def canceled_twice(bench: Bench) -> None:
    bench.nself("billing subscription cancel sub_123 --at-period-end")
    bench.nself("billing subscription cancel sub_123")


def end_at_stripe(bench: Bench) -> None:
    """In the Dashboard."""
    with bench.app() as app:
        app.stripe.remove("subscriptions", "sub_123", params={}, key="dashboard-cancel")


def unprocessed(bench: Bench) -> None:
    bench.append(".env", "BILLING_AUTO_SYNC=false")  # it would find the end in Stripe's list
    bench.nself("restart billing")
    fault = {"on": "request", "status": 500, "method": "GET", "path": "/v1/subscriptions/sub_123", "times": 1000}
    bench.sandbox("POST", "faults", fault)
    end_at_stripe(bench)

    def failed() -> bool:
        events = bench.json("billing webhook events")
        return any(one["object"] == "sub_123" and one["error"] for one in events)

    bench.wait(failed)


def lost_write(bench: Bench) -> None:
    end_at_stripe(bench)

    def processed() -> bool:
        return bench.json("billing subscription show sub_123")["status"] == "canceled"

    bench.wait(processed)
    with bench.app() as app:
        app.db.transact(lambda tx: store.revive(tx, "sub_123"))


def plan_restored(bench: Bench) -> None:
    """Counters of before the end are back, as from a dump."""
    for plan, most in (("free", 500), ("pro", 50_000)):
        bench.nself(f"billing quota set --plan {plan} --metric functions --limit {most} --period month")
    edit(bench, "product", "prod_123", metadata={"plan": "pro"})

    def subscribed() -> bool:
        return "plan pro" in bench.nself("billing quota show --user user123")

    bench.wait(subscribed)
    ended(bench)
    bench.damage(lambda tx: store.restore_plan(tx, "user123", "functions", "pro", 50_000))


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
    Drill(
        "3.3.1",
        plant=unprorated,
        shows=(
            (
                "nself billing subscription simulate-change --subscription sub_123 --new-price price_123",
                r"behavior: none\b",
            ),
        ),
        mend=(
            "nself billing subscription show-config sub_123",
            "nself env set STRIPE_PRORATION_BEHAVIOR=create_prorations",
        ),
    ),
    Drill(
        "3.3.2",
        plant=other_zone,
        shows=(('nself logs billing | grep "proration"', f"Pacific/Auckland{AT_END}"),),
        mend=("nself env get BILLING_TIMEZONE", TRIAL_OF_20_DAYS),
        apart=("3.4",),
    ),
    Drill(
        "3.3.3",
        plant=wrong_amount_sold,
        shows=(
            (
                "nself billing subscription simulate-change --subscription sub_123 --new-price price_456",
                "is no longer sold",
            ),
        ),
        mend=(
            "nself billing subscription preview-change --subscription sub_123 --new-price price_456 --proration-date $(date +%s)",
            "nself billing subscription update sub_123 --price price_456 --proration-date $(date +%s)",
        ),
        apart=("3.4",),
    ),
    Drill(
        "3.3.4",
        plant=free_days_paid,
        shows=(("nself billing subscription prorations sub_123", r"-\d+ .*missing il_122"),),
        mend=("nself billing subscription recalculate sub_123",),
    ),
    Drill(
        "3.4.1",
        plant=price_learns_late,
        shows=(("nself billing subscription show sub_123 | grep trial", "none was given, price_123 grants 14"),),
        mend=("nself billing subscription update sub_123 --trial-end \"$(date -u -d '+4 days' +%F)\"",),
    ),
    Drill(
        "3.4.2",
        plant=asked_again,
        shows=(("nself billing customer trial-eligibility cus_123", "a trial of price_123"),),
        mend=("nself billing subscription create --customer cus_123 --price price_123 --trial-days 14",),
    ),
    Drill(
        "3.4.3",
        plant=short_trial,
        shows=(("nself billing subscription show sub_123 | grep trial", "grants 14"),),
        mend=("nself billing subscription update sub_123 --trial-end \"$(date -u -d '+14 days' +%F)\"",),
    ),
    Drill(
        "3.4.4",
        plant=overridden,
        shows=(("nself billing subscription show sub_123 | grep trial", "was asked, Stripe has"),),
        mend=(TRIAL_OF_20_DAYS,),
    ),
    Drill(
        "3.5.1",
        plant=canceled_twice,
        shows=(("nself billing subscription show sub_123 | grep cancel", "cancel: at the end of the period"),),
        mend=(
            "nself billing subscription show sub_123 | grep cancel_at",
            "nself billing subscription cancel sub_123 --immediate",
        ),
    ),
    Drill(
        "3.5.2",
        plant=unprocessed,
        shows=(
            (
                'nself billing webhook events | grep "customer.subscription.deleted"',
                r"sub_123 +(received|failed|parked)",
            ),
        ),
        outside=allowed,
        mend=("nself billing webhook replay evt_123", "nself billing subscription show sub_123"),
        apart=("7.1",),  # Stripe does not show the subscription
    ),
    Drill(
        "3.5.3",
        plant=plan_restored,
        shows=(("nself billing subscription show sub_123 | grep cancel", "cancel_note: user123 still has its plan"),),
        mend=("nself cache clear billing:subscription:sub_123", "nself billing subscription show sub_123"),
    ),
    Drill(
        "3.5.4",
        plant=lost_write,
        shows=(("nself billing subscription show sub_123 | grep cancel", "cancel: no"),),
        mend=("nself billing sync subscription sub_123", "nself billing subscription show sub_123"),
    ),
)
