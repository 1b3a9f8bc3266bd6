"""The local mailbox: what is mailed while SMTP_HOST is not set, and what comes back; one file a message, the newest ones.

Service `mail` takes messages by LMTP on a socket in a folder of this user's: no other user of the machine reaches it.
"""

from __future__ import annotations

import hashlib
import os
from email import message_from_bytes, policy
from pathlib import Path

from nself import log
from nself.app import App
from nself.domains.notification import rules
from nself.domains.notification.service import bounce
from nself.process.paths import socket_folder

MAX_FILES, MAX_BYTES = 1000, 200 * 2**20
MAX_MESSAGE = 32 * 2**20


def socket_path(app: App) -> Path:
    return socket_folder(app.project) / "mail.sock"


def stored(app: App, id: str) -> Path | None:
    """The file of a mail of ours, if it is here."""
    path = app.project.mailbox / f"{id}.eml"
    return path if path.exists() else None


def take(app: App, raw: bytes, recipients: list[str]) -> None:
    """A message that came in. What came back is noted with the mail that it tells of. Raises OSError, BillingError."""
    message = message_from_bytes(raw, policy=policy.default)
    for recipient in recipients:
        id = rules.returned(recipient)
        if id and (report := rules.delivery_report(message, id)):
            bounce.note(app, report)
    id = rules.sent_as(str(message["Message-ID"] or ""))
    name = id if id.startswith("msg_") and id.isidentifier() else hashlib.sha256(raw).hexdigest()[:24]
    keep(app, name, raw)
    log.info("mail_stored", id=name, type=str(message["X-Nself-Type"] or "other")[:100], bytes=len(raw))


def keep(app: App, name: str, raw: bytes) -> Path:
    """Whole or not at all; the same message again replaces the first."""
    folder = app.project.mailbox
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path, part = folder / f"{name}.eml", folder / f".{name}.{os.getpid()}"
    part.write_bytes(raw)
    part.chmod(0o600)
    part.rename(path)
    _prune(folder)
    return path


def _prune(folder: Path) -> None:
    """Keep the newest."""
    kept = sorted(((one.stat(), one) for one in folder.glob("*.eml")), key=lambda pair: -pair[0].st_mtime_ns)
    total = 0
    for at, (found, path) in enumerate(kept):
        total += found.st_size
        if at and (at >= MAX_FILES or total > MAX_BYTES):
            path.unlink(missing_ok=True)
