"""Ways into documents. An invoice that is finalised gets its PDF from the pdf-generator by itself."""

from nself.core.entrypoint import Attachment, Causes, Command, Reaction, Route, Row

ROWS: tuple[Row, ...] = (
    Causes(use="document.service.causes:CAUSES"),
    Command(
        path="billing invoice generate-pdf",
        use="document.service.produce:generate",
        input="document.inputs:GeneratePdf",
        help="Make an invoice's PDF, unless the one that is kept is of this version; a draft is marked as such.",
        example="nself billing invoice generate-pdf in_123 --test",
    ),
    Command(
        path="billing invoice regenerate-pdf",
        use="document.service.produce:regenerate",
        input="document.inputs:RegeneratePdf",
        help="Make an invoice's PDF anew, whatever is kept.",
        example="nself billing invoice regenerate-pdf in_123",
    ),
    Command(
        path="billing invoice pdf-status",
        use="document.service.show:status",
        input="document.inputs:PdfStatus",
        help="Show how an invoice's PDF stands: queued, made, outdated or why not, and whether the pdf-generator runs.",
        example="nself billing invoice pdf-status in_123",
    ),
    Command(
        path="billing invoice download",
        use="document.service.show:save",
        input="document.inputs:DownloadPdf",
        help="Write an invoice's PDF to a file.",
        example="nself billing invoice download in_123 --output invoice.pdf",
    ),
    Command(
        path="billing invoice show-template",
        use="document.service.show:show_template",
        input="document.inputs:ShowTemplate",
        help="Show the template of invoices and check it on a sample; a copy of it can be changed.",
        example="nself billing invoice show-template",
    ),
    Route(
        method="GET",
        path="/api/v1/invoices/{invoice}/pdf",
        use="document.service.queue:download",
        input="document.inputs:GetPdf",
        scope="invoice:read",
        help="An invoice's PDF, with its e-invoice inside where it can be one.",
        example='{"invoice": "in_123"}',
    ),
    Reaction(kind="invoice", use="document.service.queue:queue"),
    Attachment(kind="invoice_pdf", use="document.service.queue:attachment"),
)
