"""The table of services: everything that can run locally, in the order in which it starts.

A row is data. `{NAME}` in an argument is a declared setting of the moment the process starts; `{python}`,
`{project}`, `{sandbox}` and `{stripe_rate}` are computed. Programs run without the project folder on
Python's path (-P): a `logging.py` of the user's must not break billing.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from nself.core.errors import NotFound
from nself.core.project import Project
from nself.core.settings import BY_NAME, Settings
from nself.process import nginx
from nself.process.paths import as_list, as_object, read_json, run_folder, write_changed

GENERATION = "NSELF_GENERATION"
"""Tells a process which wish started it."""
ALL_SETTINGS = "*"
SANDBOX_RATE = 25
"""Calls a second that Stripe's test mode allows."""


class Service(NamedTuple):
    """One process. `host` and `port` name settings; `settings` are those that it depends on; `launcher` is the
    module that becomes it.
    """

    name: str
    argv: tuple[str, ...] = ()
    group: str = ""
    needs: tuple[str, ...] = ()
    host: str = ""
    port: str = ""
    settings: tuple[str, ...] = (ALL_SETTINGS,)
    stop_signal: str = "TERM"
    patience: str = "BILLING_DRAIN_TIMEOUT"
    """After which it is killed: a setting or a number of seconds."""
    unless: str = ""
    """Does not exist while this setting has a value."""
    only_if: str = ""
    """`nself start` without names starts it only while this setting is true."""
    program: str = ""
    """Does not exist where this program is not installed."""
    launcher: str = "nself.process.launch"


class NoSuchService(NotFound):
    code, text = "no_such_service", "No such service: {name}. There are: {known}"
    hints = ("nself status",)


def _python(module: str, *rest: str) -> tuple[str, ...]:
    return ("{python}", "-P", "-m", module, *rest)


SANDBOX_ARGUMENTS = (
    "--host",
    "127.0.0.1",
    "--port",
    "{STRIPE_MOCK_PORT}",
    "--data",
    "{sandbox}",
    "--rate-limit",
    "{stripe_rate}",
    "--traffic",
    "{STRIPE_MOCK_TRAFFIC}",
)
SERVICES: tuple[Service, ...] = (
    # PostgreSQL is never killed: its shutdown may have to write a large checkpoint.
    Service(
        "postgres",
        settings=(),
        stop_signal="INT",
        patience="3600",
        unless="DATABASE_URL",
        launcher="nself.db.boot",
    ),
    Service(
        "stripe-mock",
        _python("stripe_sandbox", *SANDBOX_ARGUMENTS),
        port="STRIPE_MOCK_PORT",
        settings=("STRIPE_MOCK_PORT", "STRIPE_MOCK_TRAFFIC", "STRIPE_RATE_LIMIT"),
        only_if="STRIPE_MOCK_ENABLED",
    ),
    Service(
        "http",
        _python("nself.http"),
        group="billing",
        needs=("postgres",),
        host="BILLING_HOST",
        port="BILLING_PORT",
    ),
    Service("worker", _python("nself.worker"), group="billing", needs=("postgres",)),
    Service("usage-collector", _python("nself.worker.collector"), group="billing", needs=("postgres",)),
    Service("pdf-generator", _python("nself.worker.pdf"), group="billing", needs=("postgres",)),
    Service("mail", _python("nself.worker.mail"), needs=("postgres",)),
    Service(
        nginx.NAME,
        ("{nginx}", "-p", "{nginx_prefix}", "-c", "{nginx_conf}", "-g", "daemon off;"),
        port="NGINX_PORT",
        settings=(
            "NGINX_PORT",
            "NGINX_TLS_CERTIFICATE",
            "NGINX_TLS_KEY",
            "BILLING_HOST",
            "BILLING_PORT",
            "BILLING_LOG_DIR",
            "API_MAX_BODY",
        ),
        stop_signal="QUIT",  # open requests are answered first
        only_if="NGINX_ENABLED",
        program=nginx.NAME,
        launcher="nself.process.nginx",
    ),
)


class Table(NamedTuple):
    """The rows with the questions that are asked of them."""

    rows: tuple[Service, ...] = SERVICES

    def row(self, name: str) -> Service:
        for row in self.rows:
            if row.name == name:
                return row
        raise NoSuchService(name=name, known=", ".join(self.names()))

    def names(self) -> list[str]:
        """What users may type: groups and services."""
        return list(dict.fromkeys(name for row in self.rows for name in (row.group, row.name) if name))

    def named(self, names: Iterable[str]) -> list[Service]:
        """Rows of these services and groups, in starting order. Raises NoSuchService."""
        asked = set(names)
        for name in asked - set(self.names()):
            raise NoSuchService(name=name, known=", ".join(self.names()))
        return [row for row in self.rows if row.name in asked or row.group in asked]

    def existing(self, settings: Settings) -> list[Service]:
        return [row for row in self.rows if not absent(row, settings)]

    def usual(self, settings: Settings) -> list[Service]:
        """What `nself start` starts."""
        return [row for row in self.existing(settings) if not row.only_if or settings.flag(row.only_if)]

    def with_needs(self, rows: Iterable[Service], settings: Settings) -> list[Service]:
        """`rows` and what they need of the existing ones, in starting order."""
        wanted = {row.name for row in rows}
        wanted |= {need for row in rows for need in row.needs}
        return [row for row in self.existing(settings) if row.name in wanted]


DEFAULT = Table()


def absent(row: Service, settings: Settings) -> str:
    """Why a service does not exist here; empty where it does."""
    if row.unless and settings.text(row.unless):
        return f"{row.unless} is set"
    if row.program and program(row.program) is None:
        return f"{row.program} is not installed: apt-get install {row.program}"
    return ""


def program(name: str) -> str | None:
    """Where it is installed; servers often lie where no user's PATH leads."""
    return shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")


def patience(row: Service, settings: Settings) -> float:
    """Seconds between the stop signal and SIGKILL."""
    return settings.seconds(row.patience) if row.patience in BY_NAME else float(row.patience)


def argv(row: Service, project: Project, settings: Settings) -> list[str]:
    """The command line with the settings of now. Raises InvalidSetting."""
    rate = settings.integer("STRIPE_RATE_LIMIT")
    words = {
        "python": sys.executable,
        "project": str(project.root),
        "sandbox": str(project.sandbox),
        "stripe_rate": str(rate or SANDBOX_RATE),
        "nginx": program(nginx.NAME) or nginx.NAME,
        "nginx_prefix": f"{nginx.prefix(project)}/",
        "nginx_conf": str(nginx.configuration(project)),
    }

    def fill(part: str) -> str:
        if not (part.startswith("{") and part.endswith("}")):
            return part
        name = part[1:-1]
        return words[name] if name in words else settings.text(name)

    return [fill(part) for part in row.argv]


def settings_hash(row: Service, settings: Settings) -> str:
    """Eight digits that change with any effective setting that matters to `row`; "-" where none does."""
    names = list(BY_NAME) if ALL_SETTINGS in row.settings else list(row.settings)
    if not names:
        return "-"
    text = "\n".join(f"{name}={settings.value(name).text}" for name in sorted(names))
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def forwarded(environ: Mapping[str, str]) -> dict[str, str]:
    """What `start` and `restart` carry of the caller's environment into the services."""
    return {name: value for name, value in environ.items() if name in BY_NAME or name.startswith("BILLING_")}


def save(project: Project, table: Table) -> None:
    """Leave the table for the supervisor and the launcher."""
    rows = [row._asdict() for row in table.rows]
    write_changed(run_folder(project) / "services.json", json.dumps({"rows": rows}, indent=1))


def _row(fields: dict[str, object]) -> Service:
    lists = {"argv", "needs", "settings"}
    plain = {key: tuple(map(str, as_list(value))) if key in lists else str(value) for key, value in fields.items()}
    return Service(**plain)  # pyright: ignore[reportArgumentType]


def load(run: Path) -> Table:
    """The table that the last command left in the run folder."""
    rows = as_list(read_json(run / "services.json").get("rows"))
    return Table(tuple(_row(as_object(row)) for row in rows))


def service_id(project_digest: str, name: str) -> str:
    """Marks a process, in its environment, as service `name` of a project."""
    return f"{project_digest}:{name}"


def inside_service() -> bool:
    """Whether this process is a service, which never starts or stops others."""
    return "NSELF_SERVICE" in os.environ
