"""Hot routes that maintenance closes."""

from __future__ import annotations

from nself.app import App
from nself.domains.api_key import service as api_key
from nself.domains.api_key.model import ApiKey
from nself.domains.operation.service import maintenance
from nself.http.hot import Hot


class Closable(Hot):
    def __init__(self, app: App, path: str) -> None:
        super().__init__(app, path)
        self.gate = maintenance.gate(app)

    def allowed(self, place: api_key.Place | None) -> ApiKey | None:
        """Raises InsufficientPermissions, UnderMaintenance."""
        self.gate.require_open()
        return super().allowed(place)
