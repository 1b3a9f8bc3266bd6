"""Mails made of templates: MJML with three Jinja blocks, `subject`, `text` and `body`, and a layout around the body.

Jinja fills, then mrml makes HTML of it: in a fraction of a millisecond, so that nothing is built ahead of time and the user's own
templates are files like ours. Values are escaped in the body; templates reach nothing but their data.
"""

from __future__ import annotations

from functools import cache, lru_cache
from pathlib import Path
from typing import Any, NoReturn
from xml.parsers import expat

import mrml
import msgspec
from jinja2 import StrictUndefined, Template, TemplateSyntaxError, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment
from markupsafe import Markup

from nself import log
from nself.app import App
from nself.domains.notification import rules
from nself.domains.notification.model import BrokenTemplate, NoSuchTemplate, Rendered

SHIPPED = Path(__file__).parents[1] / "templates"
LAYOUT = "layout"
BLOCKS = ("subject", "text", "body")
MAX_SUBJECT = 200


@cache
def known() -> tuple[str, ...]:
    return tuple(sorted(path.stem for path in SHIPPED.glob("*.mjml") if path.stem != LAYOUT))


@cache
def samples() -> dict[str, dict[str, Any]]:
    """Data that fill each template, by its name."""
    return msgspec.json.decode((SHIPPED / "samples.json").read_bytes(), type=dict[str, dict[str, Any]])


def require(name: str) -> None:
    """Raises NoSuchTemplate."""
    if name not in known():
        raise NoSuchTemplate(template=name[:100], known=", ".join(known()))


def render(app: App, name: str, data: dict[str, Any]) -> Rendered:
    """The user's own template where there is one that can be filled. Raises NoSuchTemplate, BrokenTemplate for a shipped one."""
    require(name)
    sender = rules.sender_name(app.settings.text("MAIL_FROM"))
    values = {**dict.fromkeys(rules.OPTIONAL), **data, "sender": sender}
    problem = ""
    own = [_own(app, name), _own(app, LAYOUT)]
    if any(own):
        try:
            return _fill(own[0] or _shipped(name), own[1] or _shipped(LAYOUT), values)
        except BrokenTemplate as error:
            problem = str(error)
            log.warning("mail_template_broken", template=name, error=problem)
    return _fill(_shipped(name), _shipped(LAYOUT), values)._replace(problem=problem)


def source(app: App, name: str) -> Path:
    """The file that is used."""
    return _own(app, name) or _shipped(name)


def overridden(app: App) -> list[str]:
    """The user's own templates; behind a broken one, why."""
    found: list[str] = []
    for path in sorted(app.project.mail_templates.glob("*.mjml")):
        if path.stem not in (*known(), LAYOUT):
            found.append(f"{path.name}: no template is called so; there are {', '.join(known())}")
            continue
        name = known()[0] if path.stem == LAYOUT else path.stem
        problem = render(app, name, samples()[name]).problem
        found.append(problem or path.name)
    return found


def _shipped(name: str) -> Path:
    return SHIPPED / f"{name}.mjml"


def _own(app: App, name: str) -> Path | None:
    path = app.project.mail_templates / f"{name}.mjml"
    return path if path.exists() else None


def _fill(path: Path, layout: Path, values: dict[str, Any]) -> Rendered:
    text, frame = _read(path), _read(layout)
    filled = {block: _block(path.name, text, block, values) for block in BLOCKS}
    subject = " ".join(filled["subject"].split())[:MAX_SUBJECT]
    around = values | {"subject": subject, "body": Markup(filled["body"])}  # noqa: S704  escaped when it was filled
    mjml = _filled(_compiled(frame, True), layout.name, around)
    try:
        html = mrml.to_html(mjml).content
    except OSError as error:
        first = _first_line(text, "body")
        raise BrokenTemplate(_misplaced(path.name, first, filled["body"]) or f"{path.name}: MJML: {error}") from error
    return Rendered(subject, rules.lines(filled["text"]), html)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BrokenTemplate(f"{path.name} cannot be read: {error}") from error


@lru_cache(128)
def _compiled(text: str, escape: bool) -> Template:
    """Raises TemplateSyntaxError. Lines of an escaped one stay where they are, so that an error finds its line."""
    environment = ImmutableSandboxedEnvironment(
        autoescape=escape, undefined=StrictUndefined, trim_blocks=not escape, lstrip_blocks=not escape
    )
    filters: dict[str, Any] = {"money": rules.money, "day": rules.day}
    environment.filters.update(filters)
    return environment.from_string(text)


def _block(name: str, text: str, block: str, values: dict[str, Any]) -> str:
    try:
        template = _compiled(text, block == "body")
    except TemplateSyntaxError as error:
        raise BrokenTemplate(f"{name}, line {error.lineno}: {error.message}") from error
    found = template.blocks.get(block)
    if found is None:
        raise BrokenTemplate(f"{name}: it has no block {block}")
    try:
        return "".join(found(template.new_context(values)))
    except Exception as error:  # whatever a template does
        _broken(template, name, error)


def _filled(template: Template, name: str, values: dict[str, Any]) -> str:
    try:
        return template.render(values)
    except Exception as error:  # whatever a template does
        _broken(template, name, error)


def _broken(template: Template, name: str, error: Exception) -> NoReturn:
    """Jinja knows which line of the template the failing line of Python was."""
    try:
        template.environment.handle_exception()
    except Exception as rewritten:
        at, line = rewritten.__traceback__, None
        while at:
            line = at.tb_lineno if at.tb_frame.f_code.co_filename == "<template>" else line
            at = at.tb_next
        raise BrokenTemplate(f"{name}, line {line}: {rewritten}" if line else f"{name}: {rewritten}") from error


@lru_cache(128)
def _first_line(text: str, block: str) -> int:
    """Where a block begins."""
    tree = ImmutableSandboxedEnvironment().parse(text)
    return next((one.lineno for one in tree.find_all(nodes.Block) if one.name == block), 1)


def _misplaced(name: str, first: int, body: str) -> str | None:
    """Where the tags do not match: mrml tells a place in the whole mail only."""
    parser = expat.ParserCreate()
    try:
        parser.Parse(f"<body>{body}</body>", True)
    except expat.ExpatError as error:
        return f"{name}, line {first + error.lineno - 1}: MJML: {expat.ErrorString(error.code)}"
    return None
