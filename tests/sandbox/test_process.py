"""The command: start, stop, and what a killed process leaves behind."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import stripe

from ports import free_port
from sandbox.conftest import Receiver, Sandbox, ask, drafted, paying_customer, sdk
from sandbox.timing import DAY, advance, at, clocked, invoices, price, ready, subscribe
from stripe_openapi import validate_traffic


def _command(data: Path, port: int, traffic: Path) -> list[str]:
    return [
        sys.executable, "-m", "stripe_sandbox", "--port", str(port), "--data", str(data), "--rate-limit", "0",
        "--retry-delay", "0.1", "--traffic", str(traffic),
    ]  # fmt: skip


@contextmanager
def _started(data: Path, port: int) -> Iterator[tuple[Sandbox, subprocess.Popen[bytes]]]:
    traffic = data.with_suffix(".traffic")
    with data.with_suffix(".stderr").open("wb") as stderr:
        process = subprocess.Popen(_command(data, port, traffic), stderr=stderr)
    sandbox = Sandbox(f"http://127.0.0.1:{port}", traffic)
    try:
        _wait_until_ready(sandbox, process)
        yield sandbox, process
    finally:
        process.kill()
        process.wait()


def _wait_until_ready(sandbox: Sandbox, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(OSError):
            assert sandbox.admin("GET", "health")["status"] == "ok"
            return
        time.sleep(0.01)
    raise AssertionError(f"not ready: exit status {process.poll()}")


def test_sigterm_ends_it_in_order(tmp_path: Path) -> None:
    with _started(tmp_path / "data.db", free_port()) as (sandbox, process):
        with sdk(sandbox.url) as api:
            api.customers.create()
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    assert (tmp_path / "data.stderr").read_bytes() == b""


def test_a_second_process_on_the_same_file_is_refused(tmp_path: Path) -> None:
    data, port = tmp_path / "data.db", free_port()
    with _started(data, port) as (sandbox, process):
        second = subprocess.run(
            _command(data, free_port(), tmp_path / "other"), capture_output=True, timeout=60, check=False
        )
        assert second.returncode == 1
        assert f"{data} is in use by another stripe-sandbox (process {process.pid})" in second.stderr.decode()
        link = tmp_path / "link.db"
        link.symlink_to(data)
        third = subprocess.run(
            _command(link, free_port(), tmp_path / "other"), capture_output=True, timeout=60, check=False
        )
        assert (third.returncode, b"is in use by another stripe-sandbox" in third.stderr) == (1, True)
        assert sandbox.admin("GET", "health")["status"] == "ok"


def test_files_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("This is no database, whatever its name says. " * 100)
    for data, traffic, told in (
        ("nowhere/data.db", "traffic", "nowhere/data.db.lock: No such file or directory"),
        ("data.db", "nowhere/traffic", "nowhere/traffic: No such file or directory"),
        ("text.db", "traffic", "text.db: file is not a database"),
    ):
        line = _command(tmp_path / data, free_port(), tmp_path / traffic)
        ended = subprocess.run(line, capture_output=True, timeout=60, check=False)
        assert (ended.returncode, ended.stderr.decode()) == (1, f"stripe-sandbox: {tmp_path / told}\n")


def test_a_port_is_one_of_65535(tmp_path: Path) -> None:
    """99999 must not become port 34463."""
    line = _command(tmp_path / "data.db", 99999, tmp_path / "traffic")
    ended = subprocess.run(line, capture_output=True, timeout=60, check=False)
    assert (ended.returncode, b"argument --port: 99999 is not a port, 1 to 65535" in ended.stderr) == (2, True)


def test_killed_at_any_moment_nothing_is_lost_or_doubled(tmp_path: Path, receiver: Receiver) -> None:
    """Three clients pay invoices while the process is killed three times.

    Each client repeats a call with its key until it has an answer. Afterwards every answer that was given is
    true, every invoice was charged once, and each event arrived.
    """
    data, port = tmp_path / "data.db", free_port()
    paid: list[str] = []
    failures: list[BaseException] = []
    stop = threading.Event()
    url = f"http://127.0.0.1:{port}"
    with _started(data, port), sdk(url) as api:
        receiver.subscribe(api)
        customers = [paying_customer(api).id for _ in range(3)]

        def pays(customer: str) -> None:
            try:
                with sdk(url) as mine:
                    number = 0
                    while not stop.is_set():
                        number += 1
                        paid.append(_pay_stubbornly(mine, customer, number))
            except BaseException as failure:
                failures.append(failure)

        threads = [threading.Thread(target=pays, args=(customer,)) for customer in customers]
        for thread in threads:
            thread.start()
        time.sleep(0.4)
    for round_number in range(3):
        with _started(data, port) as (_, process):
            time.sleep(0.3)
            if round_number == 2:
                _finish(stop, threads)
                _check(url, customers, paid, receiver)
            else:
                process.kill()
                process.wait()
    assert failures == []
    assert validate_traffic(_whole_lines(data.with_suffix(".traffic"))) == []


def _finish(stop: threading.Event, threads: list[threading.Thread]) -> None:
    stop.set()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()


def _pay_stubbornly(api: Any, customer: str, number: int) -> str:
    key = f"{customer}-{number}"
    deadline = time.monotonic() + 60

    def stubbornly(call: Any, *arguments: Any) -> Any:
        while True:
            try:
                return call(*arguments)
            except stripe.APIConnectionError:
                assert time.monotonic() < deadline
                time.sleep(0.02)

    invoice = stubbornly(
        api.invoices.create, {"customer": customer, "currency": "usd"}, {"idempotency_key": f"{key}-invoice"}
    )
    item = {"customer": customer, "invoice": invoice.id, "amount": 1000 + number}
    stubbornly(api.invoice_items.create, item, {"idempotency_key": f"{key}-item"})
    assert stubbornly(api.invoices.pay, invoice.id, {}, {"idempotency_key": f"{key}-pay"}).status == "paid"
    return invoice.id


def _check(url: str, customers: list[str], paid: list[str], receiver: Receiver) -> None:
    with sdk(url) as api:
        invoices = {one.id: one for one in api.invoices.list({"limit": 100}).auto_paging_iter()}
        charges = list(api.charges.list({"limit": 100}).auto_paging_iter())
        events = {one.id: one.type for one in api.events.list({"limit": 100}).auto_paging_iter()}
    assert len(paid) == len(set(paid)) == len(invoices) > len(customers)
    assert {one.status for one in invoices.values()} == {"paid"}
    assert len(charges) == len(invoices)
    assert sum(one.amount for one in charges) == sum(one.total for one in invoices.values())
    for customer in customers:
        mine = [one for one in invoices.values() if one.customer == customer]
        assert sorted(one.total for one in mine) == [1000 + number for number in range(1, len(mine) + 1)]
    _wait_until_delivered(url)
    assert {event.id for event in receiver.events} == set(events)
    assert sum(1 for kind in events.values() if kind == "invoice.paid") == len(invoices)


def _wait_until_delivered(url: str) -> None:
    deadline = time.monotonic() + 60
    while ask(f"{url}/_sandbox/state", "GET")["deliveries_waiting"]:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _whole_lines(traffic: Path) -> Path:
    """The line that was being written when the process was killed is cut off."""
    lines = [line for line in traffic.read_bytes().splitlines() if line.endswith(b"}")]
    traffic.write_bytes(b"\n".join(lines))
    return traffic


def test_deliveries_resume_after_a_kill(tmp_path: Path, receiver: Receiver) -> None:
    data, port = tmp_path / "data.db", free_port()
    receiver.answers = [500] * 1000
    with _started(data, port) as (sandbox, process), sdk(sandbox.url) as api:
        receiver.subscribe(api)
        invoice = drafted(api, paying_customer(api).id, 900)
        api.invoices.pay(invoice.id)
        expected = {event.id for event in api.events.list({"limit": 100}).data}
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    receiver.answers = []
    with _started(data, port) as (sandbox, _):
        _wait_until_delivered(sandbox.url)
        # One that was on its way at the kill may come twice; no event is left out or booked twice.
        assert {event.id for event in receiver.events} == expected
        booked = [one["event"] for one in sandbox.admin("GET", "deliveries")["deliveries"]]
        assert sorted(booked) == sorted(expected)


def test_killed_while_time_advances(tmp_path: Path) -> None:
    """The test clock goes on where it was, each step once; the sandbox's own clock keeps what it had gained."""
    port, data = free_port(), tmp_path / "data.db"
    with _started(data, port) as (sandbox, process), sdk(sandbox.url) as api:
        gained = sandbox.admin("POST", "clock", {"advance": 5 * DAY})["now"]
        customer = clocked(api, "2026-01-31")
        subscription = subscribe(api, customer, *(price(api, 1000 + number, "day") for number in range(5)))
        for days in (2, 4, 6):
            clock = advance(api, customer.test_clock, at("2026-01-31") + days * DAY)
        api.test_helpers.test_clocks.advance(clock.id, {"frozen_time": clock.frozen_time + 2 * DAY})
        process.kill()
        process.wait()
    with _started(data, port) as (sandbox, _), sdk(sandbox.url) as api:
        assert ready(api, clock.id).frozen_time == at("2026-02-08")
        made = invoices(api, subscription)
        assert [one.created for one in made] == [at("2026-01-31") + day * DAY for day in range(9)]
        assert [one.status for one in made] == ["paid"] * 8 + ["draft"]
        assert len(api.charges.list({"customer": customer.id, "limit": 100}).data) == 8
        assert 0 <= sandbox.admin("GET", "clock")["now"] - gained < 600
