"""Root causes of chapter 6: webhooks that do not come, come twice, take long or overtake each other."""

from __future__ import annotations

from nself.domains.webhook.service.causes import late, order, reach, twice

CAUSES = (*reach.CAUSES, *twice.CAUSES, *late.CAUSES, *order.CAUSES)
