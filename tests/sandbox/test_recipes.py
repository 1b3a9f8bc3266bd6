"""`trigger`: each recipe makes its event, with real objects that the API shows."""

import pytest

from sandbox.conftest import Sandbox, Sdk
from stripe_sandbox.recipes import RECIPES


@pytest.mark.parametrize("event", sorted(RECIPES))
def test_a_recipe_makes_its_event(sandbox: Sandbox, api: Sdk, event: str) -> None:
    made = sandbox.admin("POST", "trigger", {"event": event})["events"]
    assert event in [one["type"] for one in made]
    found = {one.id: one for one in api.events.list({"limit": 100}).data}
    named = next(found[one["id"]] for one in made if one["type"] == event)
    stem = event.rpartition(".")[0].removeprefix("customer.").removeprefix("charge.")
    assert named.data.object.object == ("charge" if event.startswith("charge.") and stem != "dispute" else stem)


def test_an_event_without_a_recipe_is_refused_and_the_known_ones_are_listed(sandbox: Sandbox) -> None:
    assert sandbox.admin("POST", "trigger", {"event": "no.such"}) == 404
    assert sandbox.admin("GET", "trigger")["events"] == sorted(RECIPES)
