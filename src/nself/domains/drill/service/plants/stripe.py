"""Chapter 1: the key, webhook signatures, the rate, the network."""

from __future__ import annotations

import re
import socket
from datetime import timedelta

from nself.core.errors import BillingError
from nself.domains.drill import store
from nself.domains.drill.service.bench import Bench, Drill
from nself.domains.measurement import service as measurement
from nself.gateway import signature

NEW_KEY = 'nself env set STRIPE_SECRET_KEY="sk_test_PLACEHOLDER_new_key"'
RESTART = "nself restart billing"
TEST = "nself billing stripe test-connection"
KEY, RESTRICTED = "sk_test_PLACEHOLDER_guide", "rk_test_PLACEHOLDER_guide"
SECRET, NEW_SECRET = "whsec_PLACEHOLDER_guide", "whsec_your_secret"
SET_SECRET = f'nself env set STRIPE_WEBHOOK_SECRET="{NEW_SECRET}"'
PAID = "payment_intent.succeeded"
ELSEWHERE = "127.0.0.2"
"""This machine under an address that is not taken for it."""


def setting(bench: Bench, path: str, name: str, text: str | None) -> None:
    """As an editor would write it; None takes the line away."""
    old = store.read(bench.project, path) or ""
    kept = [line for line in old.splitlines() if not line.startswith(f"{name}=")]
    bench.write(path, "\n".join([*kept, *([] if text is None else [f"{name}={text}"])]) + "\n")


# 1.1: the key


def wrong(bench: Bench) -> None:
    setting(bench, ".env", "STRIPE_PUBLISHABLE_KEY", "pk_live_PLACEHOLDER_guide")
    setting(bench, ".env", "STRIPE_MODE", "live")
    bench.nself("restart billing")


def revoked(bench: Bench) -> None:
    bench.sandbox("POST", "keys/revoke", {"key": KEY})


def restricted(bench: Bench) -> None:
    bench.sandbox("POST", "keys/restrict", {"key": RESTRICTED, "permissions": {"*": "write", "subscriptions": "read"}})
    setting(bench, ".secrets", "STRIPE_SECRET_KEY", RESTRICTED)
    bench.nself("restart billing")


def whitespace(bench: Bench) -> None:
    bench.nself("env unset STRIPE_SECRET_KEY")
    bench.append(".secrets", 'STRIPE_SECRET_KEY="sk_test_PLACEHOLDER_guide "')
    bench.nself("restart billing")


KEYS = (
    Drill(
        "1.1.1",
        plant=wrong,
        shows=(("nself billing stripe show-config", "does not start with sk_live_"),),
        mend=(
            "nself env set STRIPE_MODE=test",
            NEW_KEY,
            'nself env set STRIPE_PUBLISHABLE_KEY="pk_test_your_test_key"',
            RESTART,
            TEST,
        ),
        blinds=True,
    ),
    Drill(
        "1.1.2",
        plant=revoked,
        shows=(("nself billing stripe test-key", "Invalid API key provided"),),
        mend=(NEW_KEY, RESTART, TEST),
        blinds=True,
    ),
    Drill(
        "1.1.3",
        plant=restricted,
        shows=(("nself billing stripe test-key", "write subscriptions"),),
        mend=(NEW_KEY, RESTART, TEST),
    ),
    Drill(
        "1.1.4",
        plant=whitespace,
        shows=(("nself billing stripe show-config", "whitespace"),),
        mend=(NEW_KEY, RESTART, TEST),
    ),
)


# 1.2: signatures


def rolled(bench: Bench) -> None:
    """Somebody rolled the secret in the Dashboard, and what happens next is refused."""
    bench.sandbox("POST", "webhook_endpoints/we_123/roll", {"secret": NEW_SECRET})
    _refused(bench)


def _refused(bench: Bench) -> None:
    bench.sandbox("POST", "trigger", {"event": PAID})

    def refused() -> bool:
        return "refused" in bench.nself("billing webhook failures --last 100")

    bench.wait(refused)


def twice(bench: Bench) -> None:
    with bench.app() as app:
        url = f"http://localhost:{app.settings.integer('BILLING_PORT')}/webhooks/stripe"
    second: dict[str, object] = {
        "object": "webhook_endpoint", "id": "we_456", "url": url, "secret": NEW_SECRET, "enabled_events": ["*"], "status": "enabled",
        "description": "made by hand", "metadata": {},
    }  # fmt: skip
    bench.sandbox("POST", "fixtures", {"objects": [second]})


def _one_endpoint(bench: Bench) -> None:
    bench.sandbox("POST", "edit", {"kind": "webhook_endpoint", "id": "we_456", "delete": True})


def skewed(bench: Bench) -> None:
    """An event as it comes to a machine whose clock is ten minutes ahead."""
    body = '{"id": "evt_skewed", "object": "event", "type": "payment_intent.succeeded"}'
    with bench.app() as app:
        url = f"http://127.0.0.1:{app.settings.integer('BILLING_PORT')}/webhooks/stripe"
        header = signature.sign(body.encode(), SECRET, app.clock() - timedelta(minutes=10))
    store.shell(bench.project, f"curl -s -H 'Stripe-Signature: {header}' --data-binary '{body}' {url}")
    bench.wait(lambda: "clock skew" in bench.nself("billing webhook failures --last 100"))


def _delivered(bench: Bench) -> None:
    """With the clock right, the next event arrives."""
    made = bench.sandbox("POST", "trigger", {"event": PAID})["events"][-1]["id"]

    def delivered() -> bool:
        return made in bench.nself("billing webhook events --limit 100")

    bench.wait(delivered)


def escaped(bench: Bench) -> None:
    bench.sandbox("POST", "webhook_endpoints/we_123/roll", {"secret": NEW_SECRET})
    setting(bench, ".secrets", "STRIPE_WEBHOOK_SECRET", rf"\"{NEW_SECRET}\"")
    _refused(bench)


FAILURES = "nself billing webhook failures --last 100"

SIGNATURES = (
    Drill(
        "1.2.1",
        plant=rolled,
        shows=(("nself billing webhook show-secret", "refused"),),
        mend=(SET_SECRET, RESTART),
    ),
    Drill(
        "1.2.2",
        plant=twice,
        shows=(("nself billing webhook list-endpoints", "same receiver as"),),
        mend=("nself billing webhook list-endpoints", RESTART),
        outside=_one_endpoint,
    ),
    Drill(
        "1.2.3",
        plant=skewed,
        shows=(("nself billing webhook show-secret", "clock skew"),),
        mend=("date -u", RESTART),
        outside=_delivered,
    ),
    Drill(
        "1.2.4",
        plant=escaped,
        shows=(("nself billing webhook show-secret", "not properly escaped"),),
        mend=(SET_SECRET, RESTART),
    ),
)


# 1.3: the rate


def _too_many(bench: Bench) -> None:
    """Stripe refuses six calls, whoever makes them."""
    fault = {"on": "request", "status": 429, "times": 6, "path": "/v1/account"}
    bench.sandbox("POST", "faults", fault)
    with bench.app() as app:

        def spent() -> bool:
            try:
                app.stripe.account()
            except BillingError:
                return False
            return True

        bench.wait(spent)
        measurement.flush(app)


def greedy(bench: Bench) -> None:
    bench.nself("env set STRIPE_RATE_LIMIT_BUFFER=1")
    bench.nself("restart billing")
    _too_many(bench)


def hasty(bench: Bench) -> None:
    bench.nself("env set STRIPE_MAX_RETRIES=0")
    bench.nself("restart billing")
    _too_many(bench)


def singly(bench: Bench) -> None:
    bench.write("services/billing/config/stripe.yml", "batch_size: 1\nrate_limit_buffer: 0.8\n")
    bench.nself("restart billing")
    _too_many(bench)


def _batched(bench: Bench) -> None:
    bench.write("services/billing/config/stripe.yml", "batch_size: 100\nrate_limit_buffer: 0.8\n")


def again_and_again(bench: Bench) -> None:
    """A program of the project asks for the same price each time that it needs it."""
    with bench.app() as app:
        for _ in range(300):
            app.stripe.look_up("price", "price_123")
        measurement.flush(app)
    _too_many(bench)


def _saved(bench: Bench) -> None:
    bench.write("services/billing/config/stripe.yml", "batch_size: 100\nrate_limit_buffer: 0.8\n")
    bench.nself("env unset STRIPE_RATE_LIMIT_BUFFER")


LIMITS = "nself billing stripe rate-limits"
RATES = (
    Drill("1.3.1", plant=greedy, shows=((LIMITS, "RATE_LIMIT_BUFFER is"),), mend=(RESTART,), outside=_saved),
    Drill(
        "1.3.2",
        plant=hasty,
        shows=((LIMITS, "STRIPE_MAX_RETRIES is 0"),),
        mend=("nself env set STRIPE_MAX_RETRIES=3", "nself env set STRIPE_RETRY_BACKOFF=exponential", RESTART),
    ),
    Drill("1.3.3", plant=singly, shows=((LIMITS, "pages of 1"),), mend=(RESTART,), outside=_batched),
    Drill(
        "1.3.4",
        plant=again_and_again,
        shows=((LIMITS, "STRIPE_ENABLE_CACHE is off"),),
        mend=("nself env set STRIPE_ENABLE_CACHE=true", "nself env set STRIPE_CACHE_TTL=300  # 5 minutes", RESTART),
    ),
)


# 1.4: the network


def _away(bench: Bench, host: str, port: int) -> None:
    setting(bench, ".env", "STRIPE_API_BASE", f"http://{host}:{port}")
    bench.nself("restart billing")


def _free(host: str) -> int:
    with socket.create_server((host, 0)) as held:
        return int(held.getsockname()[1])


def _open(bench: Bench) -> None:
    """The way is free: what stood in it is gone, and calls arrive."""
    bench.end_props()
    with bench.app() as app:
        found = re.search(r":(\d+)$", app.settings.stripe_api_base)
        assert found
        bench.prop("forward", ELSEWHERE, found[1], str(app.settings.integer("STRIPE_MOCK_PORT")))


def walled(bench: Bench) -> None:
    """A firewall that rejects: the address is right and nothing takes the connection."""
    _away(bench, ELSEWHERE, _free(ELSEWHERE))


def unknown(bench: Bench) -> None:
    """`.invalid` is the name that no resolver knows (RFC 2606)."""
    _away(bench, "api.stripe.invalid", 443)


def _known(bench: Bench) -> None:
    setting(bench, ".env", "STRIPE_API_BASE", None)


def proxied(bench: Bench) -> None:
    """Stripe is reached without the proxy, and nothing listens where the proxy should be."""
    port = _free(ELSEWHERE)
    with bench.app() as app:
        bench.prop("forward", ELSEWHERE, str(port), str(app.settings.integer("STRIPE_MOCK_PORT")))
    setting(bench, ".env", "HTTP_PROXY", f"http://{ELSEWHERE}:{_free(ELSEWHERE)}")
    _away(bench, ELSEWHERE, port)


def _direct(bench: Bench) -> None:
    setting(bench, ".env", "HTTP_PROXY", None)


def cut(bench: Bench) -> None:
    """Connections stand and break off."""
    _away(bench, ELSEWHERE, int(bench.prop("reset", ELSEWHERE)))


NO_PROXY = 'nself env set NO_PROXY="localhost,127.0.0.1,.local"'
NETWORK = (
    Drill("1.4.1", plant=walled, shows=((TEST, "a firewall"),), mend=(TEST, RESTART), outside=_open, blinds=True),
    Drill("1.4.2", plant=unknown, shows=((TEST, "DNS does not know"),), mend=(TEST, RESTART), outside=_known, blinds=True),
    Drill(
        "1.4.3", plant=proxied, shows=((TEST, "HTTPS?_PROXY:"),), mend=(NO_PROXY, TEST, RESTART), outside=_direct, blinds=True
    ),
    Drill("1.4.4", plant=cut, shows=((TEST, "Connection lost"),), mend=(TEST, RESTART), outside=_open, blinds=True),
)  # fmt: skip

DRILLS = (*KEYS, *SIGNATURES, *RATES, *NETWORK)
