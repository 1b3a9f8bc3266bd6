"""Errors of metering."""

from __future__ import annotations

from nself.core.errors import Conflict, Invalid, NotFound

MAX_VALUE = 10**15
MAX_KEY = 255
MAX_NAME = 255


class ValueOutOfRange(Invalid):
    code, guide, param = "value_out_of_range", "2.1", "value"
    text = f"Invalid value: {{value}} (0 to {MAX_VALUE})"


class BadKey(Invalid):
    code, guide, param = "key_invalid", "2.3", "key"
    text = f"Invalid key: 1 to {MAX_KEY} printable characters are needed"


class BadTime(Invalid):
    code, guide, param = "timestamp_out_of_range", "2.4", "at"
    text = "Invalid time: {at} ({detail})"


class KeyReused(Conflict):
    code, type, guide, param = "idempotency_error", "idempotency_error", "10.6", "key"
    text = "Keys for idempotent requests can only be used with the same parameters they were first used with: {key}"


class UnreadableEvent(Invalid):
    code = "unreadable_event"
    text = "Invalid usage event: {detail}"
    hints = ("nself billing usage record --help",)


class BatchTooLarge(Invalid):
    status = 413
    code = "batch_too_large"
    text = "{count} usage events in one request; the most is {limit}"
    hints = ("nself env get USAGE_MAX_BATCH",)


class NothingDamaged(Conflict):
    code, guide, param = "buffer_sound", "2.4", "segment"
    text = "{what} of the usage buffer is not damaged; nothing was skipped"
    hints = ("nself billing usage collector-status",)


class NoSuchFile(NotFound):
    code, param = "no_such_file", "file"
    text = "No such file: {path}"


class UnreadableImport(Invalid):
    code, param = "unreadable_import", "file"
    text = "{path} cannot be imported: {detail}"
    hints = ("nself billing usage import --help",)


class ImportDiffers(Conflict):
    code, param = "import_differs", "file"
    text = "{path} begins like {other}, but is not the same up to byte {position}, where the import of that file stands; nothing was imported"
    hints = ("nself billing usage import {path} --origin NAME",)


class EventsArchived(Conflict):
    code, guide, param = "usage_archived", "2.4", "key"
    text = "Raw events of {month} are in the archive, and this needs them; nothing was changed"
    hints = ("nself billing usage restore --month {month} --execute",)
