"""Chapter 2: usage that is not recorded, not folded, wrongly counted or lost."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from nself.domains.drill import store
from nself.domains.drill.service.bench import Bench, Drill

METRICS = "services/billing/config/usage-metrics.yml"
NOWHERE = "DATABASE_URL=postgresql://nself@127.0.0.1:1/nself"
COLLECTOR = "nself billing usage collector-status"
STATUS = "nself billing usage aggregation-status"
FOLD = "nself billing usage aggregate --force"
EVERY = "nself env set USAGE_AGGREGATION_INTERVAL=5m  # Every 5 minutes"
START = datetime(2026, 2, 1, tzinfo=UTC)
RECORD = "nself billing usage record --user user123 --metric api_calls --value 1"


def no_collector(bench: Bench) -> None:
    bench.nself("stop usage-collector")


def no_database(bench: Bench) -> None:
    bench.append(".env", NOWHERE)
    bench.nself("restart usage-collector")


def settings_back(bench: Bench) -> None:
    """Somebody takes the line out of the file again."""
    bench.write(".env", bench.files[".env"] or "")


def arrives(bench: Bench, events: list[dict[str, object]], *, create: bool = False) -> None:
    """What the app sent, from its outbox."""
    bench.write("app.ndjson", "".join(f"{json.dumps(one)}\n" for one in events))
    bench.nself(f"billing usage import app.ndjson{' --create-users' if create else ''}")


def stranger(bench: Bench) -> None:
    arrives(bench, [{"user": "user456", "metric": "api_calls", "value": 1, "key": f"call-{at}"} for at in range(3)])


def signed_up(bench: Bench) -> None:
    bench.nself("billing customer create --user user456 --email user456@example.com")


def unconfigured(bench: Bench) -> None:
    arrives(bench, [{"user": "user123", "metric": "exports", "value": 1, "key": f"export-{at}"} for at in range(3)])


def configured(bench: Bench) -> None:
    bench.append(METRICS, "  exports: {unit: export, aggregation: sum}")


def seldom(bench: Bench) -> None:
    bench.append(".env", "USAGE_AGGREGATION_INTERVAL=720h")
    bench.nself("restart billing")


def load(users: int, hours: int) -> list[dict[str, object]]:
    """Events of users that nobody else has, each in an hour of its own, so that each is a rollup."""
    return [
        {
            "user": f"load{user}",
            "metric": "compute",
            "value": 1,
            "at": f"{START + timedelta(hours=hour):%Y-%m-%dT%H:%M:%SZ}",
            "key": f"{hour}",
        }
        for user in range(users)
        for hour in range(hours)
    ]


def flood(bench: Bench) -> None:
    bench.append(".env", "USAGE_AGGREGATION_INTERVAL=1s")
    bench.nself("stop usage-collector")
    arrives(bench, load(60, 4_000), create=True)
    bench.nself("start usage-collector")
    bench.wait(lambda: "more comes than is folded" in bench.nself("billing usage aggregation-status"))


def slow_trigger(bench: Bench) -> None:
    bench.damage(store.slow_rollups)
    arrives(bench, load(1, 80), create=True)
    bench.nself("billing usage aggregate --force")


def quick_again(bench: Bench) -> None:
    """Whoever installed the trigger takes it away."""
    bench.damage(store.quick_rollups)


def kept_locks(bench: Bench) -> None:
    bench.prop("fold_locks")
    bench.nself(f"{RECORD.removeprefix('nself ')}")
    bench.wait(lambda: "has kept locks" in bench.nself("billing usage aggregation-status"))


def locks_free(bench: Bench) -> None:
    """Whoever opened the session ends it."""
    bench.end_props()


def sent_twice(bench: Bench) -> None:
    for _ in range(2):
        for second in range(3):
            bench.nself(
                f"billing usage record --user user123 --metric api_calls --value 5 --at 2026-01-15T00:00:0{second}.125Z"
            )


def another_formula(bench: Bench) -> None:
    bench.nself(FOLD.removeprefix("nself "))
    text = store.read(bench.project, METRICS) or ""
    bench.write(
        METRICS,
        text.replace("api_calls: {unit: request, aggregation: sum", "api_calls: {unit: request, aggregation: max"),
    )


def formula_back(bench: Bench) -> None:
    bench.write(METRICS, bench.files[METRICS] or "")


def another_zone(bench: Bench) -> None:
    bench.nself(FOLD.removeprefix("nself "))
    bench.append(".env", "BILLING_TIMEZONE=Pacific/Auckland")
    bench.nself("restart billing")


def zone_back(bench: Bench) -> None:
    settings_back(bench)
    bench.nself("restart billing")


def bent(bench: Bench) -> None:
    bench.damage(store.bend_rollup)


def was_down(bench: Bench) -> None:
    """Down for half an hour; the web server before the app wrote its own log all the time."""
    with bench.app() as app:
        now = app.clock()
    since = now.replace(second=0, microsecond=0) - timedelta(minutes=40)
    bench.nself("restart http")
    lines = [
        f'user123 - - [{at:%d/%b/%Y:%H:%M:%S} +0000] "GET / HTTP/1.1" 200 10'
        for at in (since + timedelta(minutes=minute) for minute in range(1, 30))
    ]
    bench.write("access.log", "\n".join(lines) + "\n")
    bench.append(".env", "BILLING_ACCESS_LOG=access.log")
    minutes = [since - timedelta(minutes=5 * step) for step in range(1, 8 * 24 * 12)]  # a weekend and work days
    arrives(
        bench,
        [{"user": "user123", "metric": "bandwidth", "value": 10, "at": f"{at:%Y-%m-%dT%H:%M:%SZ}"} for at in minutes],
    )
    bench.nself(RECORD.removeprefix("nself "))
    bench.damage(lambda tx: store.was_down(tx, since, since + timedelta(minutes=30), now))


def bad_batch(bench: Bench) -> None:
    arrives(bench, [{"user": "user123", "metric": "api_calls", "value": -at, "key": f"bad-{at}"} for at in range(1, 6)])


def refused(bench: Bench, setting: str) -> None:
    """The database goes away for everybody, usage comes, the database is back."""
    bench.nself("stop usage-collector")
    bench.append(".env", f"{NOWHERE}\n{setting}")
    for _ in range(3):
        store.shell(bench.project, RECORD)
    bench.write(".env", f"{(bench.files['.env'] or '').rstrip()}\n{setting}\n".lstrip())
    bench.nself("start usage-collector")
    bench.wait(lambda: "refused: none" not in bench.nself("billing uptime"))


def no_buffer(bench: Bench) -> None:
    refused(bench, "USAGE_ENABLE_BUFFER=false")


def small_buffer(bench: Bench) -> None:
    refused(bench, "USAGE_BUFFER_SIZE=1")


GAPS = "nself billing usage find-gaps --user user123"
REREAD = 'nself billing usage reconstruct --user user123 --from-logs --date "$(date -u +%F)"'
BUFFER = ("nself env set USAGE_ENABLE_BUFFER=true", "nself env set USAGE_BUFFER_SIZE=10000", "nself restart billing")

DRILLS = (
    Drill(
        "2.1.1",
        plant=no_collector,
        shows=((COLLECTOR, "not running"),),
        mend=("nself status | grep usage-collector", "nself restart usage-collector"),
    ),
    Drill(
        "2.1.2",
        plant=no_database,
        shows=(
            (COLLECTOR, "database: (?!answers)"),
            (
                "nself db query \"SELECT COUNT(*) FROM billing_usage WHERE created_at > NOW() - INTERVAL '1 hour'\"",
                "connection failed",
            ),
        ),
        outside=settings_back,
        mend=("nself restart usage-collector", "nself db test-connection"),
        blinds=True,
    ),
    Drill(
        "2.1.3",
        plant=stranger,
        shows=((COLLECTOR, "no_such_user"),),
        outside=signed_up,
        mend=("nself db query \"SELECT id, email FROM auth.users WHERE id = 'user123'\"", RECORD),
    ),
    Drill(
        "2.1.4",
        plant=unconfigured,
        shows=((COLLECTOR, "no_such_metric"),),
        outside=configured,
        mend=("nself billing usage list-metrics", RECORD),
    ),
    Drill(
        "2.2.1",
        plant=seldom,
        shows=((STATUS, "scheduled every 30 days"),),
        mend=(EVERY, "nself restart billing"),
    ),
    Drill(
        "2.2.2",
        plant=flood,
        shows=((STATUS, "more comes than is folded"),),
        mend=(
            EVERY,
            "nself env set USAGE_AGGREGATION_PARALLEL=true",
            "nself env set USAGE_AGGREGATION_WORKERS=4",
            "nself restart billing",
        ),
    ),
    Drill(
        "2.2.3",
        plant=slow_trigger,
        shows=((STATUS, r"took \d.* to fold"),),
        outside=quick_again,
        mend=(FOLD,),
    ),
    Drill(
        "2.2.4",
        plant=kept_locks,
        shows=((STATUS, "has kept locks"),),
        outside=locks_free,
        mend=("nself billing jobs list --status stuck", FOLD),
    ),
    Drill(
        "2.3.1",
        plant=sent_twice,
        shows=(("nself billing usage audit --user user123 --date 2026-01-15", r"(?m) 2\s*$"),),
        mend=(
            'nself billing usage deduplicate --user user123 --start "2026-01-01" --end "2026-01-31"',
            "nself billing usage show --user user123 --month 2026-01",
        ),
    ),
    Drill(
        "2.3.2",
        plant=another_formula,
        shows=(("nself billing usage show-formula --metric api_calls", "began with sum"),),
        outside=formula_back,
        mend=(f"cat {METRICS}", "nself billing usage recalculate --user user123 --month 2026-01"),
        apart=("5.2.1",),  # of the largest event one that came twice changes nothing
    ),
    Drill(
        "2.3.3",
        plant=another_zone,
        shows=(("nself billing usage show-formula --metric api_calls", "began in the zone UTC"),),
        outside=zone_back,
        mend=("echo $TZ", "nself env get BILLING_TIMEZONE"),
    ),
    Drill(
        "2.3.4",
        plant=bent,
        shows=(('nself billing usage compare --user user123 --start "2026-01-01" --end "2026-01-31"', "differs"),),
        mend=(
            "nself billing usage recalculate --user user123 --month 2026-01",
            "nself billing usage show --user user123 --month 2026-01",
        ),
    ),
    Drill("2.4.1", plant=was_down, shows=((GAPS, "service_downtime"),), mend=(REREAD,)),
    Drill("2.4.2", plant=bad_batch, shows=((GAPS, "failed_recordings"),), mend=(REREAD,)),
    Drill("2.4.3", plant=no_buffer, shows=((GAPS, "503 database_unavailable"),), mend=(REREAD, *BUFFER)),
    Drill("2.4.4", plant=small_buffer, shows=((GAPS, "buffer_overflow"),), mend=(REREAD, *BUFFER)),
)
