"""A process that records as fast as it can and says on stdout which key is kept: `URL KEY BUFFER USER FSYNC NAME`."""

from __future__ import annotations

import os
import sys
from itertools import count

from nself.client import BufferFull, Client


def main() -> None:
    url, key, buffer, user, fsync, name = sys.argv[1:]
    client = Client(url, key, buffer=buffer, fsync_interval=float(fsync), linger=0.005, batch_events=20)
    for number in count():
        mine = f"{name}-{number}"
        try:
            client.record(user, "calls", 1, key=mine, properties={"text": "x" * (number % 700)})
        except BufferFull:
            continue
        os.write(1, f"{mine}\n".encode())


main()
