"""Keys of the HTTP API against a real database."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Protocol

import psycopg
import pytest

from nself.app import App
from nself.core.errors import Conflict, InvalidParameter
from nself.core.settings import Settings, Value
from nself.domains.api_key import rules, service
from nself.domains.api_key.inputs import CreateApiKey, ListApiKeys, RevokeApiKey
from nself.domains.api_key.model import CreatedApiKey, InsufficientPermissions, NoSuchApiKey, Unauthorized


class Clock(Protocol):
    now: datetime


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:  # pyright: ignore[reportUnusedFunction]
    yield
    service._proven.clear()  # pyright: ignore[reportPrivateUsage]


def make(app: App, scopes: str = "usage:write,quota", name: str = "collector") -> CreatedApiKey:
    return service.create(app, CreateApiKey(name=name, scopes=scopes))


def live(app: App) -> None:
    """Turn the project to live mode."""
    vars(app)["settings"] = Settings([{"STRIPE_MODE": Value("live", ".env")}])


def last_used(app: App) -> datetime | None:
    return service.list_keys(app, ListApiKeys())[0].last_used_at


def test_create_list_revoke(app: App, database: str, clock: Clock) -> None:
    made = make(app, " quota, usage:write ,quota")
    assert re.fullmatch(r"nsk_test_[0-9A-Za-z]{8}_[0-9A-Za-z]{32}", made.key) and f"_{made.id}_" in made.key
    assert made.scopes == ["usage:write", "quota"] and made.mode == "test"
    with psycopg.connect(database) as connection:
        found = connection.execute("select k::text, secret_hash from billing.billing_api_keys k").fetchone()
    assert found and made.key[-32:] not in found[0] and found[1] == rules.digest(made.key[-32:])
    clock.now += timedelta(hours=1)
    second = make(app, "admin", "second")
    assert [row.id for row in service.list_keys(app, ListApiKeys())] == [made.id, second.id]
    assert [row.id for row in service.list_keys(app, ListApiKeys(limit=1))] == [made.id]
    assert [row.id for row in service.list_keys(app, ListApiKeys(after=made.id))] == [second.id]
    first = service.revoke(app, RevokeApiKey(id=made.id))
    clock.now += timedelta(hours=1)
    again = service.revoke(app, RevokeApiKey(id=made.key))
    assert first == again
    assert [row.id for row in service.list_keys(app, ListApiKeys())] == [second.id]
    assert len(service.list_keys(app, ListApiKeys(all=True))) == 2
    with pytest.raises(NoSuchApiKey, match="nobody"):
        service.revoke(app, RevokeApiKey(id="nobody"))


@pytest.mark.parametrize(
    ("name", "scopes", "words"),
    [
        ("n", "", "No scope given"),
        ("n", "usage", "No such scope: usage"),
        ("n", "quota,root", "No such scope: root"),
        (" ", "quota", "Invalid name"),
        ("x" * 101, "quota", "Invalid name"),
        ("a\nb", "quota", "Invalid name"),
    ],
)
def test_create_refuses(app: App, name: str, scopes: str, words: str) -> None:
    with pytest.raises(InvalidParameter, match=words):
        make(app, scopes, name)
    assert service.list_keys(app, ListApiKeys()) == []


def test_an_id_that_is_taken_is_drawn_again(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    draws = iter(["A" * 8, "s" * 32, "A" * 8, "t" * 32, "B" * 8, "u" * 32])

    def draw(_: int) -> str:
        return next(draws)

    monkeypatch.setattr(service, "_draw", draw)
    assert [make(app).id, make(app).id] == ["A" * 8, "B" * 8]
    monkeypatch.setattr(service, "_draw", lambda length: "A" * length)  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType]
    with pytest.raises(Conflict, match="No free id"):
        make(app)


def test_authenticate_finds_the_caller(app: App) -> None:
    made = make(app)
    for header in (f"Bearer {made.key}", f"bearer  {made.key} "):
        with app.db.transaction() as tx:
            key = service.authenticate(tx, header, "quota", live=False, at=app.clock())
        assert (key.key_id, key.name, key.livemode) == (made.id, "collector", False)
        assert key.scopes == {"usage:write", "quota"}


@pytest.mark.parametrize(
    ("header", "why"),
    [
        (None, "missing"),
        ("", "missing"),
        ("Basic abc", "not of the form"),
        ("Bearer", "not of the form"),
        ("Bearer nsk_test_short", "not of the form"),
        ("Bearer {key}x", "not of the form"),
        ("{key}", "not of the form"),
        ("Bearer {key} {key}", "not of the form"),
        ("Bearer nsk_test_{id}_" + "0" * 32, "no such key"),
        ("Bearer nsk_test_00000000_{secret}", "no such key"),
        ("Bearer nsk_live_{id}_{secret}", "a live key and the service works in test mode"),
    ],
)
def test_authenticate_refuses(app: App, header: str | None, why: str) -> None:
    made = make(app)
    filled = header and header.replace("{key}", made.key).replace("{id}", made.id).replace("{secret}", made.key[-32:])
    with pytest.raises(Unauthorized, match=why) as caught:
        service.allow(app, filled, "quota")
    error = caught.value
    assert (error.status, error.exit_code, error.code) == (401, 4, "invalid_api_key")
    assert error.body()["error"]["type"] == "authentication_error"  # type: ignore[index]
    assert made.key[-32:] not in error.message and last_used(app) is None


def test_a_key_of_the_other_mode_is_refused_both_ways(app: App) -> None:
    test_key = make(app)
    live(app)
    live_key = make(app)
    assert live_key.key.startswith("nsk_live_")
    assert service.allow(app, f"Bearer {live_key.key}", "quota").livemode
    with pytest.raises(Unauthorized, match="a test key and the service works in live mode"):
        service.allow(app, f"Bearer {test_key.key}", "quota")
    relabelled = test_key.key.replace("nsk_test_", "nsk_live_")
    with pytest.raises(Unauthorized, match="no such key"):
        service.allow(app, f"Bearer {relabelled}", "quota")


def test_scopes(app: App) -> None:
    writer, admin = make(app, "usage:write"), make(app, "admin")
    assert service.allow(app, f"Bearer {writer.key}", "usage:write").key_id == writer.id
    for _ in range(2):  # from the database, then from memory
        with pytest.raises(InsufficientPermissions, match="lacks the scope usage:read") as caught:
            service.allow(app, f"Bearer {writer.key}", "usage:read")
        assert (caught.value.status, caught.value.code) == (403, "insufficient_permissions")
    for scope in rules.SCOPES:
        assert service.allow(app, f"Bearer {admin.key}", scope).key_id == admin.id


def test_last_use_is_written_once_a_minute(app: App, clock: Clock) -> None:
    made, start = make(app), clock.now
    assert last_used(app) is None
    for seconds, wanted in ((0, 0), (59, 0), (60, 60), (90, 60), (120, 120)):
        clock.now = start + timedelta(seconds=seconds)
        with app.db.reading() as tx:
            service.authenticate(tx, f"Bearer {made.key}", "quota", live=False, at=app.clock())
        assert last_used(app) == start + timedelta(seconds=wanted)


def test_marking_the_use_never_waits(app: App, database: str) -> None:
    made = make(app)
    with psycopg.connect(database) as other:
        other.execute("update billing.billing_api_keys set name = name")
        answers: list[str] = []
        asked = threading.Thread(
            target=lambda: answers.append(service.allow(app, f"Bearer {made.key}", "quota").key_id),
            daemon=True,
        )
        asked.start()
        asked.join(60)
        assert answers == [made.id]
    assert last_used(app) is None


def test_a_revoked_key_stops_within_five_seconds(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(service, "monotonic", lambda: now)
    made = make(app)
    header = f"Bearer {made.key}"
    service.allow(app, header, "quota")
    with app.db.transaction() as tx:  # as another process would
        service.store.revoke(tx, made.id, app.clock())
    now += 1
    assert service.allow(app, header, "quota").key_id == made.id
    now += 4
    with pytest.raises(Unauthorized, match="was revoked"):
        service.allow(app, header, "quota")


def test_a_key_revoked_here_stops_at_once(app: App) -> None:
    made = make(app)
    service.allow(app, f"Bearer {made.key}", "quota")
    service.revoke(app, RevokeApiKey(id=made.id))
    with pytest.raises(Unauthorized, match="was revoked"):
        service.allow(app, f"Bearer {made.key}", "quota")


def test_a_wrong_secret_is_not_let_in_by_memory(app: App) -> None:
    made = make(app)
    service.allow(app, f"Bearer {made.key}", "quota")
    other = made.key[:-1] + ("a" if made.key[-1] != "a" else "b")
    with pytest.raises(Unauthorized, match="no such key"):
        service.allow(app, f"Bearer {other}", "quota")


def test_memory_is_bounded(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "CACHE_SIZE", 2)
    for _ in range(5):
        service.allow(app, f"Bearer {make(app).key}", "quota")
        assert len(service._proven) <= 2  # pyright: ignore[reportPrivateUsage]


def test_without_the_cache_a_revoked_key_is_refused_at_once(app: App) -> None:
    """Also in a process that did not revoke it."""
    made = service.create(app, CreateApiKey(name="c", scopes="quota"))
    header = f"Bearer {made.key}"
    for given in ({"BILLING_CACHE_ENABLED": "false"}, {"BILLING_CACHE_TTL": "0"}):
        other = App(app.project, app.registry, environ={**app.environ, **given}, clock=app.clock)
        assert service.allow(other, header, "quota").key_id == made.id
        assert service.remembered(other, header, "quota") is None
        other.close()
    assert service.allow(app, header, "quota").key_id == made.id
    assert service.remembered(app, header, "quota")


def test_a_bound_key_says_whose_it_is(app: App) -> None:
    made = service.create(app, CreateApiKey(name="page", scopes="usage:read", user="user123"))
    (listed,) = service.list_keys(app, ListApiKeys())
    assert made.user == listed.user == "user123"
    assert service.allow(app, f"Bearer {made.key}", "usage:read").user == "user123"


def test_a_rate_is_so_many_at_once_and_then_one_by_one() -> None:
    """Whoever waits as told is let in, and not before; other keys do not count."""
    rates, now, let_in = rules.Rates(), 1000.0, list[float]()
    for step in range(300):
        wait = rates.wait("key", 4, now)
        if wait:
            assert rates.wait("key", 4, now + wait / 2) and not rates.wait("other", 4, now + step)
            now += wait
            assert rates.wait("key", 4, now) == 0
        let_in.append(now)
    assert let_in == pytest.approx([1000 + max(0, at - 3) / 4 for at in range(300)])


def test_memory_of_rates_is_bounded() -> None:
    rates = rules.Rates(most=3)
    for at in range(10):
        assert rates.wait(str(at), 1, 5.0) == 0 and len(rates.due) <= 3
