"""Customers asked for at the same time, and twins at Stripe."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from money_bench import Bench, email
from money_seams import Pause, fragile

from nself.app import App
from nself.domains.customer import service
from nself.domains.customer.inputs import CreateCustomer, ListCustomers
from nself.domains.customer.model import BadEmail, CreatedCustomer, OtherCustomer

COMMAND = """
import json, sys
from nself.app import App
from nself.config import find_project
from nself.domains.customer.inputs import CreateCustomer
from nself.domains.customer.service import create
from nself.registry import Registry
from pathlib import Path
folder, environ = sys.argv[1], json.loads(sys.argv[2])
app = App(find_project(folder, {}, Path(folder)), Registry(), environ=environ)
app.db, app.stripe
print("ready", flush=True)
sys.stdin.readline()
print(create(app, CreateCustomer(user="user", email="user@example.com", payment_method="pm_card_visa")).id)
app.close()
"""


def ask(app: App, user: str = "user", address: str = "") -> CreatedCustomer:
    return service.create(app, CreateCustomer(user=user, email=address or email(user), payment_method="pm_card_visa"))


def test_two_threads_that_ask_at_once_get_the_same_customer(bench: Bench):
    apps = [bench.app() for _ in range(4)]
    for round in range(5):
        user, start = f"user{round}", threading.Barrier(4)

        def create(app: App, user: str = user, start: threading.Barrier = start) -> str:
            start.wait()
            return ask(app, user).id

        with ThreadPoolExecutor(4) as pool:
            assert len(set(pool.map(create, apps))) == 1
        assert bench.books(user).customers == 1
    bench.check_law()


def test_two_processes_that_ask_at_once_get_the_same_customer(bench: Bench):
    words = [sys.executable, "-P", "-c", COMMAND, str(bench.folder), json.dumps(bench.environ())]
    processes = [subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    for process in processes:
        assert process.stdout and process.stdout.readline() == "ready\n"
    answers = [process.communicate("go\n", timeout=60)[0].strip() for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert len(set(answers)) == 1
    assert bench.books("user").customers == 1


def test_one_who_comes_between_the_check_and_the_wish_of_another_changes_nothing(bench: Bench):
    other = bench.app()
    app = fragile(bench, Pause(1, lambda: ask(other)))
    assert ask(app).id == ask(other).id
    assert bench.books("user").customers == 1


def test_who_comes_second_with_another_address_is_told_of_the_first(bench: Bench):
    other = bench.app()
    app = fragile(bench, Pause(1, lambda: ask(other, address="first@example.com")))
    with pytest.raises(OtherCustomer, match="with email first@"):
        ask(app, address="second@example.com")
    (standing,) = service.list_customers(other, ListCustomers())
    assert standing.email == "first@example.com"
    assert bench.sandbox.customers("second@example.com") == []


def test_many_at_once_in_opposite_order_do_not_wait_for_each_other(bench: Bench):
    users, start = [f"user{number:02}" for number in range(20)], threading.Barrier(2)
    apps = [bench.app(), bench.app()]

    def create(which: int) -> None:
        wishes = [CreateCustomer(user=user, email=email(user)) for user in users[:: 1 - 2 * which]]
        start.wait()
        service.create_many(apps[which], wishes)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(create, range(2)))
    assert [bench.books(user).customers for user in users] == [1] * 20


def test_the_same_again_is_said_to_stand_already(bench: Bench):
    app = bench.app()
    assert ask(app).created
    again = ask(app)
    assert (again.created, again.note) == (False, "stands already, nothing changed")
    with pytest.raises(OtherCustomer):
        ask(app, address="other@example.com")
    with pytest.raises(BadEmail, match="Invalid email address: nobody"):
        ask(app, "user2", "nobody")
    assert bench.sandbox.admin("state")["objects"]["customer"] == 1


def test_a_deleted_customer_makes_room_for_a_new_one(bench: Bench):
    app = bench.app()
    first = ask(app).id
    bench.sandbox.edit("customer", first, delete=True)
    bench.deliver(app)
    bench.work(app)
    second = ask(app).id
    assert second != first
    assert [one.id for one in service.list_customers(app, ListCustomers(user="user"))] == [second]
    bench.deliver(app)
    bench.work(app)
    bench.check_quiet()


def test_a_twin_made_by_hand_does_not_take_the_user_away(bench: Bench):
    app = bench.app()
    ours = ask(app).id
    bench.sandbox.post("/v1/customers", email=email("user"), metadata={"nself_user": "user"})
    bench.deliver(app)
    bench.work(app)
    assert [one.id for one in service.list_customers(app, ListCustomers(user="user"))] == [ours]
    assert len(service.list_customers(app, ListCustomers())) == 2
    bench.check_quiet()


def test_a_user_who_is_changed_by_hand_stays_who_he_was(bench: Bench):
    app = bench.app()
    ours = ask(app).id
    bench.sandbox.edit("customer", ours, metadata={"nself_user": "somebody else"}, name="Changed")
    bench.deliver(app)
    bench.work(app)
    (shown,) = service.list_customers(app, ListCustomers())
    assert (shown.user, shown.name) == ("user", "Changed")
    bench.check_quiet()
