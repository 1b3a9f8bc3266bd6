"""`python -m nself.http`: the HTTP service of one project. SIGTERM drains: open requests are answered first."""

from __future__ import annotations

import uvicorn

from nself import log
from nself.app import App
from nself.http.application import application
from nself.process.paths import log_folder
from nself.registry import Registry


def main() -> None:
    app = App.find(None, Registry())
    settings = app.settings
    log.configure("http", settings.text("BILLING_LOG_LEVEL"), log_folder(app.project, settings))
    host, port = settings.text("BILLING_HOST"), settings.integer("BILLING_PORT")
    log.info("service_started", host=host, port=port, mode=settings.text("STRIPE_MODE"))
    uvicorn.run(
        application(app),
        host=host,
        port=port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=max(1, int(settings.seconds("BILLING_DRAIN_TIMEOUT")) - 1),
    )


if __name__ == "__main__":
    main()
