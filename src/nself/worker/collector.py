"""`python -m nself.worker.collector`: the usage-collector does scheduled work: aggregation, quota resets and sweeps."""

from __future__ import annotations

from nself import log
from nself.app import App
from nself.domains.job import service as job
from nself.process.paths import log_folder
from nself.registry import Registry
from nself.worker.loop import Loop

IDLE_SECONDS = 1.0


def main() -> None:
    app = App.find(None, Registry())
    log.configure("usage-collector", app.settings.text("BILLING_LOG_LEVEL"), log_folder(app.project, app.settings))
    log.info("service_started", interval=app.settings.seconds("USAGE_AGGREGATION_INTERVAL"))
    scheduled = False

    def step() -> int:
        nonlocal scheduled
        if not scheduled:  # the database may come later
            job.ensure(app)
            scheduled = True
        return job.run_due(app)

    Loop(IDLE_SECONDS).run(step)
    app.close()
    log.info("service_stopped")


if __name__ == "__main__":
    main()
