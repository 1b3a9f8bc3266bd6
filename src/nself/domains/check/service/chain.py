"""The self-test: the links of the chain one after another, and the first that is broken with its cause."""

from __future__ import annotations

from collections.abc import Generator, Iterator

from nself import log
from nself.app import App
from nself.core.clock import monotonic
from nself.core.errors import BillingError
from nself.domains.check import store
from nself.domains.check.inputs import TestChain
from nself.domains.check.model import ChainBroken, Link, MockNeeded, SelfTestInTestModeOnly
from nself.domains.check.service import links
from nself.domains.check.service.links import Broken, Run, Skipped


def test(app: App, given: TestChain) -> Generator[Link]:
    """A row a link as it goes; a broken one ends it. Raises MockNeeded, SelfTestInTestModeOnly, ChainBroken."""
    if not given.use_mock:
        raise MockNeeded()
    if app.settings.live:
        raise SelfTestInTestModeOnly()
    app.ensure_project()
    return _tested(app)


test.__test__ = False  # type: ignore[attr-defined]


def _tested(app: App) -> Generator[Link]:
    run, broken = Run(app), None
    with store.alone(app.project.state / "self-test.lock"):
        try:
            for one in _links(run):
                broken = one if one.state == "broken" else None
                yield one
        finally:
            left = links.clean(run)
        yield Link(link="cleanup", state="ok", milliseconds=0, detail=left)
    log.info("self_test", broken=broken.link if broken else None, cause=broken.detail if broken else None)
    if broken:
        raise ChainBroken(broken.link, broken.detail, broken.command)


def _links(run: Run) -> Iterator[Link]:
    for name, take in links.LINKS:
        one = _taken(run, name, take)
        yield one
        if one.state == "broken":
            return


def _taken(run: Run, name: str, take: links.Take) -> Link:
    began = monotonic()

    def link(state: links.State, detail: str, command: str = "") -> Link:
        took = round((monotonic() - began) * 1000)
        return Link(link=name, state=state, milliseconds=took, detail=detail, command=command)

    try:
        return link("ok", take(run))
    except Skipped as skipped:
        return link("skipped", skipped.detail, skipped.command)
    except Broken as broken:
        return link("broken", broken.detail, broken.command)
    except BillingError as error:
        return link("broken", error.message, error.hint[0] if error.hint else "nself status")
