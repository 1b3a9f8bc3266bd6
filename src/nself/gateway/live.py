"""The gateway to Stripe: the only module that imports its SDK (stripe>=15.2,<17).

The SDK builds requests, verifies TLS and reads errors; keys, modes, retries, the rate budget and time
limits are ours. Everything goes through `Live._call`.
"""

from __future__ import annotations

import json
import logging
import re
import uuid
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from http.cookiejar import DefaultCookiePolicy
from itertools import count
from typing import Any, Literal, NamedTuple, cast

import requests
import requests.adapters
import stripe

from nself import log
from nself.core.clock import monotonic
from nself.core.settings import Settings
from nself.gateway import guard, retry, way
from nself.gateway.answers import from_answer, storable, unreadable
from nself.gateway.api import MAX_OBJECTS, PAGE, STRIPE_VERSION, Page, Params, Seen, Snapshot, Stripe
from nself.gateway.breaker import Breaker
from nself.gateway.budget import Budget, Counters, Lease, limit
from nself.gateway.cache import CACHED, Cache, Store, cache
from nself.gateway.errors import KeyRefused, NoSuchObject, RateLimited, StripeFailure, TimedOut, TooManyObjects
from nself.gateway.kinds import KINDS, Kind
from nself.gateway.network import explain
from nself.measure import measures

CONNECT_TIMEOUT = 5.0
CONNECTIONS = 32
NAMES = {kind.collection: name for name, kind in KINDS.items()}
HELD_BACK = "client_secret"
ESCAPED = re.compile(r"\\u(?:0000|[dD][89a-fA-F])")
"""How JSON writes what may not be storable."""
stripe.enable_telemetry = False
logging.getLogger("stripe").setLevel(logging.WARNING)  # below that it logs whole bodies, secrets among them

Method = Literal["get", "post", "delete"]


class Answer(NamedTuple):
    """`headers` in lower case."""

    body: str
    headers: Mapping[str, str]
    status: int


def _path(path: tuple[str, ...]) -> str:
    return "/v1/" + "/".join(guard.object_id(_name(path[0]), one) for one in path)


def _collection(path: str) -> str:
    """`/v1/customers/cus_123` -> `customers`."""
    return path.split("/")[2]


def _name(collection: str) -> str:
    return NAMES.get(collection, collection.removesuffix("s"))


def _expanded(path: tuple[str, ...], prefix: str = "") -> dict[str, list[str]]:
    """What calls that answer with an object of a mirrored kind ask for, so that it is the same picture as a fetch of it.

    What stands below a customer is another kind of object; what stands below an invoice is a deed.
    """
    kind = NAMES.get(path[0])
    fields = KINDS[kind].expand if kind and (len(path) < 3 or kind != "customer") else ()
    return {"expand": [prefix + one for one in fields]} if fields else {}


def _without_secret(snapshot: Snapshot) -> Snapshot:
    for one in cast("list[Snapshot]", snapshot["data"]) if snapshot["object"] == "list" else [snapshot]:
        one.pop(HELD_BACK, None)
    return snapshot


def _lower(headers: Mapping[str, str] | None) -> dict[str, str]:
    return {name.lower(): value for name, value in (headers or {}).items()}


class _Adapter(requests.adapters.HTTPAdapter):
    """Waits no longer than who calls has time."""

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: Any = True,
        cert: Any = None,
        proxies: Any = None,
    ) -> requests.Response:
        connect, read = timeout
        timeout = (retry.limited(connect), retry.limited(read))
        return super().send(request, stream, timeout, verify, cert, proxies)


def _session(settings: Settings, access: guard.Access) -> requests.Session:
    """Shared by all threads; no .netrc (it would replace the key), no redirects, no cookies."""
    session = requests.Session()
    session.trust_env = False
    session.max_redirects = 0
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    if proxy := way.proxy(settings, access):
        session.proxies = {"http": proxy, "https": proxy}
    adapter = _Adapter(pool_maxsize=CONNECTIONS)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session


def connect(
    settings: Settings,
    *,
    lease: Lease | None = None,
    outside: Callable[[], None] | None = None,
    table: Store | None = None,
) -> Stripe:
    """A gateway for these settings; sends nothing yet.

    `lease` shares the rate budget with other processes, `table` what is cached; `outside` is called before each
    request and raises while a database transaction is open. Raises Denied, InvalidSetting, RedisMissing.
    """
    access, policy = guard.access(settings), retry.policy(settings)
    breaker = Breaker(settings.integer("STRIPE_BREAKER_FAILURES"))
    made = Live(access, policy, Budget(limit(settings), lease), breaker, _session(settings, access), outside=outside)
    made.cache, made.batch = cache(settings, access.key, table), settings.flag("STRIPE_BATCH_REQUESTS")
    return made


class Live:
    """`nself.gateway.api.Stripe` over HTTP."""

    def __init__(
        self,
        access: guard.Access,
        policy: retry.Policy,
        budget: Budget,
        breaker: Breaker,
        session: requests.Session,
        *,
        outside: Callable[[], None] | None,
    ) -> None:
        self._access, self._policy, self._budget = access, policy, budget
        self._session, self._outside = session, outside
        self._breaker, self._answered = breaker, Seen()
        self.cache: Cache | None = None
        self.batch = False
        timeout = (min(CONNECT_TIMEOUT, policy.timeout), policy.timeout)
        self._client = stripe.StripeClient(
            access.key,
            stripe_version=STRIPE_VERSION,
            base_addresses={"api": access.base},
            max_network_retries=0,
            http_client=stripe.RequestsClient(timeout=timeout, session=session),
        )

    @property
    def live(self) -> bool:
        return self._access.live

    def counters(self) -> Counters:
        return self._budget.counters()

    def answered(self) -> Seen:
        return self._answered

    def close(self) -> None:
        self._session.close()

    # The one way out

    def _call(
        self, method: Method, path: str, params: Params | None = None, key: str | None = None, *, secret: bool = False
    ) -> Snapshot:  # fmt: skip
        """Stripe's answer to `method path`; a change (anything but get) needs `key`. Raises StripeFailure.

        `secret`: with what lets a customer pay, which else is left out.
        """
        changing = method != "get"
        if changing:
            key = guard.idempotency_key(key)
        tries = count(1)

        def attempt(until: float) -> Snapshot:
            if self._outside:
                self._outside()
            began = monotonic()
            try:
                self._budget.take(until)
                answer = self._send(method, path, params or {}, key)
                snapshot = self._read(answer, changing)
            except StripeFailure as failure:
                self._tell(method, path, next(tries), monotonic() - began, failure)
                raise
            self._answered = Seen.of(answer.headers)
            took = monotonic() - began
            measures.observe("stripe_request", (method, _collection(path), "ok"), took)
            log.debug(
                "stripe_request",
                method=method,
                path=path,
                took_ms=round(took * 1000),
                request_id=self._answered.request_id,
            )
            return snapshot if secret else _without_secret(snapshot)

        with self._breaker.watching():
            return retry.run(self._policy, attempt, changing=changing)

    def _send(self, method: Method, path: str, params: Params, key: str | None) -> Answer:
        changing = method != "get"
        options = {"idempotency_key": key} if key else {}
        timeout = retry.limited(self._policy.timeout)
        try:
            # Untyped in the SDK. It gives Stripe's own JSON, which the typed methods turn into objects.
            answer = cast("Any", self._client).raw_request(method, path, **params, **options)
        except stripe.APIConnectionError as error:
            raise explain(error.__cause__, self._access, timeout, changing=changing) from error
        except stripe.StripeError as error:
            status, body = error.http_status or 0, cast("object", error.json_body)
            if status < 400:
                raise unreadable(status, changing=changing) from error
            found = cast("dict[str, Any]", body).get("error") if isinstance(body, dict) else None
            known = cast("dict[str, Any]", found) if isinstance(found, dict) else None
            headers = _lower(error.headers)
            raise from_answer(status, known, headers, key=self._access.shown, changing=changing) from error
        return Answer(answer.body, _lower(answer.headers), answer.code)

    def _read(self, answer: Answer, changing: bool) -> Snapshot:
        found: object = json.loads(answer.body, parse_float=str)
        if ESCAPED.search(answer.body):
            found = storable(found)
        if not isinstance(found, dict) or "object" not in found:
            raise unreadable(answer.status, changing=changing)
        snapshot, request_id = cast("Snapshot", found), answer.headers.get("request-id")
        guard.same_mode(snapshot, self.live, changing=changing, request_id=request_id)
        if snapshot["object"] == "list":
            for one in snapshot["data"]:
                guard.same_mode(one, self.live, changing=changing, request_id=request_id)
        return snapshot

    def _tell(self, method: Method, path: str, attempt: int, took: float, failure: StripeFailure) -> None:
        """One log line a failed attempt, with the token that the guide greps for its cause."""
        measures.observe("stripe_request", (method, _collection(path), failure.code), took)
        token, write = "stripe_error", log.warning if failure.again else log.info
        if isinstance(failure, KeyRefused):
            token, write = "authentication failed", log.error
        elif isinstance(failure, RateLimited):
            token, write = "rate_limit", log.warning
            if failure.http_status:
                self._budget.slow_down()
        elif isinstance(failure, TimedOut):
            token, write = "timeout", log.warning
        write(
            token,
            method=method,
            path=path,
            attempt=attempt,
            took_ms=round(took * 1000),
            code=failure.code,
            detail=failure.message,
            http_status=failure.http_status,
            request_id=failure.request_id,
            outcome_unknown=failure.outcome_unknown,
            retry=failure.again and attempt <= self._policy.retries,
        )

    def _pages(self, path: str, filters: Params) -> Iterator[Snapshot]:
        """Lazily; an object that appears meanwhile may be missed, none is given twice."""
        params: dict[str, Any] = {"limit": PAGE, **filters}
        for _ in range(MAX_OBJECTS // PAGE):
            found = self._call("get", path, params)
            if found["object"] != "list":
                raise unreadable(200, changing=False)
            objects = cast("list[Snapshot]", found["data"])
            yield from objects
            if not found.get("has_more") or not objects:
                return
            params["starting_after"] = objects[-1]["id"]
        raise TooManyObjects(maximum=MAX_OBJECTS, path=path)

    # Any kind that is mirrored

    def fetch(self, kind: str, id: str) -> Snapshot:
        found = KINDS[kind]
        expand = {"expand": list(found.expand)} if found.expand else None
        whole = self._whole(found, self._call("get", f"/v1/{found.collection}/{guard.object_id(kind, id)}", expand))
        if self.cache and kind in CACHED:
            self.cache.keep(kind, [whole])
        return whole

    def look_up(self, kind: str, id: str) -> Snapshot:
        if self.cache is None or kind not in CACHED:
            return self.fetch(kind, id)
        began, collection = monotonic(), KINDS[kind].collection
        found = self.cache.look(kind, id)
        measures.observe("stripe_cache", (collection, "hit" if found else "miss"), monotonic() - began)
        if found is None and self.batch and not self.cache.filled(kind):
            listed = self.page(kind).objects
            self.cache.keep(kind, listed, whole=True)
            found = next((one for one in listed if one["id"] == id), None)
        return found or self.fetch(kind, id)

    def page(
        self, kind: str, *, after: str | None = None, since: int | None = None, until: int | None = None,
        customer: str | None = None, limit: int = PAGE,
    ) -> Page:  # fmt: skip
        found = KINDS[kind]
        params: dict[str, Any] = {"limit": limit, **dict(found.filters)}
        params |= {"expand": [f"data.{field}" for field in found.expand]} if found.expand else {}
        params |= {"starting_after": after} if after else {}
        params |= {"customer": customer} if customer else {}
        created = {name: at for name, at in (("gte", since), ("lt", until)) if at is not None}
        params |= {"created": created} if created else {}
        answer = self._call("get", f"/v1/{found.collection}", params)
        if answer["object"] != "list":
            raise unreadable(200, changing=False)
        objects = cast("list[Snapshot]", answer["data"])
        return Page([self._whole(found, one) for one in objects], bool(answer.get("has_more")) and bool(objects))

    def _whole(self, kind: Kind, snapshot: Snapshot) -> Snapshot:
        """With all of its nested list, which Stripe cuts after ten."""
        nested = cast("dict[str, Any]", snapshot.get(kind.nested) or {})
        if nested.get("has_more"):
            path, _, query = kind.rest.format(id=guard.object_id(kind.collection, snapshot["id"])).partition("?")
            nested["data"] = list(self._pages(path, dict([query.split("=")]) if query else {}))
            nested["has_more"] = False
        return snapshot

    def account(self) -> Snapshot:
        return self._call("get", "/v1/account")

    def retrieve(self, collection: str, id: str, *expand: str) -> Snapshot:
        path = f"/v1/{collection}/{guard.object_id(_name(collection), id)}"
        return self._call("get", path, {"expand": list(expand)} if expand else None)

    # Changes and lists

    def change(self, *path: str, params: Params, key: str) -> Snapshot:
        with self._dropping(path):
            return self._call("post", _path(path), {**params, **_expanded(path)}, key)

    @contextmanager
    def _dropping(self, path: tuple[str, ...]) -> Generator[None]:
        """What may have changed is no longer cached, whatever was answered."""
        kind = NAMES.get(path[0], "")
        try:
            yield
        finally:
            if self.cache and kind in CACHED and len(path) > 1:
                self.cache.drop(kind, path[1])

    def remove(self, *path: str, params: Params, key: str) -> Snapshot:
        # A subscription stays, canceled: its answer is a whole picture. Others answer that they are gone.
        whole = _expanded(path) if path[0] == "subscriptions" else {}
        try:
            with self._dropping(path):
                return self._call("delete", _path(path), {**params, **whole}, key)
        except NoSuchObject as failure:
            if not failure.earlier_unknown:
                raise
            # Stripe keeps no answers to deletions: the attempt whose answer was lost had succeeded.
            return {"id": path[-1], "object": _name(path[-2]), "deleted": True}

    def listed(self, *path: str, **filters: Any) -> Iterator[Snapshot]:
        return self._pages(_path(path), {**(_expanded(path, "data.") if len(path) == 1 else {}), **filters})

    def preview(self, params: Params) -> Snapshot:
        return self._call("post", "/v1/invoices/create_preview", params, uuid.uuid4().hex)

    def client_secret(self, collection: str, id: str) -> str | None:
        return self._call("get", _path((collection, id)), secret=True).get(HELD_BACK)
