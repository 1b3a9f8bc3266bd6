"""A sandbox for each test. When the test is over, all that went over its wire is judged by Stripe's document."""

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import requests
import stripe

from stripe_openapi import validate_traffic
from stripe_sandbox import API_VERSION
from stripe_sandbox.server import run_in_thread
from stripe_sandbox.settings import Settings

# The SDK's own types forbid what a test must send, so here its services are Any.
Sdk: TypeAlias = Any


def ask(url: str, method: str, body: Any = None, headers: dict[str, str] | None = None) -> Any:
    """The answer without the SDK, or its status when it refuses."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, headers or {}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


@contextmanager
def sdk(url: str, key: str = "sk_test_sandbox", **options: Any) -> Generator[Sdk]:
    """The official client, which does not retry by itself unless a test asks for it."""
    session = requests.Session()
    http = stripe.RequestsClient(session=session)
    settings = {"stripe_version": API_VERSION, "max_network_retries": 0, **options}
    client: Any = stripe.StripeClient(key, base_addresses={"api": url}, http_client=http, **settings)
    client.v1.address, client.v1.session = url, session
    try:
        yield client.v1
    finally:
        http.close()


@dataclass(frozen=True)
class Sandbox:
    url: str
    traffic: Path

    def admin(self, method: str, path: str, body: Any = None) -> Any:
        return ask(f"{self.url}/_sandbox/{path}", method, body)

    def fault(self, **fault: Any) -> Any:
        answer = self.admin("POST", "faults", fault)
        assert isinstance(answer, dict), answer
        return answer


@contextmanager
def running(traffic: Path, **settings: Any) -> Generator[Sandbox]:
    with run_in_thread(Settings(**{"rate_limit": 0, **settings, "traffic": str(traffic)})) as server:
        yield Sandbox(server.url, traffic)
        with sdk(server.url, "sk_test_judge") as api, suppress(stripe.StripeError):
            # Every event goes over the wire once, so that every one of them is judged.
            for _ in api.events.list({"limit": 100}).auto_paging_iter():
                pass
    assert validate_traffic(traffic) == []


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    with running(tmp_path / "traffic", retry_delay=0.05) as started:
        yield started


@pytest.fixture
def api(sandbox: Sandbox) -> Iterator[Sdk]:
    with sdk(sandbox.url) as client:
        yield client


@dataclass
class Receiver:
    """An endpoint of our own. It believes only what the SDK's signature check believes."""

    url: str = ""
    secret: str = ""
    events: list[stripe.Event] = field(default_factory=list[stripe.Event])
    refused: int = 0
    answers: list[int] = field(default_factory=list[int])  # statuses for the next calls, then 200
    _changed: threading.Condition = field(default_factory=threading.Condition)

    @property
    def types(self) -> list[str]:
        return [event.type for event in self.events]

    def take(self, body: bytes, signature: str) -> int:
        with self._changed:
            try:
                event = stripe.Webhook.construct_event(body, signature, self.secret)  # pyright: ignore[reportUnknownMemberType]
            except stripe.SignatureVerificationError:
                self.refused += 1
                status = 400
            else:
                status = self.answers.pop(0) if self.answers else 200
                if status < 300:
                    self.events.append(event)
            self._changed.notify_all()
            return status

    def wait_for(self, count: int, timeout: float = 60.0) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.events) >= count, timeout), self.types

    def wait_for_refusals(self, count: int, timeout: float = 60.0) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self.refused >= count, timeout), self.refused

    @contextmanager
    def silent(self) -> Generator[None]:
        """Whatever is delivered waits for its answer."""
        with self._changed:
            yield

    def subscribe(self, api: Sdk, *types: str) -> Any:
        endpoint = api.webhook_endpoints.create({"url": self.url, "enabled_events": list(types) or ["*"]})
        self.secret = endpoint.secret
        return endpoint


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(made.take(body, self.headers["Stripe-Signature"]))
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.url = f"http://127.0.0.1:{server.server_port}/webhooks/stripe"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def refusal(kind: type[stripe.StripeError], call: Any, *arguments: Any) -> Any:
    """The error of Stripe's that the call must raise; the SDK drops the code of some kinds, so it is put back."""
    with pytest.raises(kind) as caught:
        call(*arguments)
    error: Any = caught.value
    error.code = error.json_body["error"].get("code")
    return error


def paying_customer(api: Sdk, card: str = "pm_card_visa", **fields: Any) -> Any:
    return api.customers.create(
        {"payment_method": card, "invoice_settings": {"default_payment_method": card}, **fields}
    )


def drafted(api: Sdk, customer: str, *amounts: int, currency: str = "usd", **fields: Any) -> Any:
    invoice = api.invoices.create({"customer": customer, "currency": currency, **fields})
    for amount in amounts:
        api.invoice_items.create({"customer": customer, "invoice": invoice.id, "amount": amount, "currency": currency})
    return invoice


def event_types(api: Sdk, **wanted: Any) -> list[str]:
    """Oldest first."""
    return [event.type for event in api.events.list({"limit": 100, **wanted}).data][::-1]
