"""Links to users' pages: made for an app that shows them to its user, proven at each request, revoked."""

from __future__ import annotations

import secrets

from nself.app import App
from nself.domains.api_key.model import ApiKey
from nself.domains.customer import service as customer
from nself.domains.page_link import rules, store
from nself.domains.page_link.inputs import CreatePageLink, RevokePageLinks
from nself.domains.page_link.model import PageLink, PageLinkOver, PageLinksRevoked

SCOPES = frozenset({"usage:read", "quota", "invoice:read", "subscription:read"})
"""What the page reads."""


def create(app: App, given: CreatePageLink) -> PageLink:
    """Raises NoSuchUser, InvalidParameter."""
    token, now = secrets.token_urlsafe(rules.BYTES), app.clock()
    expires_at = now + rules.lifetime(given.lives)
    customer.require_user(app, given.user)
    with app.db.transaction() as tx:
        store.add(tx, rules.digest(token), given.user, now, expires_at)
    return PageLink(user=given.user, url=f"{app.settings.public_url}/me/{token}", expires_at=expires_at)


def revoke(app: App, given: RevokePageLinks) -> PageLinksRevoked:
    """All of a user's links end with this."""
    with app.db.transaction() as tx:
        return PageLinksRevoked(user=given.user, revoked=store.revoke(tx, given.user))


def caller(app: App, token: str) -> ApiKey:
    """Whose page a token shows, as a caller that is bound to them. Raises PageLinkOver."""
    with app.db.reading() as tx:
        user = store.user(tx, rules.digest(token), app.clock())
    if user is None:
        raise PageLinkOver()
    return ApiKey("page", f"page of {user}", app.settings.live, SCOPES, user)
