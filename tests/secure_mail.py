"""A real mail server with TLS and logins, and the certificate that it shows."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from ports import free_port


class Secure(NamedTuple):
    """`taken`: login, whether the connection was encrypted, envelope sender and recipients."""

    certificate: Path
    ports: dict[str, int]
    taken: list[tuple[str, bool, str, list[str]]]


def make_certificate(folder: Path, host: str = "localhost", days: float = 1) -> tuple[Path, Path]:
    """For `host`, valid for so many days from now, signed by itself: its file, and that of its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=9))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate, secret = folder / "certificate.pem", folder / "key.pem"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return certificate, secret


@contextmanager
def secured(folder: Path) -> Iterator[Secure]:
    """Two servers of one mailbox: STARTTLS, and TLS from the first byte on; they know user `app` with password `right`."""
    certificate, key = make_certificate(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    made = Secure(certificate, {"starttls": free_port(), "tls": free_port()}, [])

    class Handler:
        async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
            login = session.auth_data.login.decode()
            made.taken.append(
                (login, bool(server.transport.get_extra_info("ssl_object")), envelope.mail_from, envelope.rcpt_tos)
            )
            return "250 taken"

    def knows(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        right = isinstance(data, LoginPassword) and (data.login, data.password) == (b"app", b"right")
        return AuthResult(success=right, handled=right, auth_data=data)

    wanted: dict[str, Any] = {"hostname": "localhost", "authenticator": knows}
    with ExitStack() as stack:
        for controller in (
            Controller(
                Handler(),
                port=made.ports["starttls"],
                tls_context=context,
                require_starttls=True,
                auth_required=True,
                **wanted,
            ),
            # Its STARTTLS is never used: without this aiosmtpd offers no login.
            Controller(Handler(), port=made.ports["tls"], ssl_context=context, auth_require_tls=False, **wanted),
        ):
            controller.start()
            stack.callback(controller.stop)
        yield made
