"""The HTTP service of a project whose Stripe is the sandbox with the guide's objects, and somebody who may do everything there."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

sys.path.insert(0, str(Path(__file__).parent / "faults"))
pytest.register_assert_rewrite("money_bench")

from money_bench import Bench  # noqa: E402
from money_fixtures import shared_bench  # noqa: E402

from nself.app import App  # noqa: E402
from nself.domains.customer import service as customer  # noqa: E402
from nself.domains.mirror import service as mirror  # noqa: E402
from nself.domains.quota.inputs import SetQuota  # noqa: E402
from nself.domains.quota.service import limits  # noqa: E402
from serving import new_key, serving  # noqa: E402

MIRRORED = ("products", "prices", "customers", "invoices", "subscriptions", "payment_intents", "charges")


class Guided(NamedTuple):
    url: str
    app: App
    keys: dict[str, str]
    """By scopes."""


@contextmanager
def guided(server: str, template: str, folder: Path, **settings: str) -> Iterator[Guided]:
    """What it sends to the sandbox is judged by Stripe's own document in the end."""
    with shared_bench(server, template, folder) as bench:
        app, keys = prepare(bench, bench.app())
        with serving(bench.folder, bench.database, **bench.environ(), API_RATE_LIMIT="0", **settings) as service:
            yield Guided(f"http://127.0.0.1:{service.port}", app, keys)
        assert "Traceback" not in service.log.read_text(), service.log


def prepare(bench: Bench, app: App) -> tuple[App, dict[str, str]]:
    """With keys by their scopes."""
    bench.sandbox.admin("fixtures", set="guide")
    customer.create_users(app, {"user123": "user123@example.com"})
    for one in (one for kind in MIRRORED for one in app.stripe.listed(kind)):
        mirror.refresh(app, one["object"], one["id"], "fixtures")
    for id in ("pm_123", "pm_new"):  # Stripe lists them by their customers alone
        mirror.refresh(app, "payment_method", id, "fixtures")
    limits.set_quota(app, SetQuota(user="user123", metric="api_calls", limit=10**6, period="month"))
    return app, {scopes: new_key(app, scopes) for scopes in ("admin", "quota", "usage:read")}
