"""Several customers at Stripe bear the name of one user: whose it is does not depend on the order in which they come."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import permutations
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from money_bench import Bench

from nself.app import App
from nself.domains.customer.inputs import CreateCustomer
from nself.domains.customer.service import create
from nself.domains.mirror import service as mirror
from nself.domains.mirror.model import Picture
from nself.domains.sync.inputs import FindInconsistencies, LinkCustomer
from nself.domains.sync.service import link, look

FEW = settings(
    max_examples=40, deadline=None, phases=[Phase.generate], suppress_health_check=[HealthCheck.function_scoped_fixture]
)
Snapshot = dict[str, Any]


def made(number: int, at: int, user: str = "u", **metadata: str) -> Snapshot:
    return {
        "id": f"cus_{number}", "object": "customer", "livemode": False, "created": at, "email": None, "name": None,
        "metadata": {"nself_user": user, **metadata},
    }  # fmt: skip


def gone(number: int) -> Snapshot:
    return {"id": f"cus_{number}", "object": "customer", "livemode": False, "deleted": True}


def store(app: App, page: Sequence[Snapshot]) -> None:
    """In one transaction; where one was deleted meanwhile each by itself, and the deleted one as it is now."""
    pictures = [Picture(one, 10 + bool(one.get("deleted")), "sync 1") for one in page]
    try:
        app.db.transact(lambda tx: mirror.accept_all(app, tx, pictures))
    except mirror.Overtaken:
        for one in page:
            if len(page) > 1:
                store(app, [one])


def picture(bench: Bench) -> tuple[dict[str, str | None], list[tuple[str, str]]]:
    """Who has which user, and what is told of the others."""
    users = dict(bench.sql("select customer_id, user_id from billing_customers where not deleted order by 1"))
    odd = look.find_inconsistencies(bench.apps[-1], FindInconsistencies())
    return users, [(one.object, one.detail) for one in odd]


def forget(bench: Bench) -> None:
    for table in ("customers", "object_changes", "customer_links"):
        bench.sql(f"delete from billing_{table}")


CLAIMS = [made(1, 300), made(2, 200), made(3, 200), made(4, 100, "v"), made(5, 400, "v", nself_intent="k")]
TOLD = [
    ("cus_1", "it names user u, who belongs to cus_2, which is older"),
    ("cus_3", "it names user u, who belongs to cus_2, which is older"),
    ("cus_4", "it names user v, who belongs to cus_5, which was made from here"),
]


def test_the_same_customer_gets_the_user_in_every_order(bench: Bench):
    app, whole = bench.app(), {"cus_1": None, "cus_2": "u", "cus_3": None, "cus_4": None, "cus_5": "v"}
    for order in permutations(CLAIMS):
        forget(bench)
        for one in order:
            store(app, [one])
        assert picture(bench) == (whole, TOLD), [one["id"] for one in order]


@FEW
@given(data=st.data())
def test_the_same_in_pages_with_deletions_and_pictures_that_come_again(bench: Bench, data: st.DataObject):
    app = bench.apps[-1]
    claims = [
        made(n, data.draw(st.integers(1, 3)), data.draw(st.sampled_from("uv")), **data.draw(st.sampled_from([{}, {"nself_intent": "k"}])))
        for n in range(4)
    ]  # fmt: skip
    dead = data.draw(st.sets(st.integers(0, 3), max_size=2))
    told = [*claims, *(gone(n) for n in dead), *data.draw(st.lists(st.sampled_from(claims), max_size=2))]
    pictures: list[object] = []
    for _ in range(2):
        forget(bench)
        order = data.draw(st.permutations(told))
        while order:
            size = data.draw(st.integers(1, 4))
            page = {one["id"]: one for one in sorted(order[:size], key=lambda one: "deleted" in one)}
            order = order[size:]
            store(app, list(page.values()))
        pictures.append(picture(bench))
    assert pictures[0] == pictures[1]
    users = {user for user in pictures[0][0].values() if user}
    assert users == {one["metadata"]["nself_user"] for n, one in enumerate(claims) if n not in dead}


def test_who_was_made_from_here_or_linked_by_hand_keeps_the_user(bench: Bench):
    app = bench.app()
    old = bench.sandbox.post("/v1/customers", email="old@example.com")["id"]
    bench.sandbox.admin("clock", advance=60)
    ours = create(app, CreateCustomer(user="u", email="u@example.com")).id
    bench.sandbox.edit("customer", old, webhook=False, metadata={"nself_user": "u"})
    store(app, [bench.sandbox.get(f"/v1/customers/{old}")])
    assert picture(bench)[0] == {old: None, ours: "u"}
    link.link(app, LinkCustomer(customer=old, user="u", force=True, reason="the older one pays"))
    store(app, [bench.sandbox.get(f"/v1/customers/{ours}")])
    assert picture(bench) == (
        {old: "u", ours: None},
        [(ours, f"it names user u, who belongs to {old}, which an operator linked")],
    )


def test_an_operators_word_for_what_stands_already_is_kept_too(bench: Bench):
    app = bench.app()
    young = bench.sandbox.post("/v1/customers", email="a@example.com", metadata={"nself_user": "u"})["id"]
    store(app, [bench.sandbox.get(f"/v1/customers/{young}")])
    assert link.link(app, LinkCustomer(customer=young, user="u")).note == "stands already, nothing changed"
    store(app, [made(1, 1)])
    assert picture(bench)[0] == {"cus_1": None, young: "u"}


def test_customers_of_one_user_that_are_stored_at_once_are_all_stored(bench: Bench):
    apps = [bench.app() for _ in range(4)]
    for _ in range(10):
        forget(bench)
        with ThreadPoolExecutor(4) as pool:
            for _ in pool.map(lambda n: store(apps[n], [made(n, 10 - n)]), range(4)):
                pass
        assert picture(bench)[0] == {"cus_0": None, "cus_1": None, "cus_2": None, "cus_3": "u"}
