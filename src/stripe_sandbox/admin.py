"""The admin routes under `/_sandbox/`: for the loopback only, without a key, JSON in and out."""

import ipaddress
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, cast
from urllib.parse import parse_qs

import msgspec

from stripe_sandbox import API_VERSION, auth, deliveries, faults, resources
from stripe_sandbox.admin_data import DataRoutes
from stripe_sandbox.admin_input import Refused, read
from stripe_sandbox.billing import policy
from stripe_sandbox.call import Call
from stripe_sandbox.cards import BY_NUMBER
from stripe_sandbox.clock import Clock
from stripe_sandbox.faults import Fault
from stripe_sandbox.fixtures.shapes import Misfit, fit_object
from stripe_sandbox.front import Answer, Request
from stripe_sandbox.resource import OPERATIONS, RESOURCES
from stripe_sandbox.resources.setup_intents import authenticated
from stripe_sandbox.store import Object, Store
from stripe_sandbox.surface import surface
from stripe_sandbox.timeline import Timeline


class RevokeKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    key: str
    standing: auth.Standing = "revoked"


class ClearFaults(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: str | None = None


class Resend(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    endpoint: str | None = None


class Authenticate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    outcome: Literal["succeed", "fail"] = "succeed"


class Issuer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    number: str


class Edit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A change by hand in the Dashboard; `webhook` says whether Stripe would tell anyone."""

    kind: str
    id: str
    changes: dict[str, Any] = {}
    delete: bool = False
    webhook: bool = True


class MoveClock(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    advance: float | None = None
    to: int | None = None


@dataclass(frozen=True)
class _Journey:
    """An answer that is given when the sandbox has come to an instant."""

    target: float
    before: int
    last_event: int


_FIXED = ("id", "object")
_EVENT_STEMS = {"subscription": "customer.subscription", "tax_id": "customer.tax_id"}


class Admin:
    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._routes: list[tuple[str, re.Pattern[str], Callable[..., Any]]] = [
            ("GET", re.compile(r"health"), self._health),
            ("GET", re.compile(r"state"), self._state),
            ("POST", re.compile(r"reset"), self._reset),
            ("GET", re.compile(r"faults"), self._list_faults),
            ("POST", re.compile(r"faults"), self._add_fault),
            ("POST", re.compile(r"faults/clear"), self._clear_faults),
            ("POST", re.compile(r"keys/revoke"), self._revoke_key),
            ("GET", re.compile(r"deliveries"), self._deliveries),
            ("GET", re.compile(r"attempts"), self._attempts),
            ("POST", re.compile(r"events/([^/]+)/resend"), self._resend),
            ("POST", re.compile(r"(payment_intents|setup_intents)/([^/]+)/authenticate"), self._authenticate),
            ("POST", re.compile(r"payment_methods/([^/]+)/issuer"), self._issuer),
            ("POST", re.compile(r"edit"), self._edit),
            ("GET", re.compile(r"clock"), self._show_clock),
            ("POST", re.compile(r"clock"), self._move_clock),
            ("GET", re.compile(r"dunning"), self._show_dunning),
            ("POST", re.compile(r"dunning"), self._set_dunning),
            *DataRoutes(store, clock).routes,
        ]

    async def answer(self, request: Request, client: str, timeline: Timeline | None = None) -> Answer:
        try:
            body = self._route(request, client)
            if isinstance(body, _Journey):
                assert timeline is not None
                await timeline.advance(body.target)
                meanwhile = self._store.event_counts(body.last_event)
                body = {**self._show_clock(request), "before": body.before, "events": meanwhile}
        except Refused as refusal:
            return _json(refusal.status, {"error": {"message": refusal.message}})
        return _json(200, body)

    def _route(self, request: Request, client: str) -> Any:
        if not _is_loopback(client) or "origin" in request.headers:
            raise Refused(403, "The admin routes answer only to programs on this machine.")
        path = request.path.removeprefix("/_sandbox/").rstrip("/")
        for method, pattern, handler in self._routes:
            match = pattern.fullmatch(path)
            if match is not None and method == request.method:
                return handler(request, *match.groups())
        raise Refused(404, f"No such admin route: {request.method} {request.path}")

    def _health(self, request: Request) -> Any:
        return {"status": "ok", "api_version": API_VERSION}

    def _state(self, request: Request) -> Any:
        waiting = self._store.row("SELECT count(*) FROM deliveries WHERE state IN ('pending', 'held')")
        return {"objects": self._store.counts(), "deliveries_waiting": waiting[0] if waiting else 0}

    def _reset(self, request: Request) -> Any:
        self._store.reset()
        self._clock.reset()
        resources.prepare(self._store, self._clock)
        return {"reset": True}

    def _list_faults(self, request: Request) -> Any:
        return {"faults": faults.listed(self._store)}

    def _add_fault(self, request: Request) -> Any:
        try:
            fault = msgspec.json.decode(request.body, type=Fault)
        except msgspec.DecodeError as error:
            raise Refused(400, str(error)) from error
        return faults.add(self._store, fault)

    def _clear_faults(self, request: Request) -> Any:
        wanted = read(request.body, ClearFaults)
        with self._store.transaction():
            cleared = faults.clear(self._store, wanted.id)
            deliveries.release_held(self._store, self._clock.time(), wanted.id)
        return {"cleared": cleared}

    def _revoke_key(self, request: Request) -> Any:
        wanted = read(request.body, RevokeKey)
        auth.set_standing(self._store, wanted.key, wanted.standing)
        return {"key": auth.masked(wanted.key), "standing": wanted.standing}

    def _deliveries(self, request: Request) -> Any:
        query, limit = _query(request), min(_number(request, "limit", 100), 10_000)
        found = deliveries.listed(self._store, event=query.get("event"), state=query.get("state"), limit=limit)
        return {"deliveries": found}

    def _attempts(self, request: Request) -> Any:
        after, limit = _number(request, "after", 0), min(_number(request, "limit", 100), 10_000)
        found = deliveries.attempted(self._store, after=after, endpoint=_query(request).get("endpoint"), limit=limit)
        return {"attempts": found, "last": deliveries.last_attempt(self._store)}

    def _resend(self, request: Request, identifier: str) -> Any:
        wanted = read(request.body, Resend)
        call = Call(self._store, self._clock)
        with self._store.transaction():
            event = self._object("event", identifier)
            return {"deliveries": deliveries.schedule(call, event, wanted.endpoint)}

    def _authenticate(self, request: Request, plural: str, identifier: str) -> Any:
        """What the cardholder does on the bank's page."""
        wanted = read(request.body, Authenticate)
        kind = plural.removesuffix("s")
        call = Call(self._store, self._clock)
        with self._store.transaction():
            intent = call.follow(self._object(kind, identifier))
            if intent["status"] != "requires_action":
                raise Refused(409, f"The {kind.replace('_', ' ')} is {intent['status']}, not requires_action.")
            authenticated(call, intent, succeeds=wanted.outcome == "succeed")
            return call.show(intent)

    def _issuer(self, request: Request, identifier: str) -> Any:
        """From now on the card's bank does what it does to this test card: a card that was good is declined."""
        wanted = read(request.body, Issuer)
        if wanted.number not in BY_NUMBER:
            raise Refused(400, f"No such test card: {wanted.number}")
        call = Call(self._store, self._clock)
        with self._store.transaction():
            method = self._object("payment_method", identifier)
            call.record(method, {"_number": wanted.number})
            return call.show(method)

    def _edit(self, request: Request) -> Any:
        wanted = read(request.body, Edit)
        call = Call(self._store, self._clock)
        stem = _EVENT_STEMS.get(wanted.kind, wanted.kind)
        with self._store.transaction():
            obj = self._object(wanted.kind, wanted.id)
            event = f"{stem}.{'deleted' if wanted.delete else 'updated'}"
            told = wanted.webhook and event in surface().events
            if wanted.delete and not _can_be_deleted(wanted.kind, event):
                raise Refused(400, f"Stripe never deletes a {wanted.kind}.")
            if wanted.delete:
                return call.delete(obj, event if told else None)
            fixed = [name for name in wanted.changes if name not in obj or name in _FIXED or name.startswith("_")]
            if fixed:
                raise Refused(400, f"{wanted.kind} has no field that can be changed: {', '.join(fixed)}")
            previous = _record(call, obj, _merged(obj, wanted.changes))
            if told and previous is not None:
                call.emit(event, obj, previous)
            return call.show(obj)

    def _show_clock(self, request: Request) -> Any:
        return {"now": self._clock.now(), "offset": round(self._clock.offset)}

    def _move_clock(self, request: Request) -> Any:
        wanted = read(request.body, MoveClock)
        if (wanted.to is None) == (wanted.advance is None):
            raise Refused(400, "Exactly one of advance (seconds) and to (an instant) is needed.")
        target = wanted.to if wanted.to is not None else self._clock.time() + (wanted.advance or 0)
        if target < self._clock.now():
            now = datetime.fromtimestamp(self._clock.now(), UTC)
            raise Refused(400, f"Time only goes forward; it is {now:%Y-%m-%dT%H:%M:%SZ}.")
        return _Journey(float(target), self._clock.now(), self._store.last_object())

    def _show_dunning(self, request: Request) -> Any:
        return msgspec.to_builtins(policy.policy(self._store))

    def _set_dunning(self, request: Request) -> Any:
        policy.set_policy(self._store, read(request.body, policy.Policy))
        return self._show_dunning(request)

    def _object(self, kind: str, identifier: str) -> Object:
        found = self._store.get(kind, identifier)
        if found is None or found[1]:
            raise Refused(404, f"No such {kind}: '{identifier}'")
        return found[0]


def _query(request: Request) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(request.query).items()}


def _number(request: Request, name: str, default: int) -> int:
    given = _query(request).get(name, str(default))
    if not given.isdecimal():
        raise Refused(400, f"{name} must be a whole number")
    return int(given)


def _merged(current: Object, changes: Object) -> Object:
    """Hashes are merged, everything else is replaced."""
    merged: Object = {}
    for name, value in changes.items():
        old = current.get(name)
        both = isinstance(value, dict) and isinstance(old, dict)
        merged[name] = {**cast(Object, old), **_merged(cast(Object, old), cast(Object, value))} if both else value
    return merged


def _record(call: Call, obj: Object, changes: Object) -> Object | None:
    """The change, and what was before. Raises Refused when no object of Stripe's can look like that."""
    try:
        previous = call.record(obj, changes)
        fit_object(obj["object"], call.show(obj), whole=True)
    except (Misfit, TypeError) as misfit:
        raise Refused(400, f"{obj['object']} {obj['id']}: {misfit}") from misfit
    return previous


def _can_be_deleted(kind: str, event: str) -> bool:
    path = RESOURCES[kind].path
    return event in surface().events or any(name.startswith(f"DELETE {path}/{{") for name in OPERATIONS)


def _json(status: int, body: Any) -> Answer:
    return Answer(status, json.dumps(body, indent=2).encode())


def _is_loopback(client: str) -> bool:
    try:
        return ipaddress.ip_address(client).is_loopback
    except ValueError:
        return False
