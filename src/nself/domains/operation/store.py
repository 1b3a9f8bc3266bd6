"""Keeps maintenance in a file of the project: it holds with the database away."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import msgspec

from nself.core.project import Project
from nself.domains.operation.model import Maintenance
from nself.process.paths import write_private, writing


def _path(project: Project) -> Path:
    return project.state / "maintenance.json"


def maintenance(project: Project) -> Maintenance | None:
    """What lasts, or what lasted until its time. A file that cannot be read closes as well: somebody meant to."""
    path = _path(project)
    try:
        return msgspec.json.decode(path.read_bytes(), type=Maintenance)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError):
        return Maintenance(message="Under maintenance", since=datetime.fromtimestamp(0, UTC), by="unknown")


def keep(project: Project, found: Maintenance) -> None:
    """Raises StateUnwritable."""
    with writing(project.state):
        project.state.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_private(_path(project), msgspec.json.encode(found).decode())


def forget(project: Project) -> None:
    with writing(project.state):
        _path(project).unlink(missing_ok=True)
