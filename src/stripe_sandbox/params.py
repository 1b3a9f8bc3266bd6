"""Parameters, declared once: each kind reads a raw form value or refuses it in Stripe's words."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Protocol

from stripe_sandbox.currencies import CURRENCIES
from stripe_sandbox.errors import InvalidParameters, unsupported
from stripe_sandbox.forms import Raw
from stripe_sandbox.surface import knows_value

_INTEGER = re.compile(r"-?\d{1,18}\Z")
_DECIMAL = re.compile(r"-?\d+(\.\d{1,12})?\Z")
_LARGEST_TIMESTAMP = 253402300799


class Reading:
    """The reading of one call's parameters. Names that no declaration knows are refused together, at the end."""

    def __init__(self, operation: str) -> None:
        self.operation = operation
        self.unknown: list[str] = []


class Kind(Protocol):
    def read(self, raw: Raw, at: str, reading: Reading) -> Any: ...


def _string(raw: Raw, at: str) -> str:
    if not isinstance(raw, str):
        raise InvalidParameters("Invalid string: must be a string, not an object or array", param=at)
    return raw


@dataclass(frozen=True)
class Text:
    maximum: int = 5000

    def read(self, raw: Raw, at: str, reading: Reading) -> str:
        text = _string(raw, at)
        if text == "":
            raise InvalidParameters(
                f"You passed an empty string for '{at}'. We assume empty values are an attempt to unset a"
                f" parameter; however '{at}' cannot be unset. You should remove '{at}' from your request or"
                " supply a non-empty value.",
                code="parameter_invalid_empty",
                param=at,
            )
        if len(text) > self.maximum:
            raise InvalidParameters(
                f"Invalid string: {text[:12]}...{text[-6:]}; must be at most {self.maximum} characters",
                param=at,
            )
        return text


@dataclass(frozen=True)
class Integer:
    minimum: int | None = None
    maximum: int | None = None

    def read(self, raw: Raw, at: str, reading: Reading) -> int:
        text = _string(raw, at)
        if not _INTEGER.match(text):
            raise InvalidParameters(f"Invalid integer: {text}", code="parameter_invalid_integer", param=at)
        value = int(text)
        for bound, wrong, words in (
            (self.minimum, self.minimum is not None and value < self.minimum, "greater"),
            (self.maximum, self.maximum is not None and value > self.maximum, "less"),
        ):
            if wrong:
                raise InvalidParameters(
                    f"This value must be {words} than or equal to {bound}.",
                    code="parameter_invalid_integer",
                    param=at,
                )
        return value


def Timestamp() -> Integer:
    return Integer(0, _LARGEST_TIMESTAMP)


@dataclass(frozen=True)
class Boolean:
    def read(self, raw: Raw, at: str, reading: Reading) -> bool:
        text = _string(raw, at)
        if text not in ("true", "false"):
            raise InvalidParameters(f"Invalid boolean: {text}", param=at)
        return text == "true"


@dataclass(frozen=True)
class Number:
    """A decimal with at most twelve places, kept as a decimal and never as a float."""

    minimum: Decimal | None = None

    def read(self, raw: Raw, at: str, reading: Reading) -> Decimal:
        text = _string(raw, at)
        if not _DECIMAL.match(text):
            raise InvalidParameters(f"Invalid decimal: {text}; must contain at maximum 12 decimal places.", param=at)
        value = Decimal(text)
        if self.minimum is not None and value < self.minimum:
            raise InvalidParameters(f"This value must be greater than or equal to {self.minimum}.", param=at)
        return value


@dataclass(frozen=True)
class Percent:
    """A percentage from 0 to 100 with at most four places, kept as a decimal."""

    def read(self, raw: Raw, at: str, reading: Reading) -> Decimal:
        text = _string(raw, at)
        if not re.fullmatch(r"\d{1,3}(\.\d{1,4})?", text) or Decimal(text) > 100:
            raise InvalidParameters(
                f"Invalid percentage: {text}; must be from 0 to 100 with at most 4 decimal places.", param=at
            )
        return Decimal(text)


class Choice:
    """One of the values that this sandbox has; what else Stripe knows is unsupported, the rest is wrong."""

    def __init__(self, *values: str) -> None:
        self.values = values

    def read(self, raw: Raw, at: str, reading: Reading) -> str:
        text = _string(raw, at)
        if text not in self.values:
            if knows_value(reading.operation, at, text):
                raise unsupported(f"{at}={text}")
            *most, last = self.values
            allowed = f"{', '.join(most)} or {last}" if most else last
            raise InvalidParameters(f"Invalid {at}: must be one of {allowed}", param=at)
        return text


@dataclass(frozen=True)
class Currency:
    def read(self, raw: Raw, at: str, reading: Reading) -> str:
        text = _string(raw, at).lower()
        if text not in CURRENCIES:
            raise InvalidParameters(
                f"Invalid currency: {text}. Stripe currently supports these currencies:"
                f" {', '.join(sorted(CURRENCIES))}",
                param=at,
            )
        return text


@dataclass(frozen=True)
class Clearable:
    """An empty string unsets the value."""

    kind: Kind

    def read(self, raw: Raw, at: str, reading: Reading) -> Any:
        return None if raw == "" else self.kind.read(raw, at, reading)


@dataclass(frozen=True)
class MetadataPatch:
    """An empty value removes its key; no patch at all (an empty string was sent) removes every key."""

    values: Mapping[str, str] | None

    def applied_to(self, current: Mapping[str, str]) -> dict[str, str]:
        if self.values is None:
            return {}
        return {key: value for key, value in {**current, **self.values}.items() if value != ""}


@dataclass(frozen=True)
class Metadata:
    def read(self, raw: Raw, at: str, reading: Reading) -> MetadataPatch:
        if raw == "":
            return MetadataPatch(None)
        if isinstance(raw, str):
            raise InvalidParameters("Invalid object", param=at)
        if len(raw) > 50:
            raise InvalidParameters("You can only specify up to 50 metadata keys.", param=at)
        patch: dict[str, str] = {}
        for key, value in raw.items():
            text = _string(value, f"{at}[{key}]")
            if len(key) > 40:
                raise InvalidParameters(
                    f"Metadata keys can be up to 40 characters long. The key '{key}' is {len(key)}.", param=at
                )
            if len(text) > 500:
                raise InvalidParameters(
                    f"Metadata values can have up to 500 characters, but you passed in a value that is"
                    f" {len(text)} characters. Invalid value: {text[:40]}...",
                    param=f"{at}[{key}]",
                )
            patch[key] = text
        return MetadataPatch(patch)


@dataclass(frozen=True)
class Items:
    """An array; its indices come in any order and count from anywhere."""

    kind: Kind
    maximum: int = 1000

    def read(self, raw: Raw, at: str, reading: Reading) -> list[Any]:
        if isinstance(raw, str) or not all(key.isdecimal() for key in raw):
            raise InvalidParameters("Invalid array", param=at)
        if len(raw) > self.maximum:
            raise InvalidParameters(f"Array {at} can have at most {self.maximum} elements.", param=at)
        return [self.kind.read(raw[key], f"{at}[{key}]", reading) for key in sorted(raw, key=int)]


@dataclass(frozen=True)
class Range:
    """`created=1` or `created[gte]=1`."""

    def read(self, raw: Raw, at: str, reading: Reading) -> dict[str, int]:
        if isinstance(raw, str):
            return {"eq": Timestamp().read(raw, at, reading)}
        return _RANGE.read(raw, at, reading)


@dataclass(frozen=True)
class Shape:
    """An object with named members; `required` ones must be there."""

    members: Mapping[str, Kind]
    required: tuple[str, ...] = ()
    defaults: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def read(self, raw: Raw, at: str, reading: Reading) -> dict[str, Any]:
        if isinstance(raw, str):
            raise InvalidParameters("Invalid object", param=at)
        values: dict[str, Any] = dict(self.defaults)
        for name, value in raw.items():
            path = f"{at}[{name}]" if at else name
            kind = self.members.get(name)
            if kind is None:
                reading.unknown.append(path)
            else:
                values[name] = kind.read(value, path, reading)
        for name in self.required:
            if name not in raw and not reading.unknown:
                path = f"{at}[{name}]" if at else name
                raise InvalidParameters(f"Missing required param: {path}.", code="parameter_missing", param=path)
        return values


_RANGE = Shape({bound: Timestamp() for bound in ("gt", "gte", "lt", "lte")})
