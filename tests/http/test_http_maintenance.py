"""While maintenance lasts the API says so; webhooks, health and docs go on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from nself.app import App
from nself.domains.operation.inputs import BeginMaintenance, EndMaintenance
from nself.domains.operation.service import maintenance
from serving import Answer, Client, Service, new_key, until

USAGE, CHECK = "/api/v1/usage", "/api/v1/quota/check"


@pytest.fixture
def client(app: App, service: Service) -> Iterator[Client]:
    with service.client(new_key(app)) as found:
        yield found
        maintenance.off(app, EndMaintenance())
        until(lambda: found.post(USAGE, []).status == 200)


def ways(client: Client) -> list[Answer]:
    """A route of the hot ones each, and one of the others."""
    asked = {"user": "nobody", "metric": "calls", "value": 1}
    return [client.post(USAGE, []), client.post(CHECK, asked), client.ask("GET", f"{USAGE}?user=nobody")]


def test_the_api_is_closed_with_the_message_and_opens_again(app: App, client: Client):
    assert [one.status for one in ways(client)] == [200, 404, 404], "nobody has used anything"
    maintenance.on(app, BeginMaintenance(message="Back at noon", until="2h"))
    until(lambda: [one.status for one in ways(client)] == [503, 503, 503])
    for one in ways(client):
        assert one.status == 503 and one.code == "maintenance"
        assert one.json["error"]["message"] == "Back at noon"
        assert 7000 < int(one.headers["retry-after"]) <= 7200
    maintenance.off(app, EndMaintenance())
    until(lambda: [one.status for one in ways(client)] == [200, 404, 404])


def test_webhooks_health_and_docs_stay_open(app: App, client: Client):
    maintenance.on(app, BeginMaintenance(message="Closed"))
    until(lambda: client.post(USAGE, []).headers.get("retry-after") == "5", what="nobody knows when it ends")
    assert [client.ask("GET", path).status for path in ("/health", "/docs", "/openapi.json")] == [200, 200, 200]
    assert client.post("/webhooks/stripe", {}).code != "maintenance"
