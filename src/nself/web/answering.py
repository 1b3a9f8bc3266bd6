"""Pages out of templates, the package's own files, forms, and refusals as pages."""

from __future__ import annotations

import gzip
import hashlib
import hmac
from collections.abc import Awaitable, Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qsl

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from nself import log
from nself.app import App
from nself.core import roles
from nself.core.errors import BillingError
from nself.db.connect import unavailable
from nself.domains.operator.model import Forged, Session
from nself.web.pages import PAGES
from nself.web.words import label

HERE = Path(__file__).parent
POLICY = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}
LARGEST = 64 * 1024
"""Bytes of a form."""
TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


@cache
def _templates() -> Environment:
    made = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    cast("dict[str, Any]", made.globals).update(
        {"static": _address, "menu": [page for page in PAGES if page.menu], "may": roles.may}
    )
    made.filters["label"] = label
    return made


def render(template: str, status: int = 200, /, **values: Any) -> HTMLResponse:
    return HTMLResponse(_templates().get_template(template).render(**values), status, HEADERS)


@cache
def _assets() -> dict[str, tuple[bytes, str]]:
    """Name -> compressed content and digest. They are the package's own files and never change while it runs."""
    found = {path.name: path.read_bytes() for path in (HERE / "static").iterdir() if path.suffix in TYPES}
    return {
        name: (gzip.compress(content, mtime=0), hashlib.sha256(content).hexdigest()[:12])
        for name, content in found.items()
    }


def _address(name: str) -> str:
    return f"/static/{name}?{_assets()[name][1]}"


async def static(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in _assets():
        return Response("No such file", 404, media_type="text/plain")
    packed = _assets()[name][0]
    headers = {
        "Cache-Control": "public, max-age=31536000, immutable",
        "Vary": "Accept-Encoding",
        "X-Content-Type-Options": "nosniff",
    }
    if "gzip" in request.headers.get("accept-encoding", ""):
        return Response(packed, 200, headers | {"Content-Encoding": "gzip"}, TYPES[Path(name).suffix])
    return Response(gzip.decompress(packed), 200, headers, TYPES[Path(name).suffix])


def refused(error: Exception, session: Session | None) -> Response:
    known = error if isinstance(error, BillingError) else unavailable(error)
    if known is None:
        log.failure("page_failed")
        return render(
            "refused.html",
            500,
            session=session,
            title="Something is wrong",
            message=f"unexpected {type(error).__name__}",
            hints=("nself logs http --level error --tail 20",),
        )
    return render(
        "refused.html", known.status, session=session, title="Not possible", message=known.message, hints=known.hint
    )


async def read_form(request: Request) -> dict[str, str]:
    """Raises Forged where it is larger than any form here."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > LARGEST:
            raise Forged()
    return dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=200))


def authentic(session: Session, form: Mapping[str, str]) -> None:
    """Raises Forged."""
    if not hmac.compare_digest(form.get("csrf", "").encode(), session.csrf.encode()):
        raise Forged()


async def opened(app: App, handler: Callable[[App, Request], Awaitable[Response]], request: Request) -> Response:
    """For everybody; what is refused is a page too."""
    try:
        return await handler(app, request)
    except Exception as error:  # the boundary: nothing may leave without an answer
        return refused(error, None)
