"""`python -m nself.worker.collector`: the usage-collector folds new usage into rollups on its interval."""

from __future__ import annotations

from nself import log
from nself.app import App
from nself.domains.usage.service import aggregate
from nself.process.paths import log_folder
from nself.registry import Registry
from nself.worker.loop import Loop


def main() -> None:
    app = App.find(None, Registry())
    log.configure("usage-collector", app.settings.text("BILLING_LOG_LEVEL"), log_folder(app.project, app.settings))
    interval = app.settings.seconds("USAGE_AGGREGATION_INTERVAL")
    log.info("service_started", interval=interval)

    def step() -> int:
        aggregate.aggregate(app)
        return 0

    Loop(interval).run(step)
    app.close()
    log.info("service_stopped")


if __name__ == "__main__":
    main()
