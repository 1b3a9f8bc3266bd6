"""What went over the wire, one JSON line each, for tests that validate it against Stripe's own document."""

from pathlib import Path
from typing import IO, Any

import msgspec


class Traffic:
    def __init__(self, path: str | None) -> None:
        self._file: IO[bytes] | None = Path(path).open("ab") if path else None  # noqa: SIM115

    def call(self, method: str, path: str, query: str, body: bytes, status: int | None, answer: bytes | None) -> None:
        """`status` and `answer` are null when the connection was dropped."""
        self._write(
            {
                "kind": "call",
                "method": method,
                "path": path,
                "query": query,
                "body": body.decode("utf-8", "replace"),
                "status": status,
                "answer": msgspec.Raw(answer) if answer else None,
            }
        )

    def event(self, event: dict[str, Any]) -> None:
        self._write({"kind": "event", "event": event})

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _write(self, line: dict[str, Any]) -> None:
        if self._file is not None:
            self._file.write(msgspec.json.encode(line) + b"\n")
            self._file.flush()
