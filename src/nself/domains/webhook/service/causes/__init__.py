"""Root causes that show in webhooks."""

from nself.domains.webhook.service.causes import signature

CAUSES = (*signature.CAUSES,)
