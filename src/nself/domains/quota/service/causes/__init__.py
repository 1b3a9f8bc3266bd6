"""Root causes of quotas that are not enforced, that refuse wrongly, or that do not begin anew."""

from nself.domains.quota.service.causes import enforcing, resets, violations

CAUSES = (*enforcing.CAUSES, *violations.CAUSES, *resets.CAUSES)
