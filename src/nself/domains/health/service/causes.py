"""Root causes of slow operations, memory and timeouts: settings, what services take, how far away Stripe is."""

from __future__ import annotations

from nself.diagnosis import Cause, Evidence, Look
from nself.domains.connection.service import walk
from nself.domains.health.service.measured import blocking, crowded, cut_off, one_by_one, slow_routes
from nself.domains.health.service.memory import jumps, leaks, short_of_memory
from nself.domains.health.service.profile import LEFT_OPEN
from nself.domains.tuning.service import statements

FAR = 3_000
"""Milliseconds for the way to Stripe with three calls; from the other side of the world it is half of that."""
LEAKED = 3
"""Sessions: one that somebody left open at lunch is no leak."""
POOL = "BILLING_DB_POOL_SIZE"
RESTART = "nself restart billing"


def many_calls(look: Look) -> Evidence | None:
    found = one_by_one(look.app)
    return Evidence("; ".join(found)) if found else None


def few_connections(look: Look) -> Evidence | None:
    found = crowded(look.app)
    return Evidence(f"{POOL} is {look.app.settings.value(POOL).text}: {'; '.join(found)}") if found else None


def leak(look: Look) -> Evidence | None:
    found = leaks(look.app)
    return Evidence("; ".join(found), sure="likely") if found else None


def much_at_once(look: Look) -> Evidence | None:
    found = jumps(look.app)
    return Evidence("; ".join(found), sure="likely") if found else None


def slow_operations(look: Look) -> Evidence | None:
    found = slow_routes(look.app)
    return Evidence("; ".join(found)) if found else None


def little_memory(look: Look) -> Evidence | None:
    found = short_of_memory(look.app)
    return Evidence("; ".join(found)) if found else None


def left_open(look: Look) -> Evidence | None:
    found = statements.left_open(look.app, LEFT_OPEN)
    if len(found) < LEAKED:
        return None
    longest = max(one.seconds or 0 for one in found)
    names = ", ".join(sorted({one.application or "unnamed" for one in found}))
    return Evidence(
        f"{len(found)} sessions ({names}) are idle in a transaction, one for {longest:.0f} s: they keep rows and memory"
    )


def short_timeouts(look: Look) -> Evidence | None:
    found = cut_off(look.app)
    return Evidence("; ".join(found)) if found else None


def far_away(look: Look) -> Evidence | None:
    found = look.once(walk.walked)
    if not found.ok or found.milliseconds < FAR:
        return None
    return Evidence(
        f"the way to Stripe and three calls took {found.milliseconds} ms, and nothing failed", sure="likely"
    )


def kept_waiting(look: Look) -> Evidence | None:
    found = blocking(look.app)
    return Evidence("; ".join(found)) if found else None


CAUSES = (
    Cause(
        id="8.1.3",
        title="Too many API calls",
        detect=many_calls,
        explain=(
            "Most calls that read from Stripe ask for prices, products and tax rates, each by a call of its own: one call could read "
            "a hundred, and the cache keeps them. It slows operations down long before Stripe refuses calls (1.3.3, 1.3.4). What is "
            "measured are the calls; a setting that costs no call is no cause."
        ),
        mend=("nself env set STRIPE_BATCH_REQUESTS=true", "nself env set STRIPE_ENABLE_CACHE=true", RESTART),
        itself=True,
        follows=("1.3.3", "1.3.4"),
    ),
    Cause(
        id="8.1.4",
        title="Insufficient resources",
        detect=few_connections,
        explain=(
            "A service has fewer database connections than threads that need one: they wait for each other though the database is "
            "idle, which looks like a slow database. What is measured is the waiting; the setting explains it."
        ),
        mend=("nself env set BILLING_DB_POOL_SIZE=10", "nself env set BILLING_DB_POOL_TIMEOUT=30s", RESTART),
        itself=True,
    ),
    Cause(
        id="8.3.1",
        title="Memory leaks",
        detect=leak,
        explain=(
            "A service comes to hold more and more: in an hour and longer each quarter of the time bears its share, also after "
            "its caches are filled. Told apart from a large set of data (8.3.2), which is one step and falls again, and from a limit "
            "that is too low (8.3.3), under which nothing grows. A restart gives it back; memory-profile names the lines."
        ),
        mend=(
            "nself billing memory-profile --duration 300s",
            "nself cache clear billing:* --ttl-expired",
            RESTART,
        ),
    ),
    Cause(
        id="8.3.2",
        title="Large data sets in memory",
        detect=much_at_once,
        explain=(
            "Within a minute a service had more than twice as much in memory as just before: it read something large in one piece. "
            "What took longest then is named. Told apart from a leak (8.3.1), which grows in small steps and never at once."
        ),
        mend=("nself billing heap-snapshot", "nself cache clear billing:* --ttl-expired", RESTART),
        elsewhere="ask for less at once: page with limit, import in smaller files",
    ),
    Cause(
        id="8.3.3",
        title="Insufficient memory limits",
        detect=little_memory,
        explain=(
            "The limit of memory is close to what a service needs for its work: it is ended and started anew again and again, though "
            "it leaks nothing. What it has, and why it ended, is measured: a low limit under which it has room is none."
        ),
        mend=("nself env set BILLING_MEMORY_LIMIT=4G", RESTART),
        follows=("8.3.1", "8.3.2"),
    ),
    Cause(
        id="8.3.4",
        title="Not releasing resources",
        detect=left_open,
        explain=(
            "Sessions began a transaction and never ended it. Each keeps a connection, its snapshot and its locks, and vacuum can "
            "remove nothing that is younger. Told apart from one session that holds a lock by their number."
        ),
        mend=("nself db slow-queries", RESTART),
        elsewhere="end the program that leaves its transactions open, or let it commit",
    ),
    Cause(
        id="8.4.1",
        title="Low timeout settings",
        detect=short_timeouts,
        explain=(
            "A limit of time is shorter than work that is in order takes on a busy day: requests end with 504 and statements are "
            "cancelled, and whoever asked asks again. What was cut off is counted; a short limit that cuts off nothing is none."
        ),
        mend=(
            "nself env set API_TIMEOUT=60s",
            "nself env set DB_QUERY_TIMEOUT=30s",
            "nself env set BILLING_DB_POOL_TIMEOUT=30s",
            RESTART,
        ),
        itself=True,
    ),
    Cause(
        id="8.4.2",
        title="Slow operations",
        detect=slow_operations,
        explain=(
            "Since the last start most requests of a route take seconds, in our own work: calls to Stripe do not account for it "
            "(8.4.3), and no limit cut them off (8.4.1). Where a cause of a slow database is found as well, it is what makes them slow."
        ),
        mend=(
            "nself billing show-timeouts",
            "nself db slow-queries",
            "nself env set BILLING_ASYNC_OPERATIONS=true",
            RESTART,
        ),
        follows=("8.1.1", "8.1.2", "8.1.4", "8.2.1", "8.2.2", "8.2.3", "8.2.4", "8.4.4"),
    ),
    Cause(
        id="8.4.3",
        title="Network latency",
        detect=far_away,
        explain=(
            "Stripe answers, correctly and slowly: each operation waits for the way there and back, several times. Told apart from a "
            "broken network (1.4) since nothing fails, and from slow operations (8.4.2) since a bare call is slow as well."
        ),
        mend=("nself billing stripe test-connection",),
        elsewhere="look at the way to Stripe: proxy, VPN, provider; https://status.stripe.com tells of Stripe itself",
        needs=("stripe",),
    ),
    Cause(
        id="8.4.4",
        title="Blocking operations",
        detect=kept_waiting,
        explain=(
            "Whoever asked for everybody's invoices, a reconciliation or an archive waited until all was done, which may be longer "
            "than a request can take. What is measured is the waiting of requests; a command in a terminal may take its time."
        ),
        mend=("nself env set BILLING_ASYNC_OPERATIONS=true", "nself env set BILLING_USE_QUEUE=true", RESTART),
    ),
)
