"""Chapter 9: test mode, seeds, the sandbox that stands in for Stripe."""

from __future__ import annotations

import socket

from nself.domains.drill import store
from nself.domains.drill.service.bench import Bench, Drill
from nself.domains.drill.service.plants.stripe import setting

RESTART, MODE = "nself restart billing", "nself billing stripe show-mode"
TEST_MODE = "nself env set STRIPE_MODE=test"
TEST_KEY = 'nself env set STRIPE_SECRET_KEY="sk_test_PLACEHOLDER_test_key"'
KEY = "sk_test_PLACEHOLDER_guide"


# 9.1: test mode


def live_key(bench: Bench) -> None:
    setting(bench, ".secrets", "STRIPE_SECRET_KEY", "sk_live_PLACEHOLDER_guide")
    bench.nself("restart billing")


def other_name(bench: Bench) -> None:
    setting(bench, ".secrets", "STRIPE_SECRET_KEY", None)
    setting(bench, ".secrets", "STRIPE_API_KEY", KEY)
    bench.nself("restart billing")


def no_mode(bench: Bench) -> None:
    setting(bench, ".env", "STRIPE_MODE", None)


def leaked(bench: Bench) -> None:
    setting(bench, ".env", "STRIPE_MODE", "live")
    bench.nself("restart billing")


MODES = (
    Drill(
        "9.1.1",
        plant=live_key,
        shows=((MODE, "using live API key"),),
        mend=(TEST_MODE, TEST_KEY, RESTART, MODE),
        blinds=True,
    ),
    Drill(
        "9.1.2",
        plant=other_name,
        shows=((MODE, "STRIPE_SECRET_KEY is not set"),),
        mend=(TEST_KEY, RESTART, MODE),
        blinds=True,
    ),
    Drill("9.1.3", plant=no_mode, shows=((MODE, "mode not set"),), mend=(TEST_MODE, RESTART, MODE)),
    Drill(
        "9.1.4",
        plant=leaked,
        shows=((MODE, "key leaked to production"),),
        mend=(TEST_MODE, RESTART, MODE),
        blinds=True,
    ),
)


# 9.2: seeds

SEEDS = "services/billing/data/seeds/customers.yml"
CLEAR, SEED, STATUS = "nself billing seed clear --confirm", "nself billing seed run", "nself billing seed status"


def _asked(bench: Bench) -> None:
    bench.write(SEEDS, "- {key: dora, email: dora@seed.example.com, name: Dora Example}\n")


def refused(bench: Bench) -> None:
    """Somebody set live mode, with its keys, where seeds are wanted."""
    _asked(bench)
    setting(bench, ".secrets", "STRIPE_SECRET_KEY", "sk_live_PLACEHOLDER_guide")
    setting(bench, ".env", "STRIPE_PUBLISHABLE_KEY", "pk_live_PLACEHOLDER_guide")
    setting(bench, ".env", "STRIPE_MOCK_ENABLED", "false")
    setting(bench, ".env", "STRIPE_MODE", "live")
    bench.nself("billing seed run", fails=True)


def _test_keys(bench: Bench) -> None:
    setting(bench, ".secrets", "STRIPE_SECRET_KEY", KEY)
    setting(bench, ".env", "STRIPE_PUBLISHABLE_KEY", "pk_test_PLACEHOLDER_guide")
    setting(bench, ".env", "STRIPE_MOCK_ENABLED", "true")


def constrained(bench: Bench) -> None:
    """A rule that somebody added to the table of users."""
    bench.write(SEEDS, "- {key: erik, email: erik@partner.example.com, name: Erik Example}\n")
    _ruled(bench, rule=True)
    bench.nself("billing seed run", fails=True)


def _unconstrained(bench: Bench) -> None:
    _ruled(bench, rule=False)


def _ruled(bench: Bench, *, rule: bool) -> None:
    with bench.app() as app:
        app.db.transact(lambda tx: store.rule_mail(tx, rule=rule))


def copied(bench: Bench) -> None:
    """A customer with all that a seeded one bears, made by another tool."""
    _asked(bench)
    bench.nself("billing seed run")
    with bench.app() as app:
        (dora,) = (one for one in app.stripe.listed("customers", email="dora@seed.example.com"))
        copy = {"email": "dora@seed.example.com", "metadata": {**dora["metadata"]}}
        app.stripe.change("customers", params=copy, key="drill-copy")

    def mirrored() -> bool:
        return "duplicate data" in bench.nself("billing seed status")

    bench.wait(mirrored)


SEEDED = (
    Drill("9.2.1", plant=_asked, shows=((STATUS, "seed script not run"),), mend=(SEED,)),
    Drill(
        "9.2.2",
        plant=refused,
        shows=((STATUS, "test mode not enabled"),),
        mend=(TEST_MODE, CLEAR, SEED),
        outside=_test_keys,
        blinds=True,
    ),
    Drill(
        "9.2.3",
        plant=constrained,
        shows=((STATUS, "onstraint"),),
        mend=(CLEAR, SEED),
        outside=_unconstrained,
    ),
    Drill("9.2.4", plant=copied, shows=((STATUS, "duplicate data"),), mend=(CLEAR, SEED)),
)


# 9.3: the sandbox

TEST = "nself billing stripe test-connection"
FIXTURES = "services/billing/test/fixtures/customers.json"


def stopped(bench: Bench) -> None:
    bench.nself("stop stripe-mock")


def other_port(bench: Bench) -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    setting(bench, ".env", "STRIPE_API_BASE", f"http://localhost:{port}")


def disabled(bench: Bench) -> None:
    with bench.app() as app:
        port = app.settings.integer("STRIPE_MOCK_PORT")
    setting(bench, ".env", "STRIPE_MOCK_ENABLED", "false")
    setting(bench, ".env", "STRIPE_API_BASE", f"http://localhost:{port}")


def torn(bench: Bench) -> None:
    """A file that an editor left half written."""
    bench.write(FIXTURES, '[{"object": "customer", "id": "cus_123"')


def _whole(bench: Bench) -> None:
    bench.write(FIXTURES, '[{"object": "customer", "id": "cus_123", "email": "user@example.com"}]\n')


MOCKS = (
    Drill(
        "9.3.1",
        plant=stopped,
        shows=(("nself status | grep stripe-mock", "stopped"),),
        mend=("nself start stripe-mock",),
        blinds=True,
    ),
    Drill(
        "9.3.2",
        plant=other_port,
        shows=((TEST, "nothing listens at"),),
        mend=("nself env set STRIPE_MOCK_ENABLED=true", "nself env set STRIPE_API_BASE=http://localhost:12111", RESTART),
        blinds=True,
    ),
    Drill(
        "9.3.3",
        plant=disabled,
        shows=(("nself env get STRIPE_MOCK_ENABLED", "false"),),
        mend=("nself env set STRIPE_MOCK_ENABLED=true", "nself env set STRIPE_API_BASE=http://localhost:12111", RESTART),
    ),
    Drill("9.3.4", plant=torn, shows=((MODE, "fixtures: "),), mend=(RESTART,), outside=_whole),
)  # fmt: skip

DRILLS = (*MODES, *SEEDED, *MOCKS)
