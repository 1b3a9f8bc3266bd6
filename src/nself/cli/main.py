"""`nself`: parse, run, render. Errors go to stderr as `Error: …` with the commands that help."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from functools import partial

import click

from nself import log
from nself.app import App
from nself.cli import tree
from nself.core.errors import BillingError
from nself.measure import measures
from nself.present.values import printable
from nself.registry import Registry


def command(registry: Registry) -> click.Group:
    """The root command with its one global option."""
    root = tree.build(registry)
    root.params.append(
        click.Option(
            ["--project"],
            metavar="DIR",
            help="Project folder (else NSELF_PROJECT, else the nearest one with .env).",
        )
    )

    root.params.append(
        click.Option(
            ["--version"], is_flag=True, is_eager=True, expose_value=False, callback=version, help="Print the version."
        )
    )

    def start(project: str | None) -> None:
        context = click.get_current_context()
        app = App.find(project, registry)
        context.obj = app
        context.call_on_close(app.close)
        context.call_on_close(partial(count_calls, app))
        log.configure("cli", "info", app.project.logs)

    root.callback = start
    return root


def count_calls(app: App) -> None:
    """The command's own calls to Stripe count as those of the services; it does not fail for that."""
    if measures.pending() and "db" in vars(app):
        from nself.domains.measurement import service

        with suppress(Exception):
            service.flush(app)


def version(context: click.Context, option: click.Parameter, asked: bool) -> None:
    if asked:
        from importlib.metadata import version as installed

        click.echo(f"nself {installed('nself-billing')}")
        context.exit()


def visible(text: str) -> str:
    """`text` without anything that steers a terminal."""
    return "\n".join(printable(line) for line in text.split("\n"))


def unexpected(error: Exception) -> int:
    """The boundary: people get a sentence, the log gets the traceback."""
    log.failure("command_failed")
    if isinstance(error, UnicodeEncodeError) and "surrogates" in error.reason:
        click.echo("Error: Invalid text: it is not UTF-8", err=True)
        return 2
    if isinstance(error, OSError) and error.strerror:
        place = f"{error.filename}: " if error.filename else ""
        click.echo(f"Error: {log.redact(visible(place + error.strerror))}", err=True)
        return 1
    click.echo(f"Error: unexpected {type(error).__name__}: {log.redact(visible(str(error)))}", err=True)
    if log.written():
        click.echo("  the traceback is in .nself/logs/cli.log", err=True)
    return 1


def unavailable(error: Exception) -> BillingError | None:
    """What the database's driver raised, where that only says that the database is away or too slow."""
    if "psycopg" not in sys.modules:
        return None
    from nself.db import connect

    return connect.unavailable(error)


def explain(error: BillingError) -> str:
    """The text of an error for a terminal."""
    lines = [f"Error: {visible(error.message)}"]
    lines += [f"  try: {visible(hint)}" for hint in error.hint]
    if error.guide:
        lines.append(f"  guide: {error.guide}")
    return "\n".join(lines)


def run(arguments: Sequence[str] | None = None) -> int:
    """Exit code: 0 done, 1 failed, 2 wrong input, 3 no or unavailable, 4 refused, 130 interrupted."""
    log.close()
    try:
        done = command(Registry()).main(args=arguments, prog_name="nself", standalone_mode=False)
        return done if isinstance(done, int) else 0
    except BillingError as error:
        click.echo(explain(error), err=True)
        return error.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        return 0
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted", err=True)
        return 130
    except Exception as error:
        away = unavailable(error)
        if away is None:
            return unexpected(error)
        click.echo(explain(away), err=True)
        return away.exit_code
    finally:
        log.close()


def open_streams() -> None:
    """A stream that the caller closed (`>&-`) reads and writes nothing, and no other file takes its number."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode, encoding="utf-8"))


def main() -> None:
    open_streams()
    code = run()
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        tree.reader_left()
    sys.exit(code)
