"""The template of invoices: the product's, or the user's own in its place."""

from __future__ import annotations

from pathlib import Path

from nself.app import App
from nself.domains.document.errors import TemplateExists, UnreadableTemplate
from nself.domains.document.model import Template

NAME = "invoice.typ"
OURS = Path(__file__).parents[1] / "templates" / NAME


def template(app: App) -> Template:
    """Raises UnreadableTemplate."""
    own = app.project.templates / NAME
    path = own if own.exists() else OURS
    try:
        return Template(str(path), str(path.parent), path.read_bytes(), path is own)
    except OSError as error:
        raise UnreadableTemplate(template=path, detail=error.strerror) from error


def neighbours(found: Template) -> list[Path]:
    """Files beside a user's template that it may read, fonts among them."""
    return sorted(path for path in Path(found.folder).rglob("*") if path.is_file()) if found.own else []


def copy(app: App) -> None:
    """Make the template the user's own. Raises TemplateExists."""
    own = app.project.templates / NAME
    own.parent.mkdir(parents=True, exist_ok=True)
    try:
        with own.open("xb") as file:
            file.write(OURS.read_bytes())
    except FileExistsError as error:
        raise TemplateExists(template=own) from error
