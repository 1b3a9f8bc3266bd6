"""Ways to look at the whole system."""

from nself.core.entrypoint import Causes, Command, Row

ROWS: tuple[Row, ...] = (
    Causes(use="health.service.causes:CAUSES"),
    Command(
        path="billing status",
        use="health.service.overview:overview",
        input="health.inputs:ShowOverview",
        help="Show on one page what runs, what waits and what failed.",
        example="nself billing status",
    ),
    Command(
        path="billing health",
        use="health.service.checks:health",
        input="health.inputs:ShowHealth",
        help="Look at every part; each thing that is wrong comes with the command that helps. Exit 3 where something failed.",
        example="nself billing health --component stripe",
        check="healthy",
    ),
    Command(
        path="billing errors",
        use="health.service.overview:errors",
        input="health.inputs:ListErrors",
        help="List what failed, from the logs of all services, like ones together.",
        example="nself billing errors --last 24h",
    ),
    Command(
        path="billing metrics",
        use="health.service.measured:metrics",
        input="health.inputs:ShowMetrics",
        help="Show how often and how long requests, calls to Stripe and scheduled work were.",
        example="nself billing metrics --show-percentiles",
    ),
    Command(
        path="billing metrics requests",
        use="health.service.measured:requests",
        input="health.inputs:ShowRequests",
        help="Show requests to our API and calls to Stripe, by route and kind of object.",
        example="nself billing metrics requests --last 1h",
    ),
    Command(
        path="billing performance",
        use="health.service.measured:performance",
        input="health.inputs:ShowPerformance",
        help="Show how long things take; --compare puts the time of the last look beside it.",
        example="nself billing performance --compare",
    ),
    Command(
        path="billing show-timeouts",
        use="health.service.measured:timeouts",
        input="health.inputs:ShowTimeouts",
        help="Show every limit of time, where it comes from, and what it limits.",
        example="nself billing show-timeouts",
    ),
    Command(
        path="billing profile",
        use="health.service.profile:profile",
        input="health.inputs:ProfileService",
        help="Look where a running service spends its time, a hundred times a second, without stopping it.",
        example="nself billing profile --duration 60s --form flamegraph",
    ),
    Command(
        path="billing memory-profile",
        use="health.service.profile:memory",
        input="health.inputs:ProfileMemory",
        help="Watch which lines of a running service come to hold more memory.",
        example="nself billing memory-profile --duration 300s",
    ),
    Command(
        path="billing heap-snapshot",
        use="health.service.profile:heap",
        input="health.inputs:SnapshotHeap",
        help="Count what lives in a running service's memory: types and sizes, never values.",
        example="nself billing heap-snapshot --service worker",
    ),
)
