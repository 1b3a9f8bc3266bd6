"""Structured log lines, one JSON object each; no secret and no card number ever reaches one."""

from __future__ import annotations

import json
import logging
import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

logger = logging.getLogger("nself")

SECRETS = re.compile(
    r"\b((?:sk|rk)_(?:test|live)_|whsec_|nsk_(?:test|live)_)[A-Za-z0-9_]{4,}|(://[^:/@\s]*:)[^@/\s]+(?=@)"
    r"|\b((?:pi|seti)_[A-Za-z0-9]+_secret_)[A-Za-z0-9]+"
)
DIGITS = re.compile(r"(?<![\w.])\d(?:[ -]?\d){12,18}(?![\w.])")


def _luhn(digits: str) -> bool:
    total = 0
    for at, char in enumerate(reversed(digits)):
        value = int(char) * (2 if at % 2 else 1)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def _card(found: re.Match[str]) -> str:
    digits = re.sub(r"\D", "", found[0])
    return "[card number]" if _luhn(digits) else found[0]


def redact(text: str) -> str:
    """`text` without secrets, passwords in URLs and anything that looks like a card number."""
    hidden = SECRETS.sub(lambda found: f"{found[1] or found[2] or found[3]}***", text)
    return DIGITS.sub(_card, hidden)


class JsonFormatter(logging.Formatter):
    """`{"time", "level", "service", "message", …fields}`; the fields come from `extra={"fields": {…}}`."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self.service = service

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "service": self.service,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return redact(json.dumps(line, default=str, ensure_ascii=False))


class _File(logging.FileHandler):
    """Appends to the first of its paths; `webhook…` lines also to `billing-webhooks.log` beside it."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        super().__init__(path, encoding="utf-8", delay=True)


def configure(service: str, level: str, file: Path | None = None, webhooks: Path | None = None) -> None:
    """Lines go to `file`, or to stdout where a supervisor collects them; `webhook…` lines also to `webhooks`."""
    logger.setLevel(level.upper())
    logger.propagate = False
    handlers: list[logging.Handler] = [_File(file) if file else logging.StreamHandler(sys.stdout)]
    if webhooks:
        extra = _File(webhooks)
        extra.addFilter(lambda record: record.getMessage().startswith("webhook"))
        handlers.append(extra)
    for handler in handlers:
        handler.setFormatter(JsonFormatter(service))
    logger.handlers = handlers


def debug(message: str, **fields: object) -> None:
    logger.debug(message, extra={"fields": fields})


def info(message: str, **fields: object) -> None:
    """`message` is one of the tokens that the guide greps for; what varies goes into the fields."""
    logger.info(message, extra={"fields": fields})


def warning(message: str, **fields: object) -> None:
    logger.warning(message, extra={"fields": fields})


def error(message: str, **fields: object) -> None:
    logger.error(message, extra={"fields": fields})


def failure(message: str, **fields: object) -> None:
    """An unexpected exception, with its traceback."""
    logger.exception(message, extra={"fields": fields})
