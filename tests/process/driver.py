"""Runs one command of the stack on the stand-ins, as a process of its own: `driver.py PROJECT COMMAND ARG...`.

Prints the rows, or lines, as the CLI would: errors on stderr with the exit code of their family.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nself.process import configuration, table

NEVER = "STRIPE_MOCK_ENABLED"
STANDINS = str(Path(__file__).with_name("standins.py"))
ROWS = (
    table.SERVICES[0],
    table.Service(
        "stripe-mock",
        ("{python}", STANDINS, "work"),
        settings=("STRIPE_MOCK_PORT",),
        only_if="STRIPE_MOCK_ENABLED",
    ),
    table.Service(
        "http",
        ("{python}", STANDINS, "serve", "{BILLING_PORT}"),
        "billing",
        ("postgres",),
        "BILLING_HOST",
        "BILLING_PORT",
    ),
    table.Service("worker", ("{python}", STANDINS, "work"), "billing", ("postgres",)),
    table.Service("usage-collector", ("{python}", STANDINS, "work"), "billing", ("postgres",)),
    table.Service(
        "one",
        ("{python}", STANDINS, "serve", "{STRIPE_MOCK_PORT}"),
        "light",
        port="STRIPE_MOCK_PORT",
        only_if=NEVER,
    ),
    table.Service("two", ("{python}", STANDINS, "work"), "light", only_if=NEVER),
    table.Service("chatter", ("{python}", STANDINS, "chatter"), only_if=NEVER),
    table.Service("broken", ("{python}", STANDINS, "fail"), only_if=NEVER),
    table.Service("tired", ("{python}", STANDINS, "tire"), port="BILLING_PORT", only_if=NEVER),
)
table.DEFAULT = table.Table(ROWS)
configuration.LOG_BYTES = os.environ.get("STANDIN_LOG_BYTES", configuration.LOG_BYTES)

import msgspec  # noqa: E402

from nself import app as nself_app  # noqa: E402
from nself.core.errors import BillingError  # noqa: E402
from nself.core.project import Project  # noqa: E402
from nself.db import server  # noqa: E402
from nself.domains.stack import inputs, service  # noqa: E402

INPUTS: dict[str, Any] = {
    "start": inputs.StartServices,
    "stop": inputs.StopServices,
    "restart": inputs.RestartServices,
    "status": inputs.ShowStatus,
    "logs": inputs.ReadLogs,
}


class NoRows:
    def rows(self, kind: Any) -> tuple[Any, ...]:
        return ()

    def resolve(self, reference: str) -> object:
        raise AssertionError(reference)


def given(command: str, words: list[str]) -> Any:
    """`logs SERVICE --name value...`, the others take services."""
    if command != "logs":
        return INPUTS[command](services=words)
    fields: dict[str, Any] = {"service": words.pop(0)}
    while words:
        name = words.pop(0).removeprefix("--")
        fields[name] = True if name == "follow" else words.pop(0)
    return msgspec.convert(fields, inputs.ReadLogs, strict=False)


def main(root: str, command: str, *words: str) -> int:
    app = nself_app.App(Project(Path(root).resolve()), NoRows())
    try:
        if command == "ensure":
            print(server.ensure(app.project, app.settings), flush=True)
            return 0
        result = getattr(service, command)(app, given(command, list(words)))
        if isinstance(result, Iterator):
            for line in result:
                print(line, flush=True)
        else:
            for row in result:
                print(
                    row.service,
                    row.group,
                    row.state,
                    row.pid,
                    row.uptime,
                    row.port,
                    row.memory,
                    row.settings,
                    row.changed,
                    row.note,
                )
    except BillingError as error:
        print(f"Error: {error} {error.hint}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
