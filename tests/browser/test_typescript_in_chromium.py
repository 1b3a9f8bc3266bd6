"""clients/typescript in a browser, with the key of its user, at pages of the service's own origin."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from commanding import Commands
from nself.core.clock import system_clock
from nself.gateway import signature
from visiting import Person

CLIENT = Path(__file__).parents[2] / "clients/typescript"
NEEDED = CLIENT / "node_modules/openapi-fetch/dist/index.mjs"
pytestmark = pytest.mark.skipif(
    shutil.which("npm") is None or not NEEDED.exists(),
    reason="there is no node, or nobody ran `npm ci` in clients/typescript (make client)",
)
SECRET = "whsec_of_the_test"
SCRIPT = """
async ({key, body, header, secret}) => {
  const {Billing, BillingError, QuotaExceeded, dataOf, keyed, verifyWebhook} = await import("/client/index.js");
  const billing = new Billing(location.origin, key), told = {};
  const failed = async (work) => {
    try { await work; return "nothing"; } catch (error) {
      return error instanceof QuotaExceeded ? `${error.code} ${error.decision.remaining}` : `${error.constructor.name} ${error.code}`;
    }
  };
  const events = keyed([{user: "user123", metric: "functions", value: 3}]);
  told.recorded = [await billing.record(events), await billing.record(events)].map((one) => [one.accepted, one.duplicate]);
  told.checked = (await billing.check("user123", "functions", 8)).allowed;
  told.held = await billing.reserved("user123", "functions", 5, async (held) => { held.value = 4; return "worked"; });
  told.used = (await billing.check("user123", "functions", 0)).used;
  told.over = await failed(billing.reserved("user123", "functions", 4, async () => { throw new Error("not reached"); }));
  told.other = await failed(billing.check("somebody-else", "functions", 1));
  told.listed = await failed(dataOf(billing.api.GET("/api/v1/customers")));
  told.webhook = (await verifyWebhook(body, header, secret)).type;
  told.forged = await failed(verifyWebhook(body + " ", header, secret));
  return told;
}
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `npm run build` makes, apart from what other tests make."""
    to = tmp_path_factory.mktemp("client")
    line = [CLIENT / "node_modules/.bin/tsc", "-p", "tsconfig.build.json", "--outDir", to]
    subprocess.run(line, cwd=CLIENT, check=True, timeout=600)
    return to


@pytest.fixture
def bundled(chromium: Any, base: str, built: Path, own_page: str) -> Person:
    """A page that has the client's modules, as a bundler would give them to it."""
    made = Person(chromium, base, bypass_csp=True)

    def module(route: Any) -> None:
        name = route.request.url.rpartition("/")[2]
        text = (NEEDED if name == "openapi-fetch" else built / name).read_text()
        script = text.replace('from "openapi-fetch"', 'from "/client/openapi-fetch"')
        route.fulfill(body=script, content_type="text/javascript")

    made.page.route("**/client/*", module)
    made.open(own_page)
    return made


def test_it_does_its_work_in_a_browser_with_the_key_of_its_user(bundled: Person, project: Commands) -> None:
    project.nself("billing", "quota", "set", "--user", "user123", "--metric", "functions", "--limit", "10")
    words = ("billing", "api-key", "create", "--name", "browser", "--user", "user123", "--scopes", "usage:write,quota")
    body = b'{"type":"quota.threshold","data":{}}'
    given = {
        "key": project.json(*words)["key"],
        "body": body.decode(),
        "header": signature.sign(body, SECRET, system_clock()),
        "secret": SECRET,
    }
    told = bundled.page.evaluate(SCRIPT, given)
    assert told == {
        "recorded": [[1, 0], [0, 1]],
        "checked": False,
        "held": "worked",
        "used": 7,
        "over": "quota_exceeded 3",
        "other": "Denied not_of_this_user",
        "listed": "Denied insufficient_permissions",
        "webhook": "quota.threshold",
        "forged": "InvalidSignature webhook_signature_verification_failed",
    }
    refusals = [one for one in bundled.complaints if "Failed to load resource" not in one]
    assert refusals == []
    bundled.context.close()
