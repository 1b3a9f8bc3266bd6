"""Chapter 7: the mirror and Stripe differ, objects are missing here, runs do not end."""

from __future__ import annotations

from collections.abc import Callable

from nself.db.connect import Tx
from nself.domains.drill import store
from nself.domains.drill.service.bench import Bench, Drill
from nself.domains.drill.service.plants.webhook import RESTART

SUBSCRIPTION = "nself billing subscription compare sub_123"
CUSTOMER = "nself billing customer show cus_123 --compare"
RUN = "nself billing reconcile status"
SYNC = "nself billing sync subscription sub_123"
IMPORT = "nself billing customer import cus_123"
LINK = "nself billing customer link \\\n  --customer cus_123 \\\n  --user user123"
RESUME = "nself billing reconcile --resume"
OF_A_CUSTOMER = ("3.1", "3.5.2", "3.5.4", "4.3.3", "7.1.1")
"""Who is gone at Stripe is not to be brought back, a subscription that is asked for and an event of one bring the customer back, and a
tax id is not seen without its customer."""
OF_THE_RUN = ("7.1.4", "7.3")
"""Only the last run tells why it did not end."""


def compared(bench: Bench) -> None:
    """The worker has compared everything with Stripe, and does not again for an interval."""

    def complete() -> object:
        return bench.json("billing sync status")["last_complete_at"]

    bench.wait(complete, 90)


def damage(*acts: Callable[[Tx], None]) -> Callable[[Bench], None]:
    """In the database, after everything was compared."""

    def plant(bench: Bench) -> None:
        compared(bench)
        with bench.app() as app, app.db.transaction() as tx:
            for act in acts:
                act(tx)

    return plant


def refused(kind: str, id: str, *acts: Callable[[Tx], None]) -> Callable[[Bench], None]:
    """What an event of this object says is refused by the database, again and again."""

    def plant(bench: Bench) -> None:
        damage(*acts, lambda tx: store.refuse(tx, kind))(bench)
        bench.sandbox("POST", "edit", {"kind": kind, "id": id, "changes": {"metadata": {"drill": "refused"}}})

        def tried() -> bool:
            return any(one["attempts"] > 2 for one in bench.json("billing webhook events --status failed"))

        bench.wait(tried, 60)

    return plant


def taken(bench: Bench) -> None:
    with bench.app() as app, app.db.transaction() as tx:
        store.refuse_no_more(tx)


def by_hand(bench: Bench) -> None:
    """In the Dashboard, and no event tells of it."""
    compared(bench)
    changed = {"metadata": {"drill": "by hand"}}
    bench.sandbox("POST", "edit", {"kind": "subscription", "id": "sub_123", "changes": changed, "webhook": False})


def killed(line: str, error: str, **fault: object) -> Callable[[Bench], None]:
    """A run that this fault at Stripe holds up is killed, as the system or somebody who waits no longer does; then Stripe is well.

    `error`: what the run has met until then.
    """

    def plant(bench: Bench) -> None:
        bench.append(".env", "")  # what the mend sets is taken back
        compared(bench)
        bench.sandbox("POST", "faults", {"on": "request", "method": "GET", "path": "^/v1/", "times": 1000, **fault})
        bench.begin(line)

        def in_its_middle() -> bool:
            run = bench.json("billing reconcile status")
            return run["state"] == "running" and (run["error"] or "").startswith(error)

        bench.wait(in_its_middle, 60)
        bench.end_props()
        bench.sandbox("POST", "faults/clear", {})

    return plant


def broken_off(error: str) -> Callable[[Bench], None]:
    """As a run leaves it that took hours; a sandbox has no objects for so long."""
    plant = damage(lambda tx: store.break_run(tx, error))

    def begin(bench: Bench) -> None:
        bench.append(".env", "")  # what the mend sets is taken back
        plant(bench)

    return begin


def gone(tx: Tx) -> None:
    store.delete_customer(tx, "cus_123")


def unheard(tx: Tx) -> None:
    store.never_came(tx, "cus_123")


def more(name: str) -> tuple[str, ...]:
    return (f"nself env set {name}", RESTART, RESUME)


RECONCILE = "billing reconcile"
POOL = "database_unavailable: Database connection failed: couldn't get a connection after 30.00 sec"

DRILLS = (
    Drill("7.1.1", refused("subscription", "sub_123"), ((SUBSCRIPTION, "event failed"),), (SYNC,), outside=taken),
    Drill("7.1.2", by_hand, ((SUBSCRIPTION, "changed by hand"),), (SYNC,)),
    Drill("7.1.3", damage(lambda tx: store.take_back(tx, "sub_123")), ((SUBSCRIPTION, "local write lost"),), (SYNC,)),
    Drill(
        "7.1.4", killed("billing sync all --execute", "api_connection_error", drop=True),
        (("nself billing sync find-inconsistencies", "network failure during sync"),),
        ("nself billing sync status", "nself billing sync all --execute"),
    ),
    Drill("7.2.1", damage(unheard), ((CUSTOMER, "event missing"),), (IMPORT, LINK), apart=OF_A_CUSTOMER),
    Drill(
        "7.2.2", damage(unheard, store.forget_runs), ((CUSTOMER, "not imported yet"),), (IMPORT, LINK),
        apart=(*OF_A_CUSTOMER, *OF_THE_RUN),
    ),
    Drill(
        "7.2.3", refused("customer", "cus_123", unheard), ((CUSTOMER, "event failed"),), (IMPORT, LINK), outside=taken,
        apart=OF_A_CUSTOMER,
    ),
    Drill("7.2.4", damage(gone), ((CUSTOMER, "deleted locally"),), (IMPORT, LINK), apart=OF_A_CUSTOMER),
    Drill(
        "7.3.1", broken_off("KeyboardInterrupt: "), ((RUN, "too many records"),),
        ("nself billing reconcile --batch-size 100",), apart=OF_THE_RUN,
    ),
    Drill(
        "7.3.2", killed(RECONCILE, "rate_limit", status=429), ((RUN, "API rate limits hit"),),
        more("BILLING_CACHE_ENABLED=true"), apart=OF_THE_RUN,
    ),
    Drill(
        "7.3.3", broken_off(POOL), ((RUN, "pool exhausted"),), more("BILLING_DB_POOL_SIZE=20"),
        apart=OF_THE_RUN,
    ),
    Drill(
        "7.3.4", killed(RECONCILE, "", delay=1), ((RUN, "memory limits"),), more("BILLING_MEMORY_LIMIT=2G"),
        apart=OF_THE_RUN,
    ),
)  # fmt: skip
