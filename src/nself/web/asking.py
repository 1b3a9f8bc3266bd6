"""Runs the command behind a panel or a deed, as the terminal would."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast, get_args, get_origin

import msgspec

from nself.app import App
from nself.core import acting
from nself.core.entrypoint import Command
from nself.core.errors import BillingError, InvalidParameter
from nself.db.connect import unavailable
from nself.domains.access import service as access
from nself.domains.api_key.model import ApiKey
from nself.domains.operator import service as operator
from nself.domains.operator.model import Session
from nself.domains.trail import rules as trail
from nself.domains.trail import service as deeds
from nself.log import failure, redact
from nself.present import fields
from nself.web.model import Panel

FILE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,100}\.csv")
"""A name that leads nowhere else."""
MOST = 200
"""Rows of one panel."""


class Asked(NamedTuple):
    """What a command said, or why it did not."""

    line: str
    """The command line that says the same."""
    result: object = None
    problem: str = ""
    hints: tuple[str, ...] = ()
    choices: Mapping[str, list[str]] = {}
    """The words that fields take which the panel asks for."""


def row(app: App, path: str) -> Command:
    """The command of this path or alias."""
    return next(one for one in app.registry.rows(Command) if path == one.path or path in one.aliases)


def struct(app: App, command: Command) -> type[msgspec.Struct]:
    return cast("type[msgspec.Struct]", app.registry.resolve(command.input))


def ask(app: App, panel: Panel, place: Mapping[str, str], query: Mapping[str, str]) -> Asked:
    """Never raises: what is wrong with one panel is told in it."""
    command = row(app, panel.command)
    values = {name: text.format(**place) for name, text in panel.given.items()}
    given = {name: query[name] for name in panel.asks if query.get(name)}
    values |= {name: text for name, text in given.items() if text in panel.words.get(name, (text,))}
    known = list(fields.fields(struct(app, command)))
    missing = [one.name for one in known if one.required and one.name not in values]
    if missing and set(missing) <= set(panel.asks):
        answer = Asked(f"nself {panel.command}", f"Give a {' and a '.join(missing)} to look at.")
    else:
        answer = _answer(app, panel, command, values)
    choices = {one.name: list(panel.words.get(one.name, words(one))) for one in known if one.name in panel.asks}
    return answer._replace(choices={name: found for name, found in choices.items() if found})


def words(field: fields.Field) -> list[str]:
    """Those that it takes; empty where it takes any."""
    return [str(one) for one in get_args(field.kind)] if get_origin(field.kind) is Literal else []


def _answer(app: App, panel: Panel, command: Command, values: Mapping[str, str]) -> Asked:
    line = f"nself {panel.command}"
    try:
        given = fields.build(struct(app, command), _typed(app, command, values), strict=False)
        line = fields.typed(panel.command, given)
        return Asked(line, _whole(_use(app, command)(app, given)))
    except Exception as error:  # one panel must not hide the others
        return _told(line, error)


def own(app: App, caller: ApiKey, panel: Panel, place: Mapping[str, str]) -> Asked:
    """As `ask` for a caller who is bound to a user: of anybody else nothing is told. Never raises."""
    command = row(app, panel.command)
    values = {name: text.format(**place) for name, text in panel.given.items()}
    try:
        given = fields.build(struct(app, command), _typed(app, command, values), strict=False)
        return Asked("", _whole(_use(app, command)(app, access.confine(app, caller, given, shared=False))))
    except Exception as error:  # as above; a user is told no commands of ours
        return _told(panel.command, error)._replace(line="", hints=())


def do(app: App, command: Command, values: Mapping[str, str], session: Session, code: str) -> Asked:
    """A deed, written into the audit log as the session's. Never raises for what the command refuses."""
    line = f"nself {command.path}"
    try:
        given = fields.build(struct(app, command), _inside(app, command, _typed(app, command, values)), strict=False)
        line = fields.typed(command.path, given)
        if command.money and not getattr(given, "dry_run", False):
            operator.confirm(app, session.name, code)
        acting.cause.set(f"{command.path} by {session.name}")
        with deeds.deed(app, trail.command_line(f"nself {command.path}", given), f"{session.name} (dashboard)"):
            return Asked(line, _whole(_use(app, command)(app, given)))
    except Exception as error:  # the boundary: the page says it
        return _told(line, error)


def _use(app: App, command: Command) -> Any:
    return app.registry.resolve(command.use)


def _typed(app: App, command: Command, values: Mapping[str, str]) -> dict[str, Any]:
    """Texts of a form as the Struct takes them: switches, lists of lines."""
    known = {field.name: field for field in fields.fields(struct(app, command))}
    made = dict[str, Any]()
    for name, text in values.items():
        field = known.get(name)
        if field is None or (text.strip() == "" and field.kind is not bool):
            continue
        made[name] = text in ("true", "on", "1") if field.kind is bool else text.split() if field.many else text.strip()
    return made


def _inside(app: App, command: Command, values: dict[str, Any]) -> dict[str, Any]:
    """Files that a form names lie in the project's folder. Raises InvalidParameter for others."""
    known = [field.name for field in fields.fields(struct(app, command)) if field.metavar == "FILE"]
    return values | {name: str(_file(app, values[name], name)) for name in known if name in values}


def _file(app: App, text: str, name: str) -> Path:
    if not FILE.fullmatch(text):
        raise InvalidParameter(
            f"Invalid {name}: {text[:40]} (a .csv file directly in the project's folder, like affected.csv)",
            name,
        )
    return app.project.root / text


def _whole(result: object) -> object:
    """A stream's first rows."""
    if isinstance(result, Iterator):
        stream = cast("Iterator[object]", result)
        try:
            return list(islice(stream, MOST))
        finally:
            if isinstance(stream, Generator):
                stream.close()
    return result


def _told(line: str, error: Exception) -> Asked:
    known = error if isinstance(error, BillingError) else unavailable(error)
    if known is None:
        failure("panel_failed", command=line)
        return Asked(
            line,
            problem=f"unexpected {type(error).__name__}: {redact(str(error))[:200]}",
            hints=("nself logs http --level error --tail 20",),
        )
    return Asked(line, problem=known.message, hints=known.hint)
