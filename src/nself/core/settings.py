"""What settings say, and what is wrong with them. Pure: the rows are in `core.declared`, reading files is in `nself.config`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from nself.core.declared import DECLARED, YEAR, Setting
from nself.core.errors import Invalid, NotFound
from nself.core.roles import by_login

TRUE, FALSE = frozenset({"true", "1", "yes", "on"}), frozenset({"false", "0", "no", "off", ""})
DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|)")
SIZE = re.compile(r"(\d+)\s*([KMGT]?)(?:i?B)?", re.IGNORECASE)
SECONDS = {"ms": 0.001, "": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
FACTOR = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
SHARE = "a share above 0 and up to 1 is needed, like 0.8"


class NoSuchSetting(NotFound):
    code, text = "no_such_setting", "No such setting: {name}{meant}"
    hints = ("nself env list",)


class InvalidSetting(Invalid):
    """Over HTTP whoever sent a request is not at fault: it is to be sent again."""

    status, type = 503, "api_error"
    code, text = "invalid_setting", "{name} is {value!r}: {wanted} (from {origin})"
    hints = ("nself env get {name}", "nself env unset {name}")


class Value(NamedTuple):
    """A setting's text with the place it came from, and what is odd about it (hidden whitespace, quotes)."""

    text: str
    origin: str
    odd: str | None = None


BY_NAME: Mapping[str, Setting] = {setting.name: setting for setting in DECLARED}
SECRET = re.compile(r"(SECRET|PASSWORD|TOKEN|PRIVATE|API_KEY)|^DATABASE_URL$")


def is_secret(name: str) -> bool:
    """Whether values of `name` belong in `.secrets` and are masked in output."""
    declared = BY_NAME.get(name)
    return declared.kind == "secret" if declared else bool(SECRET.search(name))


def mask(text: str) -> str:
    """Enough of a secret to tell two apart: the prefix and the last four characters."""
    if not text:
        return ""
    prefix = re.match(r"(?:sk|rk|pk)_(?:test|live)_|whsec_|nsk_(?:test|live)_", text)
    return f"{prefix[0] if prefix else ''}***{text[-4:] if len(text) >= 16 else ''}"


def seconds(text: str) -> float:
    """`5m`, `10s`, `250ms`, `24h`, `7d`, bare numbers are seconds. Raises ValueError."""
    found = DURATION.fullmatch(text.strip())
    if not found:
        raise ValueError("a duration like 30s, 5m, 24h or a number of seconds is needed")
    return float(found[1]) * SECONDS[found[2]]


def percents(text: str) -> tuple[int, ...]:
    """`50,80,100`, ascending; none where it is empty. Raises ValueError."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not all(re.fullmatch(r"[0-9]{1,4}", part) and 0 < int(part) <= 1000 for part in parts):
        raise ValueError("percents from 1 to 1000 are needed, like 50,80,100")
    return tuple(sorted({int(part) for part in parts}))


def amounts(text: str, currency: str) -> dict[str, int]:
    """Minor units by currency: `50` is of `currency`, `usd:50,eur:50` name theirs. Raises ValueError."""
    found: dict[str, int] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        given = re.fullmatch(r"(?:([A-Za-z]{3}):)?([0-9]{1,8})", part)
        code = (given[1] or currency).lower() if given else ""
        if not given or code in found:
            raise ValueError("minor units are needed, each currency once, like 50 or usd:50,eur:50,jpy:50")
        found[code] = int(given[2])
    return found


def networks(text: str) -> tuple[IPv4Network | IPv6Network, ...]:
    """`10.0.0.0/8, 54.187.174.169`. Raises ValueError."""
    return tuple(ip_network(one.strip()) for one in text.split(",") if one.strip())


def size(text: str) -> int:
    """`512M`, `2G`, `64K`, bare numbers are bytes. Raises ValueError."""
    found = SIZE.fullmatch(text.strip())
    if not found:
        raise ValueError("a size like 512M, 2G or a number of bytes is needed")
    return int(found[1]) * FACTOR[found[2].upper()]


def wrong(setting: Setting, text: str) -> str | None:
    """What is wrong with `text` as a value of `setting`, in words, or None."""
    try:
        match setting.kind:
            case "integer":
                if not re.fullmatch(r"-?\d{1,18}", text):
                    return "a whole number is needed"
                if setting.minimum is not None and int(text) < setting.minimum:
                    return f"{setting.minimum} or more is needed"
                if setting.maximum is not None and int(text) > setting.maximum:
                    return f"{setting.maximum} or less is needed"
            case "flag":
                if text.lower() not in TRUE | FALSE:
                    return "true or false is needed"
            case "duration":
                return _too_much(setting, seconds(text))
            case "size":
                return _too_much(setting, size(text))
            case "percents":
                percents(text)
            case "amounts":
                amounts(text, "usd")
            case "networks":
                networks(text)
            case "roles":
                by_login(text)
            case "url":
                if text and not re.fullmatch(r"https?://[^/?#\s]+\S*", text):
                    return "an address like https://example.com/path is needed"
            case "share":
                if not (Decimal(text).is_finite() and 0 < Decimal(text) <= 1):
                    return SHARE
            case "choice":
                if text not in setting.choices:
                    return f"one of {', '.join(setting.choices)} is needed"
            case "zone":
                ZoneInfo(text)
            case "currency":
                if not re.fullmatch(r"[A-Za-z]{3}", text):
                    return "a currency's three letters are needed, like usd"
            case "text" | "secret":
                return None
    except (ZoneInfoNotFoundError, OSError):
        return "a time zone like UTC or Europe/Berlin is needed"
    except ValueError as error:
        return "a time zone like UTC or Europe/Berlin is needed" if setting.kind == "zone" else str(error)
    except InvalidOperation:
        return SHARE
    return None


def _too_much(setting: Setting, found: float) -> str | None:
    if found == 0 and not setting.zero:
        return "more than 0 is needed"
    most = setting.maximum or YEAR
    if setting.kind == "duration" and found > most:
        return f"{most // 86_400} days or less are needed"
    return None


USUAL_MOCK = tuple(f"http://{host}:{BY_NAME['STRIPE_MOCK_PORT'].default}" for host in ("localhost", "127.0.0.1"))


class Settings:
    """Resolved settings: each value knows its origin; typed access refuses nonsense by name."""

    def __init__(self, layers: Iterable[Mapping[str, Value]], notes: Iterable[str] = ()) -> None:
        """`layers` from weakest to strongest; declared defaults lie below all of them. `notes`: what could not be read."""
        self.notes = tuple(notes)
        self.values: dict[str, Value] = {one.name: Value(one.default, "default") for one in DECLARED}
        for layer in layers:
            self.values.update(layer)

    def value(self, name: str) -> Value:
        return self.values[name]

    def text(self, name: str) -> str:
        """The checked text of a declared setting."""
        setting, value = BY_NAME[name], self.values[name]
        complaint = wrong(setting, value.text)
        if complaint:
            shown = mask(value.text) if is_secret(name) else value.text
            raise InvalidSetting(name=name, value=shown, wanted=complaint, origin=value.origin)
        return value.text

    def integer(self, name: str) -> int:
        return int(self.text(name))

    def flag(self, name: str) -> bool:
        return self.text(name).lower() in TRUE

    def seconds(self, name: str) -> float:
        return seconds(self.text(name))

    def percents(self, name: str) -> tuple[int, ...]:
        return percents(self.text(name))

    def amounts(self, name: str) -> dict[str, int]:
        """Minor units by currency."""
        return amounts(self.text(name), self.text("BILLING_CURRENCY"))

    def networks(self, name: str) -> tuple[IPv4Network | IPv6Network, ...]:
        return networks(self.text(name))

    def bytes(self, name: str) -> int:
        return size(self.text(name))

    def decimal(self, name: str) -> Decimal:
        return Decimal(self.text(name))

    def secrets(self, name: str) -> tuple[str, ...]:
        """A comma separated list of secrets, blanks stripped."""
        return tuple(part.strip() for part in self.text(name).split(",") if part.strip())

    @property
    def live(self) -> bool:
        return self.text("STRIPE_MODE") == "live"

    @property
    def public_url(self) -> str:
        """Where browsers reach the HTTP service, without a slash at its end."""
        return self.text("BILLING_PUBLIC_URL").rstrip("/") or f"http://127.0.0.1:{self.integer('BILLING_PORT')}"

    @property
    def stripe_api_base(self) -> str:
        """Where calls go: the sandbox when it is enabled; a trailing `/v1` is dropped.

        Guides write the sandbox's usual address: while it is enabled that is the sandbox, wherever it listens.
        """
        given = self.value("STRIPE_API_BASE")
        base = given.text.rstrip("/").removesuffix("/v1").rstrip("/")
        if self.flag("STRIPE_MOCK_ENABLED") and (given.origin == "default" or base in USUAL_MOCK):
            return f"http://127.0.0.1:{self.integer('STRIPE_MOCK_PORT')}"
        return base
