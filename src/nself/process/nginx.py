"""nginx as a service: the project's own configuration, what follows from settings beside it, a test before each use.

`python -P -m nself.process.nginx nginx` becomes it, run by supervisord only.
"""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

from nself import config
from nself.core.errors import BillingError, Unavailable
from nself.core.project import Project
from nself.core.settings import Settings
from nself.process.paths import log_folder, prepare, run_folder, write_changed, writing

NAME = "nginx"
ACCESS_LOG = "billing-access.log"
HTTP = """\
# Written by nself from the settings; changes are overwritten.
upstream billing {{
    server {host}:{port};
    keepalive 32;
}}
access_log "{access_log}";
client_max_body_size {body};
{paths}"""
PATHS = "".join(
    f"{kind}_temp_path temp-{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
)  # root has Debian's own, which the workers may enter
SERVER = "# Written by nself from the settings; changes are overwritten.\nlisten {port}{tls};\n"
TLS = 'ssl_certificate "{certificate}";\nssl_certificate_key "{key}";\n'
TEST_SECONDS = 20


class BadNginxConfiguration(Unavailable):
    code = "nginx_configuration"
    text = "nginx refuses its configuration: {detail}"
    hints = ("nself exec nginx nginx -t", "nself exec nginx cat /etc/nginx/nginx.conf")
    guide = "8.4"


class Tested(NamedTuple):
    ok: bool
    said: str


def configuration(project: Project) -> Path:
    return project.root / "nginx" / "nginx.conf"


def prefix(project: Project) -> Path:
    """Where relative paths of the configuration lead."""
    return run_folder(project) / NAME


def arguments(project: Project) -> list[str]:
    """What makes any `nginx …` speak of this project's."""
    return ["-p", f"{prefix(project)}/", "-c", str(configuration(project))]


def ensure(project: Project, settings: Settings) -> Path:
    """The configuration, made where there is none, with what follows from settings beside it. Raises StateUnwritable."""
    prepare(project, log_folder(project, settings))
    found, folder = configuration(project), prefix(project)
    with writing(folder):
        folder.mkdir(mode=0o700, exist_ok=True)
        found.parent.mkdir(exist_ok=True)
    write_changed(
        folder / "http.conf",
        HTTP.format(
            host=_reached(settings.text("BILLING_HOST")),
            port=settings.integer("BILLING_PORT"),
            access_log=log_folder(project, settings) / ACCESS_LOG,
            body=settings.bytes("API_MAX_BODY"),
            paths="" if os.geteuid() == 0 else PATHS,
        ),
    )
    write_changed(folder / "server.conf", _server(project, settings))
    if not found.exists():
        write_changed(found, files("nself.process").joinpath("nginx.conf").read_text("utf-8"))
        found.chmod(0o644)
    return found


def _reached(host: str) -> str:
    """How one that listens on `host` is reached from here; on all addresses: by the loopback's."""
    if host in ("", "0.0.0.0", "::"):  # noqa: S104
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host


def _server(project: Project, settings: Settings) -> str:
    certificate, key = (settings.text(f"NGINX_TLS_{one}") for one in ("CERTIFICATE", "KEY"))
    port = settings.integer("NGINX_PORT")
    if not (certificate and key):
        return SERVER.format(port=port, tls="")
    tls = TLS.format(certificate=project.root / certificate, key=project.root / key)
    return SERVER.format(port=port, tls=" ssl") + tls


def test(program: str, project: Project) -> Tested:
    """`nginx -t`: whether it would take the configuration, and what it says."""
    try:
        done = subprocess.run(
            [program, "-t", *arguments(project)],
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=TEST_SECONDS,
            text=True,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Tested(False, str(error))
    return Tested(done.returncode == 0, done.stdout.strip())


def require(program: str, project: Project) -> str:
    """What `nginx -t` says of a good configuration. Raises BadNginxConfiguration."""
    found = test(program, project)
    if not found.ok:
        raise BadNginxConfiguration(detail=found.said)
    return found.said


def main() -> None:
    from nself.process import launch, table

    project = Project(Path(os.environ["NSELF_PROJECT"]))
    program = table.program(NAME)
    if program is None:
        raise SystemExit("nginx is not installed")
    ensure(project, config.load(project))
    require(program, project)
    launch.main(NAME)


if __name__ == "__main__":
    try:
        main()
    except (BillingError, OSError) as error:
        raise SystemExit(f"{sys.argv[1]} cannot be started: {error}") from error
