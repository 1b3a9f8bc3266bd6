"""Root causes of chapter 3, but for those of cards, which are in `payment`, and of events, which are in `webhook`."""

from nself.domains.subscription.service.causes import creation, ending, proration, trial

CAUSES = (*creation.CAUSES, *proration.CAUSES, *trial.CAUSES, *ending.CAUSES)
