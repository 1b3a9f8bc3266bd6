"""`python -m nself.worker.collector`: the usage-collector counts what is on disk and folds new usage into rollups."""

from __future__ import annotations

import os

from nself import log
from nself.app import App
from nself.core.clock import monotonic
from nself.core.errors import BillingError
from nself.domains.usage.service import aggregate, collector
from nself.process.paths import log_folder
from nself.registry import Registry
from nself.spool.beat import Beat, Pulse
from nself.worker.loop import Loop

LOOK_SECONDS = 1.0
"""How often it looks whether something is on disk."""


class Collector:
    """Folds on its interval and drains whenever something waits."""

    def __init__(self, app: App, interval: float) -> None:
        self.app, self.interval, self.due = app, interval, 0.0
        self.pulse = Pulse(app.project.spool, Beat(pid=os.getpid(), since=app.clock()))

    def step(self) -> int:
        try:
            if monotonic() >= self.due:
                aggregate.aggregate(self.app)
                self.due = monotonic() + self.interval
            self.pulse.drained(collector.drain(self.app).events, self.app.clock())
        except BillingError as error:
            self.pulse.failed(error, self.app.clock())
            raise
        return 0


def main() -> None:
    app = App.find(None, Registry())
    log.configure("usage-collector", app.settings.text("BILLING_LOG_LEVEL"), log_folder(app.project, app.settings))
    interval = app.settings.seconds("USAGE_AGGREGATION_INTERVAL")
    log.info("service_started", interval=interval)
    Loop(min(LOOK_SECONDS, interval)).run(Collector(app, interval).step)
    app.close()
    log.info("service_stopped")


if __name__ == "__main__":
    main()
