"""Root causes of chapter 3, but for those of cards, which are in `payment`."""

from nself.domains.subscription.service.causes import creation

CAUSES = (*creation.CAUSES,)
