"""What a PDF says is what the invoice at Stripe says, to the last digit: read back from the PDF."""

from __future__ import annotations

from typing import Any

import pytest

from billed import Office, amount_after, complaints, generate, lines, made, text, value, xml_of
from nself.domains.document.errors import AddsNotUp
from nself.domains.document.service.words import Speech, dictionary, locale

JANUARY = {"start": 1767225600, "end": 1769904000}
"""2026-01-01 to 2026-02-01, UTC."""


def test_an_invoice_with_discount_tax_and_credit(office: Office) -> None:
    """2 x 49.99 + 12.34 = 112.32; 10 % off each line is 10.00 and 1.23; 19 % of 89.98 and 11.11 are 17.10 and 2.11.
    112.32 - 11.23 + 19.21 = 120.30; 20.30 of credit: 100.00 are due."""
    app = office.app()
    customer = office.customer()
    office.sandbox.post(f"/v1/customers/{customer}/balance_transactions", amount=-2030, currency="eur")
    coupon = office.sandbox.post("/v1/coupons", percent_off="10", duration="once")["id"]
    items = [
        {
            "quantity": 2,
            "pricing": {"price": office.price(4999)},
            "description": "Seats *not bold* #let x = 1",
            "period": JANUARY,
        },
        {"amount": 1234, "description": "Support <b>& more</b>"},
    ]
    invoice = office.bill(app, customer, *items, discounts=[{"coupon": coupon}], default_tax_rates=[office.rate()])
    pdf = made(app, invoice["id"]).content
    assert [amount_after(pdf, label) for label in ("Subtotal", "Discount", "Total excluding tax", "Total", "Customer balance", "Amount due")] == [
        "€112.32", "-€11.23", "€101.09", "€120.30", "-€20.30", "€100.00",
    ]  # fmt: skip
    assert (invoice["total"], invoice["amount_due"]) == (12030, 10000)
    said = lines(pdf)
    assert "VAT 19% on €101.09 €19.21" in said
    at = said.index("Seats *not bold* #let x = 1")
    assert said[at + 1 : at + 3] == ["Jan 1, 2026 – Jan 31, 2026", "2 €49.99 19% €99.98"]
    assert any(line.startswith("Support <b>& more</b>") for line in said) and any(
        line.endswith("19% €12.34") for line in said
    )
    assert invoice["number"] in text(pdf) and "Café Zoë" in said and "75001 Paris" in said and "Beispiel GmbH" in said
    xml = xml_of(pdf)
    assert complaints(xml) == []
    assert (value(xml, "GrandTotalAmount"), value(xml, "DuePayableAmount")) == (["120.30"], ["100.00"])
    assert value(xml, "TotalPrepaidAmount") == ["20.30"] and value(xml, "TaxTotalAmount") == ["19.21"]


@pytest.mark.parametrize(
    ("currency", "amount", "total", "in_xml"),
    [
        ("usd", 123456, "$1,234.56", "1234.56"),
        ("eur", 99_999_999, "€999,999.99", "999999.99"),
        ("jpy", 1234, "¥1,234", "1234"),
        ("kwd", 12340, "KWD12.340", "12.34"),
        ("kwd", 12345, "KWD12.345", None),
    ],
)
def test_currencies(office: Office, currency: str, amount: int, total: str, in_xml: str | None) -> None:
    app = office.app()
    zero = office.rate("0", display_name="Zero")
    item = {"amount": amount, "description": "Usage", "tax_rates": [zero]}
    invoice = office.bill(app, office.customer(), item, currency=currency)
    kept = made(app, invoice["id"])
    pdf, xml = kept.content, xml_of(kept.content)
    assert amount_after(pdf, "Total") == total == amount_after(pdf, "Amount due")
    assert value(xml, "GrandTotalAmount") == [in_xml] if in_xml else xml == b"" and "two digits" in kept.einvoice
    assert not in_xml or complaints(xml) == []


def test_tax_that_is_included(office: Office) -> None:
    """99.00 with 19 % in it are 83.19 and 15.81."""
    app = office.app()
    rate = office.rate("19", inclusive=True)
    invoice = office.bill(app, office.customer(), {"amount": 9900, "description": "Plan"}, default_tax_rates=[rate])
    pdf = made(app, invoice["id"]).content
    assert amount_after(pdf, "Total excluding tax") == "€83.19" and amount_after(pdf, "Total") == "€99.00"
    assert "VAT 19% on €83.19 (included) €15.81" in lines(pdf)
    assert complaints(xml_of(pdf)) == []


def test_two_rates_and_a_credit_line(office: Office) -> None:
    app = office.app()
    full, half = office.rate("20"), office.rate("5.5", display_name="TVA")
    items: list[dict[str, Any]] = [
        {"amount": 10001, "description": "Unused time", "tax_rates": [full]},
        {"amount": -3333, "description": "Credit for unused time", "tax_rates": [full]},
        {"amount": 777, "description": "Book", "tax_rates": [half]},
    ]
    invoice = office.bill(app, office.customer(preferred_locales=["fr-FR"]), *items)
    pdf = made(app, invoice["id"]).content
    assert "-33,33 €" in text(pdf) and "TVA 5,5 % sur 7,77 € 0,43 €" in lines(pdf)
    assert complaints(xml_of(pdf)) == []


def test_a_customer_without_a_language_gets_the_projects_and_the_sellers_register_is_named(office: Office) -> None:
    app = office.app(BILLING_LOCALE="de", BILLING_COMPANY_REGISTRATION="HRB 4711")
    pdf = made(app, office.bill(app, office.customer(), {"amount": 5000, "description": "x"})["id"]).content
    assert amount_after(pdf, "Gesamtbetrag") == "50,00 €" and "HRB 4711" in text(pdf)


def test_a_customer_who_owes_the_tax_is_told_so(office: Office) -> None:
    app = office.app()
    customer = office.customer(tax_exempt="reverse", preferred_locales=["de"])
    office.sandbox.post(f"/v1/customers/{customer}/tax_ids", type="eu_vat", value="FR40303265045")
    invoice = office.bill(app, customer, {"amount": 5000, "description": "Beratung"}, default_tax_rates=[office.rate()])
    pdf = made(app, invoice["id"]).content
    assert "Steuerschuldnerschaft des Leistungsempfängers (Reverse Charge)." in lines(pdf)
    assert amount_after(pdf, "Gesamtbetrag") == "50,00 €"
    xml = xml_of(pdf)
    assert complaints(xml) == [] and set(value(xml, "CategoryCode")) == {"AE"}


def test_untaxed_and_zero_and_negative_totals(office: Office) -> None:
    app = office.app()
    customer = office.customer()
    for amounts in ([700], [700, -700], [700, -1000]):
        items = [{"amount": one, "description": f"Line {one}"} for one in amounts]
        invoice = office.bill(app, customer, *items)
        pdf = made(app, invoice["id"]).content
        total = sum(amounts)
        assert amount_after(pdf, "Total") == f"{'-' if total < 0 else ''}€{abs(total) // 100}.00"
        assert complaints(xml_of(pdf)) == []


@pytest.mark.parametrize("language", sorted(dictionary()))
def test_every_language_says_the_same_amounts(office: Office, language: str) -> None:
    app = office.app()
    customer = office.customer(preferred_locales=["tlh", language], name="株式会社テスト 김민수 李雷")
    invoice = office.bill(
        app, customer, {"amount": 123456, "description": "項目"}, default_tax_rates=[office.rate("8.875")]
    )
    kept = made(app, invoice["id"])
    speech = Speech(locale([language]))
    printed = {
        speech.money(amount, "eur").replace("\xa0", " ").replace("\u202f", " ") for amount in (123456, 10957, 134413)
    }
    said = text(kept.content)
    assert invoice["total"] == 134413 and all(one in said for one in printed), said
    assert "株式会社テスト 김민수 李雷" in said and "項目" in said
    assert speech.words["amount_due"] in said and kept.language == language and kept.warnings == []
    assert complaints(xml_of(kept.content)) == []


def test_what_does_not_add_up_is_no_document(office: Office) -> None:
    app = office.app()
    invoice = office.bill(app, office.customer(), {"amount": 5000, "description": "Plan"})["id"]
    office.bench.sql(
        "update billing_invoices set snapshot = jsonb_set(snapshot, '{total}', '4999') where invoice_id = %s", invoice
    )
    with pytest.raises(AddsNotUp, match=r"make 50\.00 EUR, the total is 49\.99 EUR"):
        generate(app, invoice)
    ((state, code),) = office.bench.sql("select count(*), max(error_code) from billing_documents")
    assert (state, code) == (1, None)  # what was queued when it was finalised still is
