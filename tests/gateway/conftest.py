"""Gateways to a scripted server; nothing here needs a database."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import pytest
from scripted_stripe import Scripted, settings

from nself.gateway import retry
from nself.gateway.api import Stripe
from nself.gateway.live import connect
from stripe_openapi import validate_request

Opener = Callable[..., Stripe]


@pytest.fixture
def peer() -> Iterator[Scripted]:
    """What it was sent is checked against Stripe's document at the end, whatever it answered."""
    made = Scripted()
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    made.shutdown()
    made.server_close()
    thread.join(5)
    sent = [(seen.method, urlsplit(seen.path).path, seen.sent) for seen in made.seen]
    assert [complaint for one in sent for complaint in validate_request(*one)] == []


@pytest.fixture
def opened(peer: Scripted) -> Iterator[Opener]:
    """Makes gateways to the scripted server, and closes them."""
    made: list[Stripe] = []

    def open_one(**given: str) -> Stripe:
        made.append(connect(settings(peer.base, **given)))
        return made[-1]

    yield open_one
    for one in made:
        one.close()


@pytest.fixture
def stripe(opened: Opener) -> Stripe:
    return opened()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries without the seconds between them."""
    monkeypatch.setattr(retry, "FIRST_WAIT", 0.001)
