"""Root cause 2.1.2: the database."""

from __future__ import annotations

from nself.app import App
from nself.core.errors import BillingError
from nself.db.connect import unavailable
from nself.diagnosis import Cause, Evidence, Look


def away(app: App) -> str:
    """Why the database grants no session; empty where it does."""
    try:
        with app.db.reading():
            return ""
    except Exception as error:  # settings that name no database at all raise otherwise
        known = error if isinstance(error, BillingError) else unavailable(error)
        if known is None:
            raise
        return known.message


def failed(look: Look) -> Evidence | None:
    why = look.once(away)
    origin = look.app.settings.value("DATABASE_URL").origin
    where = f"DATABASE_URL is of {origin}" if look.app.settings.text("DATABASE_URL") else "it is the embedded one"
    return Evidence(f"{why} ({where})") if why else None


CAUSES = (
    Cause(
        id="2.1.2",
        title="Database connection failed",
        detect=failed,
        explain=(
            "No session is granted: figures cannot be read, and usage that comes waits on disk (USAGE_ENABLE_BUFFER) or is "
            "refused. Whatever else needs the database cannot be looked at until it answers. A database that was away and "
            "is back is 2.4.3."
        ),
        mend=("nself db test-connection", "nself db status", "nself restart usage-collector"),
        elsewhere="where DATABASE_URL names a server of another place: start it, or correct the setting",
        needs=(),
    ),
)
