"""Stripe's list pages over more objects than the sandbox wants to hold: each is made from a sample, by its number, when it is asked for.

    list_server.py --port N --samples FILE --objects N

Of the kinds that grow with time (invoices, payments, charges) there are COUNTS in a thousand objects each; the newest has number 0.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
from pathlib import Path
from typing import NamedTuple, cast
from urllib.parse import parse_qs, urlsplit

import uvloop

COUNTS = {
    "customers": 25,
    "payment_methods": 25,
    "subscriptions": 25,
    "payment_intents": 300,
    "charges": 300,
    "invoices": 325,
}
OF_CUSTOMER = re.compile(r'"((?:cus|pm|sub|si)_\w+)"')
OF_ITSELF = re.compile(r'"((?:in|pi|ch|il|inpay|txn)_\w+)"')
NUMBER = re.compile(r"starting_after=\w+?_N(\d+)")
NEWEST, PER_SECOND = 1_790_000_000, 3


class Sample(NamedTuple):
    """An object in pieces: between them come its customer's number and its own, and when it was made."""

    kind: str
    pieces: list[str]

    @classmethod
    def of(cls, kind: str, one: dict[str, object]) -> Sample:
        text = json.dumps({**one, "created": "CREATED"})
        text = OF_ITSELF.sub(
            r'"\1_N{own}"', OF_CUSTOMER.sub(r'"\1_N{customer}"', text.replace("{", "{{").replace("}", "}}"))
        )
        return cls(kind, [text.replace('"CREATED"', "{created}")])

    def made(self, number: int, customers: int) -> str:
        created = NEWEST - number // PER_SECOND
        return self.pieces[0].format(own=number, customer=number % customers, created=created)


class Lists:
    def __init__(self, samples: dict[str, dict[str, object]], objects: int) -> None:
        self.samples = {kind: Sample.of(kind, one) for kind, one in samples.items()}
        self.counts = {kind: objects * share // 1000 for kind, share in COUNTS.items()}
        self.asked = 0

    def answer(self, target: str) -> str:
        """The page that a request asks for; of a kind that has no sample an empty one."""
        self.asked += 1
        split = urlsplit(target)
        kind, query = split.path.removeprefix("/v1/"), parse_qs(split.query)
        if kind not in self.samples:
            return '{"object": "list", "data": [], "has_more": false, "url": "/v1/x"}'
        if "customer" in query:
            numbers, more = [int(query["customer"][0].rpartition("_N")[2])], False
        else:
            after = NUMBER.search(split.query)
            first = int(after[1]) + 1 if after else 0
            last = min(self.counts[kind], first + int(query.get("limit", ["10"])[0]))
            numbers, more = range(first, last), last < self.counts[kind]
        data = ", ".join(self.samples[kind].made(number, self.counts["customers"]) for number in numbers)
        return f'{{"object": "list", "data": [{data}], "has_more": {json.dumps(more)}, "url": "{split.path}"}}'


class Connection(asyncio.Protocol):
    """Requests have no body and come one at a time."""

    def __init__(self, lists: Lists) -> None:
        self.lists, self.got = lists, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self.got += data
        if b"\r\n\r\n" not in self.got:
            return
        target, self.got = self.got.split(b" ", 2)[1].decode(), b""
        body = self.lists.answer(target).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nRequest-Id: req_1\r\nContent-Length: {len(body)}\r\n\r\n"
        self.transport.write(head.encode() + body)


async def serve(port: int, lists: Lists) -> None:
    server = await asyncio.get_running_loop().create_server(lambda: Connection(lists), "127.0.0.1", port)
    await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--samples", type=Path, required=True, help="JSON: an object of each collection")
    parser.add_argument("--objects", type=int, required=True)
    given = parser.parse_args()
    uvloop.run(serve(given.port, Lists(json.loads(given.samples.read_text()), given.objects)))


if __name__ == "__main__":
    main()
