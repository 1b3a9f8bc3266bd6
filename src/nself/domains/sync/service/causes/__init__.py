"""Root causes of chapter 7: the mirror and Stripe differ, objects are missing here, runs do not end."""

from __future__ import annotations

from nself.domains.sync.service.causes import differing, missing, runs

CAUSES = (*differing.CAUSES, *missing.CAUSES, *runs.CAUSES)
