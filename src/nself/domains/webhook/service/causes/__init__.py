"""Root causes that show in webhooks: refused signatures, and those that do not come, come twice, take long or overtake each other."""

from __future__ import annotations

from nself.domains.webhook.service.causes import cancellation, late, order, reach, signature, twice

CAUSES = (*signature.CAUSES, *reach.CAUSES, *twice.CAUSES, *late.CAUSES, *order.CAUSES, *cancellation.CAUSES)
