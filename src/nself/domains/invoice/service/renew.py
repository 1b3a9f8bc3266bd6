"""An invoice anew: what it was is voided, or deleted as a draft, and a draft with the same lines follows it."""

from __future__ import annotations

from typing import cast

from nself.app import App
from nself.domains.connection.model import Snapshot
from nself.domains.connection.rules import MARK, items, part
from nself.domains.invoice import formulas
from nself.domains.invoice.errors import LineOfSubscription, not_editable
from nself.domains.invoice.formulas import REVISED_BY, REVISION_OF, SELF, Step, copied, step
from nself.domains.invoice.inputs import ReadInvoice
from nself.domains.invoice.model import Changed
from nself.domains.invoice.service import chain, coupons, current
from nself.domains.invoice.service.edit import changed
from nself.domains.invoice.service.finish import voiding


def regenerate(app: App, given: ReadInvoice) -> Changed:
    """Once for each invoice: again gives the same new draft. Raises InvoiceNotEditable where it is paid, LineOfSubscription.

    Voiding comes before the new draft, so that at no time both are owed.
    """
    operation = current.operation(app, "invoice.regenerate", given.invoice)
    if made := chain.made(app, operation):
        return changed(app, made, f"stands already: it replaces {given.invoice}")
    if chain.begun(app, operation):  # killed, or refused half way: what is left is done
        return changed(app, chain.resume(app, operation), f"replaces {given.invoice}")
    invoice = current.refresh(app, given.invoice)
    if invoice["status"] == "paid":
        raise not_editable(given.invoice, "paid")
    for line in items(invoice, "lines"):
        if invoice["status"] == "draft" and formulas.item_of(line) is None:
            subscription = part(part(line, "parent"), "subscription_item_details").get("subscription")
            raise LineOfSubscription(line=line["id"], invoice=given.invoice, subscription=subscription)
    made = chain.run(app, operation, _steps(app, invoice))
    ended = "deleted" if invoice["status"] == "draft" else "void"
    return changed(app, made, f"replaces {given.invoice}, which is {ended}")


def _steps(app: App, invoice: Snapshot) -> list[Step]:
    used = coupons.of_invoice(app, invoice)
    automatic = bool(part(invoice, "automatic_tax").get("enabled"))
    rates = [one["id"] for one in cast("list[Snapshot]", invoice.get("default_tax_rates") or [])]
    metadata = {name: value for name, value in part(invoice, "metadata").items() if name != MARK}
    params: Snapshot = {
        "customer": invoice["customer"],
        "currency": invoice["currency"],
        "collection_method": invoice["collection_method"],
        "auto_advance": False,
        "pending_invoice_items_behavior": "exclude",
        "metadata": {**metadata, REVISION_OF: invoice["id"]},
        "discounts": [{"coupon": one["id"]} for one in used.invoice] or "",
        **{name: invoice[name] for name in ("description", "footer") if invoice.get(name)},
        **({"automatic_tax": {"enabled": True}} if automatic else {"default_tax_rates": rates} if rates else {}),
    }
    if invoice["collection_method"] == "send_invoice":
        params["days_until_due"] = max(
            1, ((invoice.get("due_date") or invoice["created"]) - invoice["created"]) // 86_400
        )
    made = [
        copied(line, None if automatic else rates, [one["id"] for one in used.lines.get(line["id"], [])])
        | (_taxed(app, line) if automatic else {})
        for line in items(invoice, "lines")
    ]
    about = {"customer": invoice["customer"], "invoice": SELF}
    link = step("invoices", invoice["id"], params={"metadata": {REVISED_BY: SELF}})
    return [
        *voiding(invoice, "regenerated"),
        step("invoices", params=params),
        *(step("invoiceitems", params={**about, **one}) for one in made),
        *([] if invoice["status"] == "draft" else [link]),
    ]


def _taxed(app: App, line: Snapshot) -> Snapshot:
    """As the line was taxed or, while nobody knows where the customer is, as its price says."""
    told = next((tax["tax_behavior"] for tax in formulas.taxes(line)), None)
    price = None if told else formulas.priced(line)
    return formulas.taxed(current.fetched(app, "price", price)["tax_behavior"] if price else told)
