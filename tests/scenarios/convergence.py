"""One installation beside one sandbox that live through random histories, and what must be so when the dust has settled."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, cast

import agreement
import psycopg
from deeds import Deed, Nothing, Trouble, choose
from money_bench import Bench, signed, until
from money_seams import Crash, SeamDatabase, SeamStripe
from settling import Switch, settle
from wire import Refused, Wire

from nself.app import App
from nself.core.errors import BillingError
from nself.db.connect import DatabaseUnavailable
from nself.domains.connection.service import intents
from nself.domains.customer import service as customer
from nself.domains.customer.inputs import CreateCustomer
from nself.domains.sync.model import RunUnderWay
from nself.domains.webhook.service import process
from nself.domains.webhook.service.receive import receive
from nself.gateway import live
from nself.gateway.kinds import KINDS

TOLD = {"NOTIFY_WEBHOOK_URL": "http://127.0.0.1:9/", "NOTIFY_WEBHOOK_SECRET": "whsec_told"}
"""Where programs would be told; nothing is sent, the rows are looked at."""
BEGIN = datetime(2030, 1, 10, 9, 0, tzinfo=UTC)
"""When each history begins, on Stripe's clock; later it goes on as real time does."""
PATIENCE = 30
CUT = (
    "select pg_terminate_backend(pid, 2000) from pg_stat_activity"
    " where application_name = 'nself' and datname = current_database()"
)


class History(NamedTuple):
    """When the dust settles the worker crashes at the `crash`-th passing of each seam, and the synchronisation at the
    `crash_sync`-th of any; 0: at each of them too.
    """

    deeds: list[Deed]
    crash: int = 1
    crash_sync: int = 0


class Broken(BaseException):
    """The test itself failed, in the middle of the product's work."""


class Stand:
    """Two workers, one database, one sandbox; histories are lived one after the other."""

    def __init__(self, bench: Bench) -> None:
        self.bench, self.wire = bench, Wire(bench.sandbox.port)
        self.ahead, self.users, self.touched = timedelta(0), 0, 0
        self.switches = [Switch(), Switch()]
        self.apps = [self._app(switch) for switch in self.switches]
        self.depth, self._racer = 0, cast("Switch | None", None)
        self._racing = cast("Future[None] | None", None)
        self.done, self.refused, self.checked, self.met = Counter[str](), Counter[str](), Counter[str](), Counter[str]()
        self._tables = [name for (name,) in bench.sql(EMPTY) if not bench.sql(f"select 1 from billing.{name} limit 1")]
        self._begin()

    def _app(self, switch: Switch) -> App:
        app = self.bench.app(clock=self.now, **TOLD)
        app.close()
        app.__dict__["db"] = SeamDatabase(self.bench.database, switch)
        app.__dict__["stripe"] = SeamStripe(live.connect(app.settings), switch)
        return app

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    @property
    def app(self) -> App:
        return self.apps[self.depth]

    # Histories

    def _begin(self) -> None:
        """What is at Stripe when a history begins: two prices, a customer who subscribed to one."""
        post = self.wire.post
        self.wire.admin("clock", to=int(BEGIN.timestamp()))
        self.product = post("/v1/products", name="Pro")["id"]
        price, _ = (
            post("/v1/prices", currency="usd", product=self.product, unit_amount=amount, recurring={"interval": "month"})["id"]
            for amount in (1000, 2500)
        )  # fmt: skip
        card = "pm_card_visa"
        of = post("/v1/customers", payment_method=card, invoice_settings={"default_payment_method": card})["id"]
        post("/v1/subscriptions", customer=of, items=[{"price": price}])
        self.wire.admin("snapshots", name="begin")

    def reset(self) -> None:
        now = self.wire.admin("snapshots/begin/restore")["now"]
        self.ahead = datetime.fromtimestamp(now, UTC) - datetime.now(UTC)
        self.bench.sql(
            "set session_replication_role = replica; "
            + "".join(f"delete from billing.{name}; " for name in self._tables)
            + "set session_replication_role = origin"
        )
        self._events: list[dict[str, Any]] = []
        self.delivered = set[str]()
        self.listed_before: list[dict[str, Any]] = []
        self.uncertain = False

    def live(self, history: History) -> None:
        """From an empty database: see `live_on`."""
        self.reset()
        try:
            self.live_on(history)
        except Broken as broken:
            raise AssertionError("while somebody slept") from broken.__cause__

    def live_on(self, history: History) -> None:
        """The history, the settling with crashes at every seam, and everything that must hold then."""
        for deed in history.deeds:
            self.perform(deed)
        self.depth = 0
        self.relentlessly(history.crash, self.work_off)
        agreement.check_told(self)
        self.listed_before = self.events()[:]
        if history.crash_sync:
            self.relentlessly(history.crash_sync, self.settle, anywhere=True)
        else:
            self.relentlessly(history.crash, self.settle)
        self.work_off()
        agreement.check_all(self)

    def perform(self, deed: Deed) -> None:
        name = type(deed).__name__
        try:
            deed.do(self)
        except (Refused, Nothing):
            self.refused[name] += 1
        else:
            self.done[name] += 1

    # At Stripe

    def listed(self, kind: str) -> list[dict[str, Any]]:
        """Oldest first; payment methods are those of all customers."""
        if not KINDS[kind].of_customer:
            return self.wire.listed(kind)
        return [one for of in self.wire.listed("customer") for one in self.wire.listed(kind, of["id"])]

    def more_prices(self, count: int) -> list[str]:
        """Prices that are there without anybody having been told."""
        monthly = {"interval": "month", "interval_count": 1, "usage_type": "licensed", "meter": None}
        price = {
            "object": "price",
            "product": self.product,
            "currency": "usd",
            "type": "recurring",
            "recurring": monthly,
        }
        made = [
            {**price, "id": f"price_more{at}", "unit_amount": 10 + at, "unit_amount_decimal": f"{10 + at}"}
            for at in range(count)
        ]
        self.wire.admin("fixtures", objects=made, keep=True)
        return [str(one["id"]) for one in made]

    def touch(self, kind: str, id: str, told: bool) -> None:
        """A change that shows when it was made: the numbers in `metadata.deed` never go back."""
        self.touched += 1
        self.wire.admin("edit", kind=kind, id=id, webhook=told, changes={"metadata": {"deed": str(self.touched)}})

    def in_hand(self) -> tuple[str, str]:
        """What the one who was interrupted is about to store: kind and id."""
        kind, *id = self.switches[max(0, self.depth - 1)].hand or ("customer",)
        return kind, id[0] if id else choose(self.listed(kind), 0)["id"]

    def advance(self, seconds: int) -> None:
        self.wire.admin("clock", advance=seconds)
        self.ahead += timedelta(seconds=seconds)

    def events(self) -> list[dict[str, Any]]:
        """All events so far, oldest first."""
        self._events += self.wire.events(self._events[-1]["id"] if self._events else None)
        return self._events

    def undelivered(self) -> list[dict[str, Any]]:
        return [one for one in self.events() if one["id"] not in self.delivered]

    # Ours

    def deliver(self, events: list[dict[str, Any]], trouble: Trouble | None = None) -> None:
        """In trouble the receiver answers nothing, so Stripe sends all of them again that it had not acknowledged."""
        unanswered = list(events)

        def receive_all() -> None:
            while unanswered:
                event = unanswered[0]
                body = json.dumps(event).encode()
                receive(self.app, body, signed(body, at=self.now()))
                self.delivered.add(event["id"])
                unanswered.pop(0)

        self.suffer(trouble, receive_all)
        receive_all()

    def new_user(self) -> str:
        self.users += 1
        return f"user{self.users}"

    def plan(self, wish: CreateCustomer) -> None:
        self.app.db.transact(lambda tx: customer.plan_create(tx, [wish], False))

    def work(self) -> None:
        """The worker's loop, until nothing is due."""
        app = self.app
        for _ in range(1000):
            try:
                if not process.process_due(app) + intents.perform_due(app):
                    return
            except BillingError:
                self.met["work paused"] += 1
        raise AssertionError("the worker never rests")

    def settle(self) -> None:
        settle(self.app)

    def work_off(self) -> None:
        """Work, and time for leases to end and for what failed to be tried again, until nothing is left."""
        for _ in range(PATIENCE):
            self.work()
            if not self.bench.sql(WAITING):
                return
            self.bench.pass_time()
        raise AssertionError(f"something waits for ever: {self.bench.sql(WAITING)}")

    # Trouble

    def suffer(self, trouble: Trouble | None, work: Callable[[], None]) -> None:
        """`work`, and the trouble on its way. What is left over then is left to whoever comes next."""
        switch = self.switches[self.depth]
        try:
            with self._outage(trouble):
                switch.plan = self._plan(trouble) if trouble and trouble.seam else None
                work()
        except Crash:
            pass
        except RunUnderWay:  # somebody went on with the run of one who slept
            if trouble is None or trouble.kind != "sleep":
                raise
        except BillingError:
            if trouble is None or trouble.kind not in ("cut", "lost", "outage"):
                raise
        finally:
            switch.plan = None
            if switch is self._racer:
                self._end_race()

    @contextmanager
    def _outage(self, trouble: Trouble | None) -> Iterator[None]:
        if trouble is None or trouble.kind != "outage":
            yield
            return
        self.uncertain = True
        self.met["outage"] += 1
        self.wire.admin("faults", on="request", method="GET", path=".*", status=503, times=4 * trouble.nth)
        try:
            yield
        finally:
            self.wire.admin("faults/clear")

    def _plan(self, trouble: Trouble) -> Callable[[str, str], None]:
        left = [trouble.nth]

        def plan(name: str, where: str) -> None:
            if name != trouble.seam:
                return
            left[0] -= 1
            if left[0] == 0:
                self.met[f"{trouble.kind} {name}"] += 1
                self._happen(trouble, name)

        return plan

    def _happen(self, trouble: Trouble, name: str) -> None:
        if trouble.kind in ("crash", "outage"):
            raise Crash(name)
        if trouble.kind == "race":
            self._race(trouble.meanwhile)
            return
        if trouble.kind == "sleep":
            self.depth += 1
            try:
                for deed in trouble.meanwhile:
                    self.perform(deed)
            except Exception as error:  # the worker must not take it for trouble of its own
                raise Broken from error
            finally:
                self.depth -= 1
            return
        self.uncertain = True
        self.bench.sql(CUT)
        if trouble.kind == "lost":
            lost = "the answer is lost"
            raise psycopg.OperationalError(lost) if name == "after commit" else DatabaseUnavailable(detail=lost)

    def _race(self, deeds: Sequence[Deed]) -> None:
        """The other one does `deeds`, until it is done or waits for us; then both go on."""
        self._racer = self.switches[self.depth]
        self.depth += 1

        def run() -> None:
            for deed in deeds:
                self.perform(deed)

        pool = ThreadPoolExecutor(1)
        racing = self._racing = pool.submit(run)
        pool.shutdown(wait=False)
        until(lambda: racing.done() or self.bench.sql(BLOCKED))

    def _end_race(self) -> None:
        assert self._racing
        racing, self._racing, self._racer = self._racing, None, None
        try:
            racing.result()
        finally:
            self.depth -= 1

    def relentlessly(self, nth: int, work: Callable[[], None], anywhere: bool = False) -> None:
        """`work`, begun again after a crash at the `nth` passing of each seam, or of any, until it goes through."""
        passed = Counter[str]()

        def plan(name: str, where: str) -> None:
            seam = "" if anywhere else where
            passed[seam] += 1
            if passed[seam] == nth:
                raise Crash(where)

        switch = self.switches[0]
        while True:
            switch.plan = plan
            try:
                return work()
            except Crash:
                self.bench.pass_time()
            finally:
                switch.plan = None


BLOCKED = "select 1 from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
EMPTY = "select relname from pg_class where relnamespace = 'billing'::regnamespace and relkind in ('r', 'p') and not relispartition"
WAITING = (
    "select object_id, next_at, lease_until from billing_webhook_objects where next_at is not null or lease_until is not null"
    " union all select operation, next_at, lease_until from billing_intents where state = 'pending'"
)
