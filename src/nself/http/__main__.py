"""`python -m nself.http`: the HTTP service of one project. SIGTERM drains: open requests are answered first."""

from __future__ import annotations

import gc
import sys

import uvicorn

from nself import log
from nself.app import App
from nself.domains.uptime.service.heart import Heart
from nself.domains.webhook.service import switches
from nself.http.application import application, hot_routes
from nself.http.protocol import protocol
from nself.process import probe
from nself.process.paths import log_folder
from nself.registry import Registry

SWITCH_SECONDS = 0.0005
"""How long a thread that computes may keep one that has an answer of the database; Python's 5 ms are a request's whole time."""
COLLECT_AFTER = 50_000
"""Objects between two garbage collections: a batch is many objects and no cycle."""


def main() -> None:
    app = App.find(None, Registry())
    settings = app.settings
    log.configure("http", settings.text("BILLING_LOG_LEVEL"), log_folder(app.project, settings))
    probe.listen(app.project, "http")
    host, port = settings.text("BILLING_HOST"), settings.integer("BILLING_PORT")
    log.info("service_started", host=host, port=port, mode=settings.text("STRIPE_MODE"))
    switches.warn(app)
    hot = hot_routes(app)
    served = application(app, hot, Heart(app, "http"))
    sys.setswitchinterval(SWITCH_SECONDS)
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER, 20, 100)
    uvicorn.run(
        served,
        http=protocol(one for one in hot if one.short),
        host=host,
        port=port,
        forwarded_allow_ips=settings.text("BILLING_TRUSTED_PROXIES"),
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=max(1, int(settings.seconds("BILLING_DRAIN_TIMEOUT")) - 1),
    )


if __name__ == "__main__":
    main()
