"""Root causes of chapter 2 that metering sees, one module an issue."""

from nself.domains.usage.service.causes import aggregation, calculation, recording

CAUSES = (*recording.CAUSES, *aggregation.CAUSES, *calculation.CAUSES)
