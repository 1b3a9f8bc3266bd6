"""How metrics are metered: the versions of usage-metrics.yml, and what they make of an event. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache
from itertools import chain
from typing import Any, cast
from zoneinfo import ZoneInfo

import msgspec

from nself.core import period
from nself.domains.catalog.model import (
    Condition,
    FilteredOut,
    Metered,
    Metric,
    MetricFile,
    MetricNotInForce,
    PropertyInvalid,
    PropertyMissing,
    Validation,
    ValueNotAllowed,
)
from nself.domains.catalog.rating import in_force

NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
LONGEST = 255
"""Characters of a text that is counted or grouped by."""
_encode = msgspec.json.Encoder(order="deterministic").encode
COMPARISONS = {"above": ">", "at_least": ">=", "below": "<", "at_most": "<="}


# ---- The file ----


@lru_cache(maxsize=8)
def metered(file: MetricFile) -> dict[str, Metered]:
    """Each metric's versions. Raises ValueError with words that name metric, version and field."""
    return {name: _metered(name, given) for name, given in file.metrics.items()}


def _metered(name: str, given: object) -> Metered:
    where = f"metric {name!r}"
    if not NAME.fullmatch(name):
        raise ValueError(f"{where}: a name is written in lower case letters, digits and _, at most 63")
    if not isinstance(given, list):
        only = _version(where, given)
        if only.start is not None:
            raise ValueError(f"{where}, from: a day of beginning stands in a list of versions")
        return Metered((only,), not (only.field or only.filter or only.group_by or only.validation != Validation()))
    found: list[Metric] = []
    for number, one in enumerate(cast("list[object]", given), 1):
        version = _version(f"{where}, version {number}", one)
        place = f"{where}, version {number}" + (f" from {version.start}" if version.start else "")
        if version.start is None:
            raise ValueError(f"{place}, from: the day is missing from which it is in force")
        if found and version.start <= (found[-1].start or version.start):
            raise ValueError(f"{place}, from: versions stand in order of their days, one a day")
        found.append(version)
    if not found:
        raise ValueError(f"{where}: the list has no version")
    return Metered(tuple(found), False)


def _version(where: str, given: object) -> Metric:
    try:
        version = msgspec.convert(given, Metric)
    except msgspec.ValidationError as error:
        detail, _, place = str(error).partition(" - at `$")
        field = place.strip(".`").replace("[...]", "").replace(".", ", ")
        raise ValueError(f"{where}{field and ', '}{field}: {detail}") from error
    if version.aggregation == "time-weighted":
        version = msgspec.structs.replace(version, aggregation="time_weighted")
    fault = next(chain(_faults(version), _filter_faults(version), _validation_faults(version.validation)), None)
    if fault:
        raise ValueError(f"{where}{f' from {version.start}' if version.start else ''}, {fault}")
    return version


def _faults(version: Metric) -> Iterator[str]:
    if not version.unit:
        yield "unit: it is empty"
    if (version.aggregation == "unique") != (version.field is not None):
        yield "field: unique, and only unique, names the property whose values are counted"
    for field, names in (("field", [version.field or "x"]), ("group_by", version.group_by)):
        if any(not name or "\0" in name for name in names):
            yield f"{field}: a property has a name"
    if len(set(version.group_by)) < len(version.group_by):
        yield "group_by: a property stands there twice"


def _filter_faults(version: Metric) -> Iterator[str]:
    for name, condition in version.filter.items():
        values = condition.one_of if condition.one_of is not None else []
        given = [condition.equals, *values] if condition.equals is not msgspec.UNSET else values
        if condition == Condition():
            yield f"filter, {name}: it says nothing"
        if condition.one_of == []:
            yield f"filter, {name}, one_of: the list is empty"
        if any(_scalar(one) is None for one in given):
            yield f"filter, {name}: a text, a number, true or false is compared with"
        if any(not bound.is_finite() for _, bound in _bounds(condition)):
            yield f"filter, {name}: a bound is a number"
        if condition.exists is False and (given or list(_bounds(condition))):
            yield f"filter, {name}, exists: what is not there is not compared"


def _validation_faults(rule: Validation) -> Iterator[str]:
    if not rule.integer:
        yield "validation, integer: values are always whole numbers"
    if rule.min is not None and rule.max is not None and rule.min > rule.max:
        yield "validation, min: it is above max"
    for name, values in rule.allowed.items():
        if not values or any(_scalar(one) is None for one in values):
            yield f"validation, allowed, {name}: texts, numbers, true or false stand there"


# ---- Which version ----


def of(metered: Metered, at: datetime, tz: ZoneInfo) -> Metric | None:
    """The version that was in force when the billing period (the month in `tz`) of `at` began, or None."""
    if metered.versions[0].start is None:
        return metered.versions[0]
    return in_force(metered.versions, first_day(at, tz))


def first_day(at: datetime, tz: ZoneInfo) -> date:
    return period.containing(at, "month", tz).start.astimezone(tz).date()


def shown(metered: Metered, at: datetime, tz: ZoneInfo) -> Metric:
    """The same for reading: before the first version there are no events, and the first speaks."""
    return of(metered, at, tz) or metered.versions[0]


# ---- An event ----


def admit(
    name: str, metered: Metered, at: datetime, tz: ZoneInfo, value: int, properties: Mapping[str, Any]
) -> str | None:
    """What is kept of an event's properties for counting and grouping, as JSON.

    Raises MetricNotInForce, FilteredOut, PropertyMissing, PropertyInvalid, ValueNotAllowed.
    """
    metric = of(metered, at, tz)
    if metric is None:
        raise MetricNotInForce(metric=name, day=metered.versions[0].start)
    for known, condition in metric.filter.items():
        if not holds(condition, properties.get(known)):
            raise FilteredOut(metric=name, property=known, condition=condition_text(condition))
    _validate(name, metric.validation, value, properties)
    kept: dict[str, object] = {}
    for known in filter(None, (metric.field, *metric.group_by)):
        found = properties.get(known)
        if found is not None:
            kept[known] = _kept(name, known, found)
        elif known == metric.field:
            raise PropertyMissing(metric=name, property=known)
    return _encode(kept).decode() if kept else None


def _validate(name: str, rule: Validation, value: int, properties: Mapping[str, Any]) -> None:
    if rule.positive and value < 1:
        raise ValueNotAllowed(metric=name, value=value, detail="it must be positive")
    if rule.min is not None and value < rule.min:
        raise ValueNotAllowed(metric=name, value=value, detail=f"the least is {rule.min}")
    if rule.max is not None and value > rule.max:
        raise ValueNotAllowed(metric=name, value=value, detail=f"the most is {rule.max}")
    for known in rule.required:
        if properties.get(known) is None:
            raise PropertyMissing(metric=name, property=known)
    for known, allowed in rule.allowed.items():
        found = properties.get(known)
        if found is not None and not _among(found, allowed):
            detail = f"{_text(found)} is none of {', '.join(map(_text, allowed))}"
            raise PropertyInvalid(metric=name, property=known, detail=detail)


def _kept(name: str, known: str, found: object) -> object:
    scalar = _scalar(found)
    if scalar is None:
        raise PropertyInvalid(metric=name, property=known, detail="a text, a number, true or false is needed")
    if isinstance(found, str) and (len(found) > LONGEST or "\0" in found):
        raise PropertyInvalid(metric=name, property=known, detail=f"at most {LONGEST} characters, none of them NUL")
    _, value = scalar
    if isinstance(value, Decimal):  # 1 and 1.0 are one value
        return int(value) if value == value.to_integral_value() else found
    return value


def holds(condition: Condition, found: object) -> bool:
    """Whether a property meets it; None is not there."""
    if found is None:
        return condition.exists is False
    if condition.exists is False:
        return False
    if condition.equals is not msgspec.UNSET and not _among(found, [condition.equals]):
        return False
    if condition.one_of is not None and not _among(found, condition.one_of):
        return False
    bounds = list(_bounds(condition))
    scalar = _scalar(found)
    if not bounds:
        return True
    if scalar is None or scalar[0] != "number":
        return False
    number = cast("Decimal", scalar[1])
    return all(
        {">": number > bound, ">=": number >= bound, "<": number < bound, "<=": number <= bound}[sign]
        for sign, bound in bounds
    )


def _bounds(condition: Condition) -> Iterator[tuple[str, Decimal]]:
    for field, sign in COMPARISONS.items():
        bound = getattr(condition, field)
        if bound is not None:
            yield sign, bound


def _scalar(value: object) -> tuple[str, object] | None:
    """Kind and value of a text, number, true or false: numbers as the decimals that were written."""
    if isinstance(value, bool):
        return "bool", value
    if isinstance(value, str):
        return "text", value
    number = Decimal(str(value)) if type(value).__name__ in ("int", "float", "Decimal") else None
    return ("number", number) if number is not None and number.is_finite() else None


def _among(found: object, values: Sequence[object]) -> bool:
    scalar = _scalar(found)
    return scalar is not None and any(_scalar(one) == scalar for one in values)


# ---- In words ----


def _text(value: object) -> str:
    return _encode(value).decode()[:LONGEST]


def condition_text(condition: Condition) -> str:
    """`"eu"`, `one of 1, 2`, `there`, `>= 200 and < 300`."""
    parts: list[str] = []
    if condition.equals is not msgspec.UNSET:
        parts.append(_text(condition.equals))
    if condition.one_of is not None:
        parts.append(f"one of {', '.join(map(_text, condition.one_of))}")
    if condition.exists is not None:
        parts.append("there" if condition.exists else "not there")
    return " and ".join([*parts, *(f"{sign} {bound:f}" for sign, bound in _bounds(condition))])


def filter_text(metric: Metric) -> str:
    """All conditions in one line."""
    return (
        "; ".join(f"{name} is {condition_text(one)}" for name, one in metric.filter.items())
        or "none: every event counts"
    )


def validation_text(metric: Metric) -> str:
    """All rules in one line."""
    rule = metric.validation
    parts = [f"value >= {rule.min}"] if rule.min is not None else []
    parts += [f"value <= {rule.max}"] if rule.max is not None else []
    parts += ["value >= 1"] if rule.positive else []
    parts += [f"{name} is there" for name in rule.required]
    parts += [f"{metric.field} is there"] if metric.field and metric.field not in rule.required else []
    parts += [f"{name} is one of {', '.join(map(_text, values))}" for name, values in rule.allowed.items()]
    return "; ".join(parts) or "none but a whole value from 0 on"
