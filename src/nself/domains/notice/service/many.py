"""Mail to many: counted first, each address once an incident, a page of customers a transaction.

A run that was killed is given again: what was queued stands under its name. The mail service sends them within
MAIL_RATE_LIMIT, each as a mail of its own, and passes over addresses that are suppressed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from nself import log
from nself.app import App
from nself.db.connect import Tx
from nself.domains.customer import service as customer
from nself.domains.incident import service as incidents
from nself.domains.notice import rules, store
from nself.domains.notice.inputs import NotifyCustomers
from nself.domains.notice.model import Addressee, BadCustomers, MailDisabled, NoAddressees, NotifiedMany
from nself.domains.notification.service import outbox
from nself.process.supervisor import states

PAGE = 500
MAX_BYTES = 10 << 20


class Told(NamedTuple):
    """What became of a page. `names`: what makes each mail once."""

    names: list[str]
    customers: int
    without_address: int
    suppressed: int
    told_before: int
    queued: int


def notify_customers(app: App, given: NotifyCustomers) -> NotifiedMany:
    """Raises NoAddressees, BadCustomers, MailDisabled, NoSuchIncident before anybody is told."""
    if bool(given.customers) == given.all_active:
        raise NoAddressees()
    if not app.settings.flag("MAIL_ENABLED"):
        raise MailDisabled()
    with app.db.reading() as tx:
        incident = incidents.require(tx, given.incident).id if given.incident else incidents.newest_open(tx)
    scope = incident or f"{app.clock().astimezone(app.timezone):%Y-%m-%d}"
    listed = rules.addressees(given.customers, _text(given.customers)) if given.customers else None
    if listed:
        _refuse_strangers(app, given.customers or "", listed)
    execute = not given.dry_run and (given.yes or not app.settings.live)
    pages, told = list[Told](), set[str]()
    for page in _pages(iter(listed) if listed is not None else _active(app)):
        pages.append(app.db.transact(partial(_tell, app, told, page, given.template, scope, execute)))
        told.update(pages[-1].names)
    queued = sum(one.queued for one in pages)
    log.info("customers_notified", template=given.template, scope=scope, executed=execute, queued=queued)
    return NotifiedMany(
        template=given.template,
        incident=incident,
        customers=sum(one.customers for one in pages),
        without_address=sum(one.without_address for one in pages),
        suppressed=sum(one.suppressed for one in pages),
        told_before=sum(one.told_before for one in pages),
        queued=queued,
        executed=execute,
        note=_note(app, given, execute),
    )


def _note(app: App, given: NotifyCustomers, execute: bool) -> str:
    if not execute:
        how = "the same without --dry-run does it" if given.dry_run else "--yes does it"
        return f"nobody was told: {how}"
    state = states(app.project).get("mail")
    if state and state.state == "RUNNING":
        return "service mail sends them: nself billing email list"
    return "they wait: service mail does not run (nself start mail)"


def _text(path: str) -> str:
    """Raises BadCustomers."""
    try:
        if Path(path).stat().st_size > MAX_BYTES:
            raise BadCustomers(path=path, detail=f"larger than {MAX_BYTES >> 20} MiB")
        return Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise BadCustomers(path=path, detail="it is not UTF-8") from None
    except OSError as error:
        raise BadCustomers(path=path, detail=error.strerror) from None


def _refuse_strangers(app: App, path: str, listed: Sequence[Addressee]) -> None:
    """Raises BadCustomers."""
    with app.db.reading() as tx:
        known = customer.owners(tx, [one.customer for one in listed])
    unknown = [one.customer for one in listed if one.customer not in known]
    if unknown:
        more = f" and {len(unknown) - 20} more" if len(unknown) > 20 else ""
        raise BadCustomers(path=path, detail=f"no such customers: {', '.join(unknown[:20])}{more}")


def _pages(found: Iterator[Addressee]) -> Iterator[list[Addressee]]:
    while page := list(islice(found, PAGE)):
        yield page


def _active(app: App) -> Iterator[Addressee]:
    after = ""
    while True:
        with app.db.reading() as tx:
            page = store.active_customers(tx, app.settings.live, after, PAGE)
        yield from (Addressee(customer=one) for one in page)
        if len(page) < PAGE:
            return
        after = page[-1]


def _tell(app: App, told: set[str], page: list[Addressee], template: str, scope: str, execute: bool, tx: Tx) -> Told:
    """Step. `told` are the names of earlier pages: several customers may share an address."""
    owners = customer.owners(tx, [one.customer for one in page])
    known = [(one, owners[one.customer]) for one in page if one.customer in owners and owners[one.customer].email]
    notes = {note.once or "": note for note in (rules.mass_note(one, who, template, scope) for one, who in known)}
    open_notes = {once: note for once, note in notes.items() if once not in told}
    stands = outbox.standing(tx, [*open_notes])
    dead = outbox.suppressed(tx, [note.email or "" for note in open_notes.values()])
    waiting = [note for once, note in open_notes.items() if once not in stands]
    new = [note for note in waiting if (note.email or "").lower() not in dead]
    if execute:
        outbox.post(app, tx, new, app.clock())
    return Told([*open_notes], len(page), len(page) - len(known), len(waiting) - len(new), len(stands), len(new))
