"""Ways into metering. `POST /api/v1/usage` is not here: its handler in `nself.http.ingest` commits in groups."""

from nself.core.entrypoint import Command, Route, Row, Scheduled

ROWS: tuple[Row, ...] = (
    Command(
        path="billing usage record",
        use="usage.service.record:record",
        input="usage.inputs:RecordUsage",
        help="Record one usage event.",
        example="nself billing usage record --user user123 --metric api_calls --value 1",
    ),
    Command(
        path="billing usage import",
        use="usage.service.import_file:import_file",
        input="usage.inputs:ImportUsage",
        help="Import a web server's access log, a CSV or an NDJSON file; goes on where it stopped, counts nothing twice.",
        example="nself billing usage import access.log.gz --create-users",
    ),
    Command(
        path="billing usage show",
        use="usage.service.show:show",
        input="usage.inputs:ShowUsage",
        help="Show a user's usage in a period, exact to the last event.",
        example="nself billing usage show --user user123 --metric api_calls",
    ),
    Command(
        path="billing usage status",
        use="usage.service.show:status",
        input="usage.inputs:UsageStatus",
        help="Show accepted = counted + duplicate + rejected + pending, with the reasons for the rejected.",
        example="nself billing usage status",
    ),
    Command(
        path="billing usage aggregate",
        use="usage.service.aggregate:aggregate",
        input="usage.inputs:AggregateUsage",
        help="Fold new usage into the hourly rollups now.",
        example="nself billing usage aggregate --force",
    ),
    Command(
        path="billing usage collector-status",
        use="usage.service.collector:status",
        input="usage.inputs:ShowCollector",
        help="Show whether the usage-collector runs, what waits in its buffer, and what is wrong.",
        example="nself billing usage collector-status",
    ),
    Command(
        path="billing usage collector-skip",
        use="usage.service.collector:skip",
        input="usage.inputs:SkipDamage",
        help="Set the bytes of the usage buffer aside that cannot be read, and go on behind them.",
        example="nself billing usage collector-skip --segment 7 --confirm",
    ),
    Route(
        method="GET",
        path="/api/v1/usage",
        use="usage.service.show:show",
        input="usage.inputs:ShowUsage",
        scope="usage:read",
        help="Exact totals of a user, by metric; by hour or day with `by`.",
    ),
    Scheduled(
        type="aggregation",
        use="usage.service.aggregate:scheduled",
        every="USAGE_AGGREGATION_INTERVAL",
        help="Folds new usage into the hourly rollups.",
    ),
)
