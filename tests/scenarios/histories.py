"""Which histories there are: strategies of deeds, and of whole histories."""

from __future__ import annotations

from convergence import History
from deeds import (
    MANY,
    TIMES,
    Bill,
    Cancel,
    ChangePlan,
    Credit,
    Cut,
    Deed,
    Delete,
    Deliver,
    DeliverAll,
    Detach,
    Dispute,
    Edit,
    Kill,
    LeasesEnd,
    NewCustomer,
    NewPrice,
    OtherCard,
    OwnCustomer,
    PassTime,
    Refund,
    Remove,
    Subscribe,
    Sync,
    Touch,
    Trouble,
    Work,
)
from hypothesis import strategies as st

from nself.gateway.kinds import KINDS

FEW = st.integers(0, 3)
FLAG = st.booleans()
SEAMS = st.sampled_from(
    ("after fetch", "before commit", "after commit", "before fetch", "after statement", "after page")
)
OPEN_SEAMS = SEAMS.filter(lambda name: name != "before commit")
NTH = st.sampled_from((1, 1, 2, 3, 5))
"""Seldom is more due than a few objects."""
TOUCHED = st.builds(Touch, st.sampled_from((True, True, False)))
IN_HAND = st.one_of(TOUCHED, TOUCHED, st.just(Remove()))
HEARD = st.tuples(IN_HAND, st.just(DeliverAll()), st.just(Work()))
MEANWHILE = st.one_of(
    st.tuples(IN_HAND, st.just(DeliverAll()), st.just(LeasesEnd()), st.just(Work())),
    HEARD,
    st.tuples(TOUCHED, st.sampled_from((Sync(), Sync(), Work(), DeliverAll()))),
    st.tuples(st.just(LeasesEnd()), st.just(Work()), TOUCHED, st.just(DeliverAll())),
)
RECEIVING = st.one_of(
    st.none(),
    st.none(),
    st.builds(Trouble, st.sampled_from(("crash", "cut", "lost")), st.just("after statement"), NTH),
)
TROUBLES = st.one_of(
    st.none(),
    st.builds(Trouble, st.just("crash"), SEAMS, NTH),
    st.builds(Trouble, st.just("cut"), SEAMS, NTH),
    st.builds(Trouble, st.just("lost"), st.sampled_from(("after commit", "after statement")), NTH),
    st.builds(Trouble, st.just("sleep"), OPEN_SEAMS, NTH, MEANWHILE),
    st.builds(Trouble, st.just("sleep"), st.just("after fetch"), NTH, MEANWHILE),
    st.builds(Trouble, st.just("outage"), st.sampled_from(("", "before commit", "after commit")), st.integers(1, 3)),
)
AT_STRIPE = st.one_of(
    st.builds(NewCustomer, st.integers(0, 2)),
    st.builds(OwnCustomer, st.integers(0, 2)),
    st.builds(NewPrice, FLAG),
    st.builds(Subscribe, FEW, FEW, st.sampled_from((1, 1, 2, MANY)), FLAG),
    st.builds(ChangePlan, FEW, FEW),
    st.builds(Cancel, FEW, FLAG),
    st.builds(OtherCard, FEW, st.integers(0, 2)),
    st.builds(Detach, FEW),
    st.builds(Bill, FEW, st.integers(0, 5), FLAG),
    st.builds(Refund, FEW, FLAG),
    st.builds(Credit, FEW),
    st.builds(Dispute, FLAG),
    st.builds(Edit, st.sampled_from(sorted(KINDS)), FEW, FLAG),
    st.builds(Delete, st.sampled_from(("customer", "product", "invoice")), FEW, FLAG),
    st.builds(PassTime, st.integers(0, len(TIMES) - 1)),
)
DELIVERIES = st.one_of(
    st.builds(Deliver, st.lists(st.integers(0, 12), min_size=1, max_size=6).map(tuple)),
    st.builds(DeliverAll, FLAG, st.sampled_from((0, 0, 2, 3)), RECEIVING),
)
WORK = st.builds(Work, TROUBLES)
OVERTAKEN_WORK = st.builds(Work, st.builds(Trouble, st.just("sleep"), st.just("after fetch"), NTH, MEANWHILE))
DUE = st.builds(Edit, st.sampled_from(sorted(KINDS)), FEW, st.just(True))
PAGES = st.integers(1, len(KINDS))
OVERTAKEN_SYNC = st.builds(Sync, st.builds(Trouble, st.just("sleep"), st.just("after page"), PAGES, HEARD))
RACED_SYNC = st.builds(Sync, st.builds(Trouble, st.just("race"), st.just("before commit"), PAGES, HEARD))
SYNC = st.tuples(st.one_of(st.builds(Sync, TROUBLES), OVERTAKEN_SYNC, RACED_SYNC))
STEPS = st.one_of(
    st.tuples(AT_STRIPE),
    st.tuples(AT_STRIPE, AT_STRIPE),
    st.tuples(DELIVERIES),
    st.tuples(DELIVERIES, WORK),
    st.tuples(DUE, st.just(DeliverAll()), OVERTAKEN_WORK),
    st.tuples(DELIVERIES, OVERTAKEN_WORK),
    st.tuples(DELIVERIES, WORK, st.just(LeasesEnd())),
    SYNC,
)
DEEDS = st.lists(STEPS, min_size=2, max_size=6).map(lambda steps: [deed for step in steps for deed in step])
SOON = st.integers(0, 80)
KILLING = st.one_of(
    st.tuples(AT_STRIPE, AT_STRIPE),
    st.tuples(
        AT_STRIPE, st.builds(DeliverAll, FLAG, st.sampled_from((0, 0, 2, 3))), st.builds(Kill, st.integers(0, 1), SOON)
    ),
    st.tuples(DELIVERIES, st.builds(Cut, SOON)),
    st.tuples(st.just(LeasesEnd())),
)
KILLINGS = st.lists(KILLING, min_size=4, max_size=9).map(lambda steps: [deed for step in steps for deed in step])
HISTORIES = st.builds(History, DEEDS, st.integers(1, 3), st.integers(1, 40))
TOUR = History(
    [
        NewPrice(tiered=True), Subscribe(0, 2, 1, trial=True), Subscribe(0, 0, MANY), NewCustomer(1), OtherCard(0, 2),
        DeliverAll(trouble=Trouble("crash", "after statement", 3)), Work(Trouble("outage", "before commit", 3)), LeasesEnd(),
        Bill(0, 3, taxed=True), Bill(0, 1), Bill(1, 3), Credit(0), Refund(0, whole=False), Dispute(won=True), Dispute(won=True),
        DeliverAll(backwards=True, but=3, trouble=Trouble("crash", "after statement", 2)),
        Work(Trouble("outage", "after commit", 3)), Sync(Trouble("cut", "before commit", 4)), ChangePlan(0, 0),
        Sync(Trouble("race", "before commit", 4, (Touch(), DeliverAll(), Work()))), Cancel(0, now=False), Edit("invoice", 0, told=False), Edit("tax_rate", 0, told=True), PassTime(2),
        DeliverAll(but=2), Work(Trouble("sleep", "after fetch", 2, (Touch(), DeliverAll(), LeasesEnd(), Work()))),
        Delete("customer", 0, told=True), Delete("product", 1, told=False), OwnCustomer(0), DeliverAll(but=4),
    ]
)  # fmt: skip
"""Of everything something, crashed at every seam."""
FRESH = History([])
"""The first synchronisation of a new installation, crashed at every seam."""


def _with_a_kill(deeds: list[Deed]) -> list[Deed]:
    return deeds if any(isinstance(deed, Kill) for deed in deeds) else [*deeds, DeliverAll(), Kill(0, 10)]


KILLED_HISTORIES = st.builds(History, KILLINGS.map(_with_a_kill))
