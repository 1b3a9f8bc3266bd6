"""Root causes of issues 4.1 to 4.3: invoices that are not made, lines that are wrong, tax that is."""

from __future__ import annotations

from nself.domains.invoice.service.causes import generation, lines, tax

CAUSES = (*generation.CAUSES, *lines.CAUSES, *tax.CAUSES)
