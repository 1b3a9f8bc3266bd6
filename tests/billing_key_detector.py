"""A detector for detect-secrets: keys of Stripe and of this product that look real. `make audit` loads it."""

from __future__ import annotations

import re

from detect_secrets.plugins.base import RegexBasedDetector


class BillingKeyDetector(RegexBasedDetector):
    """Real ones are longer than what people write into documentation and tests."""

    secret_type = "Stripe or nself key"
    denylist = (
        re.compile(r"\b[sr]k_(?:test|live)_[0-9A-Za-z]{20,}"),
        re.compile(r"\bwhsec_[0-9A-Za-z+/]{20,}"),
        re.compile(r"\bnsk_(?:test|live)_[0-9A-Za-z]{8}_[0-9A-Za-z]{32}"),
    )
