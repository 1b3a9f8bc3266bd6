"""Tracing begins and ends with a service."""

from __future__ import annotations

import threading
from collections.abc import Callable
from urllib.parse import unquote

from nself import log
from nself.core.settings import InvalidSetting, Settings
from nself.measure import measures

LAST_SECONDS = 3.0
"""Longest time for the last spans of a process that ends."""
_end: Callable[[], None] | None = None


def start(settings: Settings, service: str) -> None:
    """Where OTEL_EXPORTER_OTLP_ENDPOINT is set, spans go there from now on. Never keeps a service from starting."""
    global _end
    try:
        if not (endpoint := settings.text("OTEL_EXPORTER_OTLP_ENDPOINT")):
            return
        headers = dict(_pair(one) for one in settings.text("OTEL_EXPORTER_OTLP_HEADERS").split(",") if "=" in one)
        from nself.tracing.otlp import Sender

        sender = Sender(f"{endpoint.rstrip('/')}/v1/traces", headers, service)
    except ImportError:
        log.warning("tracing_off", detail="opentelemetry is not installed: pip install 'nself-billing[otel]'")
    except (InvalidSetting, ValueError) as error:  # OpenTelemetry refuses its own variables with ValueError
        log.warning("tracing_off", detail=str(error))
    else:
        measures.heard, _end = sender.hear, sender.end


def stop() -> None:
    """Send what is left, for a moment."""
    global _end
    measures.heard = None
    if _end:
        last = threading.Thread(target=_end, daemon=True)
        last.start()
        last.join(LAST_SECONDS)
        _end = None


def _pair(text: str) -> tuple[str, str]:
    """As the standard writes headers: percent encoded."""
    name, _, value = text.partition("=")
    return unquote(name.strip()).lower(), unquote(value.strip())
