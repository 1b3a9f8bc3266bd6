"""`python -m nself.worker.pdf`: the pdf-generator makes the PDFs of invoices that are finalised."""

from __future__ import annotations

import threading
from contextlib import closing
from functools import partial

from nself import log
from nself.app import App
from nself.domains.document.service import produce
from nself.domains.document.service.renderer import Renderer
from nself.domains.uptime.service.heart import Heart
from nself.process import probe
from nself.process.paths import log_folder
from nself.registry import Registry
from nself.worker.loop import Loop

IDLE_SECONDS = 0.5


def main() -> None:
    app = App.find(None, Registry())
    log.configure("pdf-generator", app.settings.text("BILLING_LOG_LEVEL"), log_folder(app.project, app.settings))
    probe.listen(app.project, "pdf-generator")
    workers = app.settings.integer("PDF_WORKERS")
    log.info("service_started", workers=workers, memory_limit=app.settings.text("PDF_MEMORY_LIMIT"))
    with Heart(app, "pdf-generator"):
        loop = Loop(IDLE_SECONDS)
        others = [threading.Thread(target=render, args=(app, loop), name=f"pdf {at}") for at in range(1, workers)]
        for one in others:
            one.start()
        render(app, loop, revive=True)
        for one in others:
            one.join()
    app.close()
    log.info("service_stopped")


def render(app: App, loop: Loop, *, revive: bool = False) -> None:
    """Make what is due with a renderer of its own, until asked to stop."""
    waiting = [partial(produce.revive, app)] if revive else []

    with closing(Renderer(app)) as renderer:

        def step() -> int:
            while waiting:  # the database may come later
                if count := waiting[0]():
                    log.info("pdf_generation", state="queued", again=count)
                waiting.pop()
            return produce.work_due(app, renderer)

        loop.run(step)


if __name__ == "__main__":
    main()
