"""What the memory of services tells of itself, in words."""

from __future__ import annotations

from datetime import timedelta

from nself.app import App
from nself.domains.health import rules
from nself.domains.uptime.service import show as uptime

LIMIT = "BILLING_MEMORY_LIMIT"
RECENT = timedelta(hours=1)


def leaks(app: App) -> list[str]:
    """One sentence a process whose memory grows steadily."""
    return [
        f"{samples[0].service} (process {samples[0].pid}) grew steadily from {_mb(found[0])} to {_mb(found[1])} in {found[2]} minutes"
        for samples in uptime.memory(app)
        if (found := rules.grown(samples))
    ]


def jumps(app: App) -> list[str]:
    """One sentence a process that had much more in memory for a moment than just before."""
    return [
        f"{peak.service} (process {peak.pid}) jumped from {_mb(before)} to {_mb(peak.high)} at {peak.at:%H:%M} UTC"
        f" with {rules.doing(samples, peak)}"
        for samples in uptime.memory(app)
        if (found := rules.jumped(samples))
        for before, peak in (found,)
    ]


def short_of_memory(app: App) -> list[str]:
    """What shows that BILLING_MEMORY_LIMIT is less than services need, within the last hour."""
    limit = app.settings.bytes(LIMIT)
    if not limit:
        return []
    ended = uptime.outgrown(app, limit, app.clock() - RECENT)
    used = {samples[-1].service: samples[-1].low for samples in uptime.memory(app)}
    found = rules.short_of_memory(limit, used, ended)
    return [f"{LIMIT} is {app.settings.value(LIMIT).text}: {one}" for one in found]


def _mb(size: int) -> str:
    return f"{size // 2**20} MB"
