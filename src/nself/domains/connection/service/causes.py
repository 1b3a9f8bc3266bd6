"""Root causes of issue 1.1: the key does not work."""

from __future__ import annotations

from nself.diagnosis import Cause, Evidence, Look

KEY = "STRIPE_SECRET_KEY"


def whitespace(look: Look) -> Evidence | None:
    value = look.app.settings.value(KEY)
    return Evidence(f"{KEY} ({value.origin}): {value.odd}") if value.odd else None


CAUSES = (
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
