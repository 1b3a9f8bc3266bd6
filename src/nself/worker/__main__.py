"""`python -m nself.worker`: processes webhooks, finishes intents, sends webhooks of our own."""

from __future__ import annotations

from functools import cache, partial

from nself import log
from nself.app import App
from nself.core.clock import monotonic
from nself.domains.connection.service import intents
from nself.domains.notification.service import outbox
from nself.domains.uptime.service.heart import Heart
from nself.domains.webhook.service import process, switches
from nself.process import probe
from nself.process.paths import log_folder
from nself.registry import Registry
from nself.worker.beside import Beside
from nself.worker.loop import Loop

IDLE_SECONDS = 0.1


def webhooks(app: App) -> int:
    """Process what is due, for so long that other work need not wait; number of objects."""
    count, until = 0, monotonic() + IDLE_SECONDS
    while found := process.process_due(app):
        count += found
        if monotonic() >= until:
            break
    return count


def main() -> None:
    app = App.find(None, Registry())
    log.configure("worker", app.settings.text("BILLING_LOG_LEVEL"), log_folder(app.project, app.settings))
    probe.listen(app.project, "worker")
    log.info("service_started", mode=app.settings.text("STRIPE_MODE"))
    switches.warn(app)
    told = Beside(partial(outbox.send_due, app, "webhook"), IDLE_SECONDS * 10)

    unparked = cache(partial(process.unpark, app))  # once; again where the database was away

    def step() -> int:
        told.step()
        unparked()
        return webhooks(app) + intents.perform_due(app)

    with Heart(app, "worker"):
        Loop(IDLE_SECONDS).run(step)
    told.close()
    app.close()
    log.info("service_stopped")


if __name__ == "__main__":
    main()
