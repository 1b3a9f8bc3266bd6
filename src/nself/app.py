"""The App: settings, clock, database, spool, archive, Stripe; each opened on first use and closed with the app."""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from functools import cached_property
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar, cast
from zoneinfo import ZoneInfo

from nself import config, log
from nself.core import entrypoint, period
from nself.core.clock import Clock, system_clock
from nself.core.errors import SafeMode
from nself.core.project import Project
from nself.core.settings import Settings

if TYPE_CHECKING:
    from nself.bucket.s3 import Bucket
    from nself.db.connect import Database
    from nself.db.server import Absence
    from nself.gateway.api import Stripe
    from nself.gateway.cache import Store
    from nself.spool.segments import Spool

ENV_TEMPLATE = """\
# Settings of this nself project. `nself env list` shows all of them with their effect and origin.
# Secrets belong in .secrets: `nself env set STRIPE_SECRET_KEY=...` writes them there.
STRIPE_MODE=test
"""
GITIGNORE = ("/.nself/", "/.secrets", "/.env.local")


Kind = TypeVar("Kind", bound=entrypoint.Row)


class Registry(Protocol):
    """What the app needs to know of the table of all domains' entry points; injected from `nself.registry`."""

    def rows(self, kind: type[Kind]) -> tuple[Kind, ...]: ...

    def resolve(self, reference: str) -> object: ...


class App:
    """One per process. Thread-safe once `db` and `stripe` were touched."""

    def __init__(
        self,
        project: Project,
        registry: Registry,
        *,
        environ: Mapping[str, str] | None = None,
        clock: Clock = system_clock,
        patience: float = inf,
    ) -> None:
        """`patience`: most seconds that a statement may take, where that is less than DB_QUERY_TIMEOUT."""
        self.project = project
        self.registry = registry
        self.environ = os.environ if environ is None else environ
        self._clock = clock
        self._patience = patience

    @classmethod
    def find(cls, given: str | None, registry: Registry) -> App:
        """The app of the project that `--project`, NSELF_PROJECT or the current folder names."""
        try:
            cwd = Path.cwd()
        except FileNotFoundError as error:
            raise config.NoSuchProject(path="the current folder was deleted") from error
        return cls(config.find_project(given, os.environ, cwd), registry)

    def operator(self) -> str:
        """Login of who runs this, for what is audited; behind sudo that of who asked for it."""
        try:
            return self.environ.get("SUDO_USER") or pwd.getpwuid(os.getuid()).pw_name
        except KeyError:  # a container's user without a line in /etc/passwd
            return f"uid {os.getuid()}"

    def clock(self) -> datetime:
        """Aware UTC."""
        return self._clock()

    @cached_property
    def settings(self) -> Settings:
        return config.load(self.project, self.environ)

    @cached_property
    def timezone(self) -> ZoneInfo:
        """Where days and months begin."""
        return period.zone(self.settings.text("BILLING_TIMEZONE"))

    @property
    def safe_mode(self) -> bool:
        """Read and record only: nothing is changed at Stripe, no webhook processed, no mail sent."""
        return self.settings.flag("BILLING_SAFE_MODE")

    def require_stripe(self, changing: bool = True) -> None:
        """Refuse before anything is written where key, mode and host disagree, and changes in safe mode. Raises Denied."""
        if changing and self.safe_mode:
            raise SafeMode
        self.stripe  # noqa: B018

    def ensure_project(self) -> None:
        """Make the folder a project: `.env` and `.gitignore` entries. Existing files are kept. Raises UnwritableProject."""
        try:
            self._make_project()
        except OSError as error:
            raise config.UnwritableProject(path=error.filename or self.project.root, detail=error.strerror) from error

    def _make_project(self) -> None:
        self.project.state.mkdir(mode=0o700, parents=True, exist_ok=True)
        with suppress(FileExistsError), self.project.env.open("x", encoding="utf-8") as file:
            file.write(ENV_TEMPLATE)
            log.info("project_created", path=str(self.project.root))
        ignore = self.project.root / ".gitignore"
        known = ignore.read_text(encoding="utf-8").splitlines() if ignore.exists() else []
        missing = [line for line in GITIGNORE if line not in known]
        if missing:
            with ignore.open("a", encoding="utf-8") as file:
                file.write("".join(f"{line}\n" for line in ("", *missing) if line or known))

    @cached_property
    def _absence(self) -> Absence:
        from nself.db.server import Absence

        return Absence()

    @cached_property
    def db(self) -> Database:
        """The migrated database; brought up on first use. Raises DatabaseUnavailable, in a service within seconds."""
        from nself.db import server
        from nself.db.connect import Database
        from nself.db.migrate import migrate

        self._absence.tell()
        with self._absence.noting():
            self.ensure_project()
            conninfo = server.ensure(self.project, self.settings)
            for name in migrate(conninfo):
                log.info("migrated", migration=name)
        return Database(
            conninfo,
            size=self.settings.integer("BILLING_DB_POOL_SIZE"),
            wait=self.settings.seconds("BILLING_DB_POOL_TIMEOUT"),
            statement_timeout=min(self.settings.seconds("DB_QUERY_TIMEOUT"), self._patience),
            revive=None if server.inside_service() else lambda: server.ensure(self.project, self.settings),
            absence=self._absence,
        )

    @cached_property
    def spool(self) -> Spool:
        """Usage that waits for the database, on disk."""
        from nself.spool.segments import Spool

        return Spool(self.project.spool)

    @cached_property
    def bucket(self) -> Bucket:
        """Where old usage is archived. Raises BucketNotSet, ExtraMissing."""
        from nself.bucket.s3 import connect

        return connect(self.settings)

    @cached_property
    def journal(self) -> Spool:
        """What quotas let through while the database was away, on disk."""
        from nself.spool.segments import Spool

        return Spool(self.project.journal)

    @cached_property
    def stripe(self) -> Stripe:
        """The gateway. Raises Denied before any I/O when key, mode and host do not agree."""
        from nself.db.connect import outside_transaction
        from nself.gateway.live import connect

        lease = cast("Callable[[App, int], int]", self.registry.resolve("connection.service.check:lease_calls"))
        table = cast("Callable[[App], Store]", self.registry.resolve("connection.service.cache:Table"))
        return connect(
            self.settings, lease=lambda want: lease(self, want), outside=outside_transaction, table=table(self)
        )

    def close(self) -> None:
        for name in ("stripe", "db"):
            if name in self.__dict__:
                self.__dict__.pop(name).close()
