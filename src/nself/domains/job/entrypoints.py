"""Ways into scheduled work."""

from nself.core.entrypoint import Command, Row

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
)
