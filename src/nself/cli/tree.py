"""Builds click's command tree from the rows; a leaf loads its input and its service when it is used."""

from __future__ import annotations

import os
import re
import secrets
import socket
import sys
from collections.abc import Generator
from contextlib import closing, contextmanager, suppress
from typing import Any, cast
from urllib.parse import urlsplit

import click
import msgspec

from nself import log
from nself.app import App
from nself.cli import params, render
from nself.core import acting
from nself.core.clock import monotonic
from nself.core.entrypoint import Command
from nself.core.errors import BillingError, Invalid, InvalidInteger
from nself.measure import SLOW_SECONDS
from nself.present import fields
from nself.registry import GROUPS, Registry

DIGITS = re.compile(r"\d{4,}")
DIGIT = re.compile(r"-\d")
NEGATIVE = "A word that begins with - is read as an option: give a number as --option=-5, another word after --"
FOREIGN = {"ignore_unknown_options": True, "allow_interspersed_args": False}
"""What follows the first word belongs to another program, its options too."""


class Group(click.Group):
    """Children by name; leaves are built only when asked for."""

    def __init__(
        self, name: str, registry: Registry, leaves: dict[str, Command], groups: dict[str, Group], **more: Any
    ) -> None:
        super().__init__(name, **more)
        self.registry, self.leaves, self.groups = registry, leaves, groups

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*self.leaves, *self.groups})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        group, row = self.groups.get(cmd_name), self.leaves.get(cmd_name)
        if row is None:
            return group
        command = leaf(row, self.registry, cmd_name)
        if group:
            names = ", ".join(group.list_commands(ctx))
            command.help = f"{command.help}\n\n\b\nIt has commands of its own: {names}."
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """What is a command and a group as well (`reconcile`, `reconcile status`): the next word decides."""
        name, command, rest = super().resolve_command(ctx, args)
        group = self.groups.get(name or "")
        return name, group if group and rest and rest[0] in group.list_commands(ctx) else command, rest

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        lines = [
            (name, self.leaves[name].help if name in self.leaves else self.groups[name].help or "")
            for name in self.list_commands(ctx)
        ]
        if lines:
            with formatter.section("Commands"):
                formatter.write_dl(lines)


class Leaf(click.Command):
    """What is wrong with an input leads to the command's own help where there is no better hint. `secret`: see `present.fields.Field`."""

    secret = False

    def make_context(self, *given: Any, **more: Any) -> click.Context:
        with _helped(more.get("parent"), self.name):
            try:
                return super().make_context(*given, **more)
            except click.NoSuchOption as error:
                if not DIGIT.fullmatch(error.option_name):
                    raise
                raise click.UsageError(NEGATIVE, error.ctx) from None
            except click.UsageError as error:
                if self.secret and DIGITS.search(told := error.format_message()):
                    raise click.UsageError(DIGITS.sub("…", told), error.ctx) from None
                raise
            except InvalidInteger as error:
                if self.secret:
                    raise InvalidInteger(log.redact(str(error.fields["value"])), error.param) from None
                raise

    def invoke(self, ctx: click.Context) -> Any:
        with _helped(ctx.parent, self.name):
            return super().invoke(ctx)


@contextmanager
def _helped(parent: click.Context | None, name: str | None) -> Generator[None]:
    try:
        yield
    except BillingError as error:
        if parent is not None and not error.hints and (error.param or isinstance(error, Invalid)):
            error.hints = (f"{parent.command_path} {name} --help",)  # type: ignore[misc]
        raise


def leaf(row: Command, registry: Registry, name: str) -> click.Command:
    """The click command of one row."""
    struct = cast("type[msgspec.Struct]", registry.resolve(row.input))
    own_format = "format" in struct.__struct_fields__
    """Of a file that the command writes; what it prints is for people then."""

    def run(**values: Any) -> None:
        context = click.get_current_context()
        format = cast("render.Format", "table" if own_format else values.pop("format"))
        given = fields.build(struct, values)
        app: App = context.obj
        use = cast("Any", registry.resolve(row.use))
        with _slow(context.command_path), _acting(app, row, given):
            result = use(app, given)
            streams = _streams(result)
            if streams:  # its work is done while it is printed
                _print(result, format)
        if own_format and not getattr(result, "output", None):
            format = cast("render.Format", cast("Any", given).format)
        if not streams and not row.exits:
            _print(result, format)
        for note in (*_mode(app, row.path), *(app.settings.notes if "settings" in vars(app) else ())):
            click.echo(f"note: {note}", err=True)
        if row.check and not streams and not getattr(result, row.check):
            context.exit(3)
        if row.exits:
            context.exit(getattr(result, row.exits))

    format_option = click.Option(
        ["--format"], type=click.Choice(render.FORMATS), default="table", help="How to print the result."
    )
    made = Leaf(
        name,
        callback=run,
        params=[*params.parameters(struct), *([] if own_format else [format_option])],
        help=f"{row.help}\n\n\b\nExample:\n  {row.example}",
        short_help=row.help,
        context_settings=FOREIGN if any(field.rest for field in fields.fields(struct)) else None,
    )
    made.secret = any(field.secret for field in fields.fields(struct))
    return made


@contextmanager
def _slow(path: str) -> Generator[None]:
    """A billing command that took long is told in the log, whatever came of it. Others wait for services."""
    began = monotonic()
    try:
        yield
    finally:
        if (took := monotonic() - began) >= SLOW_SECONDS and path.startswith("nself billing "):
            log.info("slow_command", command=path, took_ms=round(took * 1000))


def _mode(app: App, path: str) -> list[str]:
    """Whoever reads what a command did in test mode is told so: on stderr, whatever the format.

    Not by `exec`, whose stderr is another's, nor by `env`, which may just have changed the mode.
    """
    with suppress(BillingError):
        if not path.startswith(("exec", "env ")) and not app.settings.live:
            return [f"test mode: no real money ({urlsplit(app.settings.stripe_api_base).netloc})"]
    return []


def _streams(result: object) -> bool:
    return isinstance(result, Generator)


@contextmanager
def _acting(app: App, row: Command, given: msgspec.Struct) -> Generator[None]:
    """On behalf of whoever runs this; written into the audit log where that is privileged."""
    actor = app.operator()
    acting.cause.set(f"{row.path} by {actor}@{socket.gethostname()}")
    if not row.audited:
        _permit(app, row)
        yield
        return
    from nself.domains.trail import rules, service

    with service.deed(app, rules.command_line(f"nself {row.path}", given), actor):
        _permit(app, row)
        if row.money and app.settings.flag("STRIPE_REQUIRE_2FA"):
            _confirm(app, row)
        yield


def _permit(app: App, row: Command) -> None:
    """Raises TerminalRoleLacks, InvalidSetting."""
    try:
        settings = app.settings
    except BillingError:  # nothing is known of this project; whoever needs its settings is told so
        return
    if settings.text("BILLING_TERMINAL_ROLES"):
        from nself.domains.operator import service

        service.permit_in_terminal(app, row.path, row.audited)


def _confirm(app: App, row: Command) -> None:
    """Raises NotConfirmed."""
    from nself.domains.trail.model import NotConfirmed

    if app.environ.get("NSELF_CONFIRM") == "yes":
        return
    number = f"{secrets.randbelow(10_000):04}"
    asked = f"{row.path} moves money. Type {number} to go on"
    if not sys.stdin.isatty() or click.prompt(asked, err=True) != number:
        raise NotConfirmed(command=row.path)


def _print(result: object, format: render.Format) -> None:
    """Streams line by line, everything else at once. A reader that leaves early (`| head`) is no failure."""
    try:
        if isinstance(result, Generator):
            with closing(cast("Generator[object]", result)):
                nothing = True
                for line in render.text(cast("object", result), format):
                    click.echo(line)
                    nothing = False
                if nothing:
                    _tell_empty()
        else:
            lines = list(render.text(result, format))
            if lines:
                click.echo("\n".join(lines))
    except BrokenPipeError:
        raise click.exceptions.Exit(0) from None
    remarks = render.remarks(cast("object", result))
    for remark in remarks:
        click.echo(f"note: {remark}", err=True)
    if result == [] and not remarks:
        _tell_empty()


def _tell_empty() -> None:
    click.echo(f"note: there is nothing to show for {click.get_current_context().command_path}", err=True)


def reader_left() -> None:
    """Nobody reads stdout any more: let the interpreter's last flush go nowhere instead of failing."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def build(registry: Registry) -> Group:
    """The whole tree, without loading any input or service."""
    root = Group("nself", registry, {}, {}, help="Self-hosted billing on Stripe and one PostgreSQL.")
    for row in registry.rows(Command):
        for path in (row.path, *row.aliases):
            *parents, name = path.split()
            group = root
            for depth in range(len(parents)):
                group = _child(group, " ".join(parents[: depth + 1]))
            group.leaves[name] = row
    return root


def _child(parent: Group, path: str) -> Group:
    name = path.split()[-1]
    if name not in parent.groups:
        parent.groups[name] = Group(name, parent.registry, {}, {}, help=GROUPS.get(path, ""))
    return parent.groups[name]
