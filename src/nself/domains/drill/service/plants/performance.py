"""Chapter 8: slow operations, a slow database, memory, timeouts."""

from __future__ import annotations

import re
import urllib.request
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta

from nself.domains.drill import store
from nself.domains.drill.service import dashboard
from nself.domains.drill.service.bench import Bench, Drill
from nself.domains.measurement import service as measurement
from nself.domains.uptime.service import show as uptime

RESTART = "nself restart billing"
MISSING = "nself db missing-indexes"
SLOW = "nself db slow-queries --min-time 1s"
HEAP = "nself billing heap-snapshot"
TIMEOUTS = "nself billing show-timeouts"
ADD_INDEX = 'nself db add-index billing_usage \\\n  --columns "user_id,created_at" \\\n  --name idx_usage_user_date'
EVENTS = 12_000
ASKING = 12
"""Requests at once."""
PRICES = 150
ONE_BY_ONE = "one by one: STRIPE_BATCH_REQUESTS is false"
SOON = timedelta(minutes=1)
BLOCKED = "sync.reconcile kept 1 request waiting"
SHORT_OF_MEMORY = r"BILLING_MEMORY_LIMIT is \d+M: \S+ (has \d+ MB of it|was started anew)"


def setting(bench: Bench, *lines: str) -> None:
    """Set, and put back as they were when it is cleared."""
    bench.write(".env", bench.read(".env"))
    for line in lines:
        bench.nself(f"env set {line}")
    bench.nself("restart billing")


def slow_insert(bench: Bench) -> None:
    """A trigger that somebody added works along with each request that records usage."""
    with bench.app() as app:
        app.db.transact(lambda tx: store.slow_insert(tx, slow=True))
    bench.nself("db slow-queries --reset")
    for _ in range(5):
        bench.nself("billing usage record --user user123 --metric functions --value 1")


def without_trigger(bench: Bench) -> None:
    with bench.app() as app:
        app.db.transact(lambda tx: store.slow_insert(tx, slow=False))


def lost_index(bench: Bench) -> None:
    with bench.app() as app:
        app.db.transact(store.drop_customer_index)


def batches(bench: Bench) -> None:
    """A shop has many prices, and a program of the project looks each of them up."""
    setting(bench, "STRIPE_ENABLE_CACHE=true", "STRIPE_BATCH_REQUESTS=false")
    prices = [
        bench.api("POST", "prices", product="prod_123", currency="usd", unit_amount=100 + one)["id"]
        for one in range(PRICES)
    ]
    with bench.app() as app:
        for price in prices:
            app.stripe.look_up("price", price)
        measurement.flush(app)
    bench.wait(lambda: ONE_BY_ONE in bench.nself("billing performance 2>&1"))


def pool(bench: Bench) -> None:
    """Requests at once wait for the two connections that there are."""
    setting(bench, "BILLING_DB_POOL_SIZE=2")
    held_up(bench, seconds=1)
    bench.wait(lambda: "waited for a database connection" in bench.nself("billing performance 2>&1"))


def broken_index(bench: Bench) -> None:
    with bench.app() as app:
        app.db.transact(store.begin_index)


def events(bench: Bench) -> None:
    """So many events that it matters how they are read, in a table that nobody looks after."""
    with bench.app() as app:
        at = app.clock().isoformat()
        app.db.transact(lambda tx: store.leave_usage_alone(tx, alone=True))
    lines = "".join(f"user123,functions,1,{at},drill-{one}\n" for one in range(EVENTS))
    bench.write("events.csv", f"user,metric,value,at,key\n{lines}")
    bench.nself("billing usage import events.csv")


def stale(bench: Bench) -> None:
    events(bench)
    _shown(bench, "stale statistics")


def dead(bench: Bench) -> None:
    """Rows are written anew and anew, as a job does that touches them all."""
    events(bench)
    with bench.app() as app:
        app.db.transact(store.rewrite_usage)
    bench.nself("db analyze billing_usage")
    _shown(bench, "dead rows")


def _shown(bench: Bench, what: str) -> None:
    """The server's statistics come a moment later."""
    bench.wait(lambda: what in bench.nself("db missing-indexes"))


def looked_after(bench: Bench) -> None:
    with bench.app() as app:
        app.db.transact(lambda tx: store.leave_usage_alone(tx, alone=False))


def working(bench: Bench) -> None:
    bench.prop("working")
    bench.wait(lambda: "drill.work_long" in bench.nself("db slow-queries --min-time 6s").partition("running")[2])


def gone(bench: Bench) -> None:
    bench.end_props()


def memory(bench: Bench) -> None:
    """Little more than the largest service has."""
    with bench.app() as app:
        most = max(samples[-1].high for samples in uptime.memory(app))
    setting(bench, f"BILLING_MEMORY_LIMIT={most * 112 // 100 // 2**20}M")
    bench.wait(lambda: re.search(SHORT_OF_MEMORY, bench.nself("billing heap-snapshot 2>&1")))


def leaking(bench: Bench) -> None:
    bench.prop("leaking", "6")
    bench.wait(lambda: "idle in a transaction" in bench.nself("billing heap-snapshot 2>&1"))


def grown(bench: Bench) -> None:
    """An hour and a half cannot be rehearsed: what the services write of their memory is written for them."""

    def rows() -> int:
        with bench.app() as app:
            return app.db.transact(store.memories_kept)

    bench.wait(rows)


@contextmanager
def asking(bench: Bench) -> Generator[Callable[[str], None]]:
    """An app with a key of its own, which asks for paths."""
    made = bench.json("billing api-key create --name drill --scopes admin")
    with bench.app() as app:
        base = f"http://127.0.0.1:{app.settings.integer('BILLING_PORT')}"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def get(path: str) -> None:
        request = urllib.request.Request(f"{base}{path}", headers={"Authorization": f"Bearer {made['key']}"})
        opener.open(request, timeout=60).close()

    try:
        yield get
    finally:
        bench.nself(f"billing api-key revoke {made['id']}")


def large(bench: Bench) -> None:
    """One customer has a hundred megabytes, for as long as an app asks for it."""
    with bench.app() as app:
        before = app.db.transact(store.customer_snapshot)
    bench.damage(store.swell_customer)
    try:
        with asking(bench) as get:
            get("/api/v1/customers/cus_123")
    finally:
        bench.damage(lambda tx: store.put_customer_snapshot(tx, before))
    bench.wait(lambda: "jumped from" in bench.nself("billing heap-snapshot 2>&1"))


def held_up(bench: Bench, seconds: int) -> None:
    """A report keeps prices to itself for so long, while an app asks for them."""
    with bench.app() as app:
        minute = app.clock().replace(second=0, microsecond=0)
        bench.wait(lambda: app.clock() - minute >= SOON, 70)  # that of the services' start does not count
    with asking(bench) as get:
        meanwhile(bench, seconds, [lambda: get("/api/v1/prices")] * ASKING)


def meanwhile(bench: Bench, seconds: int, asked: Sequence[Callable[[], None]]) -> None:
    """What is asked for, at once, while a report keeps prices to itself."""
    with bench.app() as app, ThreadPoolExecutor(len(asked)) as pool:
        with app.db.transaction() as tx:
            store.keep_prices(tx)
            begun = [pool.submit(one) for one in asked]
            store.pause(seconds)
        for one in begun:
            one.exception()  # what was cut off failed


def waiting(bench: Bench) -> None:
    held_up(bench, seconds=4)
    bench.wait(lambda: "/api/v1/prices" in bench.nself("billing show-timeouts 2>&1"))


def short(bench: Bench) -> None:
    """A report takes longer than an app may wait."""
    setting(bench, "API_TIMEOUT=1s", "DB_QUERY_TIMEOUT=2s")
    held_up(bench, seconds=4)
    bench.wait(lambda: "answered with 504" in bench.nself("billing show-timeouts 2>&1"))


def far(bench: Bench) -> None:
    bench.sandbox("POST", "faults", {"on": "request", "delay": 4.0, "times": 100_000})


def near(bench: Bench) -> None:
    bench.sandbox("POST", "faults/clear", {})


def blocking(bench: Bench) -> None:
    """An operator has everything reconciled from the dashboard while a report holds it up."""
    with dashboard.signed_in(bench) as found:
        meanwhile(bench, 7, [lambda: found.do("billing reconcile")])
    bench.wait(lambda: BLOCKED in bench.nself("billing show-timeouts 2>&1"))


DRILLS = (
    Drill(
        "8.1.1",
        plant=slow_insert,
        shows=(("nself db slow-queries --limit 10", r"usage\.add_new +\d+ +\d+ +[2-9]\d\d"),),
        outside=without_trigger,
        mend=("nself db slow-queries --limit 10 --reset", "nself billing performance --compare"),
    ),
    Drill(
        "8.1.2",
        plant=lost_index,
        shows=((MISSING, "lost +billing_invoices"),),
        mend=("nself db add-index billing_invoices --columns customer_id,created_at --name billing_invoices_customer",),
    ),
    Drill(
        "8.1.3",
        plant=batches,
        shows=(("nself billing performance", ONE_BY_ONE),),
        mend=("nself env set STRIPE_BATCH_REQUESTS=true", RESTART, "nself billing performance --compare"),
    ),
    Drill(
        "8.1.4",
        plant=pool,
        shows=(("nself billing performance", r"\d+ times somebody waited for a database connection"),),
        mend=("nself env set BILLING_DB_POOL_SIZE=10", "nself env set BILLING_DB_POOL_TIMEOUT=30s", RESTART),
    ),
    Drill("8.2.1", plant=broken_index, shows=((MISSING, "broken +billing_usage"),), mend=(ADD_INDEX,)),
    Drill(
        "8.2.2",
        plant=stale,
        shows=((MISSING, "stale statistics +billing_usage"),),
        outside=looked_after,
        mend=("nself db analyze billing_usage",),
    ),
    Drill(
        "8.2.3",
        plant=working,
        shows=((SLOW, r"(?s)running:.*active.*drill\.work_long"),),
        outside=gone,
        mend=(SLOW,),
    ),
    Drill(
        "8.2.4",
        plant=dead,
        shows=((MISSING, "dead rows +billing_usage"),),
        outside=looked_after,
        mend=("nself db vacuum billing_usage", "nself db analyze billing_usage"),
    ),
    Drill(
        "8.3.1",
        plant=grown,
        shows=((HEAP, "grew steadily from"),),
        mend=("nself cache clear billing:* --ttl-expired", RESTART),
    ),
    Drill("8.3.2", plant=large, shows=((HEAP, "jumped from"),), mend=(RESTART,)),
    Drill(
        "8.3.3",
        plant=memory,
        shows=((HEAP, SHORT_OF_MEMORY),),
        mend=("nself env set BILLING_MEMORY_LIMIT=4G", RESTART),
    ),
    Drill(
        "8.3.4", plant=leaking, shows=((HEAP, "6 sessions are idle in a transaction"),), outside=gone, mend=(RESTART,)
    ),
    Drill(
        "8.4.1",
        plant=short,
        shows=((TIMEOUTS, r"API_TIMEOUT=1s: \d+ requests were answered with 504"),),
        mend=("nself env set API_TIMEOUT=60s", "nself env set DB_QUERY_TIMEOUT=30s", RESTART),
    ),
    Drill(
        "8.4.2",
        plant=waiting,
        shows=((TIMEOUTS, r"/api/v1/prices: half of \d+ requests"),),
        mend=("nself env set BILLING_ASYNC_OPERATIONS=true", "nself env set BILLING_USE_QUEUE=true", RESTART),
    ),
    Drill(
        "8.4.3",
        plant=far,
        shows=(("time nself billing invoice generate in_123", r"real\s+(0m([7-9]|\d\d)\.|[1-9]\d*m)"),),
        outside=near,
        mend=("nself billing stripe test-connection", "time nself billing invoice generate in_123"),
    ),
    Drill(
        "8.4.4",
        plant=blocking,
        shows=((TIMEOUTS, BLOCKED),),
        mend=("nself env set BILLING_ASYNC_OPERATIONS=true", "nself env set BILLING_USE_QUEUE=true", RESTART),
    ),
)
