"""Decides when maintenance ends and how programs are meant. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta, tzinfo
from pathlib import Path

from nself.core.errors import InvalidParameter
from nself.core.settings import seconds
from nself.domains.operation.model import Maintenance

SYSTEM_CONF = "/etc/nginx/nginx.conf"


def ends(given: str, now: datetime, zone: tzinfo) -> datetime:
    """An instant after `now`: an ISO time (in `zone` unless it says another), or a duration from now. Raises InvalidParameter."""
    text = given.strip()
    try:
        found = datetime.fromisoformat(text)
        at = found if found.tzinfo else found.replace(tzinfo=zone)
    except ValueError:
        try:
            at = now + timedelta(seconds=seconds(text))
        except (ValueError, OverflowError) as error:
            raise InvalidParameter(f"{given!r} is not a time: 2026-01-31T10:00 or 2h is needed", "until") from error
    if at <= now:
        raise InvalidParameter(f"{given} is over", "until")
    return at


def lasting(found: Maintenance | None, now: datetime) -> Maintenance | None:
    return None if found and found.until and found.until <= now else found


def is_reload(command: list[str]) -> bool:
    """`nginx -s reload`."""
    return any(
        one == "-sreload" or (one == "-s" and "reload" in command[at + 1 :][:1]) for at, one in enumerate(command)
    )


def nginx_command(command: list[str], configuration: str, arguments: list[str]) -> list[str]:
    """A command as the service nginx means it: its configuration is the project's, wherever it is looked for."""
    program, *rest = (configuration if one == SYSTEM_CONF else one for one in command)
    return [program, *arguments, *rest] if is_nginx(command) else [program, *rest]


def is_nginx(command: list[str]) -> bool:
    return Path(command[0]).name == "nginx"
