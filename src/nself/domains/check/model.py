"""What the checks find, and their errors."""

from __future__ import annotations

from typing import Literal

import msgspec

from nself.core.errors import Conflict, Denied


class Count(msgspec.Struct, frozen=True):
    live: int
    test: int


class ModeShown(msgspec.Struct, frozen=True, kw_only=True):
    """`agree`: nothing differs. `problems` as `root cause: what - command`. Rows are customers, subscriptions, invoices, payments."""

    mode: str
    mode_origin: str
    secret_key: str
    publishable_key: str
    webhook_endpoint: str
    live_rows: int
    test_rows: int
    sandbox: str
    agree: bool
    problems: list[str]


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """A link of the chain; `command` helps where it is broken or was left out."""

    link: str
    state: Literal["ok", "skipped", "broken"]
    milliseconds: int
    detail: str
    command: str = ""

    def plain(self) -> str:
        helps = f" - {self.command}" if self.command else ""
        return f"{self.link:<12} {self.state:<8} {self.milliseconds:>6} ms  {self.detail}{helps}"


class MockNeeded(Denied):
    code, guide = "mock_needed", "9.3"
    text = "The self-test makes customers and payments: it runs at the sandbox, with --use-mock. Nothing was done"
    hints = ("nself billing test --use-mock",)


class SelfTestInTestModeOnly(Denied):
    code, guide = "test_mode_only", "9.3"
    text = "Mock not in test mode: STRIPE_MODE is live here, and the self-test exists in test mode only"
    hints = ("nself env set STRIPE_MODE=test", "nself billing stripe show-mode")


class SelfTestUnderWay(Conflict):
    code, guide = "self_test_under_way", "9.3"
    text = "Another command tests this project at the moment"
    hints = ("nself status",)


class ChainBroken(Conflict):
    """`command` is the line that helps."""

    code, guide = "chain_broken", "9.3"
    text = "{link} is broken: {cause}"
    hints = ("nself status", "nself billing test --use-mock")

    def __init__(self, link: str, cause: str, command: str) -> None:
        super().__init__(link=link, cause=cause)
        self.hints = tuple(dict.fromkeys((command, *type(self).hints)))  # type: ignore[misc]
