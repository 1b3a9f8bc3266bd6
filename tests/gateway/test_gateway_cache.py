"""What changes rarely is read once; what was changed is read anew; money's state is never kept."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from scripted_stripe import Reply, Scripted, Seen
from scripted_stripe import settings as given_settings

from nself.gateway.api import Stripe
from nself.gateway.cache import PREFIX, Cache, Own, Redis
from nself.gateway.live import connect
from ports import free_port
from serving import until

Opener = Callable[..., Stripe]


class Slow:
    """A store like one of PostgreSQL or Redis, shared by the gateways of a test; `away` makes it fail."""

    name = "test"

    def __init__(self) -> None:
        self.own, self.away = Own(), False

    def _reach(self) -> Own:
        if self.away:
            raise OSError("away")
        return self.own

    def get(self, key: str) -> bytes | None:
        return self._reach().get(key)

    def put(self, entries: Mapping[str, bytes], seconds: float) -> None:
        self._reach().put(entries, seconds)

    def drop(self, key: str) -> None:
        self._reach().drop(key)


def answer(seen: Seen) -> Reply:
    """Any object by its id; five of a list."""
    kind = seen.path.split("/")[2].removesuffix("s")
    if seen.path.count("/") == 3:
        return Reply(body=one(kind, seen.path.rpartition("/")[2]))
    return Reply(body={"object": "list", "data": [one(kind, f"{kind}_{at}") for at in range(5)], "has_more": False})


def one(kind: str, id: str) -> dict[str, Any]:
    return {"id": id, "object": kind, "livemode": False, "unit_amount_decimal": "0.5"}


@pytest.fixture
def open_two(peer: Scripted) -> Iterator[Callable[..., tuple[Stripe, Stripe, Slow]]]:
    """Gateways of two processes with one shared place."""
    made, store = list[Stripe](), Slow()
    peer.script = [answer]

    def opened(**given: str) -> tuple[Stripe, Stripe, Slow]:
        settings = given_settings(
            peer.base, **{"STRIPE_ENABLE_CACHE": "true", "STRIPE_BATCH_REQUESTS": "false", **given}
        )
        made.extend(connect(settings, table=store) for _ in range(2))
        return made[-2], made[-1], store

    yield opened
    for gateway in made:
        gateway.close()


Open = Callable[..., tuple[Stripe, Stripe, Slow]]


def test_without_the_setting_each_look_is_a_call(open_two: Open, peer: Scripted):
    first, second, _ = open_two(STRIPE_ENABLE_CACHE="false")
    assert [gateway.look_up("price", "price_1")["id"] for gateway in (first, second, first)] == ["price_1"] * 3
    assert len(peer.seen) == 3


def test_what_one_process_looked_up_the_others_know(open_two: Open, peer: Scripted):
    first, second, _ = open_two()
    found = first.look_up("price", "price_1")
    assert second.look_up("price", "price_1") == found == first.look_up("price", "price_1")
    assert len(peer.seen) == 1
    second.look_up("product", "price_1")
    assert len(peer.seen) == 2, "another kind"


def test_an_entry_is_out_of_date_after_its_time(open_two: Open, peer: Scripted, monkeypatch: pytest.MonkeyPatch):
    now = [1000.0]
    monkeypatch.setattr("nself.gateway.cache.monotonic", lambda: now[0])
    first, _, _ = open_two(STRIPE_CACHE_TTL="60s")
    first.look_up("price", "price_1")
    now[0] += 59
    first.look_up("price", "price_1")
    assert len(peer.seen) == 1
    now[0] += 1
    first.look_up("price", "price_1")
    assert len(peer.seen) == 2


@pytest.mark.parametrize("kind", ["payment_intent", "invoice", "customer", "subscription", "charge", "refund"])
def test_the_state_of_money_is_never_kept(open_two: Open, peer: Scripted, kind: str):
    first, _, store = open_two()
    for _ in range(2):
        first.look_up(kind, f"{kind}_1")
    assert len(peer.seen) == 2 and not store.own.entries


def test_a_change_of_ours_and_a_fresh_fetch_are_new_for_all(open_two: Open, peer: Scripted):
    first, second, _ = open_two()
    first.look_up("product", "prod_1")
    second.change("products", "prod_1", params={"name": "n"}, key="k1")
    peer.script = [lambda seen: Reply(body={**one("product", "prod_1"), "name": "n"})]
    assert first.look_up("product", "prod_1")["name"] == "n"
    peer.script = [lambda seen: Reply(body={**one("product", "prod_1"), "name": "told by a webhook"})]
    second.fetch("product", "prod_1")
    assert first.look_up("product", "prod_1")["name"] == "told by a webhook"
    second.remove("products", "prod_1", params={}, key="k2")
    calls = len(peer.seen)
    first.look_up("product", "prod_1")
    assert len(peer.seen) == calls + 1


def test_with_batching_many_looks_are_one_call(open_two: Open, peer: Scripted):
    first, second, _ = open_two(STRIPE_BATCH_REQUESTS="true")
    for at in range(5):
        assert (first, second)[at % 2].look_up("price", f"price_{at}")["id"] == f"price_{at}"
    assert [seen.path for seen in peer.seen] == ["/v1/prices"]
    first.look_up("price", "price_old")
    assert [seen.path for seen in peer.seen] == ["/v1/prices", "/v1/prices/price_old"], "the list is not read again"
    second.look_up("price", "price_old")
    assert len(peer.seen) == 2


def test_while_the_shared_place_is_away_a_process_keeps_its_own(open_two: Open, peer: Scripted):
    first, second, store = open_two()
    store.away = True
    for gateway in (first, first, second, second):
        assert gateway.look_up("price", "price_1")["id"] == "price_1"
    assert len(peer.seen) == 2
    first.change("prices", "price_1", params={"nickname": "n"}, key="k")
    first.look_up("price", "price_1")
    assert len(peer.seen) == 4


def test_another_key_sees_nothing_of_it():
    store = Slow()
    Cache(store, "sk_test_one", 60).keep("price", [one("price", "price_1")])
    assert Cache(store, "sk_test_one", 60).look("price", "price_1")
    assert Cache(store, "sk_test_two", 60).look("price", "price_1") is None
    assert not [key for key in store.own.entries if "sk_test" in key]


@pytest.fixture
def redis_url(tmp_path: Path) -> Iterator[str]:
    program = shutil.which("redis-server")
    if not program:
        pytest.skip("redis-server is not installed")
    port = free_port()
    line = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(tmp_path)]
    process = subprocess.Popen(line, stdout=subprocess.DEVNULL)
    try:
        url = f"redis://127.0.0.1:{port}/0"
        until(lambda: answers(url))
        yield url
    finally:
        process.terminate()
        process.wait(30)


def answers(url: str) -> bool:
    try:
        return bool(Redis(url).client.ping())
    except Exception:  # it is not up yet
        return False


def test_a_real_redis_keeps_expires_and_clears(redis_url: str, open_two: Open, peer: Scripted):
    first, second, store = open_two(REDIS_URL=redis_url, STRIPE_CACHE_TTL="1h")
    found = first.look_up("price", "price_1")
    assert second.look_up("price", "price_1") == found and len(peer.seen) == 1 and not store.own.entries
    redis = Redis(redis_url)
    [key] = redis.client.keys(f"{PREFIX}*")
    assert 3000 < redis.client.ttl(key) <= 3600
    second.change("prices", "price_1", params={"nickname": "n"}, key="k")
    assert redis.client.keys("*") == []
    first.look_up("price", "price_2")
    redis.client.set("somebody:else", "1")
    assert redis.clear("*") == 1 and redis.client.keys("*") == [b"somebody:else"], "only what is ours"


def test_what_another_program_put_there_is_asked_for_at_stripe(open_two: Open, peer: Scripted):
    first, _, store = open_two()
    first.look_up("price", "price_1")
    store.own.put(dict.fromkeys(store.own.entries, b"not JSON"), 60)
    assert first.look_up("price", "price_1")["id"] == "price_1"
    assert len(peer.seen) == 2
