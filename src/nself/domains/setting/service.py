"""Settings: show them with their origin, change them where they belong."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from nself import config
from nself.app import App
from nself.core.errors import InvalidParameter
from nself.core.settings import BY_NAME, NoSuchSetting, Setting, Settings, Value, is_secret, mask, wrong
from nself.domains.setting import rules, store
from nself.domains.setting.inputs import GetSetting, ListSettings, SetSettings, UnsetSettings
from nself.domains.setting.model import ListedSetting, ShownSetting, Unusable, WrittenSetting

RESTART = "a running service takes it up after: nself restart billing"


def _shown(name: str, text: str, reveal: bool = False) -> str:
    return mask(text) if is_secret(name) and not reveal else text


def _odd(setting: Setting | None, value: Value) -> Iterator[str]:
    if value.odd:
        yield value.odd
    complaint = wrong(setting, value.text) if setting else None
    if complaint:
        yield complaint


def get(app: App, given: GetSetting) -> ShownSetting:
    """One setting as it is in force. Raises NoSuchSetting."""
    value = app.settings.values.get(given.name)
    setting = BY_NAME.get(given.name)
    if value is None:
        raise NoSuchSetting(name=given.name, meant=rules.close(given.name, app.settings.values))
    odd = list(_odd(setting, value))
    if not value.text and not odd:
        odd.append("has no value")
    return ShownSetting(
        name=given.name,
        value=_shown(given.name, value.text, given.reveal),
        origin=value.origin,
        effect=rules.effect(setting),
        odd="; ".join(odd) or None,
    )


def list_settings(app: App, given: ListSettings) -> list[ListedSetting]:
    """Settings in their declared order, then the names that are not ours."""
    found: list[ListedSetting] = []
    for name, value in app.settings.values.items():
        setting = BY_NAME.get(name)
        if value.origin == "default" and given.changed:
            continue
        found.append(
            ListedSetting(
                name=name,
                value=_shown(name, value.text),
                origin=value.origin,
                note="; ".join(_odd(setting, value)),
                effect=rules.effect(setting),
            )
        )
    return found


def unusable(app: App) -> Iterator[Unusable]:
    """Settings whose values nothing can be done with, and names that are close to ours but none."""
    for name, value in app.settings.values.items():
        setting = BY_NAME.get(name)
        complaint = wrong(setting, value.text) if setting else None
        meant = "" if setting or not name.startswith(rules.OURS) else rules.close(name, BY_NAME)
        if complaint or meant:
            detail = (
                f"is {_shown(name, value.text)!r}: {complaint}" if complaint else f"is not a setting of nself{meant}"
            )
            verb = "get" if value.origin in ("environment", "stripe.yml") else "unset"
            yield Unusable(name, f"{detail} (from {value.origin})", f"nself env {verb} {name}", bool(complaint))


def set_values(app: App, given: SetSettings) -> list[WrittenSetting]:
    """Check every value, then write them; nothing is written when one is wrong.

    Raises InvalidSetting, UnknownSetting, InvalidParameter, NothingRead, SettingsBusy, SettingsNotWritten.
    """
    if given.stdin:
        if len(given.assignments) != 1 or "=" in given.assignments[0]:
            raise InvalidParameter("--stdin takes one NAME, without a value", "assignments")
        name = rules.checked_name(given.assignments[0])
        pairs = {name: store.read_value(name)}
    else:
        pairs = rules.assignments(given.assignments)
    values = {name: config.clean(text, "the command line") for name, text in pairs.items()}
    for name, value in values.items():
        rules.check(name, value.text)
    app.ensure_project()
    files = (app.project.env, app.project.env_local, app.project.secrets)
    with store.locked((*files, app.project.root / ".gitignore")):
        store.ignore(app.project.root)
        places = {name: _place(app, name) for name in values}
        for path in sorted(set(places.values())):
            changes = {name: values[name].text for name in values if places[name] == path}
            store.replace(path, rules.edit(store.read(path), changes), _mode(app, path))
        after = _reload(app)
    leaked = not given.stdin
    return [_written(app, after, name, value, places[name], leaked) for name, value in values.items()]


def read_value(name: str) -> str:
    """One value from standard input. Raises NothingRead."""
    return store.read_value(name)


def _mode(app: App, path: Path) -> int | None:
    return 0o600 if path == app.project.secrets else None


def _reload(app: App) -> Settings:
    """The settings as they are now; what the app remembers of them is forgotten."""
    for name in ("settings", "timezone"):
        vars(app).pop(name, None)
    return app.settings


def _place(app: App, name: str) -> Path:
    """The file in which `name` is to be changed."""
    if is_secret(name) and name in rules.read(store.read(app.project.secrets)):
        return app.project.secrets
    if name in rules.read(store.read(app.project.env_local)):
        return app.project.env_local
    return app.project.secrets if is_secret(name) else app.project.env


def _written(app: App, after: Settings, name: str, given: Value, path: Path, leaked: bool) -> WrittenSetting:
    return WrittenSetting(
        name=name,
        value=_shown(name, given.text),
        file=path.name,
        in_force=after.values[name].text == given.text,
        note="; ".join(_notes(app, after, name, given, path, leaked)),
    )


def _notes(app: App, after: Settings, name: str, given: Value, path: Path, leaked: bool) -> Iterator[str]:
    setting, effective = BY_NAME.get(name), after.values[name]
    if effective.origin != path.name:
        yield f"overridden by {effective.origin}, which says {_shown(name, effective.text) or 'nothing'}"
    if given.odd:
        yield given.odd
    if setting is None:
        yield f"not a setting of nself{rules.close(name, BY_NAME)}: kept for your own programs"
    if path == app.project.env_local:
        yield ".env.local defined it, so it was changed there"
    if is_secret(name):
        if path != app.project.secrets and store.exposed(path):
            yield f"others on this machine can read it: chmod 600 {path.name}"
        if name in rules.read(store.read(app.project.env)):
            yield "an older value still stands in .env"
        if leaked:
            yield f"it is in your shell's history now; nself env set {name} --stdin keeps it out"
    key = rules.key_note(name, given.text, after.value("STRIPE_MODE").text)
    if key:
        yield key
    if told := rules.follows(name, given.text):
        yield told
    if setting and effective.origin == path.name:
        yield RESTART


def unset(app: App, given: UnsetSettings) -> list[WrittenSetting]:
    """Remove names from all three files. Raises InvalidParameter, SettingsBusy, SettingsNotWritten."""
    names = list(dict.fromkeys(rules.checked_name(name) for name in given.names))
    files = (app.project.env, app.project.env_local, app.project.secrets)
    removed: dict[str, list[str]] = {name: [] for name in names}
    with store.locked(files):
        for path in files:
            before = store.read(path)
            known = rules.read(before)
            after_text = rules.edit(before, dict.fromkeys(names))
            if after_text != before:
                store.replace(path, after_text, _mode(app, path))
            for name in names:
                if name in known:
                    removed[name].append(path.name)
        after = _reload(app)
    return [_removed(after, name, removed[name]) for name in names]


def _removed(after: Settings, name: str, files: list[str]) -> WrittenSetting:
    setting, value = BY_NAME.get(name), after.values.get(name, Value("", "nothing"))
    notes: list[str] = []
    if not files:
        notes.append("it stood in no file" + ("" if setting else rules.close(name, BY_NAME)))
    if value.origin == "environment":
        notes.append("the environment still sets it")
    elif value.origin not in ("default", "nothing"):
        notes.append(f"{value.origin} still sets it")
    elif files and setting:
        notes.append(RESTART)
    return WrittenSetting(
        name=name,
        value=_shown(name, value.text),
        file=", ".join(files),
        in_force=value.origin in ("default", "nothing"),
        note="; ".join(notes),
    )


def replace_all(app: App, values: Mapping[str, str], keep: Collection[str]) -> tuple[list[str], Path | None]:
    """Step: of our settings the files hold `values` and what they had of `keep`; every other name stays.

    The names that changed, and the folder in which the files are kept as they were before.
    """
    files = (app.project.env, app.project.env_local, app.project.secrets)
    standing = {name for path in files for name in rules.read(store.read(path)) if name in BY_NAME}
    gone = sorted(standing - set(values) - set(keep))
    known = {name: app.settings.value(name) for name in values}
    fresh = [
        name for name, text in values.items() if name not in standing or known[name].text != text or known[name].odd
    ]
    if not gone and not fresh:
        return [], None
    kept = store.keep_copies(files, app.project.state / "backup" / f"settings-{app.clock():%Y%m%dT%H%M%S%f}")
    if gone:
        unset(app, UnsetSettings(names=gone))
    if fresh:
        set_values(app, SetSettings(assignments=[f"{name}={values[name]}" for name in fresh]))
    return sorted({*gone, *fresh}), kept
