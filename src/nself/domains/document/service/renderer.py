"""The parent's side of the process that renders: its limits, and what its end means."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any, cast

import msgspec

from nself.app import App
from nself.core.clock import monotonic
from nself.domains.document.errors import NeedsMoreMemory, RendererDied, TemplateError, TookTooLong, UnreadableTemplate
from nself.domains.document.model import Order, Rendered, Template

CJK = "manimgx_fonts_cjk"
"""A package that holds nothing but Noto Sans CJK."""
NO_MEMORY = ("memory allocation of", "MemoryError", "Cannot allocate memory")
MAX_DETAIL = 1500
SHOWN_SIZE = {"G": 2**30, "M": 2**20, "K": 2**10}


class Timeout(Exception):
    """The child did not answer in time."""


class Ended(Exception):
    """The child ended instead of answering; with what it left on stderr."""


class OutOfMemory(Exception):
    """It needed more than it may have."""


def font_folders(app: App) -> list[str]:
    """Of the package with CJK, the project's own, and those of PDF_FONT_PATH; those that are there."""
    spec = find_spec(CJK)
    known = [*(spec.submodule_search_locations or [] if spec else []), str(app.project.templates / "fonts")]
    found = [*known, *app.settings.text("PDF_FONT_PATH").split(":")]
    return [folder for folder in found if folder and Path(folder).is_dir()]


class Renderer:
    """Renders one document after another, in a child that is kept. Not for several threads at once."""

    def __init__(self, app: App) -> None:
        self.folder, self.fonts = "", font_folders(app)
        self.limit, self.seconds = app.settings.bytes("PDF_MEMORY_LIMIT"), app.settings.seconds("PDF_TIMEOUT")
        self.limit_text, self.seconds_text = app.settings.text("PDF_MEMORY_LIMIT"), app.settings.text("PDF_TIMEOUT")
        self.child: subprocess.Popen[bytes] | None = None
        self.said: IO[bytes] | None = None

    def render(self, order: Order, template: Template) -> Rendered:
        """Raises TemplateError, UnreadableTemplate, NeedsMoreMemory, TookTooLong, RendererDied."""
        text = msgspec.json.encode({**msgspec.structs.asdict(order), "template": _text(template)})
        if template.folder != self.folder:
            self.close()
            self.folder = template.folder
        while True:
            fresh = self.child is None
            try:
                return self._answered(template, self._ask(text))
            except OutOfMemory as error:
                self.close()
                if fresh:  # else documents before this one may have left something
                    raise NeedsMoreMemory(
                        invoice=order.invoice, limit=self.limit_text, more=shown_size(self.limit * 2)
                    ) from error
            except Timeout as error:
                self.close()
                raise TookTooLong(invoice=order.invoice, limit=self.seconds_text) from error
            except Ended as error:
                self.close()
                raise RendererDied(invoice=order.invoice, detail=str(error)) from error

    def _answered(self, template: Template, answer: tuple[dict[str, Any], bytes]) -> Rendered:
        header, content = answer
        if header.get("memory"):
            raise OutOfMemory
        if not header["ok"]:
            raise TemplateError(template=template.path, detail=header["error"].strip()[:MAX_DETAIL])
        return Rendered(
            content=content,
            pages=header["pages"],
            standard=header["standard"],
            xml=header["xml"],
            warnings=header["warnings"],
        )

    def _start(self) -> subprocess.Popen[bytes]:
        self.said = cast("IO[bytes]", tempfile.TemporaryFile())  # noqa: SIM115  as long as the child
        words = [str(self.limit), self.folder, *self.fonts]
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "nself.domains.document.service.child", *words],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.said, start_new_session=True,
            env={**_plain_environment(), "RAYON_NUM_THREADS": "1", "RUST_BACKTRACE": "0"},
        )  # fmt: skip

    def _ask(self, text: bytes) -> tuple[dict[str, Any], bytes]:
        child = self.child = self.child or self._start()
        assert child.stdin and child.stdout
        pipe = _Pipe(child.stdout, monotonic() + self.seconds)
        try:
            child.stdin.write(b"%08x" % len(text) + text)
            child.stdin.flush()
            header = json.loads(pipe.read(int(pipe.read(8), 16)))
            return header, pipe.read(header["size"])
        except (BrokenPipeError, EOFError):
            raise self._end() from None

    def _end(self) -> Exception:
        """What it means that the child is gone."""
        assert self.child and self.said
        code = self.child.wait()
        self.said.seek(0)
        said = self.said.read()[-20_000:].decode("utf-8", "replace")
        if any(word in said for word in NO_MEMORY):
            return OutOfMemory()
        last = next((line for line in reversed(said.splitlines()) if line.strip()), "")
        how = signal.Signals(-code).name if code < 0 else f"exit {code}"
        return Ended(f"{how} {last}".strip()[:MAX_DETAIL])

    def close(self) -> None:
        """End the child; the next document gets a new one."""
        child, self.child = self.child, None
        if child is None:
            return
        for pipe in (child.stdin, child.stdout):
            if pipe:
                with suppress(BrokenPipeError):
                    pipe.close()
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        if self.said:
            self.said.close()


class _Pipe:
    """Reads with a deadline."""

    def __init__(self, file: IO[bytes], deadline: float) -> None:
        self.file, self.deadline = file, deadline

    def read(self, size: int) -> bytes:
        """Exactly `size` bytes. Raises Timeout, EOFError."""
        parts, left = list[bytes](), size
        with selectors.DefaultSelector() as selector:
            selector.register(self.file, selectors.EVENT_READ)
            while left:
                if not selector.select(max(0.0, self.deadline - monotonic())):
                    raise Timeout
                part = os.read(self.file.fileno(), min(left, 1 << 20))
                if not part:
                    raise EOFError
                parts.append(part)
                left -= len(part)
        return b"".join(parts)


def _text(template: Template) -> str:
    try:
        return template.text.decode()
    except UnicodeDecodeError as error:
        raise UnreadableTemplate(template=template.path, detail=f"it is not UTF-8: {error}") from error


def _plain_environment() -> dict[str, str]:
    """What the child needs: no secret among it."""
    names = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "VIRTUAL_ENV")
    return {name: os.environ[name] for name in names if name in os.environ}


def shown_size(size: int) -> str:
    """As a setting takes it: `1G`."""
    return next((f"{size // one}{unit}" for unit, one in SHOWN_SIZE.items() if size % one == 0), str(size))
