"""Root causes of issue 2.1: usage is not recorded."""

from __future__ import annotations

from nself.diagnosis import Cause, Evidence, Look
from nself.domains.usage.model import Unmet
from nself.domains.usage.service import unmet
from nself.spool import beat


def collector_gone(look: Look) -> Evidence | None:
    """What collectors keep on disk of themselves: the database is not asked."""
    app = look.app
    found = list(beat.collectors(app.project.spool))
    if any(lives for _, lives in found):
        return None
    waiting = app.spool.waiting(app.spool.first()).events if app.project.spool.is_dir() else 0
    last = max((one for one, _ in found), key=lambda one: one.since, default=None)
    told = (
        f"the last one (process {last.pid}, since {last.since:%Y-%m-%dT%H:%M:%SZ}) lives no more"
        if last
        else "none ever ran"
    )
    return Evidence(f"no usage-collector runs: {told}; {waiting} events are on disk")


def unknown_user(look: Look) -> Evidence | None:
    return _told(look, unmet.USER, "user", "auth.users does not have it")


def unknown_metric(look: Look) -> Evidence | None:
    return _told(look, unmet.METRIC, "metric", "usage-metrics.yml does not have it")


def _told(look: Look, code: str, what: str, why: str) -> Evidence | None:
    found = [one for one in look.once(unmet.unmet) if one.code == code]
    if not found:
        return None
    most = max(found, key=_events)
    more = f"; so were those of {len(found) - 1} others" if len(found) > 1 else ""
    return Evidence(
        f"{most.events} events of {what} {most.name} from {most.source} were rejected in the last 24 hours, the last at "
        f"{most.last_at:%Y-%m-%dT%H:%M:%SZ}: {why}{more}",
        {"name": most.name},
    )


def _events(one: Unmet) -> int:
    return one.events


CAUSES = (
    Cause(
        id="2.1.1",
        title="Usage collector not running",
        detect=collector_gone,
        explain=(
            "The usage-collector brings what waits on disk into the database and folds usage into the rollups. Without it "
            "figures stay exact, but buffered usage is in none of them and lag grows. That no process holds the collector's "
            "file tells it apart from a collector that runs and cannot reach the database (2.1.2)."
        ),
        mend=("nself restart usage-collector", "nself billing usage collector-status"),
        itself=True,
        needs=(),
    ),
    Cause(
        id="2.1.3",
        title="User ID not found",
        detect=unknown_user,
        explain=(
            "Usage came for a user whom auth.users does not have; it was rejected and is kept with its reason. The finding goes "
            "when the user is there. Events of known users whose metric is unknown are 2.1.4."
        ),
        mend=(
            "nself billing usage rejected list --code no_such_user",
            "nself billing customer create --user {name}",
            "nself billing usage rejected replay --code no_such_user --execute",
        ),
    ),
    Cause(
        id="2.1.4",
        title="Metric type not configured",
        detect=unknown_metric,
        explain=(
            "Usage came of a metric that services/billing/config/usage-metrics.yml does not have; it was rejected and is kept "
            "with its reason. The finding goes when the file has the metric. Events of unknown users are 2.1.3."
        ),
        mend=(
            "nself billing usage list-metrics",
            "nself billing usage rejected replay --code no_such_metric --execute",
        ),
        elsewhere="add the metric to services/billing/config/usage-metrics.yml, or have its sender use a name of the list",
    ),
)
