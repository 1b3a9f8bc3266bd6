"""What the settings' use cases answer, and how they fail."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from nself.core.errors import Invalid, Unavailable


class UnknownSetting(Invalid):
    code, param = "unknown_setting", "name"
    text = "{name} is not a setting of nself{meant}; nothing was written"
    hints = ("nself env list",)


class NothingRead(Invalid):
    code = "nothing_read"
    text = "Nothing came from standard input for {name}; nothing was written"
    hints = ("nself env set {name} --stdin", "nself env unset {name}")


class SettingsBusy(Unavailable):
    code = "settings_busy"
    text = "Another process has been writing settings in {path} for {seconds} s"
    hints = ("nself env list",)


class SettingsNotWritten(Unavailable):
    code = "settings_not_written"
    text = "{path} cannot be written: {detail}"
    hints = ("nself env list --changed",)


class ShownSetting(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of `env get`: people and `$(…)` see the bare value, the rest goes to stderr or into json."""

    name: str
    value: str
    origin: str
    effect: str
    odd: str | None

    def plain(self) -> str:
        return self.value

    def remarks(self) -> list[str]:
        return [f"{self.name}: {self.odd} (from {self.origin})"] if self.odd else []


class Unusable(NamedTuple):
    """`wrong`: its value is; else its name."""

    name: str
    detail: str
    help: str
    wrong: bool


class ListedSetting(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `env list`."""

    name: str
    value: str
    origin: str
    note: str
    effect: str


class WrittenSetting(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `env set` and `env unset`: `in_force` is false where a stronger place has another value."""

    name: str
    value: str
    file: str
    in_force: bool
    note: str
