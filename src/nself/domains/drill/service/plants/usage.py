"""Chapter 2: usage that is not recorded, not folded, wrongly counted or lost."""

from __future__ import annotations

import json

from nself.domains.drill.service.bench import Bench, Drill

METRICS = "services/billing/config/usage-metrics.yml"
NOWHERE = "DATABASE_URL=postgresql://nself@127.0.0.1:1/nself"
COLLECTOR = "nself billing usage collector-status"
RECORD = "nself billing usage record --user user123 --metric api_calls --value 1"


def no_collector(bench: Bench) -> None:
    bench.nself("stop usage-collector")


def no_database(bench: Bench) -> None:
    bench.append(".env", NOWHERE)
    bench.nself("restart usage-collector")


def settings_back(bench: Bench) -> None:
    """Somebody takes the line out of the file again."""
    bench.write(".env", bench.files[".env"] or "")


def arrives(bench: Bench, events: list[dict[str, object]], name: str = "app") -> None:
    """What the app sent, from its outbox."""
    bench.write(f"{name}.ndjson", "".join(f"{json.dumps(one)}\n" for one in events))
    bench.nself(f"billing usage import {name}.ndjson")


def stranger(bench: Bench) -> None:
    arrives(bench, [{"user": "user456", "metric": "api_calls", "value": 1, "key": f"call-{at}"} for at in range(3)])


def signed_up(bench: Bench) -> None:
    bench.nself("billing customer create --user user456 --email user456@example.com")


def unconfigured(bench: Bench) -> None:
    arrives(bench, [{"user": "user123", "metric": "exports", "value": 1, "key": f"export-{at}"} for at in range(3)])


def configured(bench: Bench) -> None:
    bench.append(METRICS, "  exports: {unit: export, aggregation: sum}")


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
)
