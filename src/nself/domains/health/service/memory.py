"""What the memory of services tells of itself, in words."""

from __future__ import annotations

from nself.app import App
from nself.domains.health import rules
from nself.domains.uptime.service import show as uptime


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


def _mb(size: int) -> str:
    return f"{size // 2**20} MB"
