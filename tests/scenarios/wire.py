"""The sandbox over plain HTTP on one connection: a thousand histories make a hundred thousand calls, which the SDK is too slow for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import urllib3
from money_bench import KEY

from nself.gateway.api import STRIPE_VERSION
from nself.gateway.kinds import KINDS

HEADERS = {"Authorization": f"Bearer {KEY}", "Stripe-Version": STRIPE_VERSION}
FORM = {**HEADERS, "Content-Type": "application/x-www-form-urlencoded"}


class Refused(Exception):
    """Stripe says 400, 402 or 404."""


def pairs(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Stripe's form: `items[0][price]=…`."""
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if parts is None:
        yield name, str(value).lower() if isinstance(value, bool) else str(value)
        return
    for part, inner in parts:
        yield from pairs(inner, f"{name}[{part}]" if name else str(part))


class Wire:
    def __init__(self, port: int) -> None:
        self.pool = urllib3.HTTPConnectionPool("127.0.0.1", port, timeout=30, retries=False)

    def _ask(self, method: str, path: str, body: str | None, headers: dict[str, str]) -> Any:
        answer = self.pool.request(method, path, body=body, headers=headers)
        if answer.status in (400, 402, 404):
            raise Refused(answer.data)
        assert answer.status == 200, answer.data
        return json.loads(answer.data, parse_float=str)

    def get(self, path: str, **params: Any) -> Any:
        return self._ask("GET", f"{path}?{urlencode(list(pairs(params)))}", None, HEADERS)

    def post(self, path: str, **params: Any) -> Any:
        return self._ask("POST", path, urlencode(list(pairs(params))), FORM)

    def delete(self, path: str) -> Any:
        return self._ask("DELETE", path, None, HEADERS)

    def admin(self, path: str, /, **body: Any) -> Any:
        return self._ask("POST", f"/_sandbox/{path}", json.dumps(body), {})

    def listed(self, kind: str, customer: str | None = None) -> list[dict[str, Any]]:
        """All objects of a kind, oldest first, each whole."""
        row = KINDS[kind]
        params: dict[str, Any] = {"limit": 100, **dict(row.filters)}
        params |= {"expand": [f"data.{field}" for field in row.expand]} if row.expand else {}
        params |= {"customer": customer} if customer else {}
        found = self.get(f"/v1/{row.collection}", **params)
        assert not found["has_more"]
        for one in found["data"]:
            if row.nested and one[row.nested]["has_more"]:
                path, _, query = row.rest.format(id=one["id"]).partition("?")
                rest = self.get(path, limit=100, **dict([query.split("=")] if query else []))
                one[row.nested] |= {"data": rest["data"], "has_more": False}
        return found["data"][::-1]

    def fetched(self, kind: str, id: str) -> dict[str, Any] | None:
        """An object that is in no list; None where it is gone."""
        row = KINDS[kind]
        try:
            found = self.get(f"/v1/{row.collection}/{id}", **({"expand": list(row.expand)} if row.expand else {}))
        except Refused:
            return None
        return None if found.get("deleted") else found

    def events(self, after: str | None) -> list[dict[str, Any]]:
        """All of those after one, oldest first."""
        found, ending = list[dict[str, Any]](), after
        while page := self.get("/v1/events", limit=100, **({"ending_before": ending} if ending else {})):
            assert ending or not page["has_more"]
            found += page["data"][::-1]
            if not page["has_more"]:
                break
            ending = found[-1]["id"]
        return found
