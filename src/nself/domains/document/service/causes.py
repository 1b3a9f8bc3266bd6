"""Root causes of issue 4.4: PDFs that are not made, or lack something."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from nself.app import App
from nself.diagnosis import Cause, Evidence, Look
from nself.domains.document import store
from nself.domains.document.errors import NeedsMoreMemory, TemplateError, UnreadableTemplate
from nself.domains.document.model import Undone
from nself.domains.stack import service as stack
from nself.domains.stack.inputs import ShowStatus

GENERATOR, WORKER = "pdf-generator", "worker"
GONE = ("stopped", "down", "failed", "failing")
MOST = 100
LATELY = timedelta(days=1)
ABSENT = re.compile(r"file not found|failed to load file|unknown font|no font has", re.IGNORECASE)
"""How typst says that a picture, a file or a font is missing, and how we say that no font has a character."""


def not_running(look: Look) -> Evidence | None:
    """While other services run: where all were stopped, it is no matter of PDFs."""
    rows = {row.service: row for row in stack.status(look.app, ShowStatus(services=[GENERATOR, WORKER]))}
    generator = rows[GENERATOR]
    if generator.state not in GONE or rows[WORKER].state in GONE:
        return None
    return Evidence(f"service {GENERATOR} is {generator.state}" + (f": {generator.note}" if generator.note else ""))


def undone(app: App) -> list[Undone]:
    with app.db.reading() as tx:
        return store.undone(tx, MOST)


def _first(look: Look, wanted: Callable[[Undone], bool]) -> Evidence | None:
    """Of the newest, with the number of those beside it."""
    found = [one for one in look.once(undone) if wanted(one)]
    if not found:
        return None
    more = f"; so could {len(found) - 1} more" if found[1:] else ""
    return Evidence(
        f"the PDF of {found[0].invoice} could not be made{more}: {found[0].error}", {"invoice": found[0].invoice}
    )


def _is_template(one: Undone) -> bool:
    return one.code in (TemplateError.code, UnreadableTemplate.code)


def template_error(look: Look) -> Evidence | None:
    return _first(look, lambda one: _is_template(one) and not ABSENT.search(one.error or ""))


def missing_asset(look: Look) -> Evidence | None:
    failed = _first(look, lambda one: _is_template(one) and bool(ABSENT.search(one.error or "")))
    return failed or _warned(look.app) or _no_folder(look.app)


def _warned(app: App) -> Evidence | None:
    with app.db.reading() as tx:
        made = store.warned(tx, app.clock() - LATELY, MOST)
    found = [(one.invoice, text) for one in made for text in one.warnings if ABSENT.search(text)]
    if not found:
        return None
    return Evidence(f"the PDF of {found[0][0]} was made without something: {found[0][1]}", {"invoice": found[0][0]})


def _no_folder(app: App) -> Evidence | None:
    gone = [one for one in app.settings.text("PDF_FONT_PATH").split(":") if one and not Path(one).is_dir()]
    return Evidence(f"PDF_FONT_PATH names {gone[0]}, which is not there", {"invoice": "in_123"}) if gone else None


def no_memory(look: Look) -> Evidence | None:
    return _first(look, lambda one: one.code == NeedsMoreMemory.code)


CAUSES = (
    Cause(
        id="4.4.1",
        title="PDF service not running",
        detect=not_running,
        explain=(
            "The PDFs of new invoices are made by service pdf-generator, and it does not run while the others do: they wait, and a "
            "mail with one waits too. A PDF that the service tried and could not make is 4.4.2 to 4.4.4."
        ),
        mend=("nself restart pdf-generator",),
        itself=True,
        needs=(),
    ),
    Cause(
        id="4.4.2",
        title="Template rendering error",
        detect=template_error,
        explain=(
            "The template of invoices is broken, most likely the project's own: typst names file and line. No PDF is made until "
            "it is mended. Where the template is right and a file or font that it asks for is missing, it is 4.4.3."
        ),
        mend=("nself billing invoice show-template", "nself billing invoice regenerate-pdf {invoice}"),
        elsewhere="Mend services/billing/templates/invoice.typ in an editor, or take it away: then the product's is used.",
    ),
    Cause(
        id="4.4.3",
        title="Missing fonts or assets",
        detect=missing_asset,
        explain=(
            "The template asks for a picture, a file or a font that is not there, or no font has a character of the invoice. The PDF "
            "is not made, or lacks it. An error in the template's own words is 4.4.2."
        ),
        mend=("nself billing invoice show-template", "nself billing invoice regenerate-pdf {invoice}"),
        elsewhere="Put the file beside the template, in services/billing/templates; fonts into its folder fonts or PDF_FONT_PATH.",
    ),
    Cause(
        id="4.4.4",
        title="Memory limits",
        detect=no_memory,
        explain=(
            "Making the PDF took more memory than PDF_MEMORY_LIMIT allows, and was ended. Trying again helps nothing before the "
            "limit is raised; the machine's own memory is not what is short."
        ),
        mend=(
            "nself env set PDF_MEMORY_LIMIT=512M",
            "nself restart billing pdf-generator",
            "nself billing invoice generate-pdf {invoice}",
        ),
    ),
)
