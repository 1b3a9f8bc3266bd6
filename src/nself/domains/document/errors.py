"""How making a document fails."""

from __future__ import annotations

from nself.core.errors import Conflict, Unavailable


class AddsNotUp(Conflict):
    code, guide = "invoice_adds_not_up", "4.4"
    text = "The stored invoice {invoice} does not add up, no PDF is made of it: {what}"
    hints = ("nself billing sync all --dry-run", "nself billing invoice show {invoice}")


class TemplateError(Conflict):
    code, guide = "pdf_template_error", "4.4.2"
    text = "The template {template} cannot be rendered: {detail}"
    hints = ("nself billing invoice show-template",)


class UnreadableTemplate(Conflict):
    code, guide = "pdf_template_unreadable", "4.4.2"
    text = "The template {template} cannot be read: {detail}"
    hints = ("nself billing invoice show-template",)


class TemplateExists(Conflict):
    code, guide = "pdf_template_exists", "4.4"
    text = "{template} is there already and was not touched"
    hints = ("nself billing invoice show-template",)


class NeedsMoreMemory(Unavailable):
    """A document that needs more than it may have: not the machine's memory, the setting's."""

    code, guide = "pdf_memory_limit", "4.4.4"
    text = "Making the PDF of {invoice} needs more memory than PDF_MEMORY_LIMIT ({limit}) allows"
    hints = ("nself env set PDF_MEMORY_LIMIT={more}", "nself restart billing pdf-generator")


class TookTooLong(Unavailable):
    code, guide = "pdf_timeout", "4.4"
    text = "Making the PDF of {invoice} took longer than PDF_TIMEOUT ({limit})"
    hints = ("nself billing invoice show-template", "nself env set PDF_TIMEOUT=2m")


class RendererDied(Unavailable):
    code, guide = "pdf_renderer_died", "4.4"
    text = "The process that made the PDF of {invoice} ended: {detail}"
    hints = ("nself billing invoice generate-pdf {invoice}",)


class NotFinal(Conflict):
    code, guide, param = "invoice_not_finalized", "4.4", "invoice"
    text = "Invoice {invoice} is a draft: only a preview can be made of it"
    hints = ("nself billing invoice generate-pdf {invoice} --test",)
