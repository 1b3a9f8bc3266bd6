"""The secrets that are in force: a running service takes up a new one without a restart, and lets go of an old one."""

from __future__ import annotations

import os
from pathlib import Path

from nself import config, log
from nself.app import App
from nself.core.clock import monotonic
from nself.core.errors import BillingError

NAME = "STRIPE_WEBHOOK_SECRET"
LOOK_SECONDS = 1.0
"""How often the files of settings are looked at while all signatures are good."""
Stamp = tuple[tuple[int, int, int] | None, ...]


class Secrets:
    """Of one process. Reading them costs nothing while no file of settings has changed."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.files = (app.project.env, app.project.env_local, app.project.secrets)
        self.stamp, self.looked_at = self._stamp(), monotonic()
        self.settings = app.settings  # those that the service began with: the files may be younger
        self.found = config.load(app.project, app.environ).secrets(NAME)

    def now(self) -> tuple[str, ...]:
        """Raises InvalidSetting."""
        if monotonic() - self.looked_at > LOOK_SECONDS:
            self.changed()
        elif self.app.settings is not self.settings:
            self.settings = self.app.settings
            self.found = self.settings.secrets(NAME)
        return self.found

    def changed(self) -> bool:
        """Look at the files at once; whether there are other secrets than before."""
        before, stamp = self.found, self._stamp()
        self.looked_at = monotonic()
        if stamp == self.stamp:
            return False
        try:
            self.found = config.load(self.app.project, self.app.environ).secrets(NAME)
        except BillingError as error:  # somebody is writing there: go on with those that are known
            log.warning("webhook_secrets_unread", code=error.code, error=error.message)
            return False
        self.stamp = stamp
        if self.found != before:
            log.info("webhook_secrets_changed", secrets=len(self.found))
        return self.found != before

    def _stamp(self) -> Stamp:
        return tuple(_stamp(path) for path in self.files)


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
