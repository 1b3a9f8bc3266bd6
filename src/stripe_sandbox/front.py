"""The way of one API call: key, limit, version, faults, parameters, idempotency, work, answer."""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from stripe_sandbox import API_VERSION, auth, faults, idempotency, ids
from stripe_sandbox.call import Call
from stripe_sandbox.clock import Clock
from stripe_sandbox.errors import InvalidParameters, StripeError, unsupported
from stripe_sandbox.faults import RequestFault
from stripe_sandbox.forms import Form, parse_form
from stripe_sandbox.idempotency import Outcome
from stripe_sandbox.params import Reading
from stripe_sandbox.ratelimit import RateLimit, lock_timeout, rate_limited
from stripe_sandbox.resource import OPERATIONS, Operation, Params
from stripe_sandbox.store import Store
from stripe_sandbox.surface import check_unknown, missing_route, surface

_log = logging.getLogger("stripe_sandbox")


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict[str, str])


class ConnectionDropped(Exception):
    """A fault: the caller gets no answer at all."""


class Router:
    def __init__(self) -> None:
        self._by_length: dict[tuple[str, int], list[tuple[list[str], Operation]]] = {}
        # Literal routes come first, as they do at Stripe: `create_preview` is never an invoice's id.
        for operation in sorted(OPERATIONS.values(), key=lambda one: one.template.count("{")):
            parts = operation.template.split("/")
            self._by_length.setdefault((operation.method, len(parts)), []).append((parts, operation))

    def match(self, method: str, path: str) -> tuple[Operation, dict[str, str]]:
        # `/v1/invoices/search` is Stripe's own route and never the invoice "search".
        if method in surface().routes.get(path, ()) and f"{method} {path}" not in OPERATIONS:
            raise missing_route(method, path)
        literal = OPERATIONS.get(f"{method} {path}")
        if literal is not None:
            return literal, {}
        parts = path.split("/")
        for template, operation in self._by_length.get((method, len(parts)), []):
            names: dict[str, str] = {}
            for wanted, given in zip(template, parts, strict=True):
                if wanted.startswith("{") and given:
                    names[wanted[1:-1]] = given
                elif wanted != given:
                    break
            else:
                return operation, names
        raise missing_route(method, path)


class Front:
    def __init__(self, store: Store, clock: Clock, *, rate_limit: float) -> None:
        self._store = store
        self._clock = clock
        self._rate_limit = RateLimit(rate_limit)
        self._router = Router()
        self._keys_in_use: set[str] = set()

    async def answer(self, request: Request) -> Answer:
        request_id = ids.request_id()
        headers = {"Request-Id": request_id, "Stripe-Version": API_VERSION}
        try:
            key = auth.check(request.headers.get("authorization"), self._store)
            auth.permit(self._store, key, request.method, request.path)
            self._rate_limit.take()
            _check_headers(request.headers)
            fault = faults.take_for_request(self._store, request.method, request.path, self._clock.time())
            answer = await self._with_key(request, request_id, fault)
        except StripeError as error:
            answer = _refusal(error, request_id)
        except ConnectionDropped:
            raise
        except Exception as failure:
            _log.exception("%s %s", request.method, request.path)
            crash = f"The sandbox itself failed: {type(failure).__name__}: {failure}"
            answer = _refusal(StripeError(crash, status=500, type="api_error"), request_id)
        return Answer(answer.status, answer.body, {**headers, **answer.headers})

    async def _with_key(self, request: Request, request_id: str, fault: RequestFault | None) -> Answer:
        key = request.headers.get("idempotency-key") if request.method == "POST" else None
        if key is None:
            return await self._with_fault(request, request_id, None, fault)
        idempotency.check_key(key)
        if key in self._keys_in_use:
            raise idempotency.in_use(key)
        self._keys_in_use.add(key)
        try:
            answer = await self._with_fault(request, request_id, key, fault)
        finally:
            self._keys_in_use.discard(key)
        return Answer(answer.status, answer.body, {"Idempotency-Key": key, **answer.headers})

    async def _with_fault(
        self, request: Request, request_id: str, key: str | None, fault: RequestFault | None
    ) -> Answer:
        if fault is None:
            return self._perform(request, request_id, key)
        if not fault.after:
            await asyncio.sleep(fault.delay)
            _fail_early(fault)
        forced = server_error() if fault.status == 500 else None
        answer = self._perform(request, request_id, key, forced=forced, work=fault.after)
        if fault.after:
            await asyncio.sleep(fault.delay)
            if fault.drop:
                raise ConnectionDropped
        return answer

    def _perform(
        self, request: Request, request_id: str, key: str | None, *, forced: StripeError | None = None,
        work: bool = True,
    ) -> Answer:  # fmt: skip
        operation, path = self._router.match(request.method, request.path)
        form = parse_form(b"&".join(part for part in (request.query.encode(), request.body) if part))
        call = Call(self._store, self._clock, request_id, key, path, request.path, reads=request.method == "GET")
        with self._store.transaction():
            fingerprint = msgspec.json.encode(form, order="deterministic").decode()
            if key is not None:
                earlier = idempotency.earlier_outcome(self._store, key, request.path, fingerprint, call.wall)
                if earlier is not None:
                    return _replayed(earlier)
            params = read_params(operation, form)
            answer = self._execute(call, operation, params) if work or forced is None else None
            if forced is not None:
                answer = _refusal(forced, request_id)
            assert answer is not None
            if key is not None and answer.status != 501:
                outcome = Outcome(answer.status, answer.body, request_id)
                idempotency.keep(self._store, key, request.path, fingerprint, outcome, call.wall)
        return answer

    def _execute(self, call: Call, operation: Operation, params: Params) -> Answer:
        """A refusal undoes what was done, save a declined card, whose traces stay."""
        expand = params.pop("expand", [])
        kept: StripeError | None = None
        try:
            with self._store.savepoint():
                try:
                    shown = call.show(operation.handler(call, params), expand)
                except StripeError as error:
                    if not error.commits:
                        raise
                    kept, shown = error, {}
        except InvalidParameters:
            raise
        except StripeError as error:
            return _refusal(error, call.request_id or "")
        if kept is not None:
            return _refusal(kept, call.request_id or "")
        return Answer(200, msgspec.json.encode(shown))


def read_params(operation: Operation, form: Form) -> Params:
    reading = Reading(operation.name)
    params: dict[str, Any] = operation.params.read(form, "", reading)
    check_unknown(operation.name, reading.unknown)
    return params


def _check_headers(headers: Mapping[str, str]) -> None:
    version = headers.get("stripe-version", API_VERSION)
    if version != API_VERSION:
        raise unsupported(f"Stripe-Version {version} (only {API_VERSION})")
    for name in ("Stripe-Account", "Stripe-Context"):
        if name.lower() in headers:
            raise unsupported(f"the header {name}: it has one account")


def _fail_early(fault: RequestFault) -> None:
    """Faults that strike before the call reaches the API's own code, so no idempotency key keeps them."""
    if fault.drop:
        raise ConnectionDropped
    if fault.status == 401:
        raise StripeError("Invalid API Key provided: sk_test_***", status=401)
    if fault.status == 403:
        raise StripeError(
            "The provided key 'sk_test_***' does not have access to this resource (or that access may have been"
            " revoked).",
            status=403,
        )
    if fault.status == 429:
        raise rate_limited() if fault.code == "rate_limit" else lock_timeout()
    if fault.status == 503:
        raise StripeError("Stripe is temporarily unavailable. Please try again later.", status=503, type="api_error")


def server_error() -> StripeError:
    return StripeError(
        "An unknown error occurred. If the problem persists, contact us via https://support.stripe.com/.",
        status=500,
        type="api_error",
    )


def _refusal(error: StripeError, request_id: str) -> Answer:
    return Answer(error.status, msgspec.json.encode(error.body(request_id)), error.headers)


def _replayed(outcome: Outcome) -> Answer:
    headers = {"Idempotent-Replayed": "true", "Original-Request": outcome.request_id}
    return Answer(outcome.status, outcome.body, headers)
