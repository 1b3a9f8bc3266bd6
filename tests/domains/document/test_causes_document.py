"""Root causes of issue 4.4 are told apart, until the PDF is made."""

from __future__ import annotations

from contextlib import suppress

import pytest

from billed import Office
from nself.app import App
from nself.core.errors import BillingError
from nself.diagnosis import Look
from nself.domains.document.inputs import RegeneratePdf
from nself.domains.document.service import produce
from nself.domains.document.service.causes import ABSENT, CAUSES
from nself.domains.document.service.templates import NAME, OURS

GREEDY = "#let numbers = range(4000000)"


def found(app: App) -> set[str]:
    look = Look(app)
    return {cause.id for cause in CAUSES if cause.detect(look)}


def again(app: App, invoice: str, more: str = "") -> None:
    """Make it anew by the product's template and `more`."""
    app.project.templates.mkdir(parents=True, exist_ok=True)
    (app.project.templates / NAME).write_text(f"{OURS.read_text()}\n{more}\n")
    with suppress(BillingError):
        produce.regenerate(app, RegeneratePdf(invoice=invoice))


def test_causes_are_told_apart_until_the_pdf_is_made(office: Office) -> None:
    app = office.app(PDF_MEMORY_LIMIT="64M")
    invoice = str(office.bill(app, office.customer(), {"amount": 5000, "description": "Plan"})["id"])
    for more, cause in (("#thank_yuo", "4.4.2"), ('#image("logo.svg")', "4.4.3"), (GREEDY, "4.4.4")):
        again(app, invoice, more)
        assert found(app) == {cause}
        again(app, invoice)
        assert found(app) == set()


def test_a_font_folder_that_is_not_there(office: Office) -> None:
    assert found(office.app(PDF_FONT_PATH="/nowhere/fonts")) == {"4.4.3"}


@pytest.mark.parametrize(
    "text", ["unknown font family: courier new", "no font has 𓀀: it is not PDF/A", "file not found (x)"]
)
def test_words_for_what_is_missing(text: str) -> None:
    assert ABSENT.search(text) and not ABSENT.search("error: unknown variable: font")
