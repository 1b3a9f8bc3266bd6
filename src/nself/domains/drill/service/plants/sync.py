"""Chapter 7: the mirror and Stripe differ, objects are missing here, runs do not end."""

from __future__ import annotations

from collections.abc import Callable

from nself.db.connect import Tx
from nself.domains.drill import store
from nself.domains.drill.service.bench import Bench, Drill
from nself.domains.drill.service.plants.webhook import RESTART, change

SUBSCRIPTION = "nself billing subscription compare sub_123"
CUSTOMER = "nself billing customer show cus_123 --compare"
RUN = "nself billing reconcile status"
SYNC = "nself billing sync subscription sub_123"
IMPORT = "nself billing customer import cus_123"
LINK = "nself billing customer link \\\n  --customer cus_123 \\\n  --user user123"
RESUME = "nself billing reconcile --resume"


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


def refused(bench: Bench) -> None:
    """What an event of sub_123 says is refused by the database, again and again."""
    damage(store.refuse_subscriptions)(bench)
    change(bench, "refused")

    def tried() -> bool:
        return any(one["attempts"] > 2 for one in bench.json("billing webhook events --status failed"))

    bench.wait(tried, 60)


def taken(bench: Bench) -> None:
    with bench.app() as app, app.db.transaction() as tx:
        store.refuse_no_more(tx)


def by_hand(bench: Bench) -> None:
    """In the Dashboard, and no event tells of it."""
    compared(bench)
    changed = {"metadata": {"drill": "by hand"}}
    bench.sandbox("POST", "edit", {"kind": "subscription", "id": "sub_123", "changes": changed, "webhook": False})


def broken_off(purpose: str, state: str, error: str | None) -> Callable[[Bench], None]:
    plant = damage(lambda tx: store.break_run(tx, purpose, state, error))

    def begin(bench: Bench) -> None:
        bench.append(".env", "")  # what the mend sets is taken back
        plant(bench)

    return begin


def gone(tx: Tx) -> None:
    store.delete_customer(tx, "cus_123")


def unheard(tx: Tx) -> None:
    store.never_came(tx, "cus_123")


def not_stored(tx: Tx) -> None:
    store.refuse_event(tx, "cus_123")


def more(name: str) -> tuple[str, ...]:
    return (f"nself env set {name}", RESTART, RESUME)


NETWORK = "api_connection_error: Connection timeout: no answer within 15 s"
RATE = "rate_limit: Rate limit exceeded"
POOL = "database_unavailable: Database connection failed: couldn't get a connection after 30.00 sec"

DRILLS = (
    Drill("7.1.1", refused, ((SUBSCRIPTION, "event failed"),), (SYNC,), outside=taken),
    Drill("7.1.2", by_hand, ((SUBSCRIPTION, "changed by hand"),), (SYNC,)),
    Drill("7.1.3", damage(lambda tx: store.take_back(tx, "sub_123")), ((SUBSCRIPTION, "local write lost"),), (SYNC,)),
    Drill(
        "7.1.4", broken_off("sync", "stopped", NETWORK),
        (("nself billing sync find-inconsistencies", "network failure during sync"),),
        ("nself billing sync status", "nself billing sync all --execute"),
    ),
    Drill("7.2.1", damage(unheard), ((CUSTOMER, "event missing"),), (IMPORT, LINK)),
    Drill("7.2.2", damage(unheard, store.forget_runs), ((CUSTOMER, "not imported yet"),), (IMPORT, LINK)),
    Drill("7.2.3", damage(unheard, not_stored), ((CUSTOMER, "event failed"),), (IMPORT, LINK)),
    Drill("7.2.4", damage(gone), ((CUSTOMER, "deleted locally"),), (IMPORT, LINK)),
    Drill(
        "7.3.1", broken_off("reconcile", "stopped", "KeyboardInterrupt: "), ((RUN, "too many records"),),
        ("nself billing reconcile --batch-size 100",),
    ),
    Drill(
        "7.3.2", broken_off("reconcile", "stopped", RATE), ((RUN, "API rate limits hit"),),
        more("BILLING_CACHE_ENABLED=true"),
    ),
    Drill(
        "7.3.3", broken_off("reconcile", "stopped", POOL), ((RUN, "pool exhausted"),), more("BILLING_DB_POOL_SIZE=20")
    ),
    Drill("7.3.4", broken_off("reconcile", "running", None), ((RUN, "memory limits"),), more("BILLING_MEMORY_LIMIT=2G")),
)  # fmt: skip
