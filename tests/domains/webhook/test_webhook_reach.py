"""The way to an endpoint: each thing that can be wrong with it is told apart, on a real server with real certificates."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from nself.domains.webhook.model import Check
from nself.domains.webhook.service import reach
from nself.domains.webhook.service.status import NAMES
from ports import free_port
from secure_mail import make_certificate

Trust = Callable[[Path], None]


@pytest.fixture
def trust(monkeypatch: pytest.MonkeyPatch) -> Trust:
    """Makes this machine trust a certificate, and no other."""
    return lambda certificate: monkeypatch.setenv("SSL_CERT_FILE", str(certificate))


class _Quiet(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Who finds the certificate wrong hangs up."""


@contextmanager
def server(status: int = 200, certificate: tuple[Path, Path] | None = None) -> Iterator[str]:
    """Answers HEAD with `status`; `certificate` and its key: over TLS. The address without a scheme."""

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response(status)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    made = _Quiet(("127.0.0.1", 0), Handler)
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        made.socket = context.wrap_socket(made.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"localhost:{made.server_port}/webhooks/stripe"
    finally:
        made.shutdown()
        made.server_close()
        thread.join()


def way(url: str) -> list[Check]:
    return reach.way(url, datetime.now(UTC))


def wrong(found: list[Check]) -> tuple[str, str]:
    """The one step that failed."""
    (failed,) = [one for one in found if not one.ok]
    assert failed.step in NAMES
    return failed.step, failed.detail


def steps(found: list[Check]) -> str:
    return " ".join(one.step for one in found)


def test_a_good_way_has_six_steps(tmp_path: Path, trust: Trust):
    made = make_certificate(tmp_path, days=90)
    trust(made[0])
    with server(certificate=made) as address:
        found = way(f"https://{address}")
    assert [one.ok for one in found] == [True] * 6
    assert steps(found) == "dns tcp tls certificate expiry http"
    assert "89 days" in found[4].detail


@pytest.mark.parametrize(
    "host, days, trusted, step, detail",
    [
        ("localhost", -1, True, "expiry", "expired"),
        ("localhost", 90, False, "certificate", "self-signed"),
        ("elsewhere.example", 90, True, "certificate", "Hostname mismatch"),
    ],
)
def test_a_certificate_that_is_not_valid_ends_the_way(
    tmp_path: Path, trust: Trust, host: str, days: int, trusted: bool, step: str, detail: str
):
    made = make_certificate(tmp_path, host, days)
    (tmp_path / "other").mkdir()
    trust(made[0] if trusted else make_certificate(tmp_path / "other")[0])
    with server(certificate=made) as address:
        found = way(f"https://{address}")
    assert (wrong(found)[0], found[-1].step) == (step, step)
    assert detail in wrong(found)[1].replace("self signed", "self-signed")


def test_a_certificate_that_ends_soon_is_told_and_does_not_hide_what_comes_after(tmp_path: Path, trust: Trust):
    made = make_certificate(tmp_path, days=5)
    trust(made[0])
    with server(certificate=made) as address:
        found = way(f"https://{address}")
    assert steps(found) == "dns tcp tls certificate expiry http"
    assert wrong(found)[0] == "expiry" and "4 days" in wrong(found)[1]


def test_a_port_without_tls():
    with server() as address:
        found = way(f"https://{address}")
    assert (steps(found), wrong(found)[0]) == ("dns tcp tls", "tls")
    assert wrong(found)[1].startswith("no TLS on port")


def test_a_closed_port():
    found = way(f"https://localhost:{free_port()}/webhooks/stripe")
    assert (steps(found), wrong(found)[0]) == ("dns tcp", "tcp")
    assert wrong(found)[1].endswith("refuses: nothing listens there")


def test_an_unknown_name():
    found = way("https://billing.invalid/webhooks/stripe")
    assert (steps(found), wrong(found)[0]) == ("dns", "dns")
    assert wrong(found)[1].startswith("billing.invalid does not resolve")


@pytest.mark.parametrize(
    "status, detail", [(500, "is broken"), (502, "is broken"), (404, "not our receiver"), (301, "redirects"), (308, "redirects")]
)  # fmt: skip
def test_an_answer_that_is_not_our_receivers(status: int, detail: str):
    with server(status) as address:
        found = way(f"http://{address}")
    assert (steps(found), wrong(found)[0]) == ("dns tcp http", "http")
    assert f"{status}: " in wrong(found)[1] and detail in wrong(found)[1]


def test_what_is_dropped_is_told_apart_from_where_nothing_listens(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(reach, "SECONDS", 0.5)
    full = socket.socket()
    full.bind(("127.0.0.1", 0))
    full.listen(0)
    held = [socket.socket() for _ in range(4)]
    for one in held:  # its queue is full: whoever connects waits for ever
        one.setblocking(False)
        one.connect_ex(full.getsockname())
    now = datetime.now(UTC)
    dropped = reach.way(f"http://127.0.0.1:{full.getsockname()[1]}/webhooks/stripe", now)[-1]
    refused = reach.way(f"http://127.0.0.1:{free_port()}/webhooks/stripe", now)[-1]
    for one in (full, *held):
        one.close()
    assert [(one.step, one.ok) for one in (dropped, refused)] == [("firewall", False), ("tcp", False)]
