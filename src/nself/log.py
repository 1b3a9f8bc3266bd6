"""Structured log lines, one JSON object each; no secret and no card number ever reaches one."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from nself.core import acting
from nself.core.redact import redact

logger = logging.getLogger("nself")
# Failures to connect are told by those who wanted a connection; the pool's own lines repeat them.
logging.getLogger("psycopg.pool").setLevel(logging.CRITICAL)

_encode = json.JSONEncoder(default=str, ensure_ascii=False).encode


class JsonFormatter(logging.Formatter):
    """`{"time", "level", "service", "message", …fields}`; the fields come from `extra={"fields": {…}}`. `task` is the id of the
    request, job, event, mail or invoice that the thread was busy with.

    A record is made into a line once, however many handlers write it.
    """

    def __init__(self, service: str) -> None:
        super().__init__()
        self.service = service

    def format(self, record: logging.LogRecord) -> str:
        known: str | None = getattr(record, "line", None)
        if known is None:
            known = record.line = self._line(record)
        return known

    def _line(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC)
            .isoformat(timespec="milliseconds")
            .replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "service": self.service,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if task := acting.task.get():
            line["task"] = task.id
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        many: Sequence[dict[str, Any]] = getattr(record, "many", ({},))
        return redact("\n".join([_encode({**line, **fields}) for fields in many]))


SHARED = Path("/var/log/nself")
"""Where the guide looks for logs; used besides the project's own folder where an operator has made it."""


class _File(logging.FileHandler):
    """Appends; folder and file appear with the first line. Work never fails because a log cannot be written."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, encoding="utf-8", delay=True)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            if self.stream is None:  # pyright: ignore[reportUnnecessaryComparison] -- it is, until the first line
                Path(self.baseFilename).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            super().emit(record)
        except OSError:
            self.handleError(record)

    def close(self) -> None:
        with suppress(OSError):
            super().close()

    def handleError(self, record: logging.LogRecord) -> None:
        """A full disk or a closed folder is told by those whose work it is."""


def _webhook(record: logging.LogRecord) -> bool:
    return record.getMessage().startswith("webhook")


def configure(service: str, level: str, folder: Path) -> None:
    """A service's lines go to stdout, from where its supervisor puts them into `folder`; a command's to `cli.log` there.

    Lines about webhooks go to `billing-webhooks.log` as well.
    """
    close()
    logger.setLevel(level.upper())
    logger.propagate = False
    main = _File(folder / "cli.log") if service == "cli" else logging.StreamHandler(sys.stdout)
    webhooks = [_File(folder / "billing-webhooks.log")]
    everything: list[logging.Handler] = [main]
    if SHARED.is_dir() and os.access(SHARED, os.W_OK):
        everything.append(_File(SHARED / "billing.log"))
        webhooks.append(_File(SHARED / "billing-webhooks.log"))
    for handler in webhooks:
        handler.addFilter(_webhook)
    logger.handlers = [*everything, *webhooks]
    for handler in logger.handlers:
        handler.setFormatter(JsonFormatter(service))


def written() -> bool:
    """Whether a command's lines reach a file."""
    return any(isinstance(one, _File) and os.access(one.baseFilename, os.W_OK) for one in logger.handlers)


def close() -> None:
    """Close the files; lines after this go nowhere."""
    for handler in logger.handlers:
        handler.close()
    logger.handlers = [logging.NullHandler()]


def debug(message: str, **fields: object) -> None:
    logger.debug(message, extra={"fields": fields})


def info(message: str, **fields: object) -> None:
    """`message` is one of the tokens that the guide greps for; what varies goes into the fields."""
    logger.info(message, extra={"fields": fields})


def infos(message: str, many: Sequence[dict[str, object]]) -> None:
    """A line for each, written together."""
    if many:
        logger.info(message, extra={"many": many})


def warning(message: str, **fields: object) -> None:
    logger.warning(message, extra={"fields": fields})


def error(message: str, **fields: object) -> None:
    logger.error(message, extra={"fields": fields})


def failure(message: str, **fields: object) -> None:
    """An unexpected exception, with its traceback."""
    logger.exception(message, extra={"fields": fields})
