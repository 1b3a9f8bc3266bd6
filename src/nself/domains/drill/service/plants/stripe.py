"""Chapter 1: the key, the network, the rate."""

from __future__ import annotations

from nself.domains.drill.service.bench import Bench, Drill

NEW_KEY = 'nself env set STRIPE_SECRET_KEY="sk_test_PLACEHOLDER_new_key"'


def whitespace(bench: Bench) -> None:
    bench.nself("env unset STRIPE_SECRET_KEY")
    bench.append(".secrets", 'STRIPE_SECRET_KEY="sk_test_PLACEHOLDER_guide "')
    bench.nself("restart billing")


DRILLS = (
    Drill(
        "1.1.4",
        plant=whitespace,
        shows=(("nself billing stripe show-config", "whitespace"),),
        mend=(NEW_KEY, "nself restart billing", "nself billing stripe test-connection"),
    ),
)
