"""Sends what the book of deliveries holds: signed, tried again with growing delays, lanes side by side."""

import asyncio
import hashlib
import hmac
import ssl
import time
from collections.abc import Sequence
from contextlib import suppress
from urllib.parse import urlsplit

import msgspec

from stripe_sandbox import deliveries, ids
from stripe_sandbox.call import Call
from stripe_sandbox.clock import Clock
from stripe_sandbox.deliveries import Delivery
from stripe_sandbox.store import Object, Store
from stripe_sandbox.traffic import Traffic

_AT_ONCE = 16
_TIMEOUT = 10.0
_SHORTEST_NAP = 0.01
_LONGEST_NAP = 60.0


def signature(body: bytes, secrets: Sequence[str], timestamp: int) -> str:
    """One signature for each secret that is good now: two while a rolled one still is."""
    signed = str(timestamp).encode() + b"." + body
    digests = [hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest() for secret in secrets]
    return ",".join([f"t={timestamp}", *(f"v1={digest}" for digest in digests)])


def secrets_of(endpoint: Object, now: float) -> list[str]:
    return [endpoint["_secret"], *(secret for secret, until in endpoint["_rolled"] if until > now)]


async def post(url: str, body: bytes, headers: dict[str, str]) -> int:
    """The status of the answer. Redirects are not followed: Stripe counts them as failures."""
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    host, port = parts.hostname or "", parts.port or (443 if secure else 80)
    reader, writer = await asyncio.open_connection(host, port, ssl=ssl.create_default_context() if secure else None)
    try:
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        lines = [f"POST {target} HTTP/1.1", f"Host: {parts.netloc.rpartition('@')[2]}", "Connection: close"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        lines += [f"Content-Length: {len(body)}", "", ""]
        writer.write("\r\n".join(lines).encode() + body)
        await writer.drain()
        version, status, *_ = (await reader.readline()).split(None, 2)
        if not version.startswith(b"HTTP/1."):
            raise ValueError("the answer is not HTTP")
        return int(status)
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


class Courier:
    """The one task that hands deliveries to senders; it wakes when a call committed or a retry is due."""

    def __init__(self, store: Store, clock: Clock, traffic: Traffic, *, retry_delay: float) -> None:
        self._store = store
        self._clock = clock
        self._traffic = traffic
        self._retry_delay = retry_delay
        self._wake = asyncio.Event()
        self._busy: dict[str, asyncio.Task[None]] = {}

    def wake(self) -> None:
        self._wake.set()

    async def run(self) -> None:
        try:
            while True:
                self._wake.clear()
                for delivery in deliveries.due(
                    self._store, self._clock.time(), set(self._busy), _AT_ONCE - len(self._busy)
                ):
                    self._busy[delivery.lane] = asyncio.create_task(self._deliver(delivery))
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), self._nap())
        finally:
            for task in self._busy.values():
                task.cancel()

    async def drain(self) -> None:
        """Until all that is due now has been tried."""
        while True:
            if self._busy:
                await asyncio.wait(list(self._busy.values()), return_when=asyncio.FIRST_COMPLETED)
            due_at = deliveries.next_due(self._store)
            if not self._busy and (due_at is None or due_at > self._clock.time()):
                return
            self.wake()
            await asyncio.sleep(0)

    def _nap(self) -> float:
        """One that is due already waits for its lane, or came due a moment ago."""
        due_at = deliveries.next_due(self._store)
        if due_at is None:
            return _LONGEST_NAP
        return min(max(due_at - self._clock.time(), _SHORTEST_NAP), _LONGEST_NAP)

    async def _deliver(self, delivery: Delivery) -> None:
        try:
            await self._attempt(delivery)
        finally:
            del self._busy[delivery.lane]
            self.wake()

    async def _attempt(self, delivery: Delivery) -> None:
        call = Call(self._store, self._clock)
        found = self._store.get("webhook_endpoint", delivery.endpoint)
        event = self._store.get("event", delivery.event)
        if found is None or found[1] or found[0]["status"] != "enabled" or event is None:
            deliveries.close(self._store, delivery, "canceled")
            return
        shown = call.show(event[0])
        body = msgspec.json.encode(shown)
        good = secrets_of(found[0], self._clock.time())
        secrets = [ids.webhook_secret()] if delivery.tampering == "badly_sign" else good
        times = 2 if delivery.tampering == "double" else 1
        for _ in range(times):
            await self._send(delivery, found[0]["url"], body, secrets)
        self._traffic.event(shown)

    async def _send(self, delivery: Delivery, url: str, body: bytes, secrets: Sequence[str]) -> None:
        at, started = self._clock.time(), time.monotonic()
        status, error = None, None
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
            "Accept": "*/*; q=0.5, application/xml",
            "Stripe-Signature": signature(body, secrets, self._clock.real()),
        }
        try:
            status = await asyncio.wait_for(post(url, body, headers), _TIMEOUT)
        except TimeoutError:
            error = f"no answer within {_TIMEOUT:g} seconds"
        except (OSError, ValueError, asyncio.IncompleteReadError) as failure:
            error = f"{type(failure).__name__}: {failure}"
        deliveries.record(
            self._store, delivery, at=at, seconds=time.monotonic() - started, status=status, error=error,
            retry_delay=self._retry_delay,
        )  # fmt: skip
