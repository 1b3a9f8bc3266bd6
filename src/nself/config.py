"""Finds the project and its settings: environment > .secrets > .env.local > .env > stripe.yml > default."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nself.core.errors import Invalid, NotFound, Unavailable
from nself.core.project import Project
from nself.core.settings import BY_NAME, Settings, Value

if TYPE_CHECKING:
    from dotenv.parser import Binding

HEREDOC = ":<<'NSELF'"
YAML_SETTINGS = {"batch_size": "STRIPE_BATCH_SIZE", "rate_limit_buffer": "STRIPE_RATE_LIMIT_BUFFER"}


class NoSuchProject(NotFound):
    code, text = "no_such_project", "No such directory: {path}"


class UnreadableFile(Invalid):
    code, text = "unreadable_file", "{path} cannot be read: {detail}"


class UnwritableProject(Unavailable):
    code, text = "unwritable_project", "{path} cannot be written: {detail}"


def _named(name: str) -> Project:
    root = Path(name).expanduser()
    try:
        if root.is_dir():
            return Project(root.resolve())
    except OSError as error:
        raise NoSuchProject(path=f"{name[:200]} ({error.strerror})") from error
    raise NoSuchProject(path=root)


def find_project(given: str | None, environ: Mapping[str, str], cwd: Path) -> Project:
    """`--project DIR`, then NSELF_PROJECT, then the nearest folder upwards with `.env`, then `cwd` itself."""
    named = given or environ.get("NSELF_PROJECT")
    if named:
        return _named(named)
    for folder in (cwd, *cwd.parents):
        if (folder / ".env").is_file():
            return Project(folder.resolve())
    return Project(cwd.resolve())


INVISIBLE = frozenset("\u00a0\u00ad\u200b\u200c\u200d\u2060\ufeff")


def clean(raw: str, origin: str) -> Value:
    """The value that `raw` means, without what cannot be seen in it but breaks it (root cause 1.1.4)."""
    odd: list[str] = []
    text = raw.strip()
    if text != raw:
        odd.append("whitespace around the value was removed")
    if len(text) > 1 and text[0] in "\"'" and text[-1] == text[0] and text[0] not in text[1:-1]:
        text = text[1:-1].strip()
        odd.append("quotes around the value were removed")
    if any(ord(char) < 32 or ord(char) == 127 or char in INVISIBLE for char in text):
        odd.append("the value holds an invisible character")
    return Value(text, origin, "; ".join(odd) or None)


def _dotenv(path: Path, notes: list[str]) -> dict[str, Value]:
    """Values by name; lines that are none go into `notes`."""
    if not path.is_file():
        return {}
    from dotenv.parser import parse_stream

    try:
        with path.open(encoding="utf-8") as file:
            bindings = list(parse_stream(file))
    except (OSError, UnicodeDecodeError) as error:
        raise UnreadableFile(path=path, detail=error) from error
    notes += [f"{path.name}, line {one.original.line}: not NAME=VALUE, ignored" for one in bindings if one.error]
    notes += _twice(path.name, bindings)
    return {one.key: clean(one.value, path.name) for one in bindings if one.key is not None and one.value is not None}


def _twice(file: str, bindings: Sequence[Binding]) -> Iterator[str]:
    """Names with two values. Behind HEREDOC stands what `env set` itself writes twice, for the shell and for us."""
    seen = dict[str, str | None]()
    for before, one in zip((None, *bindings), bindings, strict=False):
        if one.key in seen and seen[one.key] != one.value and not (before and before.key == HEREDOC):
            yield f"{file}, line {one.original.line}: {one.key} again, this value counts"
        if one.key:
            seen[one.key] = one.value


def _stripe_yaml(path: Path, notes: list[str]) -> dict[str, Value]:
    """Values by name. It holds nothing that cannot be done without: what is no YAML goes into `notes`."""
    if not path.is_file():
        return {}
    import yaml

    try:
        found: object = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        mark: yaml.Mark | None = getattr(error, "problem_mark", None)
        notes.append(f"{path.name}{f', line {mark.line + 1}' if mark else ''}: no YAML, the whole file is ignored")
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise UnreadableFile(path=path, detail=error) from error
    if not isinstance(found, dict):
        notes += [f"{path.name}: no lines like batch_size: 100, the whole file is ignored"] if found else []
        return {}
    pairs: dict[object, object] = found  # type: ignore[assignment]
    return {
        YAML_SETTINGS[key]: Value(str(value), path.name)
        for key, value in pairs.items()
        if isinstance(key, str) and YAML_SETTINGS.get(key) in BY_NAME
    }


def load(project: Project, environ: Mapping[str, str] | None = None) -> Settings:
    """All layers of `project`, strongest last. Raises UnreadableFile."""
    process, notes = os.environ if environ is None else environ, list[str]()
    layers = (
        _stripe_yaml(project.config / "stripe.yml", notes),
        _dotenv(project.env, notes),
        _dotenv(project.env_local, notes),
        _dotenv(project.secrets, notes),
        {name: clean(process[name], "environment") for name in BY_NAME if name in process},
    )
    return Settings(layers, [*notes, *_hidden(layers[3], layers[1:3])])


def _hidden(secrets: dict[str, Value], weaker: Sequence[dict[str, Value]]) -> list[str]:
    """A new key that was written into the wrong file would leave the old one in force, without a word."""
    return [
        f"{name} of {layer[name].origin} does not count: {value.origin} has another one"
        for name, value in secrets.items()
        for layer in weaker
        if name in layer and layer[name].text not in ("", value.text)
    ]
