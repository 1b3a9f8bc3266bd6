"""Periods are half-open, follow each other without a gap, and begin where BILLING_TIMEZONE says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering import short, steady
from nself.core import period
from nself.core.errors import InvalidParameter
from nself.core.period import Unit

UTC_ZONE = ZoneInfo("UTC")
BERLIN = ZoneInfo("Europe/Berlin")
ZONES = st.sampled_from(
    sorted(name for name in available_timezones() if "/" in name and not name.startswith(("posix", "right")))
)
INSTANTS = st.datetimes(datetime(1971, 1, 1), datetime(2037, 12, 1), timezones=st.just(UTC))
UNITS: list[Unit] = ["hour", "day", "week", "month", "year"]


@steady(400)
@given(INSTANTS, st.sampled_from(UNITS), ZONES)
def test_a_period_holds_its_instants_and_the_next_begins_where_it_ends(at: datetime, unit: Unit, name: str) -> None:
    tz = ZoneInfo(name)
    found = period.containing(at, unit, tz)
    assert found.start <= at < found.end
    assert period.containing(found.start, unit, tz) == found
    assert period.containing(found.end - timedelta(microseconds=1), unit, tz) == found
    assert period.containing(found.end, unit, tz).start == found.end


@steady(100)
@given(INSTANTS, ZONES)
def test_a_written_month_is_the_one_that_contains_its_instants(at: datetime, name: str) -> None:
    tz = ZoneInfo(name)
    assert period.month(f"{at.astimezone(tz):%Y-%m}", tz) == period.containing(at, "month", tz)


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Europe/Berlin", "2026-03-29", 23),
        ("Europe/Berlin", "2026-10-25", 25),
        ("Australia/Lord_Howe", "2026-04-05", 24.5),
        ("Australia/Lord_Howe", "2026-10-04", 23.5),
        ("America/Havana", "2026-03-08", 23),  # midnight itself is left out
        ("America/Havana", "2026-11-01", 25),  # midnight comes twice
        ("Asia/Kolkata", "2026-03-29", 24),
    ],
)
def test_a_day_is_as_long_as_its_zone_makes_it(zone: str, day: str, hours: float) -> None:
    tz = ZoneInfo(zone)
    noon = period.instant(f"{day} 12:00:00", tz)
    found = period.containing(noon, "day", tz)
    assert found.end - found.start == timedelta(hours=hours)
    assert {
        moment.astimezone(tz).date().isoformat() for moment in (found.start, found.end - timedelta(microseconds=1))
    } == {day}


def test_months_of_a_zone_begin_at_its_midnight() -> None:
    assert period.month("2026-07", BERLIN) == (
        datetime(2026, 6, 30, 22, tzinfo=UTC),
        datetime(2026, 7, 31, 22, tzinfo=UTC),
    )
    assert period.month("2026-12", ZoneInfo("Asia/Kolkata")).end == datetime(2026, 12, 31, 18, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    "text", ["", "2026", "2026-1", "2026-00", "2026-13", "2026-01-01", "9999-12", "1969-12", "２０２６-01", "2026-01\n"]
)
def test_what_is_no_month_is_refused(text: str) -> None:
    with pytest.raises(InvalidParameter, match="Invalid period"):
        period.month(text, BERLIN)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("2026-01-15", "2026-01-14T23:00:00Z"),
        ("2026-07-15", "2026-07-14T22:00:00Z"),
        ("2026-01-15 10:00:00", "2026-01-15T09:00:00Z"),
        ("2026-01-15T10:00:00Z", "2026-01-15T10:00:00Z"),
        ("2026-01-15T10:00:00.123456-05:30", "2026-01-15T15:30:00.123456Z"),
        ("2026-10-25 02:30:00", "2026-10-25T00:30:00Z"),  # comes twice: the first
        ("2026-03-29 02:30:00", "2026-03-29T01:30:00Z"),  # never comes
    ],
)
def test_an_instant_without_a_zone_is_the_projects(text: str, wanted: str) -> None:
    assert period.instant(text, BERLIN) == datetime.fromisoformat(wanted)


def test_a_date_as_an_end_means_through_that_day() -> None:
    assert period.instant("2026-01-31", UTC_ZONE, end=True) == datetime(2026, 2, 1, tzinfo=UTC)
    assert period.instant("2026-01-31T00:00:00Z", UTC_ZONE, end=True) == datetime(2026, 1, 31, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x" * 10_000,
        "2026-02-30",
        "15/01/2026",
        "1770000000000",
        "0001-01-01T00:00+23:00",
        "9999-12-31",
        "now",
        "2026-01-15T10:00:00Z\0",
    ],
    ids=short,
)
def test_what_is_no_instant_is_refused_in_few_words(text: str) -> None:
    with pytest.raises(InvalidParameter) as caught:
        period.instant(text, ZoneInfo("America/Los_Angeles"), end=True)
    assert caught.value.message.startswith("Invalid date: ")
    assert len(caught.value.message) < 200


@pytest.mark.parametrize("name", ["", "Mars/Olympus", "../../etc/passwd", "Europe", "\0"])
def test_what_is_no_zone_is_refused(name: str) -> None:
    with pytest.raises(InvalidParameter, match="No such time zone"):
        period.zone(name)
