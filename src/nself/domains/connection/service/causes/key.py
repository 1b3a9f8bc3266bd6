"""Root causes of issue 1.1: the key does not work."""

from __future__ import annotations

from nself.diagnosis import Cause, Evidence, Look
from nself.domains.connection import rules
from nself.domains.connection.service import walk

KEY, PUBLISHABLE = "STRIPE_SECRET_KEY", "STRIPE_PUBLISHABLE_KEY"
REFUSED = frozenset({"invalid_api_key", "api_key_expired", "api_key_deleted"})
SET = ("nself env set STRIPE_SECRET_KEY --stdin", "nself restart billing", "nself billing stripe test-connection")


def wrong(look: Look) -> Evidence | None:
    """A test key where all else is live; where both keys are of test mode, that is 9.1.4."""
    settings = look.app.settings
    value, other = settings.value(KEY), settings.value(PUBLISHABLE).text
    if not settings.live or rules.key_mode(value.text) != "test" or rules.key_mode(other) == "test":
        return None
    return Evidence(f"STRIPE_MODE is live, {KEY} ({value.origin}) is a {rules.kind_of_key(value.text)}")


def revoked(look: Look) -> Evidence | None:
    found = look.once(walk.walked)
    if not found.failed or found.failed.step != "answer" or found.code not in REFUSED:
        return None
    return Evidence(f"Stripe answered: {found.failed.detail}")


def lacking(look: Look) -> Evidence | None:
    steps = look.once(walk.walked).steps
    found = next((one for one in steps if one.step == "permissions" and one.state == "warning"), None)
    return Evidence(f"{KEY} is a restricted key: {found.detail}") if found else None


def whitespace(look: Look) -> Evidence | None:
    value = look.app.settings.value(KEY)
    return Evidence(f"{KEY} ({value.origin}): {value.odd}") if value.odd else None


CAUSES = (
    Cause(
        id="1.1.1",
        title="Wrong API key (test vs live)",
        detect=wrong,
        explain=(
            "STRIPE_MODE is live and the secret key is one of test mode, so nself sends nothing: what it made would be of the "
            "other mode. A live key in test mode is 9.1.1; where the publishable key is of test mode too, the whole set of "
            "keys was taken along, which is 9.1.4."
        ),
        mend=SET,
        elsewhere="Stripe's Dashboard, Developers, API keys: copy the secret key of live mode",
        needs=(),
    ),
    Cause(
        id="1.1.2",
        title="Revoked or deleted key",
        detect=revoked,
        explain=(
            "The key is well formed and of the right mode, and Stripe itself answers 401: it was rolled, deleted or has expired. "
            "A key that may do too little is answered with 403, which is 1.1.3."
        ),
        mend=SET,
        elsewhere="Stripe's Dashboard, Developers, API keys: make a new key",
        needs=(),
    ),
    Cause(
        id="1.1.3",
        title="Insufficient permissions",
        detect=lacking,
        explain=(
            "The key is a restricted one. Stripe takes it and refuses some of what nself does with 403, so some commands work and "
            "others fail. nself tries each kind of object that it needs, without changing anything."
        ),
        mend=("nself billing stripe test-key", *SET),
        elsewhere="Stripe's Dashboard, Developers, API keys: give the key what it lacks",
        needs=("stripe",),
    ),
    Cause(
        id="1.1.4",
        title="Whitespace in environment variable",
        detect=whitespace,
        explain=(
            "Spaces, quotes or line ends around the key came along when it was copied. nself takes the key without them, "
            "but programs that read the variable themselves send them to Stripe, which then knows no such key."
        ),
        mend=("nself env set STRIPE_SECRET_KEY --stdin", "nself restart billing"),
        needs=(),
    ),
)
