"""Root causes of quotas that are not enforced, that refuse wrongly, that do not begin anew, or that outlive their plan."""

from nself.domains.quota.service.causes import ending, enforcing, resets, violations

CAUSES = (*ending.CAUSES, *enforcing.CAUSES, *violations.CAUSES, *resets.CAUSES)
