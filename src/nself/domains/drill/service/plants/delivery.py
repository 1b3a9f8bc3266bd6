"""Chapter 4, what reaches the customer: PDF and mail."""

from __future__ import annotations

from nself.domains.document.service import templates
from nself.domains.drill.service.bench import Bench, Drill

TEMPLATE, LOGO = "services/billing/templates/invoice.typ", "services/billing/templates/logo.svg"
SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="8" height="8"><rect width="8" height="8"/></svg>\n'


def stopped(bench: Bench) -> None:
    """Somebody stops the service that makes PDFs."""
    bench.nself("stop pdf-generator")


def shipped() -> str:
    return templates.OURS.read_text(encoding="utf-8")


def broken(bench: Bench) -> None:
    """Somebody makes the template the project's own, and misspells a name in it."""
    bench.write(TEMPLATE, f"{shipped()}\n#thank_yuo\n")
    bench.nself("billing invoice generate-pdf in_123", fails=True)


def spelled(bench: Bench) -> None:
    bench.write(TEMPLATE, shipped())


def no_logo(bench: Bench) -> None:
    """The template shows a picture that nobody put beside it."""
    bench.write(TEMPLATE, f'{shipped()}\n#image("logo.svg")\n')
    bench.nself("billing invoice generate-pdf in_123", fails=True)


def with_logo(bench: Bench) -> None:
    bench.write(LOGO, SVG)


def no_memory(bench: Bench) -> None:
    """Somebody limits the memory below what the project's own template needs."""
    bench.write(TEMPLATE, f"{shipped()}\n#let numbers = range(4000000)\n")
    bench.nself("env set PDF_MEMORY_LIMIT=64M")
    bench.nself("billing invoice regenerate-pdf in_123", fails=True)


def mail_off(bench: Bench) -> None:
    """Somebody takes the settings of mail out."""
    bench.nself("env set MAIL_ENABLED=false")
    bench.nself("env unset MAIL_FROM")
    bench.nself("restart mail")


def no_address(bench: Bench) -> None:
    """Somebody mistypes the customer's address; then a receipt is sent."""
    bench.sandbox("POST", "edit", {"kind": "customer", "id": "cus_123", "changes": {"email": "user@"}})
    bench.nself("billing invoice send in_122")
    _became(bench, "failed")


def no_mailbox(bench: Bench) -> None:
    """The customer's mail server knows the address no more."""
    _server(bench, bench.prop("smtp", "0", ACCEPTED, "user@example.com", "550 5.1.1 No such user here"))
    bench.nself("billing email resend msg_123")
    _became(bench, "bounced")


def too_many(bench: Bench) -> None:
    """The mail provider takes no more for now."""
    _server(bench, bench.prop("smtp", "0", "450 4.7.1 Rate limit exceeded, try again later"))
    bench.nself("billing email resend msg_123")

    def put_off() -> bool:
        return "Rate limit" in bench.nself("billing email status msg_123")

    bench.wait(put_off)


def granted(bench: Bench) -> None:
    """The provider raises the rate."""
    port = str(bench.json("env get SMTP_PORT")["value"])
    bench.end_props()
    bench.prop("smtp", port, ACCEPTED)


def _server(bench: Bench, port: str) -> None:
    for setting in ("SMTP_HOST=127.0.0.1", f"SMTP_PORT={port}", "SMTP_SECURITY=none"):
        bench.nself(f"env set {setting}")
    bench.nself("restart mail")


def _became(bench: Bench, state: str) -> None:
    def newest() -> bool:
        return bench.json("billing email list --limit 1")[0]["state"] == state

    bench.wait(newest)


ACCEPTED = "250 2.1.5 Ok"
LIST = "nself billing email list --type invoice"
NEWEST = r"last_error *\n\S+ +\S+ +\S+ +"
SEND = "nself billing invoice send in_123"
VALID = "nself billing customer update cus_123 --email valid@example.com"
STATUS = "nself billing invoice pdf-status in_123"
TEST = "nself billing invoice generate-pdf in_123 --test"
AGAIN = "nself billing invoice regenerate-pdf in_123"
DRILLS = (
    Drill(
        "4.4.1",
        plant=stopped,
        shows=(("nself status | grep pdf-generator", "stopped"), (STATUS, "pdf_generator: stopped")),
        mend=("nself restart pdf-generator",),
    ),
    Drill(
        "4.4.2",
        plant=broken,
        shows=((STATUS, "pdf_template_error"), (TEST, "unknown variable: thank_yuo")),
        mend=(AGAIN, "nself billing invoice show-template"),
        outside=spelled,
    ),
    Drill(
        "4.4.3",
        plant=no_logo,
        shows=((STATUS, "file not found"), (TEST, "logo.svg")),
        mend=(AGAIN, "nself billing invoice show-template"),
        outside=with_logo,
    ),
    Drill(
        "4.4.4",
        plant=no_memory,
        shows=((STATUS, "pdf_memory_limit"), (TEST, "more memory than PDF_MEMORY_LIMIT")),
        mend=(
            "nself env set PDF_MEMORY_LIMIT=512M",
            "nself restart billing pdf-generator",
            "nself billing invoice generate-pdf in_123",
        ),
    ),
    Drill(
        "4.5.1",
        plant=mail_off,
        shows=(("nself billing email show-config", "MAIL_ENABLED is false"),),
        mend=(
            "nself env set MAIL_ENABLED=true",
            'nself env set MAIL_FROM="billing@example.com"',
            "nself restart mail",
        ),
    ),
    Drill("4.5.2", plant=no_address, shows=((LIST, f"{NEWEST}failed .*not one address"),), mend=(VALID, SEND)),
    Drill("4.5.3", plant=no_mailbox, shows=((LIST, f"{NEWEST}bounced .*No such user"),), mend=(VALID, SEND)),
    Drill(
        "4.5.4",
        plant=too_many,
        shows=(("nself billing email status msg_123", "Rate limit exceeded"),),
        mend=(SEND, "nself restart mail"),
        outside=granted,
    ),
)
