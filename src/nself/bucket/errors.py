"""How the object store fails."""

from __future__ import annotations

from nself.core.errors import Conflict, Denied, NotFound, Unavailable

TRY = "nself billing usage archives --check"


class ExtraMissing(Unavailable):
    code, guide = "archive_extra_missing", "8.2"
    text = "{module} is not installed, which archives need: pip install 'nself-billing[archive]'"
    hints = ("nself billing usage archives",)


class BucketNotSet(Conflict):
    code, guide = "archive_not_configured", "8.2"
    text = "There is no archive yet: ARCHIVE_S3_BUCKET is not set"
    hints = (
        "nself env set ARCHIVE_S3_BUCKET=my-billing-archive",
        "nself env set ARCHIVE_S3_ACCESS_KEY_ID --stdin",
        "nself env set ARCHIVE_S3_SECRET_ACCESS_KEY --stdin",
        TRY,
    )


class NoSuchBucket(NotFound):
    code, guide = "no_such_bucket", "8.2"
    text = "The archive's bucket {bucket} does not exist at {endpoint}"
    hints = ("nself env get ARCHIVE_S3_BUCKET", "nself env get ARCHIVE_S3_ENDPOINT", TRY)


class BucketRefused(Denied):
    code, guide = "archive_refused", "8.2"
    text = "{endpoint} refuses access to the archive's bucket {bucket}: {detail}"
    hints = (
        "nself env set ARCHIVE_S3_ACCESS_KEY_ID --stdin",
        "nself env set ARCHIVE_S3_SECRET_ACCESS_KEY --stdin",
        "nself env get ARCHIVE_S3_REGION",
        TRY,
    )


class BucketFull(Unavailable):
    code, guide = "archive_full", "8.2"
    text = "{endpoint} has no room left in the archive's bucket {bucket}: {detail}"
    hints = (TRY,)


class BucketAway(Unavailable):
    code, guide = "archive_unreachable", "8.2"
    text = "{endpoint} does not answer for the archive's bucket {bucket}: {detail}"
    hints = ("nself env get ARCHIVE_S3_ENDPOINT", TRY)


class ObjectMissing(NotFound):
    code, guide = "archive_object_missing", "2.4"
    text = "An object of the archive is gone: {location}"
    hints = (TRY,)


class ObjectDamaged(Conflict):
    code, guide = "archive_damaged", "2.4"
    text = "An object of the archive is not what was written: {location}: {detail}; nothing was restored from it"
    hints = (TRY,)
