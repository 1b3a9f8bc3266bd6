"""Who sells: the company of the settings, and what Stripe's account says where they are silent."""

from __future__ import annotations

from nself.app import App
from nself.domains.document.model import Party
from nself.domains.mirror.model import Snapshot


def seller(app: App, snapshot: Snapshot) -> Party:
    text = app.settings.text
    tax_id = text("BILLING_COMPANY_TAX_ID").strip()
    return Party(
        name=text("BILLING_COMPANY_NAME") or snapshot.get("account_name") or "",
        street=[line.strip() for line in text("BILLING_COMPANY_ADDRESS").split(";") if line.strip()],
        postal_code=text("BILLING_COMPANY_POSTAL_CODE"),
        city=text("BILLING_COMPANY_CITY"),
        region="",
        country=text("BILLING_COMPANY_COUNTRY").strip().upper(),
        email=text("BILLING_COMPANY_EMAIL"),
        tax_ids=[("own", tax_id)] if tax_id else [],
        registration=text("BILLING_COMPANY_REGISTRATION").strip(),
    )
