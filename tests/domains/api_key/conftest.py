"""API keys need no other domain."""

import pytest

from nself.registry import Registry


@pytest.fixture(scope="session")
def registry() -> Registry:
    return Registry(("api_key",))
