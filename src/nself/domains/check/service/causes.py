"""Root causes of issues 9.1 and 9.3: test mode, and the sandbox that stands in for Stripe."""

from __future__ import annotations

from urllib.parse import urlsplit

from nself.app import App
from nself.core.errors import BillingError
from nself.diagnosis import Cause, Evidence, Look
from nself.domains.check import rules
from nself.domains.check.rules import LIVE, TEST
from nself.domains.connection.service import walk
from nself.domains.sandbox import rules as sandbox
from nself.domains.sandbox.service import load
from nself.domains.stack import service as stack
from nself.domains.stack.inputs import ShowStatus
from nself.gateway import way
from nself.gateway.guard import LOOPBACK

MOCK, RESTART = "stripe-mock", "nself restart billing"
SECRET, PUBLISHABLE = rules.KEYS
SOON = 1.0
"""Seconds in which this machine answers itself."""


def _modes(app: App) -> tuple[str, str | None, str | None]:
    """STRIPE_MODE, the secret key's, the publishable key's."""
    secret, publishable = (rules.key_mode(app.settings.value(name).text) for name in rules.KEYS)
    return app.settings.text("STRIPE_MODE"), secret, publishable


def live_key(look: Look) -> Evidence | None:
    mode, *keys = _modes(look.app)
    found = [
        f"{name} is {rules.shown_key(look.app.settings, name)}"
        for name, of in zip(rules.KEYS, keys, strict=True)
        if of == LIVE
    ]
    return Evidence(f"STRIPE_MODE is test, {'; '.join(found)}") if mode == TEST and found else None


def wrong_name(look: Look) -> Evidence | None:
    """Only where nself is without its key: what else is called like one may be somebody else's."""
    settings = look.app.settings
    text = settings.value(SECRET).text
    if text.startswith(tuple(f"{prefix}_" for prefix in rules.KEYS[SECRET])):
        return None
    strangers = rules.strangers(settings, look.app.environ)
    told = f"{SECRET} holds another kind of key" if text else f"{SECRET} is not set"
    return Evidence(told + (f", and {', '.join(strangers)} is read by nobody" if strangers else ""))


def no_mode(look: Look) -> Evidence | None:
    settings = look.app.settings
    if settings.value("STRIPE_MODE").origin != "default" or not settings.value(SECRET).text:
        return None
    return Evidence(
        f"STRIPE_MODE is set nowhere, so it is {settings.text('STRIPE_MODE')}, with a key of {_modes(look.app)[1]} mode"
    )


def leaked(look: Look) -> Evidence | None:
    if _modes(look.app) != (LIVE, TEST, TEST):
        return None
    return Evidence(f"STRIPE_MODE is live, and both {SECRET} and {PUBLISHABLE} are keys of test mode")


def _meant(app: App) -> int | None:
    """Port of this machine to which calls are meant to go; None where they go to Stripe."""
    parts = urlsplit(app.settings.stripe_api_base)
    return (parts.port or 80) if parts.hostname in LOOPBACK else None


def _runs(app: App) -> bool:
    (found,) = stack.status(app, ShowStatus(services=[MOCK]))
    return found.state == "running"


def _listens(port: int) -> bool:
    try:
        way.reach(way.Place("127.0.0.1", port), SOON).close()
    except OSError:
        return False
    return True


def stopped(look: Look) -> Evidence | None:
    port = look.app.settings.integer("STRIPE_MOCK_PORT")
    if _meant(look.app) != port or look.once(_runs) or _listens(port):
        return None
    return Evidence(f"Calls go to {look.app.settings.stripe_api_base}, and the service {MOCK} does not run")


def wrong_port(look: Look) -> Evidence | None:
    """Another stand-in that answers is nobody's mistake, and a key that is kept back tells nothing of the port."""
    port, meant = look.app.settings.integer("STRIPE_MOCK_PORT"), _meant(look.app)
    if meant in (None, port):
        return None
    failed = look.once(walk.walked).failed
    if not failed or failed.step == "key":
        return None
    origin = look.app.settings.value("STRIPE_API_BASE").origin
    return Evidence(f"STRIPE_API_BASE ({origin}) names port {meant}, the sandbox listens on {port}: {failed.detail}")


def mock_mode(look: Look) -> Evidence | None:
    """Where key and mode differ, that is the cause (1.1.1, 9.1)."""
    settings = look.app.settings
    mode, key, _ = _modes(look.app)
    if settings.flag("STRIPE_MOCK_ENABLED"):
        return Evidence("STRIPE_MOCK_ENABLED is true, mode and key are live") if (mode, key) == (LIVE, LIVE) else None
    if mode != TEST or not sandbox.is_sandbox(settings.stripe_api_base, settings.integer("STRIPE_MOCK_PORT")):
        return None
    return Evidence(f"STRIPE_API_BASE is the sandbox ({settings.stripe_api_base}), but STRIPE_MOCK_ENABLED is false")


def fixtures(look: Look) -> Evidence | None:
    """A project without a folder of its own has the built-in ones."""
    app = look.app
    if not app.settings.flag("STRIPE_MOCK_ENABLED") or app.settings.live or not app.project.fixtures.is_dir():
        return None
    folder = app.project.fixtures.relative_to(app.project.root)
    try:
        return None if load.readable(app) else Evidence(f"{folder} holds no *.json: the sandbox starts without them")
    except BillingError as error:
        return Evidence(f"None of {folder} was loaded: {error.message}")


CAUSES = (
    Cause(
        id="9.1.1",
        title="Using live API key",
        detect=live_key,
        explain=(
            "A key of live mode stands where test mode is asked for. nself sends it nowhere and makes nothing with it, so test mode "
            "does not work; a program that reads the variable itself would charge real cards. The reverse is 1.1.1 or 9.1.4."
        ),
        mend=("nself env set STRIPE_MODE=test", "nself env set STRIPE_SECRET_KEY --stdin", RESTART, "nself billing stripe show-mode"),
        elsewhere="Stripe's Dashboard in test mode, Developers, API keys: copy the keys of test mode",
        follows=("9.1.3",),
        needs=(),
    ),
    Cause(
        id="9.1.2",
        title="Wrong environment variable",
        detect=wrong_name,
        explain=(
            "nself reads the secret key from STRIPE_SECRET_KEY alone. It is empty or holds a publishable key or a webhook secret, "
            "while the key may stand under another name that nobody reads."
        ),
        mend=("nself env set STRIPE_SECRET_KEY --stdin", RESTART, "nself billing stripe show-mode"),
        needs=(),
    ),
    Cause(
        id="9.1.3",
        title="Mode not set",
        detect=no_mode,
        explain=(
            "STRIPE_MODE stands in no file and not in the environment. nself takes test mode then, other programs may take another; "
            "with a live key nothing is sent at all. Whoever means a mode says so."
        ),
        mend=("nself env set STRIPE_MODE=test", RESTART, "nself billing stripe show-mode"),
        needs=(),
    ),
    Cause(
        id="9.1.4",
        title="Key leaked to production",
        detect=leaked,
        explain=(
            "STRIPE_MODE is live while both keys are of test mode: the settings of a test environment came along into production, or "
            "live mode was asked for where tests run. Where only the secret key is the wrong one, that is 1.1.1."
        ),
        mend=("nself env set STRIPE_MODE=test", RESTART, "nself billing stripe show-mode"),
        elsewhere="In production: Stripe's Dashboard in live mode, Developers, API keys: set both live keys instead",
        needs=(),
    ),
    Cause(
        id="9.3.1",
        title="Mock server not running",
        detect=stopped,
        explain=(
            "Calls go to the sandbox on this machine, and its service was stopped or given up. Where it runs and calls go to another "
            "port, that is 9.3.2."
        ),
        mend=("nself start stripe-mock",),
        itself=True,
        follows=("9.3.3",),
        needs=(),
    ),
    Cause(
        id="9.3.2",
        title="Wrong port configuration",
        detect=wrong_port,
        explain=(
            "STRIPE_API_BASE names a port of this machine on which no Stripe answers, and it is not STRIPE_MOCK_PORT, on which the "
            "sandbox listens. While STRIPE_MOCK_ENABLED is true the usual address, http://localhost:12111, means the sandbox wherever it is."
        ),
        mend=("nself env set STRIPE_MOCK_ENABLED=true", "nself env set STRIPE_API_BASE=http://localhost:12111", RESTART),
        itself=True,
        needs=(),
    ),
    Cause(
        id="9.3.3",
        title="Mock not in test mode",
        detect=mock_mode,
        explain=(
            "The sandbox and the settings do not belong together: STRIPE_MOCK_ENABLED is true with a live key in live mode, which is never "
            "sent to it, or calls go to its address while it is switched off, so that it is not started."
        ),
        mend=("nself env set STRIPE_MODE=test", "nself env set STRIPE_MOCK_ENABLED=true", RESTART),
        needs=(),
    ),
    Cause(
        id="9.3.4",
        title="Missing mock fixtures",
        detect=fixtures,
        explain=(
            "services/billing/test/fixtures is there for objects of your own in the sandbox, and it is empty or one file in it cannot "
            "be read. They are loaded all or none, so tests find no customers, prices or subscriptions of theirs."
        ),
        mend=("nself billing sandbox load", RESTART),
        elsewhere="The files: an array of objects, or an answer of Stripe's list",
        needs=(),
    ),
)  # fmt: skip
