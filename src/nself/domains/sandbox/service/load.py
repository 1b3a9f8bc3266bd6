"""The user's own fixtures: services/billing/test/fixtures/*.json, in the sandbox all or none."""

from __future__ import annotations

from pathlib import Path

from nself import log
from nself.app import App
from nself.core.errors import BillingError
from nself.domains.sandbox import rules, store
from nself.domains.sandbox.inputs import LoadFixtures
from nself.domains.sandbox.model import BadFixture, FixturesLoaded, NoFixtures, SandboxRefused, TestModeOnly
from nself.domains.sandbox.service.reach import ask


def load_files(app: App, given: LoadFixtures) -> FixturesLoaded:
    """Files, or all of the folder. Raises TestModeOnly, SandboxAway, BadFixture, NoFixtures."""
    if app.settings.live:
        raise TestModeOnly()
    if given.files:
        return _load(app, [Path(name) for name in given.files])
    loaded = load(app)
    if not loaded.files:
        raise NoFixtures(folder=app.project.fixtures)
    return loaded


def load(app: App) -> FixturesLoaded:
    """All files of the folder; what is there already is left alone. Raises TestModeOnly, SandboxAway, BadFixture."""
    files = sorted(app.project.fixtures.glob("*.json"))
    return _load(app, files) if files else FixturesLoaded(files=0, loaded={}, left=0, differing=[])


def load_at_start(app: App) -> str:
    """After a start of the services: what there is to say. A bad file blocks nothing."""
    try:
        done = load(app)
    except BillingError as error:
        log.error("fixtures_not_loaded", code=error.code, error=error.message)
        return f"fixtures: {error.message}"
    if done.differing:
        log.warning("fixtures_differ", objects=done.differing)
    return f"fixtures: {len(done.differing)} differ from what is there" if done.differing else ""


def readable(app: App) -> int:
    """How many objects the folder's files hold. Raises BadFixture."""
    return len(_read(app, sorted(app.project.fixtures.glob("*.json")))[0])


def _read(app: App, files: list[Path]) -> tuple[list[object], list[str]]:
    """Objects, and where each stands. Raises BadFixture."""
    objects, names = list[object](), list[str]()
    for path in files:
        name = path.name if path.parent == app.project.fixtures else str(path)
        found = rules.fixtures(store.fixture(path, name))
        if found is None:
            raise BadFixture(detail=f'{name}: an array of objects, one object or {{"data": [...]}} is needed')
        objects += found
        names += [f"{name}[{at}]" for at in range(len(found))]
    return objects, names


def _load(app: App, files: list[Path]) -> FixturesLoaded:
    objects, names = _read(app, files)
    try:
        done = ask(app, "POST", "fixtures", {"objects": objects, "names": names, "keep": True})
    except SandboxRefused as refused:
        raise BadFixture(detail=refused.fields["detail"]) from refused
    log.info("fixtures_loaded", files=len(files), loaded=done["loaded"], left=done["left"])
    return FixturesLoaded(files=len(files), loaded=done["loaded"], left=done["left"], differing=done["differing"])
