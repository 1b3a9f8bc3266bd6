"""Operators, how they sign in and how they are refused."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar, NamedTuple

import msgspec

from nself.core.errors import Conflict, Denied, Invalid, NotFound


class Account(NamedTuple):
    """A row of billing_operators."""

    name: str
    role: str
    password: bytes | None
    totp: str | None
    totp_step: int
    failures: int
    failed_at: datetime | None


class Session(NamedTuple):
    """Who looks at the dashboard."""

    name: str
    role: str
    csrf: str
    expires_at: datetime


class Signed(NamedTuple):
    """Just signed in: `token` goes into the cookie and is stored nowhere."""

    token: str
    csrf: str
    expires_at: datetime


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """Result of `operator add` and `operator link`."""

    name: str
    role: str
    url: str
    expires_at: datetime
    note: str = "It works once: whoever opens it chooses the password. Give it to nobody else."


class ListedOperator(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `operator list`. `locked_until`: too many wrong passwords or codes."""

    name: str
    role: str
    enrolled: bool
    sessions: int
    created_at: datetime
    signed_in_at: datetime | None


class OperatorChanged(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    role: str
    sessions_ended: int


class NotSignedIn(Denied):
    """HTTP 401."""

    status: ClassVar[int] = 401
    type: ClassVar[str] = "authentication_error"
    code = "not_signed_in"
    text = "Sign in first"
    hints = ("nself billing operator link NAME",)


class WrongSignIn(Denied):
    """HTTP 401; the same words whatever of it is wrong."""

    status: ClassVar[int] = 401
    type: ClassVar[str] = "authentication_error"
    code = "wrong_sign_in"
    text = "Name, password or code is wrong"
    hints = ("nself billing operator list",)


class SignInLocked(Denied):
    """HTTP 429."""

    status: ClassVar[int] = 429
    type: ClassVar[str] = "rate_limit_error"
    code = "sign_in_locked"
    text = "Too many wrong passwords or codes; try again in {seconds} s"
    hints = ("nself billing operator link {name}",)


class LinkOver(Denied):
    code = "link_over"
    text = "This link is over: it works once, for {minutes} minutes"
    hints = ("nself billing operator link NAME",)


class WeakPassword(Invalid):
    code, param = "weak_password", "password"
    text = "The password needs {least} characters or more"


class WrongCode(Invalid):
    code, param = "wrong_code", "code"
    text = "The code is not the one that the secret gives now; is the clock of your device right?"


class RoleLacks(Denied):
    code = "role_lacks"
    text = "The role {role} may not do this; it takes {needed}"
    hints = ("nself billing operator list",)


class TerminalRoleLacks(Denied):
    code = "role_lacks"
    text = "{login} is {role} in the terminal (BILLING_TERMINAL_ROLES) and may not do this; it takes {needed}"
    hints = ("nself env get BILLING_TERMINAL_ROLES",)


class Forged(Denied):
    """The form was not made by this dashboard for this session."""

    code = "forged_form"
    text = "This form is out of date: load the page again"


class NoSuchOperator(NotFound):
    code, param = "no_such_operator", "name"
    text = "No such operator: {name}"
    hints = ("nself billing operator list", "nself billing operator add {name} --role read-only")


class OperatorExists(Conflict):
    code, param = "operator_exists", "name"
    text = "There is an operator {name} already"
    hints = ("nself billing operator link {name}",)


class LastOwner(Conflict):
    code = "last_owner"
    text = "{name} is the only owner"
    hints = ("nself billing operator add NAME --role owner",)
