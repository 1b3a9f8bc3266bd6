"""Accounts of the dashboard: made in the terminal, enrolled by a one-time link, signed in by password and code."""

from __future__ import annotations

import secrets
import socket
from datetime import timedelta
from urllib.parse import quote

from nself import log
from nself.app import App
from nself.core.roles import ROLES, by_login, may
from nself.db.connect import Tx
from nself.domains.operator import rules, store
from nself.domains.operator.inputs import (
    AddOperator,
    Enrol,
    LinkOperator,
    ListOperators,
    RemoveOperator,
    SetRole,
    SignIn,
    SignOut,
)
from nself.domains.operator.model import (
    LastOwner,
    Link,
    LinkOver,
    ListedOperator,
    NoSuchOperator,
    NotSignedIn,
    OperatorChanged,
    OperatorExists,
    Session,
    Signed,
    SignInLocked,
    TerminalRoleLacks,
    WrongCode,
    WrongSignIn,
)

SEEN = timedelta(minutes=1)
"""That somebody still looks is written down so often."""


def add(app: App, given: AddOperator) -> Link:
    """An account that nobody has signed in to yet, and the link to it. Raises OperatorExists."""
    with app.db.transaction() as tx:
        if not store.add(tx, given.name, given.role, app.clock()):
            raise OperatorExists(name=given.name)
        return _link(app, tx, given.name, given.role)


def link(app: App, given: LinkOperator) -> Link:
    """For who was added, or lost password or device; the old ones hold until it is used. Raises NoSuchOperator."""
    with app.db.transaction() as tx:
        known = store.account(tx, given.name)
        if known is None:
            raise NoSuchOperator(name=given.name)
        return _link(app, tx, given.name, known.role)


def _link(app: App, tx: Tx, name: str, role: str) -> Link:
    token, expires_at = secrets.token_urlsafe(rules.TOKEN), app.clock() + rules.LINK_LIVES
    store.add_link(tx, name, rules.digest(token), expires_at)
    return Link(name=name, role=role, url=f"{app.settings.public_url}/enrol?token={token}", expires_at=expires_at)


def list_operators(app: App, given: ListOperators) -> list[ListedOperator]:
    """By their names."""
    with app.db.reading() as tx:
        return store.list_all(tx, now := app.clock(), now - rules.IDLE)


def set_role(app: App, given: SetRole) -> OperatorChanged:
    """Holds from the next request on. Raises NoSuchOperator, LastOwner."""
    with app.db.transaction() as tx:
        if given.role != "owner":
            _keep_an_owner(tx, given.name)
        if not store.set_role(tx, given.name, given.role):
            raise NoSuchOperator(name=given.name)
    return OperatorChanged(name=given.name, role=given.role, sessions_ended=0)


def remove(app: App, given: RemoveOperator) -> OperatorChanged:
    """Signed out at once. Raises NoSuchOperator, LastOwner."""
    with app.db.transaction() as tx:
        _keep_an_owner(tx, given.name)
        ended = store.end_sessions(tx, given.name)
        role = store.remove(tx, given.name)
        if role is None:
            raise NoSuchOperator(name=given.name)
    return OperatorChanged(name=given.name, role=role, sessions_ended=ended)


def _keep_an_owner(tx: Tx, name: str) -> None:
    others, known = store.other_owners(tx, name), store.account(tx, name)
    if known and known.role == "owner" and not others:
        raise LastOwner(name=name)


def sign_out_everywhere(app: App, given: SignOut) -> OperatorChanged:
    """Raises NoSuchOperator."""
    with app.db.transaction() as tx:
        known = store.account(tx, given.name)
        if known is None:
            raise NoSuchOperator(name=given.name)
        return OperatorChanged(name=given.name, role=known.role, sessions_ended=store.end_sessions(tx, given.name))


def linked(app: App, token: str) -> str:
    """Whose link it is. Raises LinkOver."""
    with app.db.reading() as tx:
        name = store.linked(tx, rules.digest(token), app.clock())
    if name is None:
        raise LinkOver(minutes=rules.LINK_LIVES // timedelta(minutes=1))
    return name


def new_secret() -> str:
    return rules.secret(secrets.token_bytes(20))


def address(name: str, secret: str) -> str:
    """What an authenticator app reads."""
    issuer = quote(f"nself billing {socket.gethostname()}")
    return f"otpauth://totp/{issuer}:{quote(name)}?secret={secret}&issuer={issuer}"


def enrol(app: App, given: Enrol) -> str:
    """Uses the link up: password and device are those of whoever opened it. The name. Raises LinkOver, WeakPassword, WrongCode."""
    password, now = rules.hashed(given.password, secrets.token_bytes(rules.SALT)), app.clock()
    step = rules.step_of(given.code, given.totp, now, 0)
    if step is None:
        raise WrongCode()
    with app.db.transaction() as tx:
        name = store.use_link(tx, rules.digest(given.token), now)
        if name is None:
            raise LinkOver(minutes=rules.LINK_LIVES // timedelta(minutes=1))
        store.end_sessions(tx, name)
        store.enrol(tx, name, password, given.totp, step)
    log.info("operator_enrolled", operator=name)
    return name


def sign_in(app: App, given: SignIn) -> Signed:
    """Raises WrongSignIn, SignInLocked: after some wrong answers in a row, for ever longer."""
    now = app.clock()
    with app.db.transaction() as tx:
        known = store.hold(tx, given.name)
        wait = rules.locked_for(known.failures, known.failed_at, now) if known else 0
        proven = not wait and rules.proves(given.password, known.password if known else None)
        step = rules.step_of(given.code, known.totp or "", now, known.totp_step) if known and proven else None
        signed = _signed(app, tx, given) if step else None
        if step:
            store.signed_in(tx, given.name, step, now)
        elif known and not wait:
            store.fail(tx, given.name, now)
    if signed:
        log.info("operator_signed_in", operator=given.name, address=given.address)
        return signed
    log.warning("operator_refused", operator=given.name if known else "unknown", address=given.address, locked=wait)
    raise SignInLocked(seconds=wait, name=given.name) if wait else WrongSignIn()


def _signed(app: App, tx: Tx, given: SignIn) -> Signed:
    now, token, csrf = app.clock(), secrets.token_urlsafe(rules.TOKEN), secrets.token_urlsafe(rules.TOKEN)
    expires_at = now + rules.SESSION_LIVES
    store.add_session(tx, rules.digest(token), given.name, csrf, given.address, now, expires_at)
    return Signed(token=token, csrf=csrf, expires_at=expires_at)


def session(app: App, token: str) -> Session:
    """Who that is, with the role of now. Raises NotSignedIn."""
    now, hash = app.clock(), rules.digest(token)
    with app.db.transaction() as tx:
        found = store.session(tx, hash, now, now - rules.IDLE)
        if found:
            store.seen(tx, hash, now, now - SEEN)
    if found is None:
        raise NotSignedIn()
    return found


def confirm(app: App, name: str, code: str) -> None:
    """A fresh code, for what moves money. Raises WrongCode, SignInLocked."""
    now = app.clock()
    with app.db.transaction() as tx:
        known = store.hold(tx, name)
        wait = rules.locked_for(known.failures, known.failed_at, now) if known else 0
        step = rules.step_of(code, known.totp or "", now, known.totp_step) if known and not wait else None
        if step:
            store.took_code(tx, name, step)
        elif known and not wait:
            store.fail(tx, name, now)
    if wait:
        raise SignInLocked(seconds=wait, name=name)
    if not step:
        raise WrongCode()


def sign_out(app: App, token: str) -> None:
    with app.db.transaction() as tx:
        store.end_session(tx, rules.digest(token))


def permit_in_terminal(app: App, command: str, audited: bool) -> None:
    """Who BILLING_TERMINAL_ROLES does not name may look. Raises TerminalRoleLacks, InvalidSetting."""
    roles = by_login(app.settings.text("BILLING_TERMINAL_ROLES"))
    login, needed = app.operator(), rules.in_terminal(command, audited)
    role = roles.get(login, roles.get("*", ROLES[0]))
    if not may(role, needed):
        raise TerminalRoleLacks(login=login, role=role, needed=needed)
