"""Codes of RFC 6238, passwords, locks; the last owner stays."""

from __future__ import annotations

import base64
import threading
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest

from nself.app import App
from nself.domains.operator import rules, service
from nself.domains.operator.inputs import AddOperator, ListOperators, RemoveOperator, SetRole, SignOut
from nself.domains.operator.model import LastOwner, NoSuchOperator, OperatorExists, WeakPassword

SECRET = base64.b32encode(b"12345678901234567890").decode()


@pytest.mark.parametrize(
    "second, code",
    [(59, "287082"), (1111111109, "081804"), (1111111111, "050471"), (1234567890, "005924"), (2000000000, "279037")],
)
def test_the_codes_are_those_of_the_rfc(second: int, code: str) -> None:
    assert rules.totp(SECRET, second // 30) == code
    assert rules.step_of(code, SECRET, datetime.fromtimestamp(second, UTC), 0) == second // 30
    assert rules.step_of(code, SECRET, datetime.fromtimestamp(second, UTC), second // 30) is None
    assert rules.step_of(code, SECRET, datetime.fromtimestamp(second, UTC) + timedelta(seconds=61), 0) is None


@pytest.mark.parametrize("secret", ["", "not base 32!"])
def test_a_broken_secret_takes_no_code(secret: str) -> None:
    assert rules.step_of("abcdef", secret, datetime.now(UTC), 0) is None


def test_a_password_proves_itself_only() -> None:
    stored = rules.hashed("correct horse", b"s" * rules.SALT)
    assert rules.proves("correct horse", stored)
    assert not rules.proves("correct horsf", stored) and not rules.proves("correct horse", None)
    with pytest.raises(WeakPassword):
        rules.hashed("short", b"s" * rules.SALT)


def test_locks_grow_to_a_quarter_of_an_hour() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    waits = [rules.locked_for(failures, now, now) for failures in range(30)]
    assert waits[:6] == [0, 0, 0, 0, 0, 2] and waits == sorted(waits) and waits[-1] == rules.LONGEST_LOCK
    assert rules.locked_for(29, now, now + timedelta(seconds=rules.LONGEST_LOCK)) == 0


def test_a_name_is_one_person_however_it_is_written(app: App) -> None:
    service.add(app, AddOperator(name="Ada", role="owner"))
    with pytest.raises(OperatorExists):
        service.add(app, AddOperator(name="ADA", role="owner"))
    service.sign_out_everywhere(app, SignOut(name="aDa"))
    assert [one.name for one in service.list_operators(app, ListOperators())] == ["ada"]


def test_the_last_owner_stays(app: App) -> None:
    service.add(app, AddOperator(name="ada", role="owner"))
    with pytest.raises(LastOwner):
        service.remove(app, RemoveOperator(name="ada"))
    with pytest.raises(LastOwner):
        service.set_role(app, SetRole(name="ada", role="operator"))
    service.add(app, AddOperator(name="bob", role="owner"))
    service.remove(app, RemoveOperator(name="ada"))
    with pytest.raises(NoSuchOperator):
        service.remove(app, RemoveOperator(name="ada"))


def test_of_two_owners_that_leave_at_once_one_stays(app: App) -> None:
    for name in ("ada", "bob"):
        service.add(app, AddOperator(name=name, role="owner"))
    start = threading.Barrier(2)

    def leave(name: str) -> None:
        start.wait()
        with suppress(LastOwner):
            service.remove(app, RemoveOperator(name=name))

    threads = [threading.Thread(target=leave, args=(name,)) for name in ("ada", "bob")]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(service.list_operators(app, ListOperators())) == 1
