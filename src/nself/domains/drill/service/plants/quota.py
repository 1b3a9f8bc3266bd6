"""Chapter 5: quotas that are not enforced, refuse wrongly, or do not begin anew."""

from __future__ import annotations

from datetime import timedelta

from nself.domains.drill import store
from nself.domains.drill.service.bench import Bench, Drill

SET = "nself billing quota set \\\n  --user user123 \\\n  --metric api_calls \\\n  --limit 1000 \\\n  --period month"
RESTART = "nself restart billing"
STATUS = "nself billing quota status --user user123"
SCHEDULE = "nself billing quota schedule-reset"
JOBS = "nself billing jobs list | grep quota_reset"
METRICS = "services/billing/config/usage-metrics.yml"
EXPORTS = '  exports: {unit: export, aggregation: sum, description: "Exports"}'
RECORD = "billing usage record --user user123 --metric api_calls"
PLANS = ("free", "starter", "pro", "enterprise")


def limit(bench: Bench, most: int, period: str = "month") -> None:
    bench.nself(f"billing quota set --user user123 --metric api_calls --limit {most} --period {period}")


def plans(bench: Bench) -> None:
    for plan in PLANS:
        bench.nself(f"billing quota set --plan {plan} --metric api_calls --limit 500 --period month")


def switched_off(bench: Bench) -> None:
    bench.nself("env set QUOTA_ENFORCEMENT_ENABLED=false")
    bench.nself("restart billing")


def unlimited(bench: Bench) -> None:
    plans(bench)
    limit(bench, -1)


def not_tracked(bench: Bench) -> None:
    """A metric is taken out of the file while a limit stands on it."""
    before = bench.read(METRICS)
    bench.append(METRICS, EXPORTS)
    bench.nself("billing quota set --user user123 --metric exports --limit 5")
    bench.write(METRICS, before)


def put_back(bench: Bench) -> None:
    bench.append(METRICS, EXPORTS)


def race(bench: Bench) -> None:
    """Two requests ask, both may; then both record what they used."""
    limit(bench, 430)
    for _ in range(2):
        bench.nself("billing quota check --user user123 --metric api_calls --value 8")
    for _ in range(2):
        bench.nself(f"{RECORD} --value 8")
    bench.nself("billing quota show --user user123")


def twice(bench: Bench) -> None:
    limit(bench, 430)
    with bench.app() as app:
        at = app.clock() - timedelta(seconds=1)
    for _ in range(2):
        bench.nself(f"{RECORD} --value 8 --at {at.isoformat()}")
    bench.nself("billing quota show --user user123")


def yearly(bench: Bench) -> None:
    plans(bench)
    limit(bench, 500, "year")


def other_zone(bench: Bench) -> None:
    """The services are started with a zone that is then set right, and not started anew."""
    bench.nself("env set BILLING_TIMEZONE=Pacific/Kiritimati")
    bench.nself("restart billing")
    bench.nself("env unset BILLING_TIMEZONE")


def restored(bench: Bench) -> None:
    """Counters of before a reset are back, as from a dump."""
    bench.nself("billing quota reset --user user123")
    bench.nself("billing quota show --user user123")
    with bench.app() as app:
        app.db.transact(lambda tx: store.restore_counters(tx, "user123", "api_calls", 420))


def lost(bench: Bench) -> None:
    with bench.app() as app:
        app.db.transact(lambda tx: store.lose_job(tx, "quota_reset"))


def failed(bench: Bench) -> None:
    """A run finds no counters; they are back a moment later."""
    with bench.app() as app:
        app.db.transact(lambda tx: store.move_counters(tx, away=True))
        try:
            bench.nself("billing quota schedule-reset")
            bench.wait(lambda: "failed" in bench.nself("billing jobs list --type quota_reset --status failed"))
        finally:
            app.db.transact(lambda tx: store.move_counters(tx, away=False))


def later(bench: Bench) -> None:
    with bench.app() as app:
        at = app.clock() + timedelta(days=40)
    bench.nself(f"billing quota schedule-reset --at {at:%Y-%m-%d}")


def locked(bench: Bench) -> None:
    """Somebody left a session open; the job waits behind it."""
    bench.prop("locking")
    bench.nself("billing quota schedule-reset")
    bench.wait(lambda: "running" in bench.nself("billing jobs list --type quota_reset"))


def committed(bench: Bench) -> None:
    bench.end_props()


DRILLS = (
    Drill(
        "5.1.1",
        plant=switched_off,
        shows=(("nself env get QUOTA_ENFORCEMENT_ENABLED", "^false"), (STATUS, "is false: everything is allowed")),
        mend=(
            "nself env set QUOTA_ENFORCEMENT_ENABLED=true",
            RESTART,
            "nself billing quota test-enforce --user user123",
        ),
    ),
    Drill("5.1.2", plant=unlimited, shows=((STATUS, r"api_calls .* -1 "),), mend=(SET,)),
    Drill(
        "5.1.3",
        plant=not_tracked,
        shows=((STATUS, "exports +not tracked"),),
        outside=put_back,
        mend=("nself billing usage show --user user123", "nself billing quota check --user user123"),
    ),
    Drill(
        "5.1.4",
        plant=race,
        shows=((STATUS, "api_calls +exceeded"),),
        mend=(SET, "nself billing quota test-enforce --user user123"),
    ),
    Drill(
        "5.2.1",
        plant=twice,
        shows=(("nself billing usage audit --user user123 --check-duplicates", "api_calls"),),
        mend=(
            "nself billing usage deduplicate --user user123",
            "nself billing usage deduplicate --user user123",
            "nself billing usage recalculate --user user123",
        ),
    ),
    Drill(
        "5.2.2",
        plant=yearly,
        shows=(
            ("nself billing quota compare --user user123", r"api_calls +year"),
            ("nself billing quota show --user user123", r"year"),
        ),
        mend=(SET,),
    ),
    Drill(
        "5.2.3",
        plant=other_zone,
        shows=(("nself billing quota show-resets --user user123", "still count in Pacific/Kiritimati"),),
        mend=("nself env get BILLING_TIMEZONE", RESTART),
    ),
    Drill(
        "5.2.4",
        plant=restored,
        shows=(("nself billing quota compare --user user123", "not cleared after the reset"),),
        mend=("nself cache clear billing:quota:user123",),
    ),
    Drill(
        "5.3.1",
        plant=lost,
        shows=(("nself billing quota show-schedule", r"quota_reset +not scheduled"),),
        mend=("nself billing quota show-cron", SCHEDULE),
    ),
    Drill(
        "5.3.2",
        plant=failed,
        shows=((JOBS, r"quota_reset +failed"),),
        mend=("nself billing jobs clear --type quota_reset --status failed",),
    ),
    Drill(
        "5.3.3",
        plant=later,
        shows=(("nself billing quota show-schedule", r"quota_reset .*though it is done every"),),
        mend=(SCHEDULE,),
    ),
    Drill(
        "5.3.4",
        plant=locked,
        shows=((JOBS, r"quota_reset +running"),),
        outside=committed,
        mend=("nself billing jobs clear --type quota_reset --status failed", SCHEDULE),
    ),
)
