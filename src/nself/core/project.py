"""A project directory: the folder with `.env`. Names of everything in it; reads and writes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple


class Project(NamedTuple):
    """`root` is absolute and resolved."""

    root: Path

    @property
    def env(self) -> Path:
        return self.root / ".env"

    @property
    def env_local(self) -> Path:
        return self.root / ".env.local"

    @property
    def secrets(self) -> Path:
        return self.root / ".secrets"

    @property
    def state(self) -> Path:
        """Everything that nself keeps for itself: database, logs, sandbox, sockets' links."""
        return self.root / ".nself"

    @property
    def logs(self) -> Path:
        return self.state / "logs"

    @property
    def audit(self) -> Path:
        """Entries of the audit log that wait for the database."""
        return self.state / "audit.jsonl"

    @property
    def spool(self) -> Path:
        """Usage that was taken while the database was away."""
        return self.state / "spool"

    @property
    def beats(self) -> Path:
        """What living processes tell of themselves."""
        return self.state / "beats"

    @property
    def journal(self) -> Path:
        """What quotas let through while the database was away."""
        return self.state / "quota-journal"

    @property
    def mailbox(self) -> Path:
        """Mail that was kept instead of sent, and what came back."""
        return self.state / "mail"

    @property
    def mail_templates(self) -> Path:
        """The user's own templates of mail, by the names of the shipped ones: *.mjml."""
        return self.root / "services" / "billing" / "templates" / "mail"

    @property
    def config(self) -> Path:
        return self.root / "services" / "billing" / "config"

    @property
    def templates(self) -> Path:
        """The user's own templates; fonts in a folder `fonts` of it."""
        return self.root / "services" / "billing" / "templates"

    @property
    def fixtures(self) -> Path:
        """The user's own objects for the sandbox: *.json."""
        return self.root / "services" / "billing" / "test" / "fixtures"

    @property
    def seeds(self) -> Path:
        """What `nself billing seed run` makes in test mode: *.json, *.yml."""
        return self.root / "services" / "billing" / "data" / "seeds"

    @property
    def sandbox(self) -> Path:
        """The sandbox's SQLite file."""
        return self.state / "stripe-sandbox.sqlite"
