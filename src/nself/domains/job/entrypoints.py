"""Ways into scheduled work."""

from nself.core.entrypoint import Command, Row, Scheduled

ROWS: tuple[Row, ...] = (
    Command(
        path="billing jobs list",
        use="job.service:list_jobs",
        input="job.inputs:ListJobs",
        help="Show scheduled work: what is queued, runs, is stuck, failed or was done.",
        example="nself billing jobs list --status stuck",
    ),
    Command(
        path="billing jobs clear",
        use="job.service:clear",
        input="job.inputs:ClearJobs",
        help="Queue stuck or failed work anew; a job whose worker still beats is left alone.",
        example="nself billing jobs clear --type quota_reset --status failed",
        audited=True,
    ),
    Command(
        path="billing jobs operations",
        use="job.service:list_operations",
        input="job.inputs:ListOperations",
        help="Show long work that was left to the worker (BILLING_ASYNC_OPERATIONS), and what came of it.",
        example="nself billing jobs operations",
    ),
    Scheduled(
        type="operations",
        use="job.service:perform_operations",
        every="30s",
        help="Does long work that somebody asked for, one at a time, in order.",
        long=True,
    ),
)
