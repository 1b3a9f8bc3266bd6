"""Links to users' pages."""

from __future__ import annotations

from datetime import datetime

import msgspec

from nself.core.errors import NotFound


class PageLink(msgspec.Struct, frozen=True, kw_only=True):
    """`url` is a secret: whoever has it sees the page."""

    user: str
    url: str
    expires_at: datetime


class PageLinksRevoked(msgspec.Struct, frozen=True, kw_only=True):
    user: str
    revoked: int


class PageLinkOver(NotFound):
    """The same whether it never was, is over or was revoked."""

    code = "page_link_over"
    text = "This link does not work any more"
    hints = ("nself billing page-link create --user user123",)
