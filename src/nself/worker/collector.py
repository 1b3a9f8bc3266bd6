"""`python -m nself.worker.collector`: the usage-collector counts what is on disk, enters what quotas let through, does scheduled work.

Aggregation, quota resets and sweeps are jobs (`nself billing jobs list`); draining needs no schedule.
"""

from __future__ import annotations

import os
import threading
from functools import partial

from nself import log
from nself.app import App
from nself.core.errors import BillingError
from nself.domains.job import service as job
from nself.domains.quota.service import journal
from nself.domains.uptime.service.heart import Heart
from nself.domains.usage.service import collector
from nself.domains.webhook.service import recover
from nself.process import probe
from nself.process.paths import log_folder
from nself.registry import Registry
from nself.spool.beat import Beat, Pulse
from nself.worker.loop import Loop

LOOK_SECONDS = 1.0
"""How often it looks whether something is on disk or due."""


class Collector:
    """Does what is due and drains whenever something waits."""

    def __init__(self, app: App) -> None:
        self.app, self.scheduled = app, False
        self.pulse = Pulse(app.project.spool, Beat(pid=os.getpid(), since=app.clock()))

    def step(self) -> int:
        try:
            if not self.scheduled:  # the database may come later
                job.ensure(self.app)
                job.run_at(self.app, recover.JOB, self.app.clock())
                self.scheduled = True
            done = job.run_due(self.app)
            try:
                events = collector.drain(self.app).events
            finally:  # one that is damaged does not keep the other
                journal.settle(self.app)
            self.pulse.drained(events, self.app.clock())
        except BillingError as error:
            self.pulse.failed(error, self.app.clock())
            raise
        return done

    def long_step(self, kind: str) -> int:
        """The same for work that takes long, each kind in a thread of its own: it ends with the process, wherever it is."""
        return job.run_due(self.app, kind) if self.scheduled else 0


def main() -> None:
    app = App.find(None, Registry())
    log.configure("usage-collector", app.settings.text("BILLING_LOG_LEVEL"), log_folder(app.project, app.settings))
    probe.listen(app.project, "usage-collector")
    log.info("service_started", interval=app.settings.seconds("USAGE_AGGREGATION_INTERVAL"))
    with Heart(app, "usage-collector"):
        loop, collector = Loop(LOOK_SECONDS), Collector(app)
        for kind in job.long_kinds(app):
            step = partial(collector.long_step, kind)
            threading.Thread(target=loop.run, args=(step,), name=kind, daemon=True).start()
        loop.run(collector.step)
    app.close()
    log.info("service_stopped")


if __name__ == "__main__":
    main()
